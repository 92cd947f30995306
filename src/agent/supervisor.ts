/**
 * The agent of a node: listens for calls, and hands each to a worker (worker.ts). It never reads a call, and keeps no state that would
 * be missed: if it is killed, its workers finish what they have begun, callers in its queue make their calls themselves, and the next
 * agent starts afresh.
 *
 * Invariants
 *  SU1 The socket is in a directory of this user's alone, and a peer of another user is turned away unheard.
 *  SU2 A new socket takes the name by rename: at no moment is there none. The agent that has lost the name serves what had reached it,
 *     and ends. So does an agent whose executable was replaced: no call of the new one would ask it.
 *  SU3 A worker has one call. Once its time is over by far it is killed: a loop, a stopped process or a dead disk costs its own call.
 *  SU4 A call is handed over only when its request has begun to come, so idle connections cost no worker.
 */
import { chmodSync, closeSync, lstatSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { type Moment, now } from '../deadlines.ts';
import { acceptFrom, handOver, isClosed, listenAt, peerOf, readyOf, receive, socketPair } from '../os/unix-sockets.ts';
import { agentSocket } from './place.ts';
import { say } from './wire.ts';

/** A caller sends its request at once, and the worker tells the call's own limit within that time. */
const beginMs = 5_000;
/** A machine that boots may give a worker no processor for long. */
const startMs = 60_000;
/** Beyond a call's limit, which its caller waits for too. */
const overdueMs = 5_000;
/** A worker that had no call for this long ends; the last one stays, so that the next call finds one. */
const usualIdleMs = 30_000;
/** How often the agent looks whether another one has taken its name, or its executable was replaced. */
const lookMs = 5_000;
/** The pause before a worker is replaced that has ended, if no call waits for one. */
const spareMs = 1_000;
/** How long the agent does without descriptors or memory that it lacked: to ask again at once would take a processor, and a log. */
const restMs = 1_000;
/** Connections that have said nothing yet. More are turned away: their calls are made by their own processes. */
const silentMax = 256;
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
  /** Instead of the usual time without a call after which a worker ends. */
  readonly idleMs?: number;
  /** @param controlFd the worker's end of its connection to the supervisor */
  readonly start: (controlFd: number) => WorkerProcess;
  readonly isStopping: () => boolean;
  readonly ready: (socket: string) => void;
  /** Receives what an engineer may want to know, a line each. */
  readonly log: (line: string) => void;
}

interface Worker {
  readonly process: WorkerProcess;
  readonly control: number;
  state: 'starting' | 'idle' | 'busy';
  /** starting, busy: the moment when it is killed; idle: since when it is. */
  at: Moment;
}

interface Connection {
  readonly fd: number;
  readonly until: Moment;
}

/** Serves until it is told to stop, or another agent has taken its name. @throws an Error if it cannot listen */
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
  readonly #told = new Set<number>();
  /** From when on connections are accepted, and workers started: later than now if that has just failed. */
  #acceptsAt: Moment = 0;
  #startsAt: Moment = 0;
  /** From when on a worker may be started that no call waits for. */
  #spareAt: Moment = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#idleMs = options.idleMs ?? usualIdleMs;
    makeDirectory(options);
    this.#socket = agentSocket(options.directory);
    const fresh = `${this.#socket}.${options.pid}`;
    rmSync(fresh, { force: true });
    this.#listener = listenAt(fresh, queueMax);
    chmodSync(fresh, 0o600);
    this.#inode = statSync(fresh, { bigint: true }).ino;
    renameSync(fresh, this.#socket);
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
      // The event loop's turn: ended workers are reaped, and a signal is heard.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#end();
  }

  #turn(): void {
    const fds = [
      ...(this.#listener === undefined || now() < this.#acceptsAt ? [] : [this.#listener]),
      ...this.#silent.map(({ fd }) => fd),
      ...this.#workers.map(({ control }) => control),
    ];
    const ready = new Set(readyOf(fds, this.#pauseMs()));
    for (const worker of [...this.#workers]) if (ready.has(worker.control)) this.#hear(worker);
    this.#sortSilent(ready);
    if (this.#listener !== undefined && ready.has(this.#listener)) this.#accept(this.#listener);
    this.#dispatch();
    this.#judgeWorkers();
    this.#keepSpare();
  }

  /** The next call shall find a worker. One that cannot live is not started again at once. */
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
    // A connection was there, and there is no descriptor for it.
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
      else if (!this.#give(fd)) waiting.push(fd);
    }
    // Calls are made by their own processes, if there is neither a worker nor the means to start one.
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

  /** The worker that was busy last has the most in its caches. @returns whether there was one */
  #give(fd: number): boolean {
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

  /** A worker says `idle`, or how many milliseconds its call may take; or it has ended. */
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

  /** A living worker ends by itself when it sees the end of the connection. */
  #drop(worker: Worker): void {
    this.#workers = this.#workers.filter((one) => one !== worker);
    closeSync(worker.control);
  }

  #pauseMs(): number {
    const moments = [
      ...this.#silent.map(({ until }) => until),
      ...[this.#spareAt, this.#acceptsAt, this.#startsAt],
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
    // Renaming or changing the executable changes the name by which calls look for an agent.
    return agentSocket(this.#options.directory) === this.#socket ? undefined : 'its executable was replaced or changed';
  }

  /** Serves what has reached this agent, and nothing more. */
  #drain(reason: string): void {
    this.#options.log(`${reason}: this agent ends when its calls are done`);
    if (this.#listener === undefined) return;
    this.#accept(this.#listener);
    closeSync(this.#listener);
    this.#listener = undefined;
  }

  #end(): void {
    if (this.#hasName()) rmSync(this.#socket, { force: true });
    if (this.#listener !== undefined) closeSync(this.#listener);
  }
}

/** @throws an Error if it belongs to another user, or is no directory */
function makeDirectory({ directory, uid }: SupervisorOptions): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const stats = lstatSync(directory);
  // The mode is not mended: a variable that names /run would take that directory from everything else on the machine.
  if (!stats.isDirectory() || stats.uid !== uid || (stats.mode & 0o077) !== 0)
    throw new Error(`"${directory}" is not a directory of this user alone (mode 0700): remove it, or name another`);
}
