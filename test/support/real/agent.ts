/** A resident agent of a test: a real supervisor with its workers, in a directory of its own. It ends with the test. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { executable } from '../requirements.ts';

/** Both ends of the wait for a process to come or go on a busy machine. */
const patienceMs = 10_000;

export interface AgentOptions {
  /** An executable of another build. */
  readonly program?: string;
  /** The most workers. */
  readonly workers?: number;
  /** Words behind `userspace agent`. */
  readonly words?: readonly string[];
  /** The directory of another agent, to take its place. */
  readonly directory?: string;
  /** The words before the executable, such as a tracer's. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class Agent {
  /** The value of USERSPACE_CNI_AGENT for calls that ask this agent. */
  readonly directory: string;
  /** Its socket, as the agent names it. */
  readonly socket: string;
  readonly pid: number;
  /** Its lines on stderr so far. */
  readonly said: string[];
  readonly ended: Promise<number | string>;
  readonly #isOwn: boolean;

  private constructor(parts: Pick<Agent, 'directory' | 'socket' | 'pid' | 'said' | 'ended'> & { isOwn: boolean }) {
    this.directory = parts.directory;
    this.socket = parts.socket;
    this.pid = parts.pid;
    this.said = parts.said;
    this.ended = parts.ended;
    this.#isOwn = parts.isOwn;
  }

  /** Returns when it listens, and has a worker. */
  static async start(options: AgentOptions = {}): Promise<Agent> {
    const { program = executable, workers, directory, under = [], env } = options;
    const place = directory ?? mkdtempSync(join(tmpdir(), 'usw-a-'));
    const count = workers === undefined ? [] : ['--workers', String(workers)];
    const words = ['agent', ...count, ...(options.words ?? [])];
    // A change of namespace or a SIGKILL of the test leaves no agent.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...under, program, ...words], {
      env: { PATH: process.env.PATH ?? '', USERSPACE_CNI_AGENT: place, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
    const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { value = '', done } = await lines.next();
    const socket = /ready at (\S+)$/.exec(value)?.[1];
    if (done || !socket) throw new Error(`the agent does not start (${await ended}): ${said.join('\n')}`);
    const agent = new Agent({ directory: place, socket, pid: child.pid ?? 0, said, ended, isOwn: !directory });
    await agent.#until(() => agent.workers.length > 0, 'no worker comes');
    return agent;
  }

  /** The numbers of its worker processes, the first one first. */
  get workers(): number[] {
    return this.children.filter(({ words }) => words.includes('--worker')).map(({ pid }) => pid);
  }

  /** Its living processes, the first one first, with their command lines. */
  get children(): { readonly pid: number; readonly words: readonly string[] }[] {
    try {
      const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
      const pids = children.split(' ').filter(Boolean).map(Number).filter(isThere);
      return pids.map((pid) => ({ pid, words: readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0') }));
    } catch {
      return [];
    }
  }

  /** Returns when no worker has a call: each waits for the next one, or has ended. */
  async atRest(): Promise<void> {
    await this.#until(() => this.workers.every(isWaiting), 'a worker stays at work');
  }

  get isAlive(): boolean {
    return isThere(this.pid);
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Ends it and its workers. */
  async stop(): Promise<void> {
    const children = this.children.map(({ pid }) => pid);
    for (const pid of [this.pid, ...children]) kill(pid, 'SIGCONT');
    kill(this.pid, 'SIGTERM');
    await this.ended;
    await this.#until(() => !children.some(isThere), 'a worker stays').catch(() => {
      for (const pid of children) kill(pid, 'SIGKILL');
    });
    if (this.#isOwn) rmSync(this.directory, { recursive: true, force: true });
  }

  async #until(holds: () => boolean, otherwise: string): Promise<void> {
    const end = performance.now() + patienceMs;
    while (!holds()) {
      if (performance.now() > end) throw new Error(`${otherwise} in ${patienceMs} ms: ${this.said.join('\n')}`);
      await delay(5);
    }
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

/** Whether a worker sleeps in poll(2) without a limit (proc_pid_syscall(5); restart_syscall shows the arguments that poll had). */
function isWaiting(pid: number): boolean {
  try {
    return /^(7|219) \S+ 0x1 0xffffffff /.test(readFileSync(`/proc/${pid}/syscall`, 'utf8'));
  } catch {
    return true;
  }
}

function isThere(pid: number): boolean {
  try {
    // A zombie has ended.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
