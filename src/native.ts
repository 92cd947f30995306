/**
 * The only file that speaks to Bun itself and to libc: what `node:` has not, or has only at a price that every call would pay.
 */

const LOCK_SH_NB = 1 | 4;
const LOCK_EX_NB = 2 | 4;

const CLOCK_BOOTTIME = 7;

const SIGKILL = 9;

const POLLIN = 1;
const POLLOUT = 4;

interface Libc {
  flock(fd: number, operation: number): number;
  umount2(path: Uint8Array, flags: number): number;
  clock_gettime(clock: number, time: BigInt64Array): number;
  kill(pid: number, signal: number): number;
  poll(descriptors: Int32Array, count: bigint, timeoutMs: number): number;
  isatty(fd: number): number;
  setenv(name: Uint8Array, value: Uint8Array, overwrite: number): number;
}

/** Not imported: a call that needs no libc (VERSION) does not wait for it. */
const ffi = () => (Bun as unknown as { FFI: typeof import('bun:ffi') }).FFI;

let libc: Libc | undefined;

const libcOf = () => {
  libc ??= ffi().dlopen('libc.so.6', {
    flock: { args: ['i32', 'i32'], returns: 'i32' },
    umount2: { args: ['ptr', 'i32'], returns: 'i32' },
    clock_gettime: { args: ['i32', 'ptr'], returns: 'i32' },
    kill: { args: ['i32', 'i32'], returns: 'i32' },
    poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
    isatty: { args: ['i32'], returns: 'i32' },
    setenv: { args: ['ptr', 'ptr', 'i32'], returns: 'i32' },
  }).symbols;
  return libc;
};

/**
 * flock(2), not waiting; exclusive, unless it is to be shared. The lock belongs to the open file description: it ends when the last copy of the fd is
 * closed, a child's copy included, and at no other time.
 * @returns false if somebody else holds it.
 */
export function flock(fd: number, isShared = false): boolean {
  return libcOf().flock(fd, isShared ? LOCK_SH_NB : LOCK_EX_NB) === 0;
}

const terminated = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

/** umount2(2), without flags. @returns false if it is in use, or no mount. */
export const unmount = (path: string): boolean => libcOf().umount2(terminated(path), 0) === 0;

/**
 * poll(2) of one descriptor, which needs no O_NONBLOCK: a flag that would be its other owners' too.
 * @returns whether the next call ends at once, be it with an error; false if it would still wait after `waitMs`
 */
export function isReady(fd: number, way: 'read' | 'write', waitMs = 0): boolean {
  // struct pollfd on a little-endian machine: fd, then events and revents, 16 bits each.
  const descriptor = new Int32Array([fd, way === 'read' ? POLLIN : POLLOUT]);
  return libcOf().poll(descriptor, 1n, Math.ceil(waitMs)) > 0;
}

/** isatty(3). Asking process.stdout would make a stream of it. */
export const isTerminal = (fd: number): boolean => libcOf().isatty(fd) === 1;

/** A dead file system keeps each thread that asked it; by default there are only as many as processors. */
const fileThreads = '16';

/** Before the first asynchronous call to a file system, which fixes their number. The variable is this process's alone: children are given theirs. */
export const allowFileThreads = (): void =>
  void libcOf().setenv(terminated('UV_THREADPOOL_SIZE'), terminated(fileThreads), 1);

/** Milliseconds since the machine's boot, sleep included (clock_gettime(2)): what proc(5) counts in. */
export function sinceBootMs(): number {
  const time = new BigInt64Array(2);
  libcOf().clock_gettime(CLOCK_BOOTTIME, time);
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}

/** CRC-32 (IEEE 802.3), continued from `previous`. Importing node:zlib costs every call 5 ms, a table of our own 1 ms. */
export const crc32 = (bytes: Uint8Array, previous = 0): number => Bun.hash.crc32(bytes, previous);

/** A connected stream socket. */
export interface Connection {
  write(text: string): void;
  close(): void;
}

export interface ConnectionEvents {
  data(chunk: Uint8Array): void;
  /** Once, however it ended. */
  closed(error: Error | undefined): void;
}

/**
 * Connects to a unix socket. Bun's own: importing node:net costs every call 3 ms.
 * @throws errno exceptions (`code: 'ENOENT'`, `'ECONNREFUSED'` …)
 */
export async function connectUnix(path: string, events: ConnectionEvents): Promise<Connection> {
  let waiting = new Uint8Array(0);
  const socket = await Bun.connect({
    unix: path,
    socket: {
      data: (_, chunk) => events.data(chunk),
      drain: () => flush(new Uint8Array(0)),
      close: (_, error) => events.closed(error ?? undefined),
      error: (_, error) => events.closed(error),
    },
  });
  const flush = (more: Uint8Array): void => {
    waiting = Buffer.concat([waiting, more]);
    waiting = waiting.subarray(Math.max(0, socket.write(waiting)));
  };
  return { write: (text) => flush(new TextEncoder().encode(text)), close: () => void socket.end() };
}

/** PEM each. */
export interface Tls {
  readonly rejectUnauthorized: boolean;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the server's certificate is to be for, if not its host's. */
  readonly serverName?: string;
}

interface FetchOptions {
  readonly method: string;
  readonly headers: { readonly [name: string]: string };
  readonly body?: string;
  readonly tls: Tls;
  readonly proxy?: string;
  readonly signal: AbortSignal;
}

const proxyVariables = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'];

/** fetch, whose TLS settings are Bun's own; importing node:https costs 7 ms more. Only the caller says what proxy there is. */
export function fetchBy(url: URL, { headers, ...options }: FetchOptions): Promise<Response> {
  const aside = proxyVariables.flatMap((name) => (Bun.env[name] === undefined ? [] : [[name, Bun.env[name]] as const]));
  try {
    for (const [name] of aside) delete Bun.env[name];
    // An answer is taken as it comes: it can be measured, and no other host is asked.
    return fetch(url, { ...options, headers: { ...headers, 'Accept-Encoding': 'identity' }, redirect: 'manual' });
  } finally {
    // A program that gives credentials may need them.
    for (const [name, value] of aside) Bun.env[name] = value;
  }
}

export interface Child {
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** Its end: exit code, or the name of the signal that ended it. */
  readonly ended: Promise<{ exitCode: number | null; signal: string | null }>;
  /** SIGKILL, to it and to what it started: the program may be a script around the one that acts. */
  kill(): void;
}

/**
 * Starts a program without arguments; fds above 2 are handed to it in order. Bun's own: node:child_process takes 4 ms more.
 * @throws errno exceptions (`code: 'ENOENT'`, `'ETXTBSY'` …) if it does not start.
 */
export function spawnProgram(
  file: string,
  env: { readonly [name: string]: string },
  stdin: string,
  fds: readonly number[],
): Child {
  const stdio = [new TextEncoder().encode(stdin), 'pipe', 'pipe', ...fds] as const;
  // In a process group of its own.
  const child = Bun.spawn([file], { env, detached: true, stdio: [...stdio] });
  const ended = child.exited.then(() => ({
    exitCode: child.exitCode,
    signal: child.signalCode === null ? null : String(child.signalCode),
  }));
  return { stdout: child.stdout, stderr: child.stderr, ended, kill: () => void libcOf().kill(-child.pid, SIGKILL) };
}

/** @throws SyntaxError, whose message may quote the text. */
export const parseYaml = (text: string): unknown => Bun.YAML.parse(text);
