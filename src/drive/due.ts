/**
 * When a removal that is owed is tried again. A debt that fails for ever must not cost every DEL of the node a try: the pause grows
 * with each that could be recorded.
 */

import type { Journal } from '../journal/journal.ts';
import type { Entry } from './entry.ts';

const pauseMs = 1_000;
/** A switch that is back, an IPAM plugin that was installed, is noticed by then. `userspace recover` does not wait for it. */
const pauseMsMax = 300_000;

/** So many tries are recorded; later ones that do nothing new would only fill the disk. */
const triesToTell = 12;

const triesOf = (records: readonly Entry[]): number => records.filter(({ kind }) => kind === 'going').length;

/** Whether the records of the last try, from `before` on, tell of nothing that was done: that it failed is not new. */
export function isNothingNew(records: readonly Entry[], before: number): boolean {
  const earlier = records.slice(0, before);
  const known = new Set(earlier.map(doneBy));
  return triesOf(earlier) >= triesToTell && records.slice(before).every((one) => known.has(doneBy(one)));
}

/** What a record says was done; undefined: nothing. */
const doneBy = (entry: Entry): string | undefined =>
  entry.kind === 'outcome' && entry.outcome.kind === 'ok'
    ? JSON.stringify([entry.step, entry.verb, entry.outcome])
    : undefined;

/**
 * @param journal with the records of the try which has just failed. One that could not be written does not count its tries: the pause is
 * the longest at once, or on a full disk each DEL would try for ever.
 */
export function nextTry({ records, failed }: Pick<Journal<Entry>, 'records' | 'failed'>, now: Date): Date {
  const tries = failed ? Number.POSITIVE_INFINITY : triesOf(records);
  // The first one may have come at a bad moment: the next DEL tries again.
  const pause = tries < 2 ? 0 : pauseMs * 2 ** (tries - 2);
  return new Date(now.getTime() + Math.min(pause, pauseMsMax));
}
