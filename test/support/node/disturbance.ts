/** SIGKILLs at random while a node is at work: of our executable's calls, and of the agent and its workers if one runs. */
import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Dice } from '../dice.ts';
import type { Tally } from '../real/fault-suite.ts';
import { kill, numbersIn, readLink } from './node-space.ts';
import type { WorkerNode } from './worker-node.ts';

const pollMs = 15;
/** A share of the calls, however long they take on a busy machine: a pod needs up to three that are not killed. */
const doomedShare = 0.12;
/** The longest life of a doomed call. Most get less, because a call on an idle machine takes tens of milliseconds. */
const lifeMs = 300;
/** Of the polls: the agent, or a worker of it, every few seconds, so that it serves calls between. */
const agentShare = 0.004;

export class Disturbance {
  #goesOn = true;
  readonly #done: Promise<void>;
  /** When each call that was seen will be killed; Infinity for most, and for some the moment at which they have begun an effect. */
  readonly #ends = new Map<number, number | 'at work'>();

  constructor(
    readonly worker: WorkerNode,
    readonly roll: Dice,
    readonly tally: Tally,
  ) {
    this.#done = this.#run();
  }

  /** Afterwards no call is killed, and the agent, if there was one, runs. */
  async stop(): Promise<void> {
    this.#goesOn = false;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (this.#goesOn) {
      await delay(pollMs);
      this.#strikeCalls();
      if (this.worker.agent && this.roll.next() < agentShare) await this.#strikeAgent(this.worker.agent);
    }
  }

  #strikeCalls(): void {
    const now = performance.now();
    for (const pid of this.worker.calls()) {
      const end = this.#ends.get(pid) ?? this.#fate(now);
      this.#ends.set(pid, end);
      if (end === 'at work' ? !isAtWork(pid) : end > now) continue;
      kill(pid);
      this.#ends.delete(pid);
      this.tally.faults++;
    }
  }

  #fate(now: number): number | 'at work' {
    if (this.roll.next() >= doomedShare) return Number.POSITIVE_INFINITY;
    return this.roll.next() < 0.5 ? 'at work' : now + this.roll.next() ** 3 * lifeMs;
  }

  /** A worker, or the supervisor: then another agent is started, as systemd does. */
  async #strikeAgent(agent: NonNullable<WorkerNode['agent']>): Promise<void> {
    const victim = this.roll.pick([agent.pid, ...agent.workers]);
    kill(victim);
    this.tally.faults++;
    if (victim !== agent.pid) return;
    await agent.ended;
    await this.worker.startAgent();
  }
}

/** Whether it has a journal with records: before that, most of a call's time is spent on questions. */
function isAtWork(pid: number): boolean {
  try {
    const files = numbersIn(`/proc/${pid}/fd`).map((fd) => readLink(`/proc/${pid}/fd/${fd}`));
    return files.some((path) => path.endsWith('.journal') && statSync(path).size > 0);
  } catch {
    return false;
  }
}
