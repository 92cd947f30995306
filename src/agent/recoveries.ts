/**
 * Runs `userspace recover` when a node needs it: at the agent's start, after the switch was away, and every five minutes. Each run is a
 * process of its own, so its memory is given back, and whatever becomes of it touches neither the agent nor a call.
 */
import { type Moment, now } from '../deadlines.ts';
import type { OwnProcess } from '../os/native.ts';
import type { SwitchWatch } from './switch-watch.ts';

/** Runtimes lose DELs, and a switch can lose ports while it is there. */
const usualPauseMs = 300_000;
/** ovsdb-server and ovs-vswitchd come back one after the other: one recovery is for both. */
const settleMs = 1_000;
/** How long the first recovery is held back at most. */
const heldMs = 5_000;

export interface RecoveriesOptions {
  readonly watch: Pick<SwitchWatch, 'fds' | 'at' | 'look' | 'close'>;
  /** @param words behind `userspace recover`. @throws an Error */
  readonly start: (words: readonly string[]) => Pick<OwnProcess, 'pid' | 'ended'>;
  readonly log: (line: string) => void;
  /** Whether the first one has to wait still: what it did would not be counted. It does not wait longer than a few seconds. */
  readonly isHeld?: () => boolean;
  /** Instead of the usual time between two recoveries. */
  readonly pauseMs?: number;
}

/** @param code of `userspace recover`; null: a signal ended it */
function endText(code: number | null): string {
  if (code === 0) return 'nothing is owed';
  if (code === 3) return 'something is owed, or a switch could not be asked: the next one tries again';
  return code === null ? 'a signal has ended it' : `it failed (exit code ${code})`;
}

export class Recoveries {
  readonly #options: RecoveriesOptions;
  readonly #pauseMs: number;
  readonly #heldUntil: Moment;
  #isUnderWay = false;
  /** The next one's moment, and why it is due then. */
  #next: { readonly at: Moment; readonly because: string; readonly words: readonly string[] };

  constructor(options: RecoveriesOptions) {
    this.#options = options;
    this.#pauseMs = options.pauseMs ?? usualPauseMs;
    this.#heldUntil = now() + heldMs;
    this.#next = { at: 0, because: 'the agent has started', words: ['--boot'] };
  }

  get fds(): readonly number[] {
    return this.#options.watch.fds;
  }

  /** When `turn` has something to do even if no descriptor is ready. */
  get at(): Moment {
    return Math.min(this.#options.watch.at, this.#isUnderWay ? Number.POSITIVE_INFINITY : this.#next.at);
  }

  turn(ready: ReadonlySet<number>): void {
    const isBack = this.#options.watch.look(ready);
    const soon = now() + settleMs;
    if (isBack && this.#next.at > soon) this.#next = { at: soon, because: 'the switch is back', words: [] };
    const isHeld = now() < this.#heldUntil && this.#options.isHeld?.() === true;
    if (!this.#isUnderWay && now() >= this.#next.at && !isHeld) this.#recover();
  }

  /** One that is under way goes on to its end. */
  close(): void {
    this.#options.watch.close();
  }

  #recover(): void {
    const { start, log } = this.#options;
    const { because, words } = this.#next;
    this.#next = { at: now() + this.#pauseMs, because: 'its time has come', words: [] };
    try {
      const { pid, ended } = start(words);
      this.#isUnderWay = true;
      log(`recover (process ${pid}) begins: ${because}`);
      void ended.then((code) => {
        this.#isUnderWay = false;
        log(`recover (process ${pid}) has ended: ${endText(code)}`);
      });
    } catch (error) {
      this.#next = { ...this.#next, at: Math.max(this.#next.at, now() + settleMs) };
      log(`recover cannot be started: ${error}`);
    }
  }
}
