/**
 * The only file that calls Bun itself and libc, beside bare.ts, https.ts and unix-sockets.ts: for things that `node:` lacks, or that would
 * cost every call time.
 */

import { closeFile, ffi, seek, terminated, writeFrom } from './bare.ts';

const LOCK_EX_NB = 2 | 4;
const LOCK_UN = 8;

const F_OFD_SETLK = 37;
const lockTypes = { shared: 0, alone: 1, none: 2 } as const;

/** Numbers of system calls, the same on every architecture; libc has had functions for them only since 2.36. */
const SYS_pidfd_send_signal = 424n;
const SYS_pidfd_open = 434n;

const SIGKILL = 9;
const SIGCHLD = 17;
const SIG_DFL = 0n;
const SIG_IGN = 1n;

const UMOUNT_NOFOLLOW = 8;
const PR_SET_CHILD_SUBREAPER = 36;
const TIOCGWINSZ = 0x5413n;
const MFD_CLOEXEC = 1;

interface Libc {
  flock(fd: number, operation: number): number;
  umount2(path: Uint8Array, flags: number): number;
  kill(pid: number, signal: number): number;
  fsetxattr(fd: number, name: Uint8Array, value: Uint8Array, size: number, flags: number): number;
  fremovexattr(fd: number, name: Uint8Array): number;
  fgetxattr(fd: number, name: Uint8Array, value: null, size: number): number;
  prctl(operation: number, argument: number): number;
  fcntl(fd: number, command: number, argument: Uint8Array): number;
  isatty(fd: number): number;
  setenv(name: Uint8Array, value: Uint8Array, overwrite: number): number;
  signal(signal: number, handler: bigint): bigint;
  memfd_create(name: Uint8Array, flags: number): number;
}

let libc: Libc | undefined;

const libcOf = () => {
  libc ??= ffi().dlopen('libc.so.6', {
    flock: { args: ['i32', 'i32'], returns: 'i32' },
    umount2: { args: ['ptr', 'i32'], returns: 'i32' },
    kill: { args: ['i32', 'i32'], returns: 'i32' },
    fsetxattr: { args: ['i32', 'ptr', 'ptr', 'usize', 'i32'], returns: 'i32' },
    fremovexattr: { args: ['i32', 'ptr'], returns: 'i32' },
    fgetxattr: { args: ['i32', 'ptr', 'ptr', 'usize'], returns: 'i32' },
    // Variadic in C: on Linux's x86-64 and arm64, whole numbers and pointers are passed as to any other function.
    prctl: { args: ['i32', 'i32'], returns: 'i32' },
    fcntl: { args: ['i32', 'i32', 'ptr'], returns: 'i32' },
    isatty: { args: ['i32'], returns: 'i32' },
    setenv: { args: ['ptr', 'ptr', 'i32'], returns: 'i32' },
    signal: { args: ['i32', 'i64'], returns: 'i64' },
    memfd_create: { args: ['ptr', 'u32'], returns: 'i32' },
  }).symbols;
  return libc;
};

/**
 * flock(2) LOCK_EX, not waiting. The lock belongs to the open file description. It ends when the last copy of the fd is closed, a
 * child's copy included, or when a process with a copy unlocks it.
 * @returns false if another open file description holds it.
 */
export const flock = (fd: number): boolean => libcOf().flock(fd, LOCK_EX_NB) === 0;

/**
 * flock(2) LOCK_UN: unlocks for every copy of the fd, a child's too. Only for the end of an operation, after its last record, and
 * only if every program that was given a copy has ended by itself: processes that it leaves behind have no part in the operation.
 */
export const unlock = (fd: number): void => void libcOf().flock(fd, LOCK_UN);

/**
 * Locks one byte of a file, which may lie beyond its end (fcntl(2), F_OFD_SETLK), not waiting. Like flock's, the lock belongs to
 * the open file description. `shared` needs an fd that reads, `alone` one that writes.
 * @returns false if another open file description holds it.
 */
export function lockByte(fd: number, at: number, how: keyof typeof lockTypes): boolean {
  // struct flock: short l_type, l_whence; 64 bits l_start, l_len; int l_pid, which has to be 0.
  const lock = new DataView(new ArrayBuffer(32));
  lock.setInt16(0, lockTypes[how], true);
  lock.setBigInt64(8, BigInt(at), true);
  lock.setBigInt64(16, 1n, true);
  return libcOf().fcntl(fd, F_OFD_SETLK, new Uint8Array(lock.buffer)) === 0;
}

/** Opened separately: a usual call ends no process, and each function of libc costs the call that opens it 10 to 20 us. */
const syscallOf = () => {
  syscall ??= ffi().dlopen('libc.so.6', {
    syscall: { args: ['i64', 'i64', 'i64', 'i64', 'i64'], returns: 'i32' },
  }).symbols.syscall;
  return syscall;
};

let syscall: ((number: bigint, a: bigint, b: bigint, c: bigint, d: bigint) => number) | undefined;

/** Opens a process, so that its number cannot come to mean another one (pidfd_open(2)). @returns undefined if it is gone. */
export function openProcess(pid: number): number | undefined {
  const fd = syscallOf()(SYS_pidfd_open, BigInt(pid), 0n, 0n, 0n);
  return fd < 0 ? undefined : fd;
}

/** SIGKILL to an opened process (pidfd_send_signal(2)). */
export const killProcess = (fd: number): void =>
  void syscallOf()(SYS_pidfd_send_signal, BigInt(fd), BigInt(SIGKILL), 0n, 0n);

/** SIGKILL by number, where the kernel does not open processes (before 5.3). */
export const killNumber = (pid: number): void => void libcOf().kill(pid, SIGKILL);

const attribute = terminated('user.userspace');
const value = new TextEncoder().encode('1');

/** fgetxattr(2) of our one extended attribute: whether it is set. */
export const hasFileAttribute = (fd: number): boolean => libcOf().fgetxattr(fd, attribute, null, 0) >= 0;

/** fsetxattr(2). @throws an errno exception: the file system has no attributes, or refuses to change one. */
export const setFileAttribute = (fd: number): void =>
  expectChanged(libcOf().fsetxattr(fd, attribute, value, value.length, 0));

/** fremovexattr(2), if it is set. @throws as setFileAttribute */
export function clearFileAttribute(fd: number): void {
  if (hasFileAttribute(fd)) expectChanged(libcOf().fremovexattr(fd, attribute));
}

function expectChanged(result: number): void {
  if (result === 0) return;
  throw Object.assign(new Error('ENOTSUP: the extended attribute cannot be changed'), { code: 'ENOTSUP' });
}

const lists = { access: terminated('system.posix_acl_access'), default: terminated('system.posix_acl_default') };

/** Enough for a list of five hundred entries; a longer one is not read. */
const listBytesMax = 4096;

interface Attributes {
  lgetxattr(path: Uint8Array, name: Uint8Array, value: Uint8Array, size: number): bigint;
  lsetxattr(path: Uint8Array, name: Uint8Array, value: Uint8Array, size: number, flags: number): number;
}

let attributes: Attributes | undefined;

/** Opened separately, as in `syscallOf`: only a switch that does not run as root needs them. */
const attributesOf = (): Attributes => {
  attributes ??= ffi().dlopen('libc.so.6', {
    lgetxattr: { args: ['ptr', 'ptr', 'ptr', 'usize'], returns: 'i64' },
    lsetxattr: { args: ['ptr', 'ptr', 'ptr', 'usize', 'i32'], returns: 'i32' },
  }).symbols as Attributes;
  return attributes;
};

/**
 * The POSIX ACL of a file, as the kernel hands it over (acl(5); linux/posix_acl_xattr.h); no symlink is followed at the path's end.
 * It waits for the file system, so callers must not ask one that is served by a process or another machine.
 * @returns undefined if there is none
 */
export function accessList(path: string, kind: keyof typeof lists): Uint8Array | undefined {
  const bytes = new Uint8Array(listBytesMax);
  const length = Number(attributesOf().lgetxattr(terminated(path), lists[kind], bytes, bytes.length));
  return length > 0 ? bytes.subarray(0, length) : undefined;
}

/** Sets what `accessList` reads. @returns false if the file system keeps no ACL, or refuses this one */
export const setAccessList = (path: string, kind: keyof typeof lists, bytes: Uint8Array): boolean =>
  attributesOf().lsetxattr(terminated(path), lists[kind], bytes, bytes.length, 0) === 0;

/** umount2(2); no symlink is followed. It works for a stuck file system too. @returns false if it is in use, or not a mount. */
export const unmount = (path: string): boolean => libcOf().umount2(terminated(path), UMOUNT_NOFOLLOW) === 0;

/** isatty(3). Asking process.stdout would make a stream of it. */
export const isTerminal = (fd: number): boolean => libcOf().isatty(fd) === 1;

/** How many characters a line of a terminal has (ioctl_tty(2), TIOCGWINSZ); undefined if it does not say. */
export function terminalColumns(fd: number): number | undefined {
  const { ioctl } = ffi().dlopen('libc.so.6', { ioctl: { args: ['i32', 'u64', 'ptr'], returns: 'i32' } }).symbols;
  // struct winsize: rows, columns, and two unused numbers.
  const size = new Uint16Array(4);
  return ioctl(fd, TIOCGWINSZ, size) === 0 && size[1] ? size[1] : undefined;
}

/** A dead file system blocks each thread that called it; by default there are only as many threads as processors. */
const fileThreads = '16';

/**
 * To be called before the first asynchronous call to a file system, which fixes the number. Children do not inherit the variable.
 */
export const allowFileThreads = (): void =>
  void libcOf().setenv(terminated('UV_THREADPOOL_SIZE'), terminated(fileThreads), 1);

/** CRC-32 (IEEE 802.3), continued from `previous`. Importing node:zlib would cost every call 5 ms, a table of our own 1 ms. */
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

type Variables = { readonly [name: string]: string };

let callersVariables: Variables | undefined;

/** The environment of the call that this process makes for another one. */
export const actFor = (variables: typeof Bun.env): void => {
  callersVariables = definedOf(variables);
};

const definedOf = (variables: typeof Bun.env): Variables =>
  Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );

/** The caller's environment, for a program that has to find its variables. */
export const environment = (): Variables => callersVariables ?? definedOf(Bun.env);

export interface Child {
  readonly pid: number;
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** The exit code, or the name of the signal that ended it. */
  readonly ended: Promise<{ exitCode: number | null; signal: string | null }>;
  /** SIGKILL to its process group: the program may be a script around the one that acts. */
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
 * This process becomes the reaper of orphaned descendants, in whatever session they are (prctl(2), PR_SET_CHILD_SUBREAPER). So a
 * descendant whose parent has ended becomes our child, and is found when it has to be ended.
 * @throws errno exceptions (`code: 'ENOENT'`, `'ETXTBSY'` …) if it does not start.
 */
export function spawnProgram({ file, args, env, stdin, fds }: Spawned): Child {
  libcOf().prctl(PR_SET_CHILD_SUBREAPER, 1);
  heedChildren();
  const input = fileInMemory('stdin', stdin);
  let child: Bun.Subprocess<number, 'pipe', 'pipe'>;
  try {
    child = Bun.spawn([file, ...args], { env, detached: true, stdio: [input, 'pipe', 'pipe', ...fds] });
  } finally {
    closeFile(input);
  }
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

/** A file without a path that holds a text (memfd_create(2)). Bun's own for a child's input stays open until memory is collected. */
function fileInMemory(name: string, text: string): number {
  const fd = libcOf().memfd_create(terminated(name), MFD_CLOEXEC);
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; ) at += writeFrom(fd, bytes.subarray(at));
  // The program reads from the beginning.
  seek(fd, 0);
  return fd;
}

/** A process of this executable. It outlives us. */
export interface OwnProcess {
  readonly pid: number;
  /** Its exit code; null if a signal ended it. */
  readonly ended: Promise<number | null>;
  kill(): void;
}

/**
 * @param fd is its descriptor 3, and of our environment it has only what the dynamic loader reads (ld.so(8)), so that it is the same
 * program. Without one it is a command: it has our environment, and writes to our stderr.
 * @param keeps `environment`: it has our environment although it has a descriptor
 */
export function spawnOurselves(args: readonly string[], fd?: number, keeps?: 'environment'): OwnProcess {
  heedChildren();
  const { LD_PRELOAD, LD_LIBRARY_PATH } = Bun.env;
  const env = fd === undefined || keeps ? Bun.env : definedOf({ LD_PRELOAD, LD_LIBRARY_PATH });
  const isWorker = fd !== undefined;
  const stdio = ['ignore', isWorker ? 'ignore' : 2, 'inherit', ...(isWorker ? [fd] : [])] as const;
  // By its inode: an upgrade may have replaced the file, and the processes of one agent are of one build.
  const child = Bun.spawn(['/proc/self/exe', ...args], { argv0: 'userspace', env, stdio: [...stdio] });
  return { pid: child.pid, ended: child.exited.then(() => child.exitCode), kill: () => child.kill(SIGKILL) };
}

/**
 * A runtime may ignore SIGCHLD, and exec(2) passes that on. The kernel would then keep no child's exit status for us (wait(2),
 * NOTES).
 */
function heedChildren(): void {
  const { signal } = libcOf();
  const handler = signal(SIGCHLD, SIG_DFL);
  if (handler > SIG_IGN) signal(SIGCHLD, handler);
}

/** @throws SyntaxError, whose message may quote the text. */
export const parseYaml = (text: string): unknown => Bun.YAML.parse(text);

/** The columns that a text takes on a terminal. */
export const textWidth = (text: string): number => Bun.stringWidth(text);
