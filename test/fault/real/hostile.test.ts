/**
 * A hostile pod: links, FIFOs, sockets and directories at our names in its directory, before and while we work. Nothing outside
 * changes, nothing hangs past its deadline, nothing of ours stays.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, test } from 'vitest';
import { bunChild } from '../../support/real/child.ts';
import type { Answer } from '../../support/real/cni.ts';
import { complete, dice, Tally } from '../../support/real/fault-suite.ts';
import { type Changes, type Mode, newId, type Pod, type TestNode } from '../../support/real/node.ts';
import { type Kind, kinds, plant } from '../../support/real/planter.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { emptyWorld, expectNothingLeft, tree } from '../../support/real/world.ts';
import { withSeed } from '../../support/seed.ts';

const modes: readonly Mode[] = ['client', 'server'];
/** Rounds of the busy planter, in each mode. */
const busyMs = complete ? 60_000 : 12_000;

const deadlines = { addMs: 12_000, rollbackMs: 4_000, delMs: 8_000, directoryMs: 2_000, switchMs: 3_000 };
/** From the deadline to the end of the process, on a busy machine. */
const graceMs = 5_000;
const internalError = 999;

/** The group of chown and chmod, which would change the canary through a link at the wrong place. */
const changes: Changes = { deadlines, host: { vhost: { group: '4242' } } };

/** The paths to plant at, relative to the shared directory. */
interface Names {
  readonly sandbox: string;
  readonly inside: readonly string[];
}

/** The names of the next ADD of this pod, learnt from one like it. */
async function namesOf(node: TestNode, pod: Pod): Promise<Names> {
  expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
  const made = (await tree(node.sharedDir))
    .filter((path) => !path.endsWith('/'))
    .map((path) => path.split('/')[1] ?? '');
  expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0 });
  const [hold = ''] = made.filter((name) => name.startsWith('.'));
  return { sandbox: pod.shortId, inside: [...new Set([...made, `${hold}.tmp`, pod.portName()])].sort() };
}

/** Files of all our names, and of others, that no call may change in any way. */
function makeCanary(directory: string, names: Names): void {
  mkdirSync(join(directory, names.sandbox), { recursive: true });
  for (const name of [...names.inside, 'other']) {
    writeFileSync(join(directory, name), `canary ${name}`, { mode: 0o640 });
    writeFileSync(join(directory, names.sandbox, name), 'canary');
  }
}

function snapshot(path: string): unknown {
  const { mode, uid, gid, size, nlink, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
  const entry = { path, mode, uid, gid, size, nlink, mtimeNs, ctimeNs };
  if ((Number(mode) & 0o170000) === 0o120000) return { ...entry, target: readlinkSync(path) };
  if ((Number(mode) & 0o170000) !== 0o040000) return { ...entry, bytes: readFileSync(path, 'utf8') };
  const content = readdirSync(path).sort();
  return { ...entry, content: content.map((name) => snapshot(join(path, name))) };
}

/** The targets of planted links: a FIFO, and a socket with a listening process. */
async function makeStock(directory: string): Promise<Server> {
  mkdirSync(directory);
  await execa('mkfifo', [join(directory, 'fifo')]);
  const server = createServer((connection) => connection.destroy());
  await new Promise<void>((resolve) => server.listen(join(directory, 'socket'), resolve));
  return server;
}

async function timely(call: Promise<Answer>, limitMs: number): Promise<Answer> {
  const began = performance.now();
  const given = await call;
  expect(given.signal).toBeUndefined();
  expect(performance.now() - began).toBeLessThan(limitMs + graceMs);
  if (given.exitCode !== 0) expect(given.json.code, given.stdout).not.toBe(internalError);
  return given;
}

onRealSwitch(withSeed('a hostile pod'), (theSwitch) => {
  const tally = new Tally('hostile');
  afterAll(() => tally.print());

  describe.each(modes)('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);

    const add = (pod: Pod) => timely(pod.add('net1', changes), deadlines.addMs);
    const del = (pod: Pod) => timely(pod.del('net1', changes), deadlines.delMs);
    const delSurely = async (pod: Pod) => expect(await del(pod)).toMatchObject({ exitCode: 0, stdout: '' });

    /** A pod, its names, the canary around it. @returns what ends it. */
    const scene = async () => {
      const pod = await node().pod(newId());
      const names = await namesOf(node(), pod);
      const [stock, canary] = [join(node().directory, 'stock'), join(node().directory, 'canary')];
      const server = await makeStock(stock);
      makeCanary(canary, names);
      const before = snapshot(canary);
      const untouched = () => expect(snapshot(canary)).toEqual(before);
      const sandbox = join(node().sharedDir, names.sandbox);
      return { pod, names, stock, canary, sandbox, untouched, end: () => server.close() };
    };

    /** All but the pod's own files. */
    const nothingElseLeft = async () => expectNothingLeft({ ...(await node().world()), files: emptyWorld.files });

    const moments = ['ADD', 'DEL'] as const;
    test.each(moments)('things at our names before %s', async (moment) => {
      const { pod, names, stock, canary, sandbox, untouched, end } = await scene();
      const answered = new Map<string, number>();
      const places = ['', ...names.inside];
      for (const [place, kind] of places.flatMap((name) => kinds.map((one): [string, Kind] => [name, one]))) {
        if (moment === 'DEL') expect(await add(pod)).toMatchObject({ exitCode: 0 });
        mkdirSync(place === '' ? node().sharedDir : sandbox, { recursive: true });
        const path = join(sandbox, place);
        plant(path, kind, place === '' ? (names.inside[0] ?? '') : place, stock, canary);
        if (moment === 'ADD') {
          const { exitCode, stdout, json } = await add(pod);
          const said = exitCode === 0 ? 'success' : `code ${JSON.parse(stdout).code}`;
          answered.set(said, (answered.get(said) ?? 0) + 1);
          expect(json).toBeDefined();
        }
        await delSurely(pod);
        untouched();
        tally.cases++;
        tally.faults++;
        await tally.clean(nothingElseLeft);
        // Nothing is there but the planted things and their directory.
        const files = (await tree(node().sharedDir)).map((name) => join(node().sharedDir, name).replace(/\/$/, ''));
        const foreign = files.filter((name) => name !== sandbox && !`${name}/`.startsWith(`${path}/`));
        await tally.clean(async () => expect(foreign, `${kind} at "${place}"`).toEqual([]));
        rmSync(sandbox, { recursive: true, force: true });
      }
      end();
      console.log(`${mode} mode, before ${moment}: ${JSON.stringify(Object.fromEntries(answered))}`);
      expectNothingLeft(await node().world());
    });

    test('a process that plants and swaps all the time', async () => {
      const { pod, names, stock, canary, sandbox, untouched, end } = await scene();
      const seed = String(dice(`hostile ${mode}`).below(2 ** 31));
      const script = new URL('../../support/real/planter.ts', import.meta.url);
      const planter = bunChild(script, [seed, stock, canary, sandbox, ...names.inside]);
      expect(await planter.line()).toBe('planting');
      const answered = new Map<string, number>();
      const deadline = performance.now() + busyMs;
      while (performance.now() < deadline) {
        for (const [command, call] of [
          ['ADD', add],
          ['DEL', del],
        ] as const) {
          const { exitCode, stdout } = await call(pod);
          const said = `${command} ${exitCode === 0 ? 'success' : `code ${JSON.parse(stdout).code}`}`;
          answered.set(said, (answered.get(said) ?? 0) + 1);
          tally.cases++;
        }
        untouched();
      }
      planter.process.stdin?.end();
      const planted = Number(await planter.line());
      tally.faults += planted;
      await planter.ended();
      await delSurely(pod);
      untouched();
      await tally.clean(nothingElseLeft);
      rmSync(sandbox, { recursive: true, force: true });
      rmSync(`${sandbox}.away`, { recursive: true, force: true });
      end();
      console.log(`${mode} mode: ${planted} plantings, ${JSON.stringify(Object.fromEntries(answered))}`);
      expectNothingLeft(await node().world());
    });
  });
});
