/**
 * Reasons of a journal against going on: it cannot be written, or bears the mark of a DEL.
 */
import { code, type Trouble } from '../attachment.ts';
import { type Journal, JournalError } from '../journal/journal.ts';
import type { Entry } from './entry.ts';

/** A failure of the journal as a reason for an ADD to take everything back. */
export function journalTrouble(use: () => void): Trouble | undefined {
  try {
    use();
    return undefined;
  } catch (error) {
    if (error instanceof JournalError) return { code: code.io, message: error.message };
    throw error;
  }
}

/** Why nothing more may be made: a DEL came, or its mark cannot be looked for. */
export function goingTrouble(journal: Pick<Journal<Entry>, 'going'>): Trouble | undefined {
  let marked = false;
  const trouble = journalTrouble(() => {
    marked = journal.going;
  });
  return trouble ?? (marked ? beingRemoved : undefined);
}

export const beingRemoved: Trouble = { code: code.tryAgainLater, message: 'the attachment is being removed' };
