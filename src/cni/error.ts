/**
 * The one place where anything thrown becomes a CNI error object (CNI SPEC section 5, "Error").
 */
import { code, messageOf, type Trouble } from '../attachment.ts';

export class CniError extends Error {
  override readonly name = 'CniError';
  constructor(
    readonly code: number,
    message: string,
    readonly details?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Every fault in one error; its code is the first one's. */
function fromTroubles(troubles: readonly [Trouble, ...Trouble[]]): CniError {
  const details = troubles.flatMap((t) => t.details ?? []).join('\n');
  return new CniError(troubles[0].code, troubles.map((t) => t.message).join('; '), details || undefined);
}

/** Throws if there is anything to throw. */
export function refuse(troubles: readonly Trouble[]): void {
  const [first, ...rest] = troubles;
  if (first) throw fromTroubles([first, ...rest]);
}

const errnoOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

/** A throw that is not a CniError is a bug (999), a disk that failed under us (5), or a process without a free descriptor (11). */
export function toCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  const message = messageOf(error);
  if (error instanceof Error && error.name === 'JournalError') return new CniError(code.io, message);
  if (/^(EMFILE|ENFILE)$/.test(errnoOf(error))) {
    const remedy = 'give the runtime, or the agent, a higher limit of open files (ulimit -n)';
    return new CniError(code.tryAgainLater, `${message}: ${remedy}`);
  }
  return new CniError(code.internal, message, error instanceof Error ? error.stack : undefined);
}
