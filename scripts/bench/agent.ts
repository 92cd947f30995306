/** The agent of one executable, `userspace agent`: a resident process that calls ask. */
import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Daemon, end, launch } from '../../test/support/real/daemon.ts';
import { executable } from '../../test/support/requirements.ts';

const variable = 'USERSPACE_CNI_AGENT';

/** The environment of a call that does everything itself. */
export const alone = { [variable]: 'off' };

const startMs = 10_000;

/** A way to start a program with something around it: a preloaded library, a tracer. */
export interface Wrapping {
  readonly before: readonly string[];
  readonly env: Record<string, string>;
}

export const unwrapped: Wrapping = { before: [], env: {} };

export class Agent {
  private constructor(
    readonly directory: string,
    readonly daemon: Daemon | undefined,
    /** The cause if no agent runs, as with an executable that has none. */
    readonly trouble?: string,
  ) {}

  /** The environment of a call that asks it. */
  get env(): Record<string, string> {
    return { [variable]: this.directory };
  }

  /** Absent if no agent runs: then each call does everything itself. */
  get pid(): number | undefined {
    return this.daemon?.pid;
  }

  /** Returns when the agent has printed its line. An agent that ends before that is not an error: its trouble is told. */
  static async start(directory: string, { before, env }: Wrapping = unwrapped): Promise<Agent> {
    mkdirSync(directory, { mode: 0o700 });
    const daemon = launch([...before, executable, 'agent'], directory, { ...env, [variable]: directory });
    const ready = new Promise<string>((resolve) => daemon.stdout.once('data', () => resolve('ready')));
    const ended = daemon.then(({ exitCode, stderr }) => `exit ${exitCode}: ${firstLine(stderr)}`);
    const outcome = await Promise.race([ready, ended, delay(startMs, 'it does not become ready')]);
    if (outcome === 'ready') return new Agent(directory, daemon);
    await end(daemon);
    return new Agent(directory, undefined, outcome);
  }

  /** @throws if it has ended, because calls then did everything themselves, and the figures are not the agent's */
  async expectAlive(): Promise<void> {
    if (!this.daemon || this.daemon.exitCode === null) return;
    const { exitCode, stderr } = await this.daemon;
    throw new Error(`the agent has ended: exit ${exitCode}: ${stderr}`);
  }

  async stop(): Promise<void> {
    await end(this.daemon);
  }
}

const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';
