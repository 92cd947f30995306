/** A mixture of ADDs and DELs on few keys by many processes, some of them killed or paused at random. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Dice } from '../dice.ts';
import { type Answer, answer, start } from './cni.ts';
import { dice, type Tally } from './fault-suite.ts';
import type { Target } from './kill-matrix.ts';

/** CNI: try again later. */
const again = 11;

export const failures = (answers: readonly Answer[]): string[] =>
  answers.filter(({ exitCode }) => exitCode !== 0).map(({ signal, stdout, stderr }) => `${signal} ${stdout}${stderr}`);

interface Mixture<T extends Target> {
  readonly targets: readonly T[];
  /** The seed of the dice. */
  readonly salt: string;
  readonly workers: number;
  readonly ms: number;
  readonly tally: Tally;
}

/**
 * Short mixtures one after the other, each on keys of its own: what one call leaves, the next calls of its key would clean up.
 * @param after looks at what is left
 */
export async function storms<T extends Target>(
  count: number,
  { targetsFor, salt, ...more }: Omit<Mixture<T>, 'targets'> & { readonly targetsFor: () => Promise<readonly T[]> },
  after: (targets: readonly T[]) => Promise<void>,
): Promise<void> {
  for (let storm = 0; storm < count; storm++) {
    const targets = await targetsFor();
    expect(await mixture({ ...more, targets, salt: `${salt} ${storm}` })).toEqual([]);
    await after(targets);
  }
}

/** @returns the answers that no call may give */
async function mixture<T extends Target>({ targets, salt, workers, ms, tally }: Mixture<T>): Promise<string[]> {
  const end = performance.now() + ms;
  const wrong: string[] = [];
  const work = async (_: unknown, worker: number): Promise<void> => {
    const roll = dice(`${salt} ${worker}`);
    while (performance.now() < end) {
      const target = roll.pick(targets);
      const outcome = await disturbed(roll.next() < 0.6 ? 'ADD' : 'DEL', target, roll);
      tally.cases++;
      tally.faults += Number(outcome.fault);
      wrong.push(...outcome.wrong);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return wrong;
}

/** The answers that a disturbed ADD may give: it is done, or another call works on the attachment or removes it. */
function unexpected(command: string, given: Answer): string[] {
  const { exitCode, signal, stdout, stderr } = given;
  if (signal === 'SIGKILL' || exitCode === 0) return [];
  if (command === 'ADD' && stdout !== '' && given.json.code === again) return [];
  return [`${command}: ${signal ?? exitCode} ${stdout}${stderr}`];
}

/** One call, left alone or killed or paused for a while. @returns whether it was disturbed, and the answers that it must not have given. */
async function disturbed(command: string, target: Target, roll: Dice): Promise<{ fault: boolean; wrong: string[] }> {
  const [what, moment, pause] = [roll.next(), roll.next() ** 2 * 2_000, roll.next() * 1_000];
  const child = start(command, target.call('net1', {}));
  const ended = child.then(answer);
  let fault = false;
  const early = new AbortController();
  void ended.finally(() => early.abort());
  const passed = (ms: number) => delay(ms, true, { signal: early.signal }).catch(() => false);
  if (what < 0.5 && (await passed(moment))) {
    fault = child.kill(what < 0.25 ? 'SIGKILL' : 'SIGSTOP');
    if (what >= 0.25) {
      await passed(pause);
      child.kill('SIGCONT');
    }
  }
  return { fault, wrong: unexpected(command, await ended) };
}
