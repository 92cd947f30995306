/**
 * Whether two ADDs ask for the same. Pure. Runtimes give equal requests in another order at each call: libcni the variables; a
 * runtime that keeps arguments in a Go map, the pairs of CNI_ARGS and the keys of the configuration. The order of CNI_PATH matters.
 */
import { isSameValue } from '../json-text.ts';
import type { Plan } from '../machines/protocol.ts';

export const isSamePlan = (one: Plan, other: Plan): boolean => isSameValue(meaningOf(one), meaningOf(other));

function meaningOf(plan: Plan): object {
  const { stdin, env } = plan.request;
  const pairs = (env.CNI_ARGS ?? '').split(';').filter((pair) => pair !== '');
  const keyOf = (pair: string) => pair.split('=', 1)[0] ?? '';
  // The sort is stable, because for a key that is given twice the last pair counts.
  const args = pairs.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : Number(keyOf(a) > keyOf(b))));
  return { ...plan, request: { config: JSON.parse(stdin), env: { ...env, CNI_ARGS: args } } };
}
