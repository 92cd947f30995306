/** The agent whose calls are timed: the tests' own, or the reason why there is none, as with an executable that has no agent. */
import { mkdirSync } from 'node:fs';
import { Agent as Resident } from '../../test/support/real/agent.ts';
import { byItself, through } from '../../test/support/real/way.ts';

/** The environment of a call that does everything itself. */
export const alone = byItself.env;

/** A way to start a program with something around it: a preloaded library, a tracer. */
export interface Wrapping {
  readonly before: readonly string[];
  readonly env: Record<string, string>;
}

export const unwrapped: Wrapping = { before: [], env: {} };

export class Agent {
  private constructor(
    readonly directory: string,
    readonly resident: Resident | undefined,
    /** The cause if no agent runs. */
    readonly trouble?: string,
  ) {}

  /** The environment of a call that asks it. */
  get env(): Record<string, string> {
    return through(this.directory).env;
  }

  /** Absent if no agent runs: then each call does everything itself. */
  get pid(): number | undefined {
    return this.resident?.pid;
  }

  /** An agent that does not start is not an error: its trouble is told. */
  static async start(directory: string, { before, env }: Wrapping = unwrapped): Promise<Agent> {
    mkdirSync(directory, { mode: 0o700 });
    try {
      return new Agent(directory, await Resident.start({ directory, under: before, env }));
    } catch (error) {
      return new Agent(directory, undefined, String(error).split('\n')[0]);
    }
  }

  /** @throws if it has ended, because calls then did everything themselves, and the figures are not the agent's */
  expectAlive(): void {
    if (this.resident && !this.resident.isAlive)
      throw new Error(`the agent has ended: ${this.resident.said.join('\n')}`);
  }

  async stop(): Promise<void> {
    await this.resident?.stop();
  }
}
