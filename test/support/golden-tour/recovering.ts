/** Attachments that are owed, interrupted, damaged or lost, and their end. */
import { chmod, cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Changes } from '../real/node.ts';
import { bridge, type Chapters, type Ground, type Sandbox } from './ground.ts';
import { sealed, textOfRecord } from './normal.ts';

const impatient = { delMs: 1_500, reconnectMs: 100, switchMs: 500, ipamMs: 400, lockMs: 300 };
const noIpam: Changes = { ipam: undefined };
const server: Changes = { host: { vhost: { mode: 'server' } } };

/** A person's look at the attachments. */
async function look(ground: Ground, name: string): Promise<void> {
  for (const more of [[], ['--json']]) await ground.here('list', ...more);
  for (const more of [[], ['--json']]) await ground.here('show', name, ...more);
}

/** A program that hangs in one verb of host-local until its file `on` goes; the file `begun` says that it hangs. */
const hanging = (verb: string): string =>
  `[ "$CNI_COMMAND" = ${verb} ] && [ -e "$0.on" ] && { echo $$ > "$0.begun"; exec sleep 60; }\nexec "$(dirname "$0")/host-local"`;

/** Kills the call with SIGKILL while its IPAM program hangs. @param isLeft whether that program lives on */
async function killInIpam(ground: Ground, verb: 'ADD' | 'DEL', sandbox: Sandbox, isLeft = false): Promise<number> {
  ground.program('hanging', hanging(verb));
  const [on, begun] = ['on', 'begun'].map((name) => join(ground.binDir, `hanging.${name}`)) as [string, string];
  await rm(begun, { force: true });
  await writeFile(on, '');
  // A far deadline, because the next call would end a program whose time is up.
  const deadlines = { ipamMs: 20_000 };
  const child = ground.start(verb, sandbox, { changes: { ipam: { type: 'hanging' }, deadlines } });
  const pid = await Promise.race([written(begun), child.then(() => 0)]);
  if (pid === 0) throw new Error(`the ${verb} ended before its IPAM program was asked`);
  // The process at work: the call's own, or the agent's worker.
  const parent = Number(/^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
  child.kill('SIGKILL');
  if (parent !== child.pid) process.kill(parent, 'SIGKILL');
  if (!isLeft) process.kill(pid, 'SIGKILL');
  if (!isLeft) await ended(pid);
  await ground.ended(`${verb} ${sandbox.name} net1: killed while its IPAM program hangs${isLeft ? ' on' : ''}`, child);
  await rm(on);
  return pid;
}

/** Waits until a process has closed its files: a lock that it inherited is seen until then. */
async function ended(pid: number): Promise<void> {
  const state = async () => /^State:\s+(\w)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1];
  for (let seen = await state(); seen !== undefined && seen !== 'Z'; seen = await state()) await delay(2);
}

async function written(path: string): Promise<number> {
  for (let tries = 0; tries < 2_000; tries++) {
    const text = await readFile(path, 'utf8').catch(() => '');
    if (text.endsWith('\n')) return Number(text);
    await delay(5);
  }
  throw new Error(`nothing was written to "${path}"`);
}

const linesIn = async (path: string): Promise<string[]> => (await readFile(path, 'utf8')).trimEnd().split('\n');

/** Changes the first record, and makes its checksums and all later ones correct again. */
async function retell(path: string, change: (header: string) => string): Promise<void> {
  let chain = 0;
  const lines = (await linesIn(path)).map((line, index) => {
    const text = textOfRecord(line);
    const next = sealed(index === 0 ? change(text) : text, chain);
    chain = next.chain;
    return next.line;
  });
  await writeFile(path, lines.join(''));
}

/** Another inode under its name. */
async function replaceByCopy(path: string): Promise<void> {
  await cp(path, `${path}x`);
  await rename(`${path}x`, path);
}

const damages: readonly (readonly [note: string, spoil: (path: string) => Promise<unknown>])[] = [
  [
    'a byte in its middle is another one',
    async (path) => writeFile(path, (await readFile(path, 'utf8')).replace('"bridge"', '"br1dge"')),
  ],
  [
    'its last record is cut off in its middle',
    async (path) => writeFile(path, (await readFile(path, 'utf8')).slice(0, -40)),
  ],
  [
    'its last three records are gone',
    async (path) => writeFile(path, `${(await linesIn(path)).slice(0, -3).join('\n')}\n`),
  ],
  [
    'a record in its middle is gone',
    async (path) => writeFile(path, `${(await linesIn(path)).toSpliced(4, 1).join('\n')}\n`),
  ],
  ['it is empty', (path) => writeFile(path, '')],
  ['it is all NUL', (path) => writeFile(path, Buffer.alloc(100))],
  ['something is appended', async (path) => writeFile(path, `${await readFile(path, 'utf8')}hello\n`)],
  ['it is a copy', replaceByCopy],
  ['its format is newer', (path) => retell(path, (header) => header.replace('"format":1', '"format":2'))],
  ['its machine is newer', (path) => retell(path, (header) => header.replace('"machine":1', '"machine":2'))],
  [
    'its boot is another',
    (path) =>
      retell(path, (header) => header.replace(/"boot":"[^"]*"/, '"boot":"00000000-0000-4000-8000-000000000000"')),
  ],
  ['its mode is 0700', (path) => chmod(path, 0o700)],
  ['its mode is 0644', (path) => chmod(path, 0o644)],
  ['its mode is the going mark', (path) => chmod(path, 0o1714)],
];

export const recovering: Chapters = {
  owed: async (ground) => {
    const [red, blue] = [await ground.sandbox('red'), await ground.sandbox('blue')];
    const changes = { deadlines: impatient };
    const network = join(ground.directory, 'config', 'network.json');
    await ground.write(network, JSON.stringify(ground.config()));
    for (const one of [red, blue]) await ground.cni('ADD', one);
    await ground.whileAway(async () => {
      await ground.cni('DEL', red, { changes });
      await look(ground, 'red');
      await ground.cni('ADD', blue, { changes, note: 'again' });
      await ground.here('status', '--json', '--config', network);
      await ground.here('recover', '--dry-run');
    });
    await look(ground, 'red');
    await ground.here('status', '--config', network);
    await ground.cni('CHECK', red, { changes: { prevResult: {} } });
    await ground.here('recover', '--dry-run', '--json');
    await ground.cni('ADD', red, { note: 'is going' });
    await ground.cni('ADD', red);
    await ground.whileAway(() => ground.cni('DEL', red, { changes }));
    await ground.here('recover', '--json');
    await ground.cni('ADD', red);
    await ground.whileAway(() => ground.cni('DEL', red, { changes }));
    await ground.cni('DEL', blue, { note: 'finishes what red owes' });
    await ground.cni('ADD', red, { changes: server });
    await ground.whilePaused(() => ground.cni('DEL', red, { changes: { deadlines: { ...impatient, delMs: 10_000 } } }));
    await ground.cni('DEL', red);
    await ground.here('list');
  },

  'owed-address': async (ground) => {
    const red = await ground.sandbox('red');
    const fails = `[ -e "$0.on" ] && [ "$CNI_COMMAND" = DEL ] && { echo '{"code":7,"msg":"store is away"}'; exit 1; }`;
    ground.program('moody', `${fails}\nexec "$(dirname "$0")/host-local"`);
    const on = join(ground.binDir, 'moody.on');
    const changes = { ipam: { type: 'moody' } };
    await ground.cni('ADD', red, { changes });
    await writeFile(on, '');
    await ground.cni('DEL', red, { changes, note: 'the IPAM program fails' });
    await look(ground, 'red');
    await ground.here('recover', '--json');
    await ground.here('recover', '--dry-run');
    await ground.here('recover', '--forget', 'red', '--dry-run');
    await ground.here('recover', '--forget', 'r', '--json');
    await ground.here('list');
    await rm(on);
    await ground.cni('DEL', red, { changes, note: 'of what was forgotten' });
    await ground.cni('ADD', red, { changes });
    await ground.here('recover', '--forget', 'red', '--json');
    await ground.here('recover', '--forget', 'stranger');
    await rename(join(ground.binDir, 'moody'), join(ground.binDir, 'away'));
    await ground.cni('DEL', red, { changes, note: 'the IPAM program is gone' });
    await ground.here('list');
    await rename(join(ground.binDir, 'away'), join(ground.binDir, 'moody'));
    await ground.cni('DEL', red, { changes });
  },

  killed: async (ground) => {
    const red = await ground.sandbox('red');
    await killInIpam(ground, 'ADD', red);
    await look(ground, 'red');
    for (const more of ['--dry-run', '--json']) await ground.here('recover', more);
    await killInIpam(ground, 'ADD', red);
    await ground.cni('CHECK', red, { changes: { prevResult: {} } });
    const changes = { ipam: { type: 'hanging' } };
    await ground.cni('ADD', red, { changes, note: 'after it' });
    await ground.cni('ADD', red, { changes, note: 'once more' });
    await killInIpam(ground, 'DEL', red);
    await look(ground, 'red');
    await ground.cni('ADD', red, { changes, note: 'is going' });
    await killInIpam(ground, 'ADD', red);
    await ground.cni('DEL', red);
  },

  'killed-and-held': async (ground) => {
    const red = await ground.sandbox('red');
    const changes = { ipam: { type: 'hanging' }, deadlines: impatient };
    const pid = await killInIpam(ground, 'ADD', red, true);
    await ground.here('list');
    await ground.here('recover');
    await ground.cni('ADD', red, { changes, note: 'its lock is held' });
    await ground.cni('DEL', red, { changes, note: 'its lock is held' });
    for (const more of [[], ['--json']]) await ground.here('list', ...more);
    await ground.here('recover', '--dry-run', '--json');
    process.kill(pid, 'SIGKILL');
    await delay(50);
    await ground.here('recover');
  },

  damaged: async (ground) => {
    const red = await ground.sandbox('red');
    for (const [note, spoil] of damages) {
      const { json: prevResult } = await ground.cni('ADD', red);
      await ground.act(`of its journal ${note}`, () => spoil(ground.journal(red)));
      await ground.here('list');
      await ground.here('show', 'red');
      await ground.here('recover', '--dry-run');
      await ground.cni('CHECK', red, { changes: { prevResult } });
      await ground.here('recover', '--json');
      await ground.cni('DEL', red);
    }
    for (const [note, spoil] of damages.slice(0, 5)) {
      await ground.cni('ADD', red, { changes: noIpam });
      await ground.act(`of its journal ${note}`, () => spoil(ground.journal(red)));
      await ground.cni('ADD', red, { changes: noIpam, note: 'after it' });
      await ground.cni('DEL', red, { changes: noIpam });
    }
  },

  lost: async (ground) => {
    const [red, blue] = [await ground.sandbox('red'), await ground.sandbox('blue')];
    const { json: prevResult } = await ground.cni('ADD', red);
    await ground.cni('ADD', blue, { changes: server });
    await ground.vsctl('del-port', ground.portName(red));
    await ground.here('list');
    for (const more of ['--dry-run', '--json']) await ground.here('recover', more);
    await ground.here('show', 'red');
    await ground.cni('CHECK', red, { changes: { prevResult } });
    await ground.vsctl('del-br', bridge);
    await ground.here('recover');
    await ground.here('list');
    await ground.vsctl('clear', 'Port', ground.portName(red), 'external_ids');
    await ground.here('recover', '--json');
    await ground.cni('DEL', red);
    await ground.cni('DEL', blue, { changes: server });
    await ground.cni('ADD', red);
    await ground.vsctl('del-port', ground.portName(red));
    await ground.act('the address goes too', () => rm(join(ground.ipamDir, 'net-a', '10.56.0.4'), { force: true }));
    await ground.whileAway(() => ground.here('recover', '--json'));
    await ground.here('recover', '--boot', '--json');
    await ground.leave(red);
    for (const more of ['--dry-run', '--json']) await ground.here('recover', more);
  },

  repeated: async (ground) => {
    const red = await ground.sandbox('red');
    await ground.cni('ADD', red);
    await ground.cni('ADD', red, { config: turned(ground.config()), note: 'its keys in another order' });
    await ground.cni('ADD', red, { changes: { host: { bridge: { vlanId: 5 } } }, note: 'another VLAN' });
    await ground.cni('ADD', red, { changes: { ipam: undefined }, note: 'no IPAM' });
    await ground.cni('ADD', red, { changes: { ...noIpam, cniVersion: '0.4.0' }, note: 'another version' });
    await ground.cni('ADD', red, {
      changes: { ...noIpam, logLevel: 'error', host: { mac: '02:00:00:00:00:01' } },
      note: 'a MAC',
    });
    await ground.cni('ADD', red, { changes: { host: { bridge: { bridgeName: 'br-b' } } }, note: 'another bridge' });
    const changes = {
      deadlines: { ...impatient, addMs: 4_000, rollbackMs: 2_000 },
      host: { bridge: { bridgeName: 'br-b' } },
    };
    await ground.whileAway(() => ground.cni('ADD', red, { changes, note: 'the switch is away' }));
    await ground.act('the address goes', () => rm(join(ground.ipamDir, 'net-a', '10.56.0.3'), { force: true }));
    await ground.cni('ADD', red, {
      changes: { host: { bridge: { bridgeName: 'br-b' } } },
      note: 'without its address',
    });
    const blue = await ground.sandbox('blue');
    await ground.cni('ADD', { ...red, netns: blue.netns }, { note: 'another namespace' });
    await ground.vsctl('del-port', ground.portName(red));
    await ground.cni('ADD', { ...red, netns: blue.netns }, { note: 'without its port' });
    await ground.cni('DEL', red);
  },

  predecessor: async (ground) => {
    const red = await ground.sandbox('red');
    const port = ground.portName(red);
    const state = join(ground.directory, 'more', 'usrspcni', `local-${red.id.slice(0, 12)}-net1.json`);
    const directory = join(ground.sharedDir, red.id.slice(0, 12));
    await ground.vsctl('add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=netdev');
    for (const text of [JSON.stringify({ vhostname: port, vhostmac: '', ifmac: '' }), '{"vhostname":', '{}']) {
      await ground.write(join(directory, 'configData-x.json'), '{}');
      await ground.write(state, text);
      const path = `options:vhost-server-path=${JSON.stringify(join(directory, port))}`;
      await ground.vsctl(
        '--may-exist',
        'add-port',
        bridge,
        port,
        '--',
        'set',
        'Interface',
        port,
        'type=dpdkvhostuserclient',
        path,
      );
      await ground.cni('ADD', red, { changes: noIpam });
      await ground.cni('DEL', red);
      await ground.cni('DEL', red, { note: 'again' });
    }
  },
};

/** The keys in another order, as from a runtime that keeps them in a map. */
function turned(value: unknown): unknown {
  if (Array.isArray(value) || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, one]) => [key, turned(one)]),
  );
}
