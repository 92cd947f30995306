/**
 * What a DEL does for the debts of others: those that are due, for a moment, the longest due first.
 */
import { now } from '../deadlines.ts';
import type { Plan } from '../machines/protocol.ts';
import { recoverOne, tolerant } from './one.ts';
import type { RecoverOptions } from './options.ts';

/** For so long a DEL begins what others owe: its own runtime is waiting. */
const payMs = 500;

/** What is begun has so long: an IPAM program that is slow must not be killed in the middle each time. */
const oneMs = 2_000;

/** One that is held is another process's work already. */
export async function payOwed(
  options: Omit<RecoverOptions, 'removeMs' | 'asChecked'>,
  instance: string,
  names: readonly string[],
): Promise<void> {
  const end = now() + payMs;
  const task = { ...options, instance, asChecked: (plan: Plan) => plan };
  for (const name of names) {
    if (now() >= end) return;
    const one = await tolerant(name, () => recoverOne(name, { ...task, removeMs: oneMs }, { kind: 'debt' }));
    if (one && one.result !== 'held') options.progress(one);
  }
}
