/**
 * The instance id of a data directory: the one in its file, or, where that file was lost, the one in its journals. With a new id,
 * no call would know the existing ports as its own.
 */
import { join } from 'node:path';
import { journalSuffix } from '../attachment.ts';
import type { Moment } from '../deadlines.ts';
import type { Disk } from '../journal/disk.ts';
import { JournalError } from '../journal/journal.ts';
import { ensureInstance, listJournals, readInstance } from '../journal/store.ts';
import { headerOf } from './entry.ts';
import { peekJournal } from './past.ts';

/** The ids in the headers of the journals, the most frequent first. @throws JournalError if the directory cannot be listed */
export function instancesOfJournals(disk: Disk, dataDir: string): string[] {
  const counts = new Map<string, number>();
  for (const name of listJournals(disk, dataDir, journalSuffix)) {
    const id = headerOf(recordsOf(disk, join(dataDir, name)))?.instance;
    if (id) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([id]) => id);
}

function recordsOf(disk: Disk, path: string) {
  try {
    return peekJournal(disk, path)?.records ?? [];
  } catch (error) {
    // A journal that cannot be read tells no id.
    if (error instanceof JournalError) return [];
    throw error;
  }
}

/** @throws JournalError */
export const ensureIdentity = (disk: Disk, dataDir: string, random: () => string, end: Moment): Promise<string> =>
  ensureInstance(disk, dataDir, () => instancesOfJournals(disk, dataDir)[0] ?? random(), end);

/** Adopts the id that the journals have, and makes no new one. @throws JournalError */
export async function adoptIdentity(disk: Disk, dataDir: string, end: Moment): Promise<string | undefined> {
  const known = readInstance(disk, dataDir);
  if (known !== undefined) return known;
  const [adopted] = instancesOfJournals(disk, dataDir);
  return adopted === undefined ? undefined : await ensureInstance(disk, dataDir, () => adopted, end);
}
