/** Looks at files for a dump: none blocks it, whatever is at the path. */
import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Moment, within } from '../../deadlines.ts';
import { readList } from '../../effects/files/acl.ts';
import { codeOf, inTime } from '../../effects/outcome.ts';
import { accessList } from '../../os/native.ts';

const lookMs = 3_000;

const asked = <T>(path: string, end: Moment, call: () => Promise<T>): Promise<T> =>
  inTime(call, within(end, lookMs), `"${path}"`);

/** A file of /proc or /sys. @returns undefined if it cannot be read */
export async function kernelText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    return undefined;
  }
}

interface Tail {
  readonly text: string;
  readonly isCut: boolean;
}

/**
 * The last bytes of a regular file.
 * @param isOurs the path is one that a configuration leads to: a symlink there could make root read any file for another user
 * @throws errno exceptions, DirectoryTimeout
 */
export async function tailOf(path: string, bytesMax: number, end: Moment, { isOurs = false } = {}): Promise<Tail> {
  return await asked(path, end, async () => {
    // A device is not even opened: some act on that.
    const seen = await (isOurs ? lstat(path) : stat(path));
    if (!seen.isFile()) throw new Error(`"${path}" is not a regular file`);
    // O_NONBLOCK: a FIFO without a writer would otherwise never open.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    const file = await open(path, isOurs ? flags | constants.O_NOFOLLOW : flags);
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw new Error(`"${path}" is not a regular file`);
      const from = Math.max(0, stats.size - bytesMax);
      const bytes = Buffer.alloc(Math.min(stats.size, bytesMax));
      const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
      const text = bytes.subarray(0, bytesRead).toString();
      // A line whose beginning was cut off may be the rest of a secret.
      const whole = text.includes('\n') ? text.slice(text.indexOf('\n') + 1) : '';
      return { text: from > 0 ? whole : text, isCut: from > 0 };
    } finally {
      await file.close();
    }
  });
}

/** The names in a directory, sorted. @throws errno exceptions, DirectoryTimeout */
export const namesIn = async (path: string, end: Moment): Promise<string[]> =>
  (await asked(path, end, () => readdir(path))).sort();

const kinds: readonly (readonly [letter: string, is: (stats: Stats) => boolean])[] = [
  ['d', (stats) => stats.isDirectory()],
  ['l', (stats) => stats.isSymbolicLink()],
  ['s', (stats) => stats.isSocket()],
  ['p', (stats) => stats.isFIFO()],
  ['c', (stats) => stats.isCharacterDevice()],
  ['b', (stats) => stats.isBlockDevice()],
];

/**
 * One line about a file: type, mode, owner, size, time, inode, and where a symlink leads.
 * @param hasAcl whether its ACL may be asked for: that call cannot be given up
 */
export async function lineOf(path: string, end: Moment, { hasAcl = false } = {}): Promise<string> {
  try {
    const stats = await asked(path, end, () => lstat(path));
    const kind = kinds.find(([, is]) => is(stats))?.[0] ?? '-';
    const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
    const target = kind === 'l' ? ` -> ${await asked(path, end, () => readlink(path))}` : '';
    const acl = hasAcl && kind !== 'l' ? aclOf(path, kind === 'd') : '';
    return `${kind}${mode} ${stats.uid}:${stats.gid} ${stats.size} ${stats.mtime.toISOString()} inode ${stats.ino} ${path}${target}${acl}`;
  } catch (error) {
    return `${path}: ${codeOf(error) || 'it did not answer'}`;
  }
}

function aclOf(path: string, isDirectory: boolean): string {
  const told = (['access', ...(isDirectory ? (['default'] as const) : [])] as const).flatMap((kind) => {
    const list = readList(accessList(path, kind) ?? new Uint8Array());
    const entries = list?.map(
      ({ tag, rights, id }) => `${tagNames[tag] ?? tag}${id === 0xffffffff ? '' : `:${id}`}=${rights}`,
    );
    return entries ? [` ${kind} ACL ${entries.join(',')}`] : [];
  });
  return told.join('');
}

const tagNames: { readonly [tag: number]: string } = {
  1: 'owner',
  2: 'user',
  4: 'owning group',
  8: 'group',
  16: 'mask',
  32: 'other',
};

/** A path's last name, for a file of the dump. */
export const fileNameOf = (path: string): string => basename(path).replace(/[^\w.-]/g, '_');
