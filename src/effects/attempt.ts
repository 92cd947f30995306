/**
 * An attempt that failed after it had made something. It tells what it made, and exactly that is to be undone.
 */
import { messageOf } from '../attachment.ts';
import type { Facts } from '../machines/protocol.ts';

export class FailedAttempt extends Error {
  override readonly name = 'FailedAttempt';
  constructor(
    override readonly cause: unknown,
    readonly facts: NonNullable<Facts[keyof Facts]>,
  ) {
    super(messageOf(cause), { cause });
  }
}

/** @throws FailedAttempt for any error of `action` */
export async function attempting<T>(facts: FailedAttempt['facts'], action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw new FailedAttempt(error, facts);
  }
}
