/**
 * The only file that speaks to Bun itself and to libc: what `node:` has not, or has only at a price that every call would pay.
 */
import { dlopen } from 'bun:ffi';

const LOCK_SH_NB = 1 | 4;
const LOCK_EX_NB = 2 | 4;

const CLOCK_BOOTTIME = 7;

const SIGKILL = 9;

const PR_SET_CHILD_SUBREAPER = 36;

interface Libc {
  flock(fd: number, operation: number): number;
  umount2(path: Uint8Array, flags: number): number;
  clock_gettime(clock: number, time: BigInt64Array): number;
  kill(pid: number, signal: number): number;
  prctl(operation: number, a: bigint, b: bigint, c: bigint, d: bigint): number;
}

let libc: Libc | undefined;

const libcOf = () => {
  libc ??= dlopen('libc.so.6', {
    flock: { args: ['i32', 'i32'], returns: 'i32' },
    umount2: { args: ['ptr', 'i32'], returns: 'i32' },
    clock_gettime: { args: ['i32', 'ptr'], returns: 'i32' },
    kill: { args: ['i32', 'i32'], returns: 'i32' },
    prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
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

/** umount2(2), without flags. @returns false if it is in use, or no mount. */
export const unmount = (path: string): boolean => libcOf().umount2(new TextEncoder().encode(`${path}\0`), 0) === 0;

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

/** Of this process, for a program that is to find what its own caller has set. */
export const environment = (): { readonly [name: string]: string } =>
  Object.fromEntries(Object.entries(Bun.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));

export interface Child {
  readonly pid: number;
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** Its end: exit code, or the name of the signal that ended it. */
  readonly ended: Promise<{ exitCode: number | null; signal: string | null }>;
  /** SIGKILL, to it and to what it started: the program may be a script around the one that acts. */
  kill(): void;
}

interface Spawned {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string };
  readonly stdin: string;
  /** Handed to it in order, above 2. */
  readonly fds: readonly number[];
}

/**
 * Starts a program, in a process group of its own. Bun's own: node:child_process takes 4 ms more.
 *
 * This process becomes the reaper of what its descendants leave behind (prctl(2), PR_SET_CHILD_SUBREAPER), in whatever session they
 * are: a descendant whose parent has ended is a child of ours, and is found when it has to go.
 * @throws errno exceptions (`code: 'ENOENT'`, `'ETXTBSY'` …) if it does not start.
 */
export function spawnProgram({ file, args, env, stdin, fds }: Spawned): Child {
  libcOf().prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
  const stdio = [new TextEncoder().encode(stdin), 'pipe', 'pipe', ...fds] as const;
  const child = Bun.spawn([file, ...args], { env, detached: true, stdio: [...stdio] });
  const ended = child.exited.then(() => ({
    exitCode: child.exitCode,
    signal: child.signalCode === null ? null : String(child.signalCode),
  }));
  return {
    pid: child.pid,
    stdout: child.stdout,
    stderr: child.stderr,
    ended,
    kill: () => void libcOf().kill(-child.pid, SIGKILL),
  };
}

/** @throws SyntaxError, whose message may quote the text. */
export const parseYaml = (text: string): unknown => Bun.YAML.parse(text);
