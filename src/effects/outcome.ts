/**
 * The answers of an effect, the errors that become answers, and the deadline of one file-system call.
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

/** The world is not as an effect has to leave it, though no system call failed. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

/** Wraps the error of an effect that had made nothing, so that nothing has to be undone. */
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

/** For a call that only looks, or leaves nothing when it fails. @throws NothingMade */
export async function markNothingMade<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw new NothingMade(error);
  }
}

export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** The trouble of an error that has none of its own. */
export function troubleOf(error: unknown): Trouble {
  const message = messageOf(error);
  if (error instanceof DirectoryTimeout) return { code: code.tryAgainLater, message };
  if (error instanceof Mismatch || codeOf(error)) return { code: code.io, message };
  return { code: code.internal, message, details: (error instanceof Error && error.stack) || '' };
}

/**
 * The places that owe an answer. A stuck call cannot be ended and keeps a thread. So other paths there are not asked meanwhile.
 * Otherwise a few calls would keep all threads, and healthy file systems would seem dead too.
 */
const silent = new Set<string>();

/**
 * Races a file-system call against its moment: its thread may stay stuck, but the caller does not (DI3).
 * @param call a function is not called while an earlier call there has no answer; a promise is raced in any case
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

/** Whether a file system owes this process an answer: a thread of it is stuck. */
export const owesAnswer = (): boolean => silent.size > 0;

const isSilent = (path: string): boolean => [...silent].some((top) => isBelow(path, top));

function noteSilence(path: string, call: Promise<unknown>): void {
  const top = remoteMountOf(path) ?? path;
  silent.add(top);
  const answered = () => void silent.delete(top);
  call.then(answered, answered);
}
