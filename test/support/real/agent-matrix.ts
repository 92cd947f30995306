/**
 * A matrix of kills for calls that an agent makes: its worker is held as it enters its n-th system call that changes something, and
 * then one of the three processes of the call dies, or several do. An answer has to be true, and the next call leaves nothing.
 */
import { expect, test } from 'vitest';
import type { Dice } from '../dice.ts';
import type { AgentSeat, Seated } from './agent-seat.ts';
import { type Answer, answer, type Call, type CallOptions, start } from './cni.ts';
import { complete, type Tally } from './fault-suite.ts';
import { HeldWorker } from './held-worker.ts';
import type { Ground, Target } from './kill-matrix.ts';
import type { Changes } from './node.ts';
import { byItself } from './way.ts';

/** The number of cases of a row when it is sampled, half of them in each half of the call. */
const sampledPoints = 12;
const sampledOfReaders = 4;

/** A run may make fewer calls than the one that was counted. */
const triesMax = 5;

const done = { exitCode: 0 };

/** A call whose worker is held. */
export interface HeldCall extends Seated {
  readonly shim: ReturnType<typeof start>;
}

interface Fate {
  readonly dies: string;
  /** Whether the call's own process lives, which then has to answer. */
  readonly isAnswered: boolean;
  strike(call: HeldCall): Promise<void>;
}

export function killProcess(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  // kill(2) takes other numbers for groups of processes, the test's own among them.
  if (pid <= 1) throw new Error(`${pid} is the number of no process of a test`);
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

const shimDies = async ({ shim }: HeldCall): Promise<void> => {
  shim.kill('SIGKILL');
  await shim;
};
const supervisorDies = async ({ agent }: HeldCall): Promise<void> => {
  killProcess(agent.pid);
  await agent.ended;
};
const workerDies = async ({ worker }: HeldCall): Promise<void> => killProcess(worker);

const fates: readonly Fate[] = [
  { dies: 'the worker', isAnswered: true, strike: workerDies },
  { dies: 'the supervisor', isAnswered: true, strike: supervisorDies },
  {
    dies: 'all of the agent',
    isAnswered: true,
    strike: async (call) => {
      await supervisorDies(call);
      await workerDies(call);
    },
  },
  { dies: 'the call’s own process', isAnswered: false, strike: shimDies },
  {
    dies: 'the worker, and then the call’s own process',
    isAnswered: false,
    strike: async (call) => {
      await workerDies(call);
      await shimDies(call);
    },
  },
];

interface Case {
  readonly verb: AgentVerb;
  readonly fate: Fate;
  readonly scene: AgentScene;
}

/** One attachment of a case. */
export interface AgentScene {
  readonly pod: Target;
  readonly ground: Ground;
  /** The way of calls that are not disturbed. */
  readonly way: CallOptions;
}

export const attached = async ({ pod, ground, way }: AgentScene): Promise<Answer> => {
  const given = await pod.add('net1', ground.changes, way);
  expect(given).toMatchObject(done);
  return given;
};
export const removed = async ({ pod, ground, way }: AgentScene): Promise<void> => {
  expect(await pod.del('net1', ground.changes, way)).toMatchObject({ ...done, stdout: '' });
};

/** An attachment that was answered is there, as CHECK sees it. */
export async function expectAttached({ pod, ground }: AgentScene, { json }: Answer): Promise<void> {
  expect(await pod.check(json, 'net1', ground.changes)).toMatchObject(done);
}

export interface AgentVerb {
  readonly command: string;
  /** The command, and what it meets. */
  readonly name: string;
  /** The only true answer. */
  readonly answers: object;
  /** Whether it reads only. A sample then has fewer points of it. */
  readonly isReader?: boolean;
  /** Makes what the call meets. @returns the call */
  prepare(scene: AgentScene): Promise<Call>;
  /** Looks whether an answer is true. */
  expectTrue(scene: AgentScene, given: Answer): Promise<void>;
}

const callOf = ({ pod, ground }: AgentScene, more: Changes = {}): Call =>
  pod.call('net1', { ...ground.changes, ...more });

/** A call that only reads has changed nothing. */
const expectUntouched = async ({ ground }: AgentScene): Promise<void> => {
  const { ports, journals, addresses } = await ground.node.world();
  expect([ports, journals, addresses].map(({ length }) => length)).toEqual([1, 1, 1]);
};

/** Ours: CHECK found that the world is not as ADD left it. */
const drift = 100;

const statusProgram = `[ "$CNI_COMMAND" = VERSION ] || exit 0
echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}'`;

export const agentVerbs: readonly AgentVerb[] = [
  {
    command: 'ADD',
    name: 'ADD',
    answers: done,
    prepare: async (scene) => callOf(scene),
    expectTrue: expectAttached,
  },
  {
    command: 'DEL',
    name: 'DEL',
    answers: { ...done, stdout: '' },
    prepare: async (scene) => {
      await attached(scene);
      return callOf(scene);
    },
    expectTrue: ({ ground }) => ground.expectNothingLeft(),
  },
  {
    command: 'GC',
    name: 'GC',
    answers: { ...done, stdout: '' },
    prepare: async (scene) => {
      await attached(scene);
      return callOf(scene, { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] });
    },
    // An attachment that a program of the killed worker still holds is left to a recovery.
    expectTrue: async ({ ground }) => {
      const { exitCode, json } = await ground.node.recover();
      expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0, kept: 0 } });
      if (json.held === 0) await ground.expectNothingLeft();
    },
  },
  {
    command: 'CHECK',
    name: 'CHECK',
    answers: { ...done, stdout: '' },
    isReader: true,
    prepare: async (scene) => {
      const { json } = await attached(scene);
      return callOf(scene, { prevResult: json });
    },
    expectTrue: expectUntouched,
  },
  {
    command: 'CHECK',
    name: 'CHECK of an attachment that is gone',
    answers: { exitCode: 1, json: { code: drift } },
    isReader: true,
    prepare: async (scene) => {
      const { json } = await attached(scene);
      await removed(scene);
      return callOf(scene, { prevResult: json });
    },
    expectTrue: ({ ground }) => ground.expectNothingLeft(),
  },
  {
    command: 'STATUS',
    name: 'STATUS',
    answers: { ...done, stdout: '' },
    isReader: true,
    prepare: async (scene) => {
      await attached(scene);
      // Of the programs of this machine none knows STATUS.
      scene.ground.node.program('knows-status', statusProgram);
      return callOf(scene, { cniVersion: '1.1.0', ipam: { type: 'knows-status' } });
    },
    expectTrue: expectUntouched,
  },
];

/** The process that is held. A supervisor first loses its worker, so that it has to start another one and hand the call to it. */
type Held = 'worker' | 'supervisor';

interface Holding {
  readonly command: string;
  readonly call: Call;
  readonly seat: AgentSeat;
  readonly held?: Held;
}

/** A call through the agent, with a process of it held at its n-th call; `at` is undefined if it ended before. */
export async function holdAt(
  nth: number,
  { command, call, seat, held = 'worker' }: Holding,
): Promise<HeldCall & { readonly tracer: HeldWorker; readonly at: string | undefined }> {
  const seated = await seat.ready();
  const isWorker = held === 'worker';
  const tracer = await (isWorker
    ? HeldWorker.seize(seated.worker, nth)
    : HeldWorker.seize(seated.agent.pid, nth, 'now'));
  if (!isWorker) killProcess(seated.worker);
  const shim = start(command, call, seat.through);
  const at = await Promise.race([tracer.held(), shim.then(() => undefined)]);
  return { ...seated, shim, tracer, at };
}

/** @returns the calls of a whole run that can be interrupted: the last one, after the answer, says that the worker is free */
export async function callsThrough(verb: AgentVerb, seat: AgentSeat, scene: AgentScene): Promise<readonly string[]> {
  // The first call of a node makes the instance's own file as well.
  await attached(scene);
  await removed(scene);
  const { command } = verb;
  const { shim, tracer, agent } = await holdAt(0, { command, call: await verb.prepare(scene), seat });
  expect(answer(await shim)).toMatchObject(verb.answers);
  await agent.atRest();
  const calls = await tracer.release();
  await removed(scene);
  expect(calls.length).toBeGreaterThan(verb.isReader ? 3 : 10);
  return calls.slice(0, -1);
}

/** Looks at the answer of a case, if it has to have one. */
async function judge({ verb, fate, scene }: Case, given: Answer): Promise<void> {
  // A run with one call fewer is held after its answer, and then the call's own process may have ended before it is killed.
  if (fate.isAnswered || given.signal !== 'SIGKILL') {
    expect(given).toMatchObject(verb.answers);
    await verb.expectTrue(scene, given);
  } else if (verb.isReader) {
    await verb.expectTrue(scene, given);
  }
}

/** The DEL of a case, which leaves nothing. */
async function finish(scene: AgentScene, tally: Tally): Promise<void> {
  const { ground, pod } = scene;
  await removed(scene);
  await tally.clean(() => ground.expectNothingLeft());
  await ground.dispose(pod);
}

/** The tests of one ground: every verb, and every fate. */
export function agentKills(ground: () => Ground, seat: () => AgentSeat, tally: Tally, die: Dice): void {
  const sceneOf = async (): Promise<AgentScene> => {
    const way = die.next() < 0.5 ? seat().through : byItself;
    return { ground: ground(), pod: await ground().target(), way };
  };

  /**
   * @param calls how many a whole run makes
   * @returns the call at which it was; undefined if the run had fewer
   */
  const strikeAt = async (verb: AgentVerb, fate: Fate, nth: number, calls: number): Promise<string | undefined> => {
    // In its second half an ADD looks for the last time, and stays until the DEL.
    const takesItselfBack = verb.command === 'ADD' && fate.strike === shimDies && nth < calls / 2;
    const scene = await sceneOf();
    const { command } = verb;
    const { tracer, at, ...call } = await holdAt(nth, { command, call: await verb.prepare(scene), seat: seat() });
    if (at !== undefined) await fate.strike(call);
    await tracer.release();
    const given = answer(await call.shim);
    tally.cases++;
    await judge({ verb, fate, scene }, given);
    if (at !== undefined && takesItselfBack) {
      await call.agent.atRest();
      await tally.clean(() => ground().expectNothingLeft());
    }
    await finish(scene, tally);
    if (at !== undefined) tally.faults++;
    return at;
  };

  const rows = agentVerbs.flatMap((verb) => fates.map((fate) => ({ verb, fate, name: verb.name, dies: fate.dies })));

  test.each(rows)(
    'I3 I4 a call ($name) through an agent is true and leaves nothing, whenever this dies: $dies',
    async ({ verb, fate }) => {
      const calls = await callsThrough(verb, seat(), await sceneOf());
      const all = calls.map((_, index) => index + 1);
      const middle = Math.floor(all.length / 2);
      const halves = [all.slice(0, middle), all.slice(middle)];
      const hit: string[] = [];
      const missed: number[] = [];
      const most = Math.min(verb.isReader ? sampledOfReaders : sampledPoints, ground().sampled ?? sampledPoints);
      for (const chosen of complete ? all : halves.flatMap((half) => die.sample(half, most / 2))) {
        let at: string | undefined;
        for (let tries = 0; at === undefined && tries < triesMax; tries++) {
          // Shorter runs have no such point: of a sample the one before it is as good, of all of them it is a point of its own.
          const nth = complete ? chosen : Math.max(1, chosen - tries);
          try {
            at = await strikeAt(verb, fate, nth, calls.length);
          } catch (cause) {
            throw new Error(`${verb.name}, ${fate.dies} dies at call ${nth}, ${calls[nth - 1]}: ${cause}`, {
              cause,
            });
          }
        }
        if (at === undefined) missed.push(chosen);
        else hit.push(at.split(' ')[0] ?? '');
      }
      const kinds = [...new Set(hit)].sort().join(' ');
      const { title } = ground();
      console.log(`${verb.name}, ${title}, ${fate.dies} dies: ${hit.length} of ${all.length} points hit (${kinds})`);
      expect(missed.length).toBeLessThanOrEqual(hit.length / 4);
    },
  );
}

const supervisorFates: readonly Fate[] = [
  { dies: 'the supervisor', isAnswered: true, strike: supervisorDies },
  {
    dies: 'the supervisor, and then the call’s own process',
    isAnswered: false,
    strike: async (call) => {
      await supervisorDies(call);
      await shimDies(call);
    },
  },
];

/** The tests of a supervisor that dies at a call of its own: it starts a worker, tells the caller to wait, hands the call over. */
export function supervisorKills(ground: () => Ground, seat: () => AgentSeat, tally: Tally): void {
  const strikeAt = async (verb: AgentVerb, fate: Fate, nth: number): Promise<string | undefined> => {
    const scene: AgentScene = { ground: ground(), pod: await ground().target(), way: byItself };
    const { command } = verb;
    const held = { command, call: await verb.prepare(scene), seat: seat(), held: 'supervisor' } as const;
    const { tracer, at, ...call } = await holdAt(nth, held);
    if (at !== undefined) await fate.strike(call);
    await tracer.release();
    tally.cases++;
    tally.faults += Number(at !== undefined);
    await judge({ verb, fate, scene }, answer(await call.shim));
    await finish(scene, tally);
    return at;
  };

  const verbs = agentVerbs.filter(({ command }) => complete || command === 'ADD');
  const rows = verbs.flatMap((verb) => supervisorFates.map((fate) => ({ verb, fate, name: verb.name, ...fate })));

  test.each(rows)('I3 I4 $name, at every call of the supervisor’s own, whenever this dies: $dies', async (row) => {
    const { verb, fate } = row;
    const hit: string[] = [];
    // A call that is not told in time to wait goes, and then the supervisor has less to do.
    for (let tries = 0; tries < triesMax; tries++) {
      const at = await strikeAt(verb, fate, hit.length + 1);
      if (at === undefined) continue;
      hit.push(at.split(' ')[0] ?? '');
      tries = -1;
    }
    console.log(
      `${verb.name}, ${ground().title}, ${fate.dies} dies: ${hit.length} of its own points (${hit.join(' ')})`,
    );
    // STATUS does not wait until a worker has started.
    const always = ['vfork', 'execve', ...(verb.command === 'STATUS' ? [] : ['sendmsg'])];
    expect(hit).toEqual(expect.arrayContaining(always));
  });
}
