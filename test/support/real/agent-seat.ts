/** One agent with one worker for many cases, some of which kill it: then the next case has another agent in the same directory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { Agent } from './agent.ts';
import { type CallOptions, cni } from './cni.ts';
import { through } from './way.ts';

/** An agent, and the worker that has the next call. */
export interface Seated {
  readonly agent: Agent;
  readonly worker: number;
}

/** The seat of a suite: its agent lives as long as the suite does. */
export function useSeat(): () => AgentSeat {
  let seat: AgentSeat | undefined;
  beforeAll(() => {
    seat = new AgentSeat();
  });
  afterAll(() => seat?.end());
  return () => {
    if (!seat) throw new Error('the seat has not been made yet');
    return seat;
  };
}

export class AgentSeat {
  readonly #directory = mkdtempSync(join(tmpdir(), 'usw-a-'));
  #agent: Agent | undefined;

  /** For a call that asks this agent. */
  readonly through: CallOptions = through(this.#directory);

  async ready(): Promise<Seated> {
    const agent = this.#agent ?? (await this.#start());
    // A worker that is started for a call stays for the next one.
    for (let tries = 0; agent.workers.length === 0 && tries < 100; tries++)
      await cni('STATUS', { config: { cniVersion: '1.1.0', name: 'none', type: 'userspace' } }, this.through);
    await agent.atRest();
    const [worker] = agent.workers;
    if (worker === undefined) throw new Error(`the agent has no worker: ${agent.said.join('\n')}`);
    return { agent, worker };
  }

  async #start(): Promise<Agent> {
    const agent = await Agent.start({ directory: this.#directory, workers: 1 });
    void agent.ended.then(() => {
      if (this.#agent === agent) this.#agent = undefined;
    });
    this.#agent = agent;
    return agent;
  }

  async end(): Promise<void> {
    await this.#agent?.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
