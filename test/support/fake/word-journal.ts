/** Journals of the smallest record there is, opened and locked as every call does it. */
import { now } from '../../../src/deadlines.ts';
import { type Disk, isSystemError } from '../../../src/journal/disk.ts';
import { Journal, JournalError, type Tells } from '../../../src/journal/journal.ts';
import { textOf } from './disk-cases.ts';

export interface Word {
  readonly word: string;
}

/** Always the same moment, because tests compare whole records. */
export const clock = (): Date => new Date('2025-01-17T12:00:00.000Z');

/** The last word that tells whether the journal is at rest or in a removal. */
export const tells: Tells<Word> = (records) => {
  const last = records.findLast(({ word }) => word === 'rest' || word === 'removal')?.word;
  return last === 'rest' || last === 'removal' ? last : undefined;
};

export function openWords(disk: Disk, path: string, create = true): Journal<Word> {
  const journal = Journal.open<Word>(disk, path, { create, clock, tells });
  if (!journal) throw new Error(`there is no "${path}"`);
  return journal;
}

export async function lockedWords(disk: Disk, path: string, create = true): Promise<Journal<Word>> {
  const journal = openWords(disk, path, create);
  const outcome = await journal.lock(now() + 1_000);
  if (outcome !== 'held') throw new Error(`the lock is ${outcome}`);
  return journal;
}

export const wordsOf = ({ records }: Journal<Word>): string[] => records.map(({ word }) => word);

/** Reads the journal as the next call does, and closes it. */
export async function wordsFound(disk: Disk, path: string): Promise<string[]> {
  const journal = await lockedWords(disk, path);
  try {
    return wordsOf(journal);
  } finally {
    journal.close();
  }
}

/** The file's text without the journal's help; undefined if there is none. */
export function contentOf(disk: Disk, path: string): string | undefined {
  if (disk.lookup(path) === undefined) return undefined;
  const fd = disk.open(path, 'r');
  try {
    return textOf(disk.read(fd));
  } finally {
    disk.close(fd);
  }
}

/** The code of the JournalError an action throws; undefined if it returns. Any other throw is a bug and goes on. */
export function refusal(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof JournalError) return error.code;
    if (isSystemError(error)) return `not a JournalError: ${error.code}`;
    throw error;
  }
}
