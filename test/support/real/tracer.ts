/**
 * Runs a program under ptrace and kills it with SIGKILL as it enters its n-th system call that changes something, counted over
 * all of its threads: `bun tracer.ts N REPORT PROGRAM ARG…`, N = 0 for a whole run. Ends as the program ended.
 *
 * `bun tracer.ts --hold N REPORT PID` does so with a worker of an agent, which runs already. It says `attached`, counts from the moment
 * when a call is handed to the worker, and at the n-th it holds all of its threads and says `held`. Whether the worker then dies or goes
 * on is the test's choice: when standard input ends, the tracer lets go of it, and when the worker has ended, it ends too. With `now` after
 * PID it counts at once, which is for the supervisor of an agent.
 *
 * strace counts for each thread alone, and a thread pool distributes its calls differently in each run: only one counter for the whole
 * process hits every call exactly once. Children are seen to their execve (which counts) and then let go: they are not killed.
 */
import { dlopen, FFIType, type Pointer, ptr } from 'bun:ffi';
import { readdirSync, readlinkSync, writeFileSync, writeSync } from 'node:fs';

const ptraceTo = { SYSCALL: 24, DETACH: 17, SEIZE: 0x4206, INTERRUPT: 0x4207, LISTEN: 0x4208, SYSCALL_INFO: 0x420e };
/** TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC: no EXITKILL, an orphan goes on. */
const options = 0x1f;
const eventExec = 4;
const eventStop = 128;
const [sigkill, sigtrap, sigcont] = [9, 5, 18];
const stopSignals = [19, 20, 21, 22];
const [wuntraced, wall] = [2, 0x40000000];
const onEntry = 1;

const { symbols: libc } = dlopen('libc.so.6', {
  ptrace: { args: ['i64', 'i64', 'u64', 'u64'], returns: FFIType.i64_fast },
  waitpid: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
  kill: { args: ['i32', 'i32'], returns: 'i32' },
  posix_spawn: { args: ['ptr', 'ptr', 'ptr', 'ptr', 'ptr', 'ptr'], returns: 'i32' },
});

type Entry = { readonly tid: number; readonly args: readonly bigint[] };
const ofDescriptor = ({ tid, args }: Entry): string => {
  try {
    return readlinkSync(`/proc/${tid}/fd/${args[0]}`);
  } catch {
    return '';
  }
};
/** A thread that wakes another changes nothing. */
const unlessWaking = (entry: Entry) => !ofDescriptor(entry).includes('[eventfd]');
const [creatFlag, threadFlag] = [0o100n, 0x10000n];
const always = () => true;
const creating = (index: number) => (entry: Entry) => ((entry.args[index] ?? 0n) & creatFlag) !== 0n;

/** The system calls that change something outside the process, by number (x86-64). */
const changing: Record<number, [name: string, counts: (entry: Entry) => boolean]> = {
  1: ['write', unlessWaking],
  2: ['open', creating(1)],
  18: ['pwrite64', unlessWaking],
  20: ['writev', unlessWaking],
  44: ['sendto', always],
  46: ['sendmsg', always],
  // A flag word behind a pointer would need reading the child's memory; Bun starts programs by vfork.
  56: ['clone', ({ args }) => ((args[0] ?? 0n) & threadFlag) === 0n],
  57: ['fork', always],
  58: ['vfork', always],
  59: ['execve', always],
  74: ['fsync', always],
  75: ['fdatasync', always],
  76: ['truncate', always],
  77: ['ftruncate', always],
  82: ['rename', always],
  83: ['mkdir', always],
  84: ['rmdir', always],
  86: ['link', always],
  87: ['unlink', always],
  88: ['symlink', always],
  90: ['chmod', always],
  91: ['fchmod', always],
  92: ['chown', always],
  93: ['fchown', always],
  94: ['lchown', always],
  235: ['utimes', always],
  257: ['openat', creating(2)],
  258: ['mkdirat', always],
  260: ['fchownat', always],
  263: ['unlinkat', always],
  264: ['renameat', always],
  266: ['symlinkat', always],
  268: ['fchmodat', always],
  280: ['utimensat', always],
  316: ['renameat2', always],
};

const info = new BigUint64Array(12);
const status = new Int32Array(1);

/** argv or envp; the texts are returned too, so that they are not garbage-collected. */
function strings(texts: readonly string[]): { readonly array: Pointer; readonly kept: unknown } {
  const buffers = texts.map((text) => Buffer.from(`${text}\0`));
  const pointers = new BigUint64Array([...buffers.map((buffer) => BigInt(ptr(buffer))), 0n]);
  return { array: ptr(pointers), kept: [buffers, pointers] };
}

/** Stopped before it becomes the program. */
function launch(command: readonly string[]): number {
  const argv = strings(['sh', '-c', 'kill -STOP $$; exec "$@"', 'sh', ...command]);
  const envp = strings(Object.entries(process.env).map(([name, value]) => `${name}=${value}`));
  const shell = Buffer.from('/bin/sh\0');
  const pid = new Int32Array(1);
  if (libc.posix_spawn(ptr(pid), ptr(shell), null, null, argv.array, envp.array) !== 0) throw new Error('posix_spawn');
  void [argv.kept, envp.kept];
  libc.waitpid(pid[0] ?? 0, ptr(status), wuntraced);
  return pid[0] ?? 0;
}

const resume = (how: number, tid: number, signal = 0) => libc.ptrace(how, tid, 0, signal);

/** @returns the number of the system call that the thread is just entering */
function entering(tid: number): number | undefined {
  if (libc.ptrace(ptraceTo.SYSCALL_INFO, tid, info.byteLength, ptr(info)) <= 0) return undefined;
  return ((info[0] ?? 0n) & 0xffn) === BigInt(onEntry) ? Number(info[3]) : undefined;
}

/** @returns the name of a call that counts, if the thread is just entering one. */
function entered(tid: number): string | undefined {
  const [name, counts] = changing[entering(tid) ?? -1] ?? [];
  const entry = { tid, args: [...info.slice(4, 10)] };
  return name && counts?.(entry) ? `${name} ${ofDescriptor(entry)}`.trim() : undefined;
}

function trace(command: readonly string[], nth: number, calls: string[]): number {
  const leader = launch(command);
  if (libc.ptrace(ptraceTo.SEIZE, leader, 0, options) !== 0) {
    libc.kill(leader, sigkill);
    throw new Error('ptrace is not permitted');
  }
  libc.kill(leader, sigcont);
  let running = false;
  for (;;) {
    const tid = libc.waitpid(-1, ptr(status), wall);
    const word = status[0] ?? 0;
    if (tid < 0) throw new Error('the program was lost');
    if ((word & 0xff) !== 0x7f) {
      if (tid === leader) return word;
      continue;
    }
    const [signal, event] = [(word >> 8) & 0xff, word >> 16];
    if (signal === (sigtrap | 0x80)) {
      const call = running ? entered(tid) : undefined;
      if (call && calls.push(call) === nth) libc.kill(leader, sigkill);
      resume(ptraceTo.SYSCALL, tid);
    } else if (event === eventStop) {
      resume(stopSignals.includes(signal) ? ptraceTo.LISTEN : ptraceTo.SYSCALL, tid);
    } else if (event === eventExec) {
      if (tid === leader) running = true;
      resume(tid === leader ? ptraceTo.SYSCALL : ptraceTo.DETACH, tid);
    } else {
      resume(ptraceTo.SYSCALL, tid, event === 0 ? signal : 0);
    }
  }
}

const tellTest = (text: string) => void writeSync(1, `${text}\n`);

/** Every thread that is there now, also those that begin meanwhile. */
function seizeAll(pid: number): Set<number> {
  const seized = new Set<number>();
  for (let before = -1; before < seized.size; ) {
    before = seized.size;
    for (const tid of readdirSync(`/proc/${pid}/task`).map(Number)) {
      if (!seized.has(tid) && libc.ptrace(ptraceTo.SEIZE, tid, 0, options) === 0) seized.add(tid);
    }
  }
  if (seized.size === 0) throw new Error('ptrace is not permitted');
  return seized;
}

/** recvmsg: how a worker takes a call over, which nothing else in it uses. */
const takingOver = 47;
/** A worker is also held as it is about to take the attachment's lock: whatever comes before it may be late. */
const flock = 73;

function tasksOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}

/** Says once that all of the worker stands still. A thread that waits for its vfork's child does so without a stop. */
function tellHeld(leader: number, call: string, still: ReadonlyMap<number, number>): boolean {
  const tasks = tasksOf(leader);
  const moving = tasks.filter((tid) => !still.has(tid)).length;
  const isOfChild = [...still.keys()].some((tid) => !tasks.includes(tid));
  if (moving > Number(isOfChild)) return false;
  tellTest(`held ${call}`);
  return true;
}

/** Counts, holds, lets go. */
class Holder {
  readonly #leader: number;
  readonly #nth: number;
  readonly #calls: string[];
  readonly #tids: Set<number>;
  /** The threads that stand still while the worker is held, each with the signal that it is owed. */
  readonly #still = new Map<number, number>();
  #state: 'waiting' | 'counting' | 'holding' | 'held' | 'leaving' = 'waiting';

  constructor(leader: number, nth: number, calls: string[], from?: string) {
    this.#leader = leader;
    this.#nth = nth;
    this.#calls = calls;
    this.#tids = seizeAll(leader);
    if (from === 'now') this.#state = 'counting';
  }

  /** Returns when the worker has ended, or was let go. */
  run(): void {
    const unseen = new Set(this.#tids);
    const reader = readerOfInput();
    this.#interruptAll();
    while (this.#tids.size > 0) {
      const tid = libc.waitpid(-1, ptr(status), wall);
      const word = status[0] ?? 0;
      if (tid < 0) return;
      if (tid === reader) this.#leaveAll();
      else if ((word & 0xff) === 0x7f) this.#stopped(tid, (word >> 8) & 0xff, word >> 16);
      else this.#ended(tid);
      if (unseen.delete(tid) && unseen.size === 0) tellTest('attached');
      const isStill = this.#state === 'holding' && tellHeld(this.#leader, this.#calls.at(-1) ?? '', this.#still);
      if (isStill) this.#state = 'held';
    }
  }

  #stopped(tid: number, signal: number, event: number): void {
    // Also a new thread, or a child of the worker, to which the kernel has attached us.
    this.#tids.add(tid);
    const isCall = signal === (sigtrap | 0x80);
    if (isCall) this.#called(tid);
    const owed = event === 0 && !isCall ? signal : 0;
    if (this.#state === 'leaving' || (event === eventExec && tid !== this.#leader)) this.#leave(tid, owed);
    else if (this.#state === 'holding' || this.#state === 'held') this.#still.set(tid, owed);
    else resume(event === eventStop && stopSignals.includes(signal) ? ptraceTo.LISTEN : ptraceTo.SYSCALL, tid, owed);
  }

  #called(tid: number): void {
    if (this.#state === 'waiting' && entering(tid) === takingOver) this.#state = 'counting';
    const call = this.#state === 'counting' ? (entered(tid) ?? locking(tid)) : undefined;
    if (call === undefined || this.#calls.push(call) !== this.#nth) return;
    this.#state = 'holding';
    this.#interruptAll();
  }

  #ended(tid: number): void {
    this.#tids.delete(tid);
    this.#still.delete(tid);
  }

  #interruptAll(): void {
    for (const tid of this.#tids) resume(ptraceTo.INTERRUPT, tid);
  }

  #leave(tid: number, signal: number): void {
    resume(ptraceTo.DETACH, tid, signal);
    this.#tids.delete(tid);
  }

  #leaveAll(): void {
    this.#state = 'leaving';
    for (const [tid, signal] of this.#still) this.#leave(tid, signal);
    this.#interruptAll();
  }
}

const locking = (tid: number): string | undefined => (entering(tid) === flock ? 'flock' : undefined);

/** @returns a child that ends with our standard input, of which waitpid then tells */
function readerOfInput(): number {
  const [argv, envp] = [strings(['cat']), strings([])];
  const [path, pid] = [Buffer.from('/bin/cat\0'), new Int32Array(1)];
  if (libc.posix_spawn(ptr(pid), ptr(path), null, null, argv.array, envp.array) !== 0) throw new Error('posix_spawn');
  void [argv.kept, envp.kept];
  return pid[0] ?? 0;
}

if (process.arch !== 'x64') throw new Error(`tracer.ts knows the system calls of x64, not of ${process.arch}`);
const isHolding = process.argv[2] === '--hold';
const [nth = '0', report = '', ...command] = process.argv.slice(isHolding ? 3 : 2);
const calls: string[] = [];
if (isHolding) new Holder(Number(command[0]), Number(nth), calls, command[1]).run();
const word = isHolding ? 0 : trace(command, Number(nth), calls);
writeFileSync(report, JSON.stringify(calls));
if ((word & 0x7f) !== 0) process.kill(process.pid, word & 0x7f);
process.exit((word >> 8) & 0xff);
