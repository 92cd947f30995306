/**
 * Plain input and output by libc, synchronous, one system call each. For code that a call runs before it knows whether the agent makes
 * it: loading node:fs costs 1 ms, a fifth of what such a call takes.
 */

type Ffi = typeof import('bun:ffi');

/** Not imported: a call that needs no libc (VERSION) does not wait for it. */
export const ffi = (): Ffi => (Bun as unknown as { FFI: Ffi }).FFI;

const AT_FDCWD = -100;
const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID = 0x1000;
const SEEK_CUR = 1;
const CLOCK_BOOTTIME = 7;
const POLLIN = 1;
const POLLOUT = 4;
const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;

const open = () =>
  ffi().dlopen('libc.so.6', {
    open: { args: ['ptr', 'i32', 'i32'], returns: 'i32' },
    close: { args: ['i32'], returns: 'i32' },
    read: { args: ['i32', 'ptr', 'usize'], returns: 'i64' },
    write: { args: ['i32', 'ptr', 'usize'], returns: 'i64' },
    lseek: { args: ['i32', 'i64', 'i32'], returns: 'i64' },
    poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
    readlink: { args: ['ptr', 'ptr', 'usize'], returns: 'i64' },
    __errno_location: { args: [], returns: 'ptr' },
    clock_gettime: { args: ['i32', 'ptr'], returns: 'i32' },
  }).symbols;

/** Opened separately, because glibc has had it only since 2.28. */
const openStatx = () =>
  ffi().dlopen('libc.so.6', { statx: { args: ['i32', 'ptr', 'i32', 'u32', 'ptr'], returns: 'i32' } }).symbols;

let libc: ReturnType<typeof open> | undefined;
let later: ReturnType<typeof openStatx> | undefined;

const libcOf = (): NonNullable<typeof libc> => {
  libc ??= open();
  return libc;
};

/** 64 bits that stand for a text, as letters and digits: for names that would be too long, not against an attacker. */
export const fingerprint = (text: string): string => Bun.hash(text).toString(36);

/** A text as C has it. */
export const terminated = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

/** Those that happen to standard streams, in node's words. */
const errors: { readonly [errno: number]: readonly [code: string, words: string] } = {
  2: ['ENOENT', 'no such file or directory'],
  5: ['EIO', 'i/o error'],
  6: ['ENXIO', 'no such device or address'],
  9: ['EBADF', 'bad file descriptor'],
  11: ['EAGAIN', 'resource temporarily unavailable'],
  13: ['EACCES', 'permission denied'],
  21: ['EISDIR', 'illegal operation on a directory'],
  28: ['ENOSPC', 'no space left on device'],
  32: ['EPIPE', 'broken pipe'],
};

const EINTR = 4;

/** @throws an error with the errno's name as `code`, if the call fails */
function checked(call: () => number | bigint, name: string): number {
  const result = call();
  if (result >= 0) return Number(result);
  const errno = ffi().read.i32(libcOf().__errno_location() as import('bun:ffi').Pointer, 0);
  if (errno === EINTR) return checked(call, name);
  const [code, words] = errors[errno] ?? [`E${errno}`, `errno ${errno}`];
  throw Object.assign(new Error(`${code}: ${words}, ${name}`), { code });
}

/** open(2). @throws errno exceptions */
export const openFile = (path: string, flags: number): number =>
  checked(() => libcOf().open(terminated(path), flags, 0), 'open');

export const closeFile = (fd: number): void => void libcOf().close(fd);

/** read(2). @returns how many bytes came, 0 at the end. @throws errno exceptions */
export const readInto = (fd: number, bytes: Uint8Array): number =>
  checked(() => libcOf().read(fd, bytes, bytes.length), 'read');

/** write(2). @returns how many bytes were taken. @throws errno exceptions */
export const writeFrom = (fd: number, bytes: Uint8Array): number =>
  checked(() => libcOf().write(fd, bytes, bytes.length), 'write');

/** lseek(2) from the beginning. @throws errno exceptions */
export const seek = (fd: number, at: number): void => void checked(() => libcOf().lseek(fd, BigInt(at), 0), 'lseek');

/** Whether a descriptor has a position, as files have and pipes, sockets and terminals do not (lseek(2)). @throws EBADF */
export function isSeekable(fd: number): boolean {
  try {
    return checked(() => libcOf().lseek(fd, 0n, SEEK_CUR), 'read') >= 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBADF') throw error;
    return false;
  }
}

/** readlink(2). @throws errno exceptions */
export function readLink(path: string): string {
  const bytes = new Uint8Array(4096);
  const length = checked(() => libcOf().readlink(terminated(path), bytes, bytes.length), 'readlink');
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** A small file of /proc. @throws errno exceptions */
export function readSmallFile(path: string): string {
  const fd = openFile(path, 0);
  try {
    const bytes = new Uint8Array(4096);
    return new TextDecoder().decode(bytes.subarray(0, readInto(fd, bytes)));
  } finally {
    closeFile(fd);
  }
}

/**
 * poll(2) of one descriptor. It needs no O_NONBLOCK, a flag that would also change the descriptor for its other owners.
 * @returns whether the next call would end at once, even with an error; false if it would still wait after `waitMs`
 */
export function isReady(fd: number, way: 'read' | 'write', waitMs = 0): boolean {
  const end = performance.now() + waitMs;
  for (;;) {
    const leftMs = Math.max(0, end - performance.now());
    if (polledDescriptors(new Int32Array([fd, way === 'read' ? POLLIN : POLLOUT]), leftMs) > 0) return true;
    // A signal's handler ends poll(2) before its time.
    if (leftMs === 0) return false;
  }
}

/** The longest wait that poll(2) counts, so that a moment without end is one too. */
const pollMsMax = 0x7fffffff;

/**
 * @param descriptors struct pollfd[] on a little-endian machine: fd, then events and revents, 16 bits each
 * @returns how many are ready
 */
export const polledDescriptors = (descriptors: Int32Array, waitMs: number): number =>
  libcOf().poll(descriptors, BigInt(descriptors.length / 2), Math.ceil(Math.min(waitMs, pollMsMax)));

/** Milliseconds since the machine's boot, sleep included (clock_gettime(2)): the clock of proc(5). */
export function sinceBootMs(): number {
  const time = new BigInt64Array(2);
  libcOf().clock_gettime(CLOCK_BOOTTIME, time);
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}

/** The parts of a file's status that tell it from every other one (statx(2)). */
export interface FileIdentity {
  /** The number of the mount that it was found in; 0 where the kernel does not tell it (before Linux 5.8). */
  readonly mount: bigint;
  readonly device: bigint;
  readonly inode: bigint;
  /** The moment of its last change, in nanoseconds. */
  readonly changed: bigint;
  readonly uid: number;
  readonly isSocket: boolean;
}

/** @returns undefined if there is nothing that can be seen. @throws where libc has no statx */
export function identityOf(path: string): FileIdentity | undefined {
  later ??= openStatx();
  const status = new DataView(new ArrayBuffer(256));
  if (later.statx(AT_FDCWD, terminated(path), 0, STATX_BASIC_STATS | STATX_MNT_ID, new Uint8Array(status.buffer)) !== 0)
    return undefined;
  return {
    mount: (status.getUint32(0, true) & STATX_MNT_ID) === 0 ? 0n : status.getBigUint64(144, true),
    device: (BigInt(status.getUint32(136, true)) << 32n) | BigInt(status.getUint32(140, true)),
    inode: status.getBigUint64(32, true),
    changed: status.getBigInt64(96, true) * 1_000_000_000n + BigInt(status.getUint32(104, true)),
    uid: status.getUint32(20, true),
    isSocket: (status.getUint16(28, true) & S_IFMT) === S_IFSOCK,
  };
}

/** A file's device and inode, to be told by one process to another; '' if there is nothing that can be seen. */
export function fileText(path: string): string {
  const found = identityOf(path);
  return found ? `${found.device}:${found.inode}` : '';
}
