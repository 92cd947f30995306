/**
 * The demo's story: the executable on a real Open vSwitch, killed in the middle, and nothing left. With --keep it stands still
 * before the end, and can be looked at.
 *
 * Owns: the story, and taking back each thing it made even if another one fails. Does not own: changes of the machine
 * (demo-machine.ts), its directory (demo-place.ts), how it looks (demo-screen.ts), the terminal's signals (demo.ts).
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, answer, cni, run, start } from '../test/support/real/cni.ts';
import { hugepageCount } from '../test/support/real/hugepages.ts';
import { type Changes, type Pod, TestNode } from '../test/support/real/node.ts';
import { type Switch, startSwitch } from '../test/support/real/switch.ts';
import type { View } from '../test/support/real/world.ts';
import { executable, missing } from '../test/support/requirements.ts';
import { StandInOvsdb } from '../test/support/stand-in/stand-in-ovsdb.ts';
import { type Machine, prepareMachine } from './demo-machine.ts';
import { openPlace } from './demo-place.ts';
import { Interrupted, Screen } from './demo-screen.ts';

/** A switch that the story can hold still, so that a kill always meets an ADD between the same two steps. */
interface Stage {
  readonly view: View;
  readonly isReal: boolean;
  hold(): void;
  release(): void;
  /** The line to print when the switch is gone. */
  afterwards(): string;
}

/** Nothing in the story waits this long; a demo that hangs must end. */
const patienceMs = 20_000;
const pollMs = 2;

const screen = new Screen();
/** The undoing of everything that was made, in the order of the making. */
const cleanups: { readonly what: string; readonly run: () => Promise<void> | void }[] = [];

/** @returns a line for each thing that could not be taken back */
async function cleanUp(): Promise<string[]> {
  const troubles: string[] = [];
  for (const { what, run: takeBack } of cleanups.splice(0).reverse()) {
    try {
      await takeBack();
    } catch (error) {
      troubles.push(`${what}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return troubles;
}

const keep = process.argv[2] === '--keep';
/** With --keep the first signal ends the pause, not the story. */
let endOfStanding: (() => void) | undefined;
let exitCode = 1;

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => {
    if (endOfStanding) return endOfStanding();
    exitCode = code;
    screen.interrupt(signal);
  });
}

async function realStage(): Promise<Stage> {
  const theSwitch: Switch = await startSwitch();
  cleanups.push({ what: 'the switch', run: () => theSwitch.stop() });
  const { added, before } = theSwitch.hugepages;
  screen.say(
    `a private Open vSwitch with DPDK runs in ${theSwitch.directory}; hugepages: ${before} before, ${added} added`,
  );
  return {
    view: theSwitch,
    isReal: true,
    hold: () => theSwitch.pauseVswitchd(),
    release: () => theSwitch.resumeVswitchd(),
    afterwards: () => `the switch is gone; hugepages: ${hugepageCount()}, before: ${before}`,
  };
}

async function standInStage(): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'usw-'));
  const standIn = await StandInOvsdb.start(directory);
  cleanups.push({ what: 'the stand-in', run: () => standIn.stop() });
  return {
    view: standIn,
    isReal: false,
    hold: () => {
      standIn.faults.idle = true;
    },
    release: () => standIn.resume(),
    afterwards: () => 'the stand-in is gone',
  };
}

function must(what: string, { exitCode, stdout, stderr }: Answer): void {
  if (exitCode !== 0) throw new Error(`${what} failed: ${stdout || stderr}`);
}

/** Runs an ADD against the held switch, and kills it when its journal has the port's intent but not its outcome. */
async function addAndKill(stage: Stage, pod: Pod, changes: Changes, env: Machine['env']): Promise<void> {
  stage.hold();
  try {
    const running = start('ADD', pod.call('net1', changes), { env });
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

async function show(node: TestNode<View>, pod: Pod): Promise<void> {
  const shown = await run(['show', pod.shortId, '--data-dir', node.dataDir]);
  must('show', shown);
  screen.quote(`dist/userspace show ${pod.shortId} --data-dir $DATA`, shown.stdout);
}

/** A runtime's ids have 64 digits, too long for a line of a terminal. */
const shortIds = (): string => randomBytes(6).toString('hex');

async function standStill(stage: Stage, pod: Pod): Promise<void> {
  screen.say('--keep: all of this stands still now. To look at it from another terminal, here:');
  screen.quote('dist/userspace list --data-dir $DATA', '');
  screen.quote(`dist/userspace show ${pod.shortId} --data-dir $DATA`, '');
  screen.quote('dist/userspace recover --dry-run --data-dir $DATA --ovsdb $SWITCH', '');
  if (stage.isReal) screen.quote('ovs-vsctl --db=$SWITCH show', '');
  screen.say(`Ctrl-C (or kill ${process.ppid}) ends it: the story goes on, and everything is put back`);
  await new Promise<void>((resolve) => {
    // A promise alone does not keep a process alive.
    const awake = setInterval(() => undefined, 60_000);
    endOfStanding = () => {
      clearInterval(awake);
      resolve();
    };
  });
  endOfStanding = undefined;
}

async function story(stage: Stage, machine: Machine): Promise<boolean> {
  const node = await TestNode.create(stage.view);
  cleanups.push({ what: 'the pods', run: () => node.end() });
  screen.say('what follows can be typed as it is, with these two set:');
  screen.note(`DATA=${node.dataDir}`);
  screen.note(`SWITCH=${stage.view.ovsdb}`);
  const changes = machine.addresses ? {} : { ipam: undefined };
  const options = { env: machine.env };
  const pods = await Promise.all([1, 2, 3, 4].map(async () => node.pod(shortIds(), await machine.netns())));
  const [first, second, third, fourth] = pods as [Pod, Pod, Pod, Pod];

  for (const pod of [first, second]) {
    const added = await pod.add('net1', changes, options);
    must('ADD', added);
    const address = added.json.ips?.[0]?.address ?? 'no address: no IPAM program here';
    screen.say(`ADD    ${pod.shortId} net1: port ${pod.portName()}, ${address}`);
    must('CHECK', await cni('CHECK', pod.call('net1', { ...changes, prevResult: added.json }), options));
    screen.say(`CHECK  ${pod.shortId} net1: everything is as ADD left it`);
  }

  for (const pod of [third, fourth]) {
    await addAndKill(stage, pod, changes, machine.env);
    screen.say(`KILL   ${pod.shortId} net1: SIGKILL while its port was being made; the journal stops there:`);
    await show(node, pod);
  }
  screen.table('what the two kills and two pods hold now', await node.world());
  if (keep) await standStill(stage, third);

  must('DEL', await third.del('net1', changes, options));
  screen.say(`DEL    ${third.shortId} net1: the killed ADD is rolled back`);
  const recovered = await run(['recover', '--data-dir', node.dataDir, '--ovsdb', stage.view.ovsdb]);
  must('recover', recovered);
  screen.quote('dist/userspace recover --data-dir $DATA --ovsdb $SWITCH', recovered.stdout);
  for (const pod of [first, second, fourth]) {
    must('DEL', await pod.del('net1', changes, options));
    screen.say(`DEL    ${pod.shortId} net1`);
  }

  const left = await node.world();
  screen.table('what is left', left);
  return Object.values(left).every((names) => names.length === 0);
}

interface Ended {
  readonly clean: boolean;
  /** Lines to print when everything is put back. */
  readonly afterwards: () => readonly string[];
}

async function main(): Promise<Ended> {
  const [noExecutable] = missing(['executable']);
  if (noExecutable) throw new Error(noExecutable);
  screen.say(`the executable: ${relative(process.cwd(), executable)}`);
  const place = openPlace();
  cleanups.push({ what: place.directory, run: () => place.close() });
  for (const path of place.leftovers) screen.say(`removed what a demo that was killed had left: ${path}`);
  const machine = await prepareMachine(screen, place.alone);
  cleanups.push({ what: 'the namespaces', run: () => machine.close() });
  const stage = await (machine.real ? realStage() : standInStage());
  const clean = await story(stage, machine);
  return { clean, afterwards: () => [stage.afterwards(), ...machine.stays] };
}

async function tell(): Promise<string> {
  try {
    const { clean, afterwards } = await main();
    const troubles = await cleanUp();
    for (const line of [...afterwards(), ...troubles]) screen.progress(line);
    if (!clean) return 'something is left: see the table';
    if (troubles.length > 0) return 'not everything could be put back: see the lines above';
    exitCode = 0;
    return 'nothing is left in the switch, the address store and on disk';
  } catch (error) {
    screen.endStory();
    const troubles = await cleanUp();
    for (const line of troubles) screen.progress(line);
    if (!(error instanceof Interrupted)) return error instanceof Error ? error.message : String(error);
    return troubles.length === 0 ? `${error.message}: everything is put back` : `${error.message}: see the lines above`;
  }
}

if (process.argv.length > (keep ? 3 : 2)) {
  console.error('usage: npm run demo [-- --keep]');
  process.exit(2);
}
const verdict = await tell();
screen.verdict(exitCode === 0, verdict);
process.exit(exitCode);
