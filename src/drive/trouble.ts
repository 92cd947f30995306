/**
 * What a journal says against going on: it cannot be written, or bears the mark of a DEL.
 */
import { code, type Trouble } from '../attachment.ts';
import { type Journal, JournalError } from '../journal/journal.ts';
import type { Entry } from './entry.ts';

/** What a journal that fails us is to an ADD: a reason to take everything back. */
export function recorded(use: () => void): Trouble | undefined {
  try {
    use();
    return undefined;
  } catch (error) {
    if (error instanceof JournalError) return { code: code.io, message: error.message };
    throw error;
  }
}

/** Why nothing more may be made: a DEL came, or its mark can not be looked for. */
export function whyGoing(journal: Pick<Journal<Entry>, 'going'>): Trouble | undefined {
  let marked = false;
  const unseen = recorded(() => {
    marked = journal.going;
  });
  return unseen ?? (marked ? going : undefined);
}

export const going: Trouble = { code: code.tryAgainLater, message: 'the attachment is being removed' };
