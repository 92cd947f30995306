/**
 * What did not answer is not asked again by the same host, where that is wanted: a recovery has a thousand attachments that need one
 * server, and would wait for its silence a thousand times.
 */
import { now } from '../deadlines.ts';

/** A server that had less time than this may have had too little: its silence is not remembered. */
const fairMs = 1_000;

/** What a failure says of the place that was asked: nothing (undefined), or that it is away or was silent. */
type Verdict = { readonly error: Error; readonly isSilence: boolean } | undefined;

export class Away {
  readonly #remembers: boolean;
  readonly #errors = new Map<string, Error>();

  constructor({ remembers = false }: { readonly remembers?: boolean } = {}) {
    this.#remembers = remembers;
  }

  /**
   * @param verdict of what `action` throws: with the error of every later question
   * @throws what `action` throws; at once what is known
   */
  async ask<T>(place: string, action: () => Promise<T>, verdict: (error: unknown) => Verdict): Promise<T> {
    const known = this.#errors.get(place);
    if (known) throw known;
    const began = now();
    try {
      return await action();
    } catch (error) {
      const found = verdict(error);
      if (found && (!found.isSilence || now() - began >= fairMs)) this.note(place, found.error);
      throw error;
    }
  }

  findError(place: string): Error | undefined {
    return this.#errors.get(place);
  }

  note(place: string, error: Error): void {
    if (this.#remembers) this.#errors.set(place, error);
  }

  /** Whether it was thrown instead of asking. */
  isKnown(error: unknown): boolean {
    return [...this.#errors.values()].some((one) => one === error);
  }

  /** @returns whether anything was known */
  forget(): boolean {
    const knew = this.#errors.size > 0;
    this.#errors.clear();
    return knew;
  }
}

/** What is said of a place that was not asked again. */
export const askedBefore = (message: string): string => `${message} (asked a moment ago)`;
