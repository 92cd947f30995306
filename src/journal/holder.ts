/**
 * Which process holds a journal's lock, for messages and for people. No decision depends on it.
 */
import { findHolders, type HoldingProcess, type Lock, lockOf } from '../os/processes.ts';

export type { HoldingProcess } from '../os/processes.ts';

/** Another process that holds the lock of the file; undefined if none can be seen (another pid namespace). */
export const findJournalHolder = (path: string): HoldingProcess | undefined => findJournalHolders([path]).get(path);

/**
 * The same for many files, in one walk of /proc. A process that only has the file open, to wait or as an orphan, is not a holder.
 */
export function findJournalHolders(paths: readonly string[]): ReadonlyMap<string, HoldingProcess> {
  const locks = paths.map((path) => lockOf(path)).filter((lock): lock is Lock => lock !== undefined);
  const found = [...findHolders(locks)].flatMap(([{ path }, [holder]]) => (holder ? [[path, holder] as const] : []));
  return new Map(found);
}
