/**
 * The system calls of the journal and the lock, and nothing more. They are the one seam between these and the machine, so that a
 * test can use a disk that loses everything not fsynced.
 *
 * All of them are synchronous, on the main thread, one system call each. A kill can be aimed at every one, and no other code of
 * ours runs between two of them.
 */
import * as fs from 'node:fs';
import { clearFileAttribute, flock, hasFileAttribute, setFileAttribute, unlock } from '../os/native.ts';

const { O_APPEND, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = fs.constants;

/** O_NONBLOCK, so that open(2) does not wait if there is a FIFO at a name of ours. */
const openFlags = {
  r: O_RDONLY | O_NONBLOCK,
  // node's own `r+` would write over the header.
  'r+': O_RDWR | O_APPEND | O_NONBLOCK,
  'a+': O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK,
  ax: O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NONBLOCK,
} as const;

/** A file of ours has at most a megabyte of configuration and a quarter of a megabyte of notes. */
const fileBytesMax = 64 * 1024 * 1024;

export interface FileStat {
  readonly ino: bigint;
  readonly dev: bigint;
  readonly nlink: bigint;
  readonly mode: bigint;
  readonly size: bigint;
  readonly mtimeMs: bigint;
}

/** Every call throws an errno exception (`code: 'ENOSPC'` …) as node:fs does; paths are absolute. */
export interface Disk {
  /**
   * open(2): `r` reads, `r+` reads and appends to a file that exists, `a+` also creates it, `ax` only creates; always O_CLOEXEC.
   */
  open(path: string, flags: 'r' | 'r+' | 'a+' | 'ax', mode?: number): number;
  close(fd: number): void;
  /** One write(2). @returns the number of bytes written, which may be short. */
  write(fd: number, bytes: Uint8Array): number;
  /** The whole file from its start. */
  read(fd: number): Uint8Array;
  fsync(fd: number): void;
  truncate(fd: number, bytes: number): void;
  chmod(fd: number, mode: number): void;
  stat(fd: number): FileStat;
  /** stat(2) of a name as it is now; undefined if there is none. */
  lookup(path: string): FileStat | undefined;
  /** Sets the modification time. */
  touch(fd: number, at: Date): void;
  /** fsetxattr(2) of our one extended attribute. @throws ENOTSUP where the file system has none, ENOSPC, EROFS … */
  setAttribute(fd: number): void;
  /** fremovexattr(2) of it, if it is set. @throws as setAttribute */
  clearAttribute(fd: number): void;
  /** Whether it is set; not set where the file system has none. */
  hasAttribute(fd: number): boolean;
  /** flock(2) LOCK_EX|LOCK_NB. */
  tryLock(fd: number): boolean;
  /** flock(2) LOCK_UN, which also ends the lock of the children's copies of the descriptor (lock.ts, LO2). */
  unlock(fd: number): void;
  unlink(path: string): void;
  list(directory: string): string[];
  mkdir(directory: string, mode: number): void;
  /** fsync of a directory: makes a created or unlinked name durable. */
  fsyncDirectory(directory: string): void;
}

/** A file of a disk, open. */
export interface OpenFile {
  readonly disk: Disk;
  readonly path: string;
  readonly fd: number;
}

/** @throws EINVAL if it is not a regular file, EFBIG if it is far too large: neither is ours */
function read(fd: number): Uint8Array {
  const stats = fs.fstatSync(fd);
  if (!stats.isFile()) throw errno('EINVAL', 'it is no regular file');
  if (stats.size > fileBytesMax) throw errno('EFBIG', `it has ${stats.size} bytes`);
  const bytes = new Uint8Array(stats.size);
  let filled = 0;
  while (filled < bytes.length) {
    const count = fs.readSync(fd, bytes, filled, bytes.length - filled, filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

const errno = (code: string, why: string): Error => Object.assign(new Error(`${code}: ${why}`), { code });

function lookup(path: string): FileStat | undefined {
  try {
    return fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function fsyncDirectory(directory: string): void {
  const fd = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

export const realDisk: Disk = {
  open: (path, flags, mode) => fs.openSync(path, openFlags[flags], mode),
  close: (fd) => fs.closeSync(fd),
  write: (fd, bytes) => fs.writeSync(fd, bytes),
  read,
  fsync: (fd) => fs.fsyncSync(fd),
  truncate: (fd, bytes) => fs.ftruncateSync(fd, bytes),
  chmod: (fd, mode) => fs.fchmodSync(fd, mode),
  stat: (fd) => fs.fstatSync(fd, { bigint: true }),
  lookup,
  touch: (fd, at) => fs.futimesSync(fd, at, at),
  setAttribute: setFileAttribute,
  clearAttribute: clearFileAttribute,
  hasAttribute: hasFileAttribute,
  tryLock: (fd) => flock(fd),
  unlock,
  unlink: (path) => fs.unlinkSync(path),
  list: (directory) => fs.readdirSync(directory),
  mkdir: (directory, mode) => fs.mkdirSync(directory, { mode }),
  fsyncDirectory,
};

/** Whether an error is an expected failure of the operating system, which has an errno code, and not a bug. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}
