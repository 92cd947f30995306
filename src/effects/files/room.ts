/**
 * Whether the data directory, existing or to be made, can be written and has room. Reads only.
 */
import { accessSync, constants, lstatSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { code, messageOf, type Trouble } from '../../attachment.ts';

/** A journal takes about 8 KiB. A file system this full will soon fail other calls. */
const roomBytesMin = 256n * 1024n;

/** Synchronous, as the journal is, because the data directory is root's own. */
export function roomTroubles(dataDir: string): Trouble[] {
  try {
    const directory = findExisting(dataDir);
    if (leadsNowhere(directory)) throw new Error(`"${directory}" is a symlink that leads nowhere`);
    if (!statSync(directory).isDirectory()) throw new Error(`"${directory}" is no directory`);
    accessSync(directory, constants.W_OK | constants.X_OK);
    const id = join(dataDir, 'instance');
    if (isThere(id) && !statSync(id).isFile()) throw new Error(`"${id}" is no regular file: remove it`);
    if (isThere(id)) accessSync(id, constants.R_OK | constants.W_OK);
    const { bavail, bsize } = statfsSync(directory, { bigint: true });
    if (bavail * bsize >= roomBytesMin) return [];
    return [{ code: code.io, message: `"dataDir" "${dataDir}" has no room left for a journal` }];
  } catch (error) {
    const message = messageOf(error);
    return [{ code: code.io, message: `"dataDir" "${dataDir}" cannot be written: ${message}` }];
  }
}

/** A symlink that leads nowhere exists too, because nothing can be made at its place. */
const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** Whether it is a symlink to nothing. */
export const leadsNowhere = (path: string): boolean =>
  isThere(path) && statSync(path, { throwIfNoEntry: false }) === undefined;

const findExisting = (path: string): string => (path === '/' || isThere(path) ? path : findExisting(dirname(path)));
