/**
 * The answers of an effect, the errors that become one, and the deadline of one call of the file system.
 */
import { code, messageOf, type Trouble } from '../attachment.ts';
import { type Moment, remainingMs } from '../deadlines.ts';
import type { Outcome } from '../machines/protocol.ts';
import { isBelow, remoteMountOf } from './remote-files.ts';

export const ok: Extract<Outcome, { kind: 'ok' }> = { kind: 'ok' };

export type Failed = Extract<Outcome, { kind: 'failed' }>;

export const failed = (code: number, message: string): Failed => ({
  kind: 'failed',
  trouble: { code, message },
});

/** The file system did not answer. */
export class DirectoryTimeout extends Error {
  override readonly name = 'DirectoryTimeout';
}

/** The world is not as an effect has to leave it, and no system call said so. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

/** Around the error of an effect that had made nothing yet: there is nothing to take back. */
export class NothingMade extends Error {
  override readonly name = 'NothingMade';
  readonly why: unknown;
  readonly code: string;

  constructor(why: unknown) {
    super(messageOf(why));
    this.why = why;
    this.code = codeOf(why);
  }
}

/** For what only looks, or leaves nothing when it fails. @throws NothingMade */
export async function markNothingMade<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw new NothingMade(error);
  }
}

export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Of an error that no trade knows better. */
export function troubleOf(error: unknown): Trouble {
  const message = messageOf(error);
  if (error instanceof DirectoryTimeout) return { code: code.tryAgainLater, message };
  if (error instanceof Mismatch || codeOf(error)) return { code: code.io, message };
  return { code: code.internal, message, details: (error instanceof Error && error.stack) || '' };
}

/**
 * Where an answer is owed. The call cannot be ended, and it keeps a thread: what lies there too is not asked meanwhile, else a few of
 * them would keep every thread, and the healthy file systems would seem dead too.
 */
const silent = new Set<string>();

/**
 * Races a file-system call against its moment: a thread may stay stuck, the call does not (DI3).
 * @param call not even begun where an earlier one has no answer yet; a promise is raced in any case
 * @param what the path, in quotation marks
 */
export async function inTime<T>(call: Promise<T> | (() => Promise<T>), end: Moment, what: string): Promise<T> {
  const path = what.slice(1, -1);
  const isBegun = typeof call !== 'function';
  if (!isBegun && isSilent(path)) throw new DirectoryTimeout(`${what} is not asked: its file system owes an answer`);
  const begun = isBegun ? call : call();
  const seconds = Math.ceil(remainingMs(end) / 100) / 10;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      noteSilence(path, begun);
      reject(new DirectoryTimeout(`${what} did not answer in time (${seconds} s)`));
    }, remainingMs(end));
  });
  try {
    return await Promise.race([begun, late]);
  } finally {
    clearTimeout(timer);
  }
}

const isSilent = (path: string): boolean => [...silent].some((top) => isBelow(path, top));

function noteSilence(path: string, call: Promise<unknown>): void {
  const top = remoteMountOf(path) ?? path;
  silent.add(top);
  const answered = () => void silent.delete(top);
  call.then(answered, answered);
}
