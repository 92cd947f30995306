/**
 * A matrix of stops: the worker of a call, or all of its agent, stands still at the worker's n-th system call that changes something;
 * the runtime kills the call's own process, as it does at its time-out, and goes on by calls that no agent makes. Then the stopped
 * processes go on. They must disturb nothing that came after them, and leave nothing.
 */
import { expect, test } from 'vitest';
import type { Dice } from '../dice.ts';
import {
  type AgentScene,
  type AgentVerb,
  agentVerbs,
  callsThrough,
  expectAttached,
  type HeldCall,
  holdAt,
  killProcess,
  removed,
} from './agent-matrix.ts';
import type { AgentSeat } from './agent-seat.ts';
import { type Answer, answer } from './cni.ts';
import { complete, type Tally } from './fault-suite.ts';
import type { Ground } from './kill-matrix.ts';
import { byItself } from './way.ts';

/** The number of cases of each row when it is sampled: half are of the beginning, where the order of few calls decides. */
const sampledPoints = 8;

/** CNI: try again later. */
const again = 11;

/** A call that meets the lock of a stopped worker, in the data directory or in the switch, does not wait for it for long. */
const impatient = { deadlines: { lockMs: 200, switchMs: 1_000, addMs: 6_000, rollbackMs: 3_000 } };

interface Extent {
  readonly stands: string;
  stop(call: HeldCall): void;
  resume(call: HeldCall): void;
}

const extents: readonly Extent[] = [
  { stands: 'the worker', stop: () => undefined, resume: () => undefined },
  {
    stands: 'all of the agent',
    stop: ({ agent }) => killProcess(agent.pid, 'SIGSTOP'),
    resume: ({ agent }) => killProcess(agent.pid, 'SIGCONT'),
  },
];

/** The calls of the runtime after its time-out, and how the case ends once all processes have gone on. */
interface Sequel {
  readonly comes: string;
  /** While the agent stands still. @returns whether it met no lock */
  meanwhile(scene: AgentScene): Promise<{ readonly given: Answer; readonly isFree: boolean }>;
  finish(scene: AgentScene, before: { readonly given: Answer; readonly isFree: boolean }): Promise<void>;
}

const recovered = async ({ ground }: AgentScene): Promise<void> => {
  const { exitCode, json } = await ground.node.recover();
  expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0, kept: 0 } });
};

const sequels: readonly Sequel[] = [
  {
    comes: 'DEL',
    meanwhile: async ({ pod, ground }) => {
      const given = await pod.del('net1', { ...ground.changes, ...impatient }, byItself);
      expect(given).toMatchObject({ exitCode: 0, stdout: '' });
      const { journals } = await ground.node.world();
      return { given, isFree: journals.length === 0 };
    },
    // An owed removal is a recovery's, but after one that was done nothing may come.
    finish: async (scene, { isFree }) => {
      if (!isFree) await recovered(scene);
      await scene.ground.expectNothingLeft();
    },
  },
  {
    comes: 'another ADD',
    meanwhile: async ({ pod, ground }) => {
      const given = await pod.add('net1', { ...ground.changes, ...impatient }, byItself);
      const isFree = given.exitCode === 0;
      if (!isFree) expect(given.json).toMatchObject({ code: again });
      return { given, isFree };
    },
    finish: async (scene, { given, isFree }) => {
      if (isFree) await expectAttached(scene, given);
      await removed(scene);
    },
  },
];

/** The calls before the worker has the attachment's journal, and so its lock: the first that creates or locks a file. */
const isBeforeJournal = (calls: readonly string[], nth: number): boolean =>
  !calls.slice(0, nth - 1).some((call) => /^(open|openat|flock|fchmod)\b/.test(call));

/** The tests of one ground. */
export function agentStops(ground: () => Ground, seat: () => AgentSeat, tally: Tally, die: Dice): void {
  const sceneOf = async (): Promise<AgentScene> => ({
    ground: ground(),
    pod: await ground().target(),
    way: byItself,
  });

  /** @returns the call at which it stood; undefined if the run had fewer */
  const stopAt = async (verb: AgentVerb, extent: Extent, sequel: Sequel, nth: number): Promise<string | undefined> => {
    const scene = await sceneOf();
    const { command } = verb;
    const { tracer, at, ...call } = await holdAt(nth, { command, call: await verb.prepare(scene), seat: seat() });
    tally.cases++;
    if (at === undefined) {
      await tracer.release();
      expect(answer(await call.shim)).toMatchObject(verb.answers);
      await removed(scene);
      return undefined;
    }
    extent.stop(call);
    call.shim.kill('SIGKILL');
    await call.shim;
    const before = await sequel.meanwhile(scene);
    extent.resume(call);
    const calls = await tracer.release();
    await call.agent.atRest();
    if (isBeforeJournal(calls, nth)) expect(before).toMatchObject({ isFree: true });
    await sequel.finish(scene, before);
    await tally.clean(() => ground().expectNothingLeft());
    await ground().dispose(scene.pod);
    tally.faults++;
    return at;
  };

  const rows = agentVerbs
    .filter(({ isReader }) => complete || !isReader)
    .flatMap((verb) =>
      extents.flatMap((extent) => sequels.map((sequel) => ({ verb, extent, sequel, ...extent, ...sequel }))),
    );

  test.each(rows)(
    'I4 I7 $verb.name, where $stands stands still at every call, and $comes comes before it goes on',
    async (row) => {
      const { verb, extent, sequel } = row;
      const calls = await callsThrough(verb, seat(), await sceneOf());
      const all = calls.map((_, index) => index + 1);
      const [early, late] = [all.slice(0, 12), all.slice(12)];
      const most = (ground().sampled ?? sampledPoints) / 2;
      const sample = [...die.sample(early, most), ...die.sample(late, most)];
      let hit = 0;
      const chosen = complete ? all : sample;
      for (const nth of chosen) {
        try {
          hit += Number((await stopAt(verb, extent, sequel, nth)) !== undefined);
        } catch (cause) {
          throw new Error(`${verb.name}, stopped at call ${nth}, ${calls[nth - 1]}: ${cause}`, { cause });
        }
      }
      console.log(
        `${verb.name}, ${ground().title}, ${extent.stands} stands still, then ${sequel.comes}: ${hit} of ${all.length} points`,
      );
      expect(hit).toBeGreaterThanOrEqual(Math.floor(chosen.length * 0.7));
    },
  );
}
