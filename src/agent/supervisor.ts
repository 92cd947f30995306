/**
 * The supervisor of an agent: listens for calls, and hands each to a worker (worker.ts). It never reads a call.
 *
 * It keeps nothing that a call depends on. If it is killed, its workers finish the calls that they have, and end. The callers in its queue
 * make their calls themselves.
 *
 * Invariants
 *  SU1 The socket is in a directory of this user alone, and a connection of another user is closed unheard.
 *  SU2 A new agent's socket takes the name by rename, so at no moment is the name free. An agent that has lost the name serves the
 *     connections that it already has, and ends. So does one whose executable was replaced or changed: calls look for another name.
 *  SU3 A worker has one call at a time, and is killed some seconds after the call's time. So a loop, a stopped process or a dead disk
 *     costs only the call that it happens to.
 *  SU4 A call is handed over only when its request has begun to come, so that a silent connection occupies no worker.
 */
import { chmodSync, closeSync, lstatSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { type Moment, now } from '../deadlines.ts';
import { acceptFrom, handOver, isClosed, listenAt, peerOf, readyOf, receive, socketPair } from '../os/unix-sockets.ts';
import { agentSocket } from './place.ts';
import { say } from './wire.ts';

/** How long a connection may be silent, and how long a worker that was handed one may take to tell the call's limit. */
const beginMs = 5_000;
/** How long a worker may take to start: a machine that boots may give it no processor for a while. */
const startMs = 60_000;
/** How much longer than its caller waits a worker may be busy. */
const overdueMs = 5_000;
/** A worker that had no call for this long ends. The last idle one stays, so that the next call finds one. */
const usualIdleMs = 30_000;
/** How often the agent looks whether it has lost its name, or its executable was replaced or changed (SU2). */
const lookMs = 5_000;
/** The least time between two starts of a worker for which no call waits, so that one that cannot live is not started in a loop. */
const spareMs = 1_000;
/** The pause after a failure for lack of descriptors or memory: to try again at once would take a processor, and fill a log. */
const restMs = 1_000;
/** The most connections that may be silent at once. More are closed, and their calls are made by their own processes. */
const silentMax = 256;
/** The most connections that the kernel keeps until they are accepted (listen(2)). Beyond them, connecting fails at once. */
const queueMax = 4096;

/** A worker process, as the operating system shows it. */
interface WorkerProcess {
  readonly pid: number;
  kill(): void;
}

export interface SupervisorOptions {
  readonly directory: string;
  readonly pid: number;
  readonly uid: number;
  readonly workersMax: number;
  /** The time without a call after which a worker ends, if not the usual one. */
  readonly idleMs?: number;
  /** @param controlFd the worker's end of its connection to the supervisor */
  readonly start: (controlFd: number) => WorkerProcess;
  readonly isStopping: () => boolean;
  /** Work beside the calls. */
  readonly chores?: readonly Chore[];
  readonly ready: (socket: string) => void;
  /** Receives a line on each event that an engineer may want to know of. */
  readonly log: (line: string) => void;
}

/** Work that waits as the supervisor does: for descriptors, or for a moment. It must not block. */
interface Chore {
  readonly fds: readonly number[];
  readonly at: Moment;
  turn(ready: ReadonlySet<number>, load: () => AgentLoad): void;
  close(): void;
}

/** How much there is to do just now: workers by their state, and calls that wait for one. */
export interface AgentLoad {
  readonly workers: Readonly<Record<Worker['state'], number>>;
  readonly queue: number;
}

interface Worker {
  readonly process: WorkerProcess;
  readonly control: number;
  state: 'starting' | 'idle' | 'busy';
  /** The moment at which it is killed (starting, busy), or since which it has had no call (idle). */
  at: Moment;
}

interface Connection {
  readonly fd: number;
  readonly until: Moment;
}

/** Serves until it is told to stop, or has to end (SU2). @throws an Error if it cannot listen */
export async function supervise(options: SupervisorOptions): Promise<void> {
  const supervisor = new Supervisor(options);
  await supervisor.serve();
}

class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #socket: string;
  readonly #inode: bigint;
  readonly #idleMs: number;
  #listener: number | undefined;
  #silent: Connection[] = [];
  #queue: number[] = [];
  #workers: Worker[] = [];
  /** The connections in the queue to which `queued` was said. */
  readonly #told = new Set<number>();
  #chores: readonly Chore[];
  /** The moments from which connections are accepted and workers started. A failure puts its moment off. */
  #acceptsAt: Moment = 0;
  #startsAt: Moment = 0;
  /** The moment from which a worker may be started for which no call waits. */
  #spareAt: Moment = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#idleMs = options.idleMs ?? usualIdleMs;
    this.#chores = options.chores ?? [];
    makeDirectory(options);
    this.#socket = agentSocket(options.directory);
    const fresh = `${this.#socket}.${options.pid}`;
    rmSync(fresh, { force: true });
    this.#listener = listenAt(fresh, queueMax);
    chmodSync(fresh, 0o600);
    this.#inode = statSync(fresh, { bigint: true }).ino;
    try {
      renameSync(fresh, this.#socket);
    } catch (error) {
      rmSync(fresh, { force: true });
      throw error;
    }
  }

  async serve(): Promise<void> {
    this.#keepSpare();
    this.#options.ready(this.#socket);
    let lookAt = now();
    while (!this.#options.isStopping()) {
      if (now() >= lookAt) {
        lookAt = now() + lookMs;
        const reason = this.#listener !== undefined && this.#reasonToEnd();
        if (reason) this.#drain(reason);
      }
      const busy = this.#workers.some(({ state }) => state === 'busy');
      if (this.#listener === undefined && !busy && this.#queue.length + this.#silent.length === 0) break;
      this.#turn();
      // Lets the event loop run, which reaps workers that have ended and hears signals.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#end();
  }

  #turn(): void {
    const fds = [
      ...(this.#listener === undefined || now() < this.#acceptsAt ? [] : [this.#listener]),
      ...this.#silent.map(({ fd }) => fd),
      ...this.#workers.map(({ control }) => control),
      ...this.#chores.flatMap(({ fds: awaited }) => awaited),
    ];
    const ready = new Set(readyOf(fds, this.#pauseMs()));
    for (const worker of [...this.#workers]) if (ready.has(worker.control)) this.#hear(worker);
    this.#sortSilent(ready);
    if (this.#listener !== undefined && ready.has(this.#listener)) this.#accept(this.#listener);
    this.#dispatch();
    this.#judgeWorkers();
    this.#keepSpare();
    for (const chore of this.#chores) chore.turn(ready, () => this.#load());
  }

  /** Starts a worker where there is none, so that the next call finds one. */
  #keepSpare(): void {
    if (this.#workers.length > 0 || this.#listener === undefined || now() < Math.max(this.#spareAt, this.#startsAt))
      return;
    this.#spareAt = now() + spareMs;
    this.#startWorker();
  }

  #accept(listener: number): void {
    let count = 0;
    for (let fd = acceptFrom(listener); fd !== undefined; fd = acceptFrom(listener)) {
      const isOurs = peerOf(fd)?.uid === this.#options.uid;
      if (!isOurs || this.#silent.length >= silentMax) closeSync(fd);
      else this.#silent.push({ fd, until: now() + beginMs });
      count++;
    }
    // The listener was ready and nothing could be accepted: this process has no descriptor left.
    if (count === 0) this.#acceptsAt = now() + restMs;
  }

  /** Connections that have begun to speak are queued; those that were silent for too long are closed. */
  #sortSilent(ready: ReadonlySet<number>): void {
    const silent = this.#silent;
    this.#silent = [];
    for (const one of silent) {
      if (ready.has(one.fd)) this.#queue.push(one.fd);
      else if (now() >= one.until) closeSync(one.fd);
      else this.#silent.push(one);
    }
  }

  /** Hands queued calls to workers, starts a worker for one that finds none, and tells the rest to wait. */
  #dispatch(): void {
    const waiting: number[] = [];
    for (const fd of this.#queue) {
      if (isClosed(fd)) this.#forget(fd);
      else if (!this.#handToIdle(fd)) waiting.push(fd);
    }
    // Without a worker, and soon after a failure to start one, a wait is in vain: closing makes the callers act themselves.
    if (this.#workers.length === 0 && now() < this.#startsAt) for (const fd of waiting.splice(0)) this.#forget(fd);
    this.#queue = waiting;
    const starting = this.#workers.filter(({ state }) => state === 'starting').length;
    const wanted = Math.min(waiting.length - starting, this.#options.workersMax - this.#workers.length);
    for (let count = 0; count < wanted && now() >= this.#startsAt; count++) this.#startWorker();
    for (const fd of waiting) {
      if (this.#told.has(fd)) continue;
      this.#told.add(fd);
      say(fd, { say: 'queued' }, now());
    }
  }

  /** Hands a call to the idle worker that was busy last, because it has the most in its caches. @returns whether there was one */
  #handToIdle(fd: number): boolean {
    const idle = this.#workers.filter(({ state }) => state === 'idle').sort((a, b) => b.at - a.at);
    for (const worker of idle) {
      if (!handOver(worker.control, 'call', fd)) {
        this.#drop(worker);
        continue;
      }
      Object.assign(worker, { state: 'busy', at: now() + beginMs });
      this.#forget(fd);
      return true;
    }
    return false;
  }

  #forget(fd: number): void {
    this.#told.delete(fd);
    closeSync(fd);
  }

  #startWorker(): void {
    let pair: readonly number[] = [];
    try {
      const [control, theirs] = socketPair();
      pair = [theirs, control];
      const process = this.#options.start(theirs);
      this.#workers.push({ process, control, state: 'starting', at: now() + startMs });
      pair = [theirs];
    } catch (error) {
      this.#startsAt = now() + restMs;
      this.#options.log(`a worker cannot be started: ${error}`);
    } finally {
      for (const fd of pair) closeSync(fd);
    }
  }

  /** Reads the word of a worker: `idle`, or for how many milliseconds its call's caller waits. No word: it has ended. */
  #hear(worker: Worker): void {
    const bytes = new Uint8Array(64);
    const count = receive(worker.control, bytes, now()) ?? 0;
    const said = new TextDecoder().decode(bytes.subarray(0, count));
    if (count === 0) this.#drop(worker);
    else if (said === 'idle') Object.assign(worker, { state: 'idle', at: now() });
    else Object.assign(worker, { at: now() + Number(said) + overdueMs });
  }

  #judgeWorkers(): void {
    const idle = this.#workers.filter(({ state }) => state === 'idle');
    for (const worker of this.#workers) {
      if (worker.state !== 'idle' && now() >= worker.at) {
        this.#options.log(`worker ${worker.process.pid} is ${worker.state} beyond its time: it is killed`);
        worker.process.kill();
        this.#drop(worker);
      } else if (worker.state === 'idle' && idle.length > 1 && now() >= worker.at + this.#idleMs) {
        idle.pop();
        this.#drop(worker);
      }
    }
  }

  /** Forgets a worker and closes the connection to it. A living worker ends when it sees that. */
  #drop(worker: Worker): void {
    this.#workers = this.#workers.filter((one) => one !== worker);
    closeSync(worker.control);
  }

  #pauseMs(): number {
    const moments = [
      ...this.#silent.map(({ until }) => until),
      ...[this.#spareAt, this.#acceptsAt, this.#startsAt],
      ...this.#chores.map(({ at }) => at),
      ...this.#workers.map(({ state, at }) => (state === 'idle' ? at + this.#idleMs : at)),
    ];
    const next = moments.filter((at) => at > now());
    return Math.max(1, Math.ceil(Math.min(lookMs, ...next.map((at) => at - now()))));
  }

  #hasName(): boolean {
    return statSync(this.#socket, { bigint: true, throwIfNoEntry: false })?.ino === this.#inode;
  }

  #reasonToEnd(): string | undefined {
    if (!this.#hasName()) return 'another agent has taken over';
    // The socket's name contains the time of the executable's last change, which also a rename or a change of mode moves.
    return agentSocket(this.#options.directory) === this.#socket ? undefined : 'its executable was replaced or changed';
  }

  /** Serves what has reached this agent, and nothing more. */
  #drain(reason: string): void {
    this.#options.log(`${reason}: this agent ends when its calls are done`);
    this.#endChores();
    if (this.#listener === undefined) return;
    this.#accept(this.#listener);
    closeSync(this.#listener);
    this.#listener = undefined;
  }

  /** An agent that has lost its name leaves it to the agent that has it. */
  #endChores(): void {
    for (const chore of this.#chores) chore.close();
    this.#chores = [];
  }

  #load(): AgentLoad {
    const count = (wanted: Worker['state']) => this.#workers.filter(({ state }) => state === wanted).length;
    const workers = { starting: count('starting'), idle: count('idle'), busy: count('busy') };
    return { workers, queue: this.#queue.length };
  }

  #end(): void {
    this.#endChores();
    if (this.#hasName()) rmSync(this.#socket, { force: true });
    if (this.#listener !== undefined) closeSync(this.#listener);
  }
}

/** @throws an Error unless it is a directory of this user alone */
function makeDirectory({ directory, uid }: SupervisorOptions): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const stats = lstatSync(directory);
  // The mode is not changed: if the variable names /run, nothing else on the machine could enter that directory any more.
  if (!stats.isDirectory() || stats.uid !== uid || (stats.mode & 0o077) !== 0)
    throw new Error(`"${directory}" is not a directory of this user alone (mode 0700): remove it, or name another`);
}
