/**
 * Servers and programs that did not answer, so that a host need not ask them again. A recovery may have a thousand attachments that
 * need one server, and would wait for its silence a thousand times.
 */
import { now } from '../deadlines.ts';

/** If a server had less time than this, its silence is not remembered, because the time may have been too short. */
const fairMs = 1_000;

/** A failure's meaning for the place that was asked: none (undefined), away, or silent. */
type Verdict = { readonly error: Error; readonly isSilence: boolean } | undefined;

export class Away {
  readonly #remembers: boolean;
  readonly #errors = new Map<string, Error>();

  constructor({ remembers = false }: { readonly remembers?: boolean } = {}) {
    this.#remembers = remembers;
  }

  /**
   * @param verdict judges an error of `action`, and gives the error for every later question
   * @throws the error of `action`; at once the known one
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

  /** Whether the error was thrown without a question. */
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

/** The message for a place that was not asked again. */
export const askedBefore = (message: string): string => `${message} (asked a moment ago)`;
