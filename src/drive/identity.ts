/**
 * The instance id of a data directory: its file's, or, where that was lost, the one that its journals were written with. A new one
 * would leave every port of before without anything that knows it.
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
    // One that cannot be read tells none.
    if (error instanceof JournalError) return [];
    throw error;
  }
}

/** @throws JournalError */
export const ensureIdentity = (disk: Disk, dataDir: string, random: () => string, end: Moment): Promise<string> =>
  ensureInstance(disk, dataDir, () => instancesOfJournals(disk, dataDir)[0] ?? random(), end);

/** Adopts what the journals say, and makes no new one. @throws JournalError */
export async function adoptIdentity(disk: Disk, dataDir: string, end: Moment): Promise<string | undefined> {
  const known = readInstance(disk, dataDir);
  if (known !== undefined) return known;
  const [adopted] = instancesOfJournals(disk, dataDir);
  return adopted === undefined ? undefined : await ensureInstance(disk, dataDir, () => adopted, end);
}
