/**
 * A matrix of kills: the executable dies as it enters its n-th system call that changes something, for every n, whichever thread makes
 * the call; then the next call finishes at once, while a child of the killed call may still run. Nothing may be left.
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Dice } from '../dice.ts';
import { type Answer, type Call, type CallOptions, cni } from './cni.ts';
import { complete, type Tally, type Traced, tracedCni, tracedRun } from './fault-suite.ts';
import type { Changes, Pod, TestNode } from './node.ts';
import { expectNothingLeft } from './world.ts';

/** The number of cases of each row when it is sampled. */
const sampledPoints = 14;

/** The number of cases of two kills in a row; all pairs are played in process. */
const pairs = complete ? 40 : 4;

/** A run may wait less often than the one that was counted and so make fewer calls: then another is killed there. */
const triesMax = 5;

/** A sandbox with its calls, in a cluster or not. */
export interface Target {
  call(ifName: string, changes: Changes): Call;
  add(ifName: string, changes: Changes, options?: CallOptions): Promise<Answer>;
  check(prevResult: unknown, ifName: string, changes: Changes): Promise<Answer>;
  del(ifName: string, changes: Changes, options?: CallOptions): Promise<Answer>;
}

/** Where the matrix is played. */
export interface Ground {
  readonly node: TestNode;
  /** In words, for the line of figures. */
  readonly title: string;
  readonly changes: Changes;
  /** How many points of each row when it is sampled. */
  readonly sampled?: number;
  target(): Promise<Target>;
  expectNothingLeft(): Promise<void>;
  /** After each case: a namespace, a pod. */
  dispose(target: Target): Promise<void>;
}

/** Without a cluster. */
export function plainGround(node: TestNode, title: string, changes: Changes): Ground {
  return {
    node,
    title,
    changes,
    target: () => node.pod(),
    expectNothingLeft: async () => expectNothingLeft(await node.world()),
    dispose: (target: Target) => (target as Pod).removeNetns(),
  };
}

interface Scene {
  readonly node: TestNode;
  readonly pod: Target;
  readonly changes: Changes;
}

/** One verb of the matrix. */
interface Verb {
  readonly name: string;
  /** The state before the call that is killed. */
  prepare(scene: Scene): Promise<void>;
  call(scene: Scene, nth: number): Promise<Traced>;
  /** The next call. */
  follow(scene: Scene): Promise<void>;
}

const succeed = { exitCode: 0 };

const add = async ({ pod, changes }: Scene) => {
  expect(await pod.add('net1', changes)).toMatchObject(succeed);
};
const del = async ({ pod, changes }: Scene) => {
  expect(await pod.del('net1', changes)).toMatchObject(succeed);
};
const cniCall =
  (command: string) =>
  ({ pod, changes }: Scene, nth: number) =>
    tracedCni(nth, command, pod.call('net1', changes));

/** Everything was made, and the last step is not finished. */
const interrupt = async (scene: Scene) => {
  for (let tries = 0; tries < triesMax; tries++) {
    const whole = await cniCall('ADD')(scene, 0);
    await del(scene);
    const publishes = (call: string) => call === 'rename' || call.startsWith('sendto');
    const nth = whole.calls.findLastIndex(publishes) + 1;
    if ((await cniCall('ADD')(scene, nth)).killed) return;
    // The first call of a node makes more than those after it.
    await del(scene);
  }
  throw new Error('no ADD was interrupted');
};

const impatient = { delMs: 400, reconnectMs: 50, switchMs: 200, ipamMs: 200 };

/** A DEL that could not reach the switch. */
const owe = async (scene: Scene) => {
  await add(scene);
  const socket = join(scene.node.theSwitch.rundir, 'db.sock');
  await rename(socket, `${socket}.away`);
  try {
    const changes = { ...scene.changes, deadlines: impatient };
    expect(await scene.pod.del('net1', changes)).toMatchObject(succeed);
  } finally {
    await rename(`${socket}.away`, socket);
  }
  expect((await scene.node.world()).journals).toHaveLength(1);
};

const recoverCall = ({ node }: Scene, nth: number) =>
  tracedRun(nth, ['recover', '--json', '--data-dir', node.dataDir, '--ovsdb', node.theSwitch.ovsdb]);

/** An attachment that the killed call's child still works on is left to the child, which ends in a moment. */
const recoverAgain = async ({ node }: Scene) => {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const { exitCode, json } = await node.recover();
    if (json.held > 0 && performance.now() < deadline) continue;
    expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0, kept: 0 } });
    return;
  }
};

const gcOf = ({ pod, changes }: Scene): Call =>
  pod.call('net1', { ...changes, cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] });

/** An attachment that an orphan of the killed call still holds is left to recovery. */
const gcAgain = async (scene: Scene) => {
  expect(await cni('GC', gcOf(scene))).toMatchObject(succeed);
  await recoverAgain(scene);
};

const verbs: readonly Verb[] = [
  { name: 'ADD', prepare: async () => undefined, call: cniCall('ADD'), follow: del },
  { name: 'DEL', prepare: add, call: cniCall('DEL'), follow: del },
  { name: 'recover over an interrupted ADD', prepare: interrupt, call: recoverCall, follow: recoverAgain },
  { name: 'recover over an owed removal', prepare: owe, call: recoverCall, follow: recoverAgain },
  { name: 'GC', prepare: add, call: (scene, nth) => tracedCni(nth, 'GC', gcOf(scene)), follow: gcAgain },
];

/** The tests of one row: every verb. */
export function killMatrix(ground: () => Ground, tally: Tally, die: Dice): void {
  /** The fewest calls that a whole run made: how often a run has to wait is the switch's. */
  let fewest = Number.POSITIVE_INFINITY;

  const sceneFor = async (verb: Verb): Promise<Scene> => {
    const { node, changes, target } = ground();
    const scene = { node, pod: await target(), changes };
    await verb.prepare(scene);
    return scene;
  };

  /** @returns the call at which it died; undefined if the run had fewer. */
  const killAt = async (verb: Verb, nth: number): Promise<string | undefined> => {
    const scene = await sceneFor(verb);
    const { killed, calls, answer } = await verb.call(scene, nth);
    tally.cases++;
    await verb.follow(scene);
    await tally.clean(() => ground().expectNothingLeft());
    await ground().dispose(scene.pod);
    if (!killed) {
      expect(answer).toMatchObject({ ...succeed, signal: undefined });
      expect(calls.length).toBeLessThan(nth);
      fewest = Math.min(fewest, calls.length);
      return undefined;
    }
    tally.faults++;
    return calls[nth - 1];
  };

  const killSurelyAt = async (verb: Verb, nth: number): Promise<string | undefined> => {
    for (let tries = 0; tries < triesMax; tries++) {
      // Shorter runs have no such point: of a sample the one before it is as good, of all of them it is a point of its own.
      const call = await killAt(verb, complete ? nth : Math.max(1, nth - tries));
      if (call !== undefined) return call;
    }
    return undefined;
  };

  test.each(verbs.slice(2))('I4 $name, killed twice in a row, leaves nothing after the next', async (verb) => {
    const counted = await sceneFor(verb);
    const { calls } = await verb.call(counted, 0);
    await verb.follow(counted);
    for (let pair = 0; pair < pairs; pair++) {
      const scene = await sceneFor(verb);
      for (let kill = 0; kill < 2; kill++) {
        const { killed } = await verb.call(scene, 1 + Math.floor(die.next() * calls.length));
        tally.faults += Number(killed);
      }
      tally.cases++;
      await verb.follow(scene);
      await tally.clean(() => ground().expectNothingLeft());
      await ground().dispose(scene.pod);
    }
  });

  test.each(verbs)('I4 $name, killed at every call, leaves nothing after the next', async (verb) => {
    fewest = Number.POSITIVE_INFINITY;
    // The first call of a node makes the instance's own file as well.
    const first = await sceneFor(verb);
    await verb.follow(first);
    const counted = await sceneFor(verb);
    const whole = await verb.call(counted, 0);
    expect(whole.answer).toMatchObject(succeed);
    await verb.follow(counted);
    await ground().expectNothingLeft();

    const all = whole.calls.map((_, index) => index + 1);
    expect(all.length).toBeGreaterThan(10);
    const chosen = complete ? all : die.sample(all, ground().sampled ?? sampledPoints);
    const hit: string[] = [];
    const missed: number[] = [];
    for (const nth of chosen) {
      const call = await killSurelyAt(verb, nth);
      if (call === undefined) missed.push(nth);
      else hit.push(call.split(' ')[0] ?? '');
    }
    // A run that waits more often makes more calls: on until no call is left.
    let total = all.length;
    while (complete) {
      const call = await killSurelyAt(verb, total + 1);
      if (call === undefined) break;
      total++;
      hit.push(call.split(' ')[0] ?? '');
    }
    const kinds = [...new Set(hit)].sort().join(' ');
    console.log(`${verb.name}, ${ground().title}: ${hit.length} of ${total} kill points hit (${kinds})`);
    // Beyond the fewest a point is one of some runs only; none of them may be left over, and none before may be missed.
    expect(missed.filter((nth) => nth <= fewest)).toEqual([]);
    expect(missed.length).toBeLessThan(chosen.length / 4);
  });
}
