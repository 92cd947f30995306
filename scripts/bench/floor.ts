/**
 * The floor: the least that one compiled program does for a vhost-user port that is really there. No journal, no lock, no checks.
 *
 * ADD: one OVSDB transaction that makes the port, the wait until ovs-vswitchd has applied it, host-local, one fsync of the row's _uuid.
 * DEL: one transaction that takes the row away, the same wait, host-local.
 */
import { closeSync, fsyncSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';

const [verb, ovsdb = '', bridge = '', name = '', socket = '', state = '', ipam = ''] = process.argv.slice(2);

type Results = readonly { readonly uuid?: unknown; readonly rows?: readonly { readonly next_cfg: number }[] }[];

/** Receives the one reply that is awaited. */
let received: (results: Results) => void = () => undefined;
let text = '';

function feed(chunk: Buffer): void {
  text += chunk;
  let reply: { readonly result: Results };
  try {
    reply = JSON.parse(text);
  } catch {
    // The rest of the reply is still to come.
    return;
  }
  text = '';
  received(reply.result);
}

// Bun's own sockets, because node:net alone costs as much as the start of the program.
const session = await Bun.connect({ unix: ovsdb.replace(/^unix:/, ''), socket: { data: (_, chunk) => feed(chunk) } });

function transact(...operations: object[]): Promise<Results> {
  session.write(JSON.stringify({ method: 'transact', params: ['Open_vSwitch', ...operations], id: 0 }));
  return new Promise((resolve) => {
    received = resolve;
  });
}

/** One transaction; returns when ovs-vswitchd has applied it. */
async function apply(...operations: object[]): Promise<Results> {
  const results = await transact(
    ...operations,
    { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
    { op: 'select', table: 'Open_vSwitch', where: [], columns: ['next_cfg'] },
  );
  const wanted = results.at(-1)?.rows?.[0]?.next_cfg;
  if (wanted === undefined) throw new Error(JSON.stringify(results));
  const behind = { table: 'Open_vSwitch', where: [['cur_cfg', '<', wanted]], columns: ['cur_cfg'] };
  await transact({ op: 'wait', ...behind, until: '==', rows: [], timeout: 10_000 });
  return results;
}

const ofPort = (mutator: string, port: unknown) => ({
  op: 'mutate',
  table: 'Bridge',
  where: [['name', '==', bridge]],
  mutations: [['ports', mutator, port]],
});

function askIpam(): void {
  const { exitCode } = Bun.spawnSync([ipam], { stdin: 'inherit', stdout: 'inherit', stderr: 'inherit' });
  if (exitCode !== 0) process.exit(exitCode || 1);
}

if (verb === 'ADD') {
  const options = ['map', [['vhost-server-path', socket]]];
  const [, port] = await apply(
    {
      op: 'insert',
      table: 'Interface',
      row: { name, type: 'dpdkvhostuserclient', options },
      'uuid-name': 'interface',
    },
    { op: 'insert', table: 'Port', row: { name, interfaces: ['named-uuid', 'interface'] }, 'uuid-name': 'port' },
    ofPort('insert', ['named-uuid', 'port']),
  );
  askIpam();
  const file = openSync(state, 'wx');
  writeSync(file, JSON.stringify(port?.uuid));
  fsyncSync(file);
  closeSync(file);
} else {
  await apply(ofPort('delete', JSON.parse(readFileSync(state, 'utf8'))));
  askIpam();
  unlinkSync(state);
}
session.end();
