/**
 * Whether a directory that is there, or will be made, can be written, and has room. Reads only, and waits for no file system.
 */
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { code, type Trouble } from '../attachment.ts';
import type { Moment } from '../deadlines.ts';
import { DirectoryTimeout, inTime } from './directory.ts';

/** A journal takes about 8 KiB; a file system this full will fail somebody soon. */
const roomBytesMin = 256n * 1024n;

/** The directory that will be made is judged by the nearest one above it that exists. @throws DirectoryTimeout */
export async function nearest(path: string, end: Moment): Promise<string> {
  if (path === '/') return path;
  const isThere = await inTime(() => stat(path), end, `"${path}"`).then(
    () => true,
    (error) => {
      if (error instanceof DirectoryTimeout) throw error;
      return false;
    },
  );
  return isThere ? path : await nearest(dirname(path), end);
}

/** @throws errno exceptions, DirectoryTimeout, an Error if it is no directory */
export async function expectWritable(directory: string, end: Moment): Promise<void> {
  const stats = await inTime(() => stat(directory), end, `"${directory}"`);
  if (!stats.isDirectory()) throw new Error(`"${directory}" is no directory`);
  await inTime(() => access(directory, constants.W_OK | constants.X_OK), end, `"${directory}"`);
}

export async function roomTroubles(dataDir: string, end: Moment): Promise<Trouble[]> {
  try {
    const directory = await nearest(dataDir, end);
    await expectWritable(directory, end);
    const { bavail, bsize } = await inTime(() => statfs(directory, { bigint: true }), end, `"${directory}"`);
    if (bavail * bsize >= roomBytesMin) return [];
    return [{ code: code.io, message: `"dataDir" "${dataDir}" has no room left for a journal` }];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const fault = error instanceof DirectoryTimeout ? code.tryAgainLater : code.io;
    return [{ code: fault, message: `"dataDir" "${dataDir}" cannot be written: ${message}` }];
  }
}
