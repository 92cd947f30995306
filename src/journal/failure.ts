/** The error for a failing disk, which is different from a bug. */
import { isSystemError } from './disk.ts';

/** A failure of the disk. `code` is the errno name. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A failure of the operating system becomes a JournalError that says what was not done. Any other error stays as it is. */
export function asJournalError(what: string, error: unknown): unknown {
  if (!isSystemError(error) || error instanceof JournalError) return error;
  return new JournalError(error.code, `${what}: ${error.message}`, { cause: error });
}
