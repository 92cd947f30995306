/** Holds a process at one moment of one effect, so that another can come between, and lets it go on. */
import type { Instant } from './fake-host.ts';

export class HeldCall {
  /** Resolves when the process waits there. */
  readonly reached: Promise<void>;
  #arrive: () => void = () => undefined;
  #open: () => void = () => undefined;
  readonly #opened: Promise<void>;
  readonly #place: Pick<Instant, 'step' | 'verb' | 'at'>;
  #passed = false;

  constructor(place: Pick<Instant, 'step' | 'verb' | 'at'>) {
    this.#place = place;
    this.reached = new Promise((resolve) => {
      this.#arrive = resolve;
    });
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }

  /** Given to the call that is to be held; holds it the first time it comes here. */
  watch = async ({ step, verb, at }: Instant): Promise<void> => {
    if (this.#passed || step !== this.#place.step || verb !== this.#place.verb || at !== this.#place.at) return;
    this.#passed = true;
    this.#arrive();
    await this.#opened;
  };
}

/** Lets the other processes go on until it holds. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

/** The moments of a call, in order, without `find`, which changes nothing. */
export async function momentsIn(call: (watch: (instant: Instant) => void) => Promise<unknown>): Promise<Instant[]> {
  const seen: Instant[] = [];
  await call((instant) => void (instant.verb !== 'find' && seen.push(instant)));
  return seen;
}

/** All moments of a call, the questions included, which change nothing. */
export async function everyMomentIn(call: (watch: (instant: Instant) => void) => Promise<unknown>): Promise<Instant[]> {
  const seen: Instant[] = [];
  await call((instant) => void seen.push(instant));
  return seen;
}

/** Starts a call and holds it there, until the step beside the held one has ended too. */
export async function heldAt<T>(
  place: Pick<Instant, 'step' | 'verb' | 'at'>,
  call: (watch: (instant: Instant) => Promise<void>) => Promise<T>,
) {
  const held = new HeldCall(place);
  const answer = call(held.watch);
  await held.reached;
  await new Promise(setImmediate);
  return { answer, open: () => held.open() };
}

export const placeText = ({ step, verb, at }: Pick<Instant, 'step' | 'verb' | 'at'>): string => `${at} ${verb} ${step}`;
