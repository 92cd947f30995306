/**
 * What a DEL does for the debts of others: those that are due, for a moment, the longest due first.
 */
import { now } from '../deadlines.ts';
import { recoverOne, tolerant } from './one.ts';
import type { Recovered, Task } from './options.ts';

/** For so long a DEL begins what others owe: its own runtime is waiting. */
const payMs = 500;

/** What is begun has so long: an IPAM program that is slow must not be killed in the middle each time. */
const oneMs = 2_000;

/** One that is held is another process's work already. */
export async function payOwed(
  task: Omit<Task, 'removeMs'>,
  names: readonly string[],
  progress: (one: Recovered) => void,
): Promise<void> {
  const end = now() + payMs;
  for (const name of names) {
    if (now() >= end) return;
    const one = await tolerant(name, () => recoverOne(name, { ...task, removeMs: oneMs }, { why: 'debt' }));
    if (one && one.result !== 'held') progress(one);
  }
}
