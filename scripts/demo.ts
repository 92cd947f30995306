/**
 * `npm run demo`: the executable on a real Open vSwitch, killed in the middle, and nothing left.
 *
 * Owns: the story. Does not own: what it changes on the machine (demo-machine.ts), how it looks (demo-screen.ts).
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, answer, run, start } from '../test/support/cni.ts';
import { hugepageCount } from '../test/support/hugepages.ts';
import { type Changes, Node, newId, type Pod } from '../test/support/node.ts';
import { executable, missing } from '../test/support/requirements.ts';
import { StandInOvsdb } from '../test/support/stand-in-ovsdb.ts';
import { type Switch, startSwitch } from '../test/support/switch.ts';
import type { View } from '../test/support/world.ts';
import { type Machine, prepareMachine } from './demo-machine.ts';
import { Screen } from './demo-screen.ts';

/** What the story needs of a switch: to hold it still, so that a kill meets an ADD between two steps, every time. */
interface Stage {
  readonly view: View;
  hold(): void;
  release(): void;
  close(): Promise<void>;
}

/** Nothing in the story waits this long; a demo that hangs must end. */
const patienceMs = 20_000;
const pollMs = 2;

const screen = new Screen();
const cleanups: (() => Promise<void> | void)[] = [];

async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    screen.say(`${signal}: putting everything back`);
    void cleanUp().finally(() => process.exit(130));
  });
}

async function realStage(): Promise<Stage> {
  const theSwitch: Switch = await startSwitch();
  const { added, before } = theSwitch.hugepages;
  screen.say(
    `a private Open vSwitch with DPDK runs in ${theSwitch.directory}; hugepages: ${before} before, ${added} added`,
  );
  return {
    view: theSwitch,
    hold: () => theSwitch.pauseVswitchd(),
    release: () => theSwitch.resumeVswitchd(),
    close: async () => {
      await theSwitch.stop();
      screen.say(`the switch is gone; hugepages: ${hugepageCount()}, as before: ${before}`);
    },
  };
}

async function standInStage(): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'usw-'));
  const standIn = await StandInOvsdb.start(directory);
  return {
    view: standIn,
    hold: () => {
      standIn.faults.idle = true;
    },
    release: () => standIn.resume(),
    close: async () => {
      await standIn.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function must(what: string, { exitCode, stdout, stderr }: Answer): void {
  if (exitCode !== 0) throw new Error(`${what} failed: ${stdout || stderr}`);
}

/** Runs an ADD against the held switch and kills it once its journal says that the port is intended, and not yet there. */
async function addAndKill(stage: Stage, pod: Pod, changes: Changes): Promise<void> {
  stage.hold();
  try {
    const running = start('ADD', pod.call('net1', changes));
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const text = existsSync(pod.journal()) ? await Bun.file(pod.journal()).text() : '';
      if (text.includes('"kind":"intent","step":"port"') && (await hasPort(pod))) break;
      if (performance.now() > deadline) throw new Error(`the ADD did not reach its port: ${text}`);
      await delay(pollMs);
    }
    running.kill('SIGKILL');
    const { signal } = answer(await running);
    if (signal !== 'SIGKILL') throw new Error('the ADD ended before it was killed');
  } finally {
    stage.release();
  }
}

const hasPort = async (pod: Pod): Promise<boolean> => (await pod.node.world()).ports.includes(pod.portName());

async function show(node: Node<View>, pod: Pod): Promise<void> {
  const shown = await run(['show', pod.shortId, '--data-dir', node.dataDir]);
  must('show', shown);
  screen.quote('userspace show', shown.stdout);
}

async function story(stage: Stage, machine: Machine): Promise<boolean> {
  const node = await Node.create(stage.view);
  cleanups.push(() => node.end());
  const changes = machine.addresses ? {} : { ipam: undefined };
  const pods = await Promise.all([1, 2, 3, 4].map(async () => node.pod(newId(), await machine.netns())));
  const [first, second, third, fourth] = pods as [Pod, Pod, Pod, Pod];

  for (const pod of [first, second]) {
    const added = await pod.add('net1', changes);
    must('ADD', added);
    const address = added.json.ips?.[0]?.address ?? 'no address: no IPAM program here';
    screen.say(`ADD    ${pod.shortId} net1: port ${pod.portName()}, ${address}`);
    must('CHECK', await pod.check(added.json, 'net1', changes));
    screen.say(`CHECK  ${pod.shortId} net1: everything is as ADD left it`);
  }

  for (const pod of [third, fourth]) {
    await addAndKill(stage, pod, changes);
    screen.say(`KILL   ${pod.shortId} net1: SIGKILL while its port was being made; the journal stops there:`);
    await show(node, pod);
  }
  screen.table('what the two kills and two pods hold now', await node.world());

  must('DEL', await third.del('net1', changes));
  screen.say(`DEL    ${third.shortId} net1: the killed ADD is rolled back`);
  const recovered = await run(['recover', '--data-dir', node.dataDir, '--ovsdb', stage.view.ovsdb]);
  must('recover', recovered);
  screen.quote('userspace recover', recovered.stdout);
  for (const pod of [first, second, fourth]) {
    must('DEL', await pod.del('net1', changes));
    screen.say(`DEL    ${pod.shortId} net1`);
  }

  const left = await node.world();
  screen.table('what is left', left);
  return Object.values(left).every((names) => names.length === 0);
}

async function main(): Promise<number> {
  const [noExecutable] = missing(['executable']);
  if (noExecutable) throw new Error(noExecutable);
  screen.say(`the executable: ${executable}`);
  const machine = await prepareMachine(screen);
  cleanups.push(() => machine.close());
  const stage = await (machine.real ? realStage() : standInStage());
  cleanups.push(() => stage.close());
  const clean = await story(stage, machine);
  await cleanUp();
  for (const line of machine.stays) screen.say(line);
  screen.verdict(
    clean,
    clean ? 'nothing is left in the switch, the address store and on disk' : 'something is left: see the table',
  );
  return clean ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  await cleanUp();
  screen.verdict(false, error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
