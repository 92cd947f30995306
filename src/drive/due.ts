/**
 * When a removal that is owed is tried again. The pause grows with each recorded try, because a debt that fails for ever must not
 * cost every DEL of the node a try.
 */
import type { Journal } from '../journal/journal.ts';
import type { Entry } from './entry.ts';

const pauseMs = 1_000;
/** After this pause at the latest, a switch that came back or a new IPAM plugin is noticed. `userspace recover` does not wait. */
const pauseMsMax = 300_000;

/** The number of tries that are recorded. Later ones that do nothing new would only fill the disk. */
export const triesToTell = 12;

const triesOf = (records: readonly Entry[]): number => records.filter(({ kind }) => kind === 'going').length;

/** Whether the last try, recorded from `before` on, did nothing that an earlier try had not done: another failure is not news. */
export function isNothingNew(records: readonly Entry[], before: number): boolean {
  const earlier = records.slice(0, before);
  const known = new Set(earlier.map(doneBy));
  return triesOf(earlier) >= triesToTell && records.slice(before).every((one) => known.has(doneBy(one)));
}

/** The success that a record tells of, as text; undefined if it tells of none. */
const doneBy = (entry: Entry): string | undefined =>
  entry.kind === 'outcome' && entry.outcome.kind === 'ok'
    ? JSON.stringify([entry.step, entry.verb, entry.outcome])
    : undefined;

/**
 * @param journal with the records of the try which has just failed. A journal that could not be written does not count its tries.
 * Its pause is the longest at once, because otherwise every DEL would try again for ever on a full disk.
 */
export function nextTry({ records, failed }: Pick<Journal<Entry>, 'records' | 'failed'>, now: Date): Date {
  const tries = failed ? Number.POSITIVE_INFINITY : triesOf(records);
  // The first try may have come at a bad moment, so the next DEL tries again at once.
  const pause = tries < 2 ? 0 : pauseMs * 2 ** (tries - 2);
  return new Date(now.getTime() + Math.min(pause, pauseMsMax));
}
