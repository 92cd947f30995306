/**
 * The supervisor's side of the meter (meter.ts): keeps one running, and tells it how much there is to do. It hears no report and no request,
 * so nothing that those do delays a call.
 */
import { closeSync } from 'node:fs';
import { type Moment, now } from '../deadlines.ts';
import type { OwnProcess } from '../os/native.ts';
import { receive, sendAll, socketPair } from '../os/unix-sockets.ts';
import type { AgentLoad } from './supervisor.ts';

/** The pause after which a meter that has ended is started again. */
const restMs = 1_000;
/** How long a meter may be silent. At its start, the meter of an agent that is about to end may have the lock meanwhile. */
const usualSilentMs = 60_000;

/** The meter's one question. The answer is the load as JSON. */
export const loadWord = 'load';
/** The meter says when reports reach it, and then again and again that it is at work. */
export const readyWord = 'ready';

export interface ToldLoad extends AgentLoad {
  /** When the agent was started, in seconds of the wall clock. */
  readonly startedAt: number;
}

interface MeteringOptions {
  /** @param controlFd the meter's end of its connection to the supervisor. @throws an Error */
  readonly start: (controlFd: number) => Pick<OwnProcess, 'pid' | 'ended' | 'kill'>;
  readonly log: (line: string) => void;
  /** Instead of the usual time for which a meter may be silent. */
  readonly silentMs?: number;
}

export class Metering {
  readonly #options: MeteringOptions;
  #control: number | undefined;
  #process: Pick<OwnProcess, 'pid' | 'kill'> | undefined;
  /** A meter is not started before this moment. */
  #startAt: Moment = 0;
  /** A meter that has said nothing until this moment is killed. */
  #heardBy: Moment = 0;
  /** Whether a meter hears reports. */
  isReady = false;
  /** Settles when the last meter that was started has ended. */
  ended: Promise<unknown> = Promise.resolve();

  constructor(options: MeteringOptions) {
    this.#options = options;
  }

  get fds(): readonly number[] {
    return this.#control === undefined ? [] : [this.#control];
  }

  /** When `turn` has something to do even if no descriptor is ready. */
  get at(): Moment {
    return this.#control === undefined ? this.#startAt : this.#heardBy;
  }

  turn(ready: ReadonlySet<number>, load: () => AgentLoad): void {
    if (this.#control === undefined) this.#start();
    else if (ready.has(this.#control)) this.#hear(this.#control, load);
    else if (now() >= this.#heardBy) this.#giveUp();
  }

  /** One that hangs would keep the lock, and each later meter would wait for it. */
  kill(): void {
    this.#process?.kill();
  }

  /** The meter then writes its counters, and ends. */
  close(): void {
    if (this.#control !== undefined) closeSync(this.#control);
    this.#control = undefined;
    this.isReady = false;
  }

  #start(): void {
    if (now() < this.#startAt) return;
    this.#startAt = now() + restMs;
    let pair: readonly number[] = [];
    try {
      const [control, theirs] = socketPair();
      pair = [theirs, control];
      const process = this.#options.start(theirs);
      this.#process = process;
      this.ended = process.ended;
      this.#heardBy = this.#silentUntil();
      this.#control = control;
      pair = [theirs];
    } catch (error) {
      this.#options.log(`the meter cannot be started: ${error}`);
    } finally {
      for (const fd of pair) closeSync(fd);
    }
  }

  #silentUntil(): Moment {
    return now() + (this.#options.silentMs ?? usualSilentMs);
  }

  #giveUp(): void {
    this.#options.log(
      `the meter (process ${this.#process?.pid}) has said nothing for too long: it hangs, or another meter has the lock. It is killed`,
    );
    this.kill();
    this.close();
  }

  #hear(control: number, load: () => AgentLoad): void {
    const bytes = new Uint8Array(64);
    const count = receive(control, bytes, now());
    if (count === undefined) return;
    if (count > 0) this.#heardBy = this.#silentUntil();
    const word = new TextDecoder().decode(bytes.subarray(0, count));
    if (word === readyWord) {
      this.isReady = true;
      return;
    }
    if (count > 0) {
      const told: ToldLoad = { ...load(), startedAt: performance.timeOrigin / 1000 };
      sendAll(control, new TextEncoder().encode(JSON.stringify(told)), now());
      return;
    }
    this.#options.log('the meter has ended: it is started again');
    this.#startAt = now() + restMs;
    this.close();
  }
}
