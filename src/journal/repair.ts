/**
 * Changes of a journal's file other than an append: the repair of a bad tail, the copy of a damaged file (JO4), and the end of
 * both.
 */
import { dirname } from 'node:path';
import { type Disk, isSystemError, type OpenFile } from './disk.ts';
import { JournalError } from './failure.ts';
import { modeAlive } from './marks.ts';

const corruptSuffix = '.corrupt';

/** The path of the copy of a damaged file. */
export const copyOf = (path: string): string => `${path}${corruptSuffix}`;

/** The bytes after the last whole record. */
export interface BadTail {
  readonly tail: 'torn' | 'corrupt';
  /** The whole file. */
  readonly bytes: Uint8Array;
  /** How many of these bytes are whole records. */
  readonly whole: number;
}

/** Cuts off the bytes that are not a whole record. A corrupt file is copied aside first. */
export function repair({ disk, path, fd }: OpenFile, { tail, bytes, whole }: BadTail): void {
  if (tail === 'corrupt') copyAside(disk, path, bytes);
  disk.truncate(fd, whole);
  disk.fsync(fd);
}

function copyAside(disk: Disk, path: string, bytes: Uint8Array): void {
  const copy = disk.open(copyOf(path), 'a+', modeAlive);
  try {
    disk.truncate(copy, 0);
    wholeWrite(disk, copy, bytes);
    disk.fsync(copy);
  } finally {
    disk.close(copy);
  }
  disk.fsyncDirectory(dirname(path));
}

/** One write(2), which may take only a part on a full disk. @throws JournalError ENOSPC */
export function wholeWrite(disk: Disk, fd: number, bytes: Uint8Array): void {
  const count = disk.write(fd, bytes);
  if (count !== bytes.length) throw new JournalError('ENOSPC', `only ${count} of ${bytes.length} bytes were written`);
}

export function unlinkIfThere(disk: Disk, path: string): void {
  try {
    disk.unlink(path);
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ENOENT') throw error;
  }
}

export const closeQuietly = (disk: Disk, fd: number): void => quietly(() => disk.close(fd));

export function quietly(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}
