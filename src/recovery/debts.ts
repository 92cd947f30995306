/**
 * A DEL's retries of other removals that are owed: those that are due, for a moment, the longest due first.
 */
import { now } from '../deadlines.ts';
import { recoverOne, reportUnreadable } from './one.ts';
import type { Recovered, Task } from './options.ts';

/** How long a DEL begins retries: its own runtime is waiting. */
const payMs = 500;

/** The time for each retry that was begun: a slow IPAM program must not be killed in the middle each time. */
const oneMs = 2_000;

/** Retries the removals, in order. A journal that is held is another process's work already, and is not reported. */
export async function payOwed(
  task: Omit<Task, 'removeMs'>,
  names: readonly string[],
  progress: (one: Recovered) => void,
): Promise<void> {
  const end = now() + payMs;
  for (const name of names) {
    if (now() >= end) return;
    const one = await reportUnreadable(name, () => recoverOne(name, { ...task, removeMs: oneMs }, { why: 'debt' }));
    if (one && one.result !== 'held') progress(one);
  }
}
