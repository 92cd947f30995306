/**
 * The data directory: where journals live, and who we are.
 *
 * Owns: the directory, the instance id, the list of journals. Layout: `instance` and one `*.journal` per attachment.
 *
 * Invariants
 *  S1 An instance id that has been used on a switch is durable: it is fsynced, with its name, before anyone is told it.
 *  S2 The directory is root's alone (0700).
 */
import { dirname, join } from 'node:path';
import type { Moment } from '../deadlines.ts';
import { type Disk, isSystemError } from './disk.ts';
import { isGoing, JournalError } from './journal.ts';
import { lock } from './lock.ts';

/** 64 random bits as 16 hex digits, a line. */
const instancePattern = /^([0-9a-f]{16})\n$/;

const instanceFile = 'instance';

/** The instance id of a data directory; undefined while it has none. @throws JournalError if it cannot be read. */
export function readInstance(disk: Disk, dataDir: string): string | undefined {
  return withFile(disk, join(dataDir, instanceFile), 'r', (fd) => parseInstance(disk, fd));
}

/**
 * The instance id, created with the directory if there is none.
 * @throws JournalError if the disk refuses, or somebody else is creating it for longer than `end`.
 */
export async function ensureInstance(disk: Disk, dataDir: string, random: () => string, end: Moment): Promise<string> {
  const existing = readInstance(disk, dataDir);
  if (existing !== undefined) return existing;
  const path = join(dataDir, instanceFile);
  return await asJournalError(`cannot create "${path}"`, async () => {
    makeDirectory(disk, dataDir);
    const fd = disk.open(path, 'a+', 0o600);
    try {
      const outcome = await lock(disk, fd, path, end);
      if (outcome !== 'held') throw new JournalError('EAGAIN', `"${path}" is being created by another call`);
      return parseInstance(disk, fd) ?? writeInstance(disk, fd, dataDir, random());
    } finally {
      disk.close(fd);
    }
  });
}

/** The journals' file names, unsorted; none if there is no directory. @throws JournalError */
export function listJournals(disk: Disk, dataDir: string, suffix: string): string[] {
  try {
    return disk.list(dataDir).filter((name) => name.endsWith(suffix));
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return [];
    throw wrap(`cannot list "${dataDir}"`, error);
  }
}

/** The journals that bear the going mark, the one tried least recently first. @throws JournalError */
export function listGoing(disk: Disk, dataDir: string, suffix: string): string[] {
  return listJournals(disk, dataDir, suffix)
    .map((name) => ({ name, stat: disk.lookup(join(dataDir, name)) }))
    .filter(({ stat }) => stat && isGoing(stat))
    .sort((a, b) => Number((a.stat?.mtimeMs ?? 0n) - (b.stat?.mtimeMs ?? 0n)))
    .map(({ name }) => name);
}

function parseInstance(disk: Disk, fd: number): string | undefined {
  return instancePattern.exec(new TextDecoder().decode(disk.read(fd)))?.[1];
}

/** A torn file of an earlier crash is overwritten: nobody was told what it said. */
function writeInstance(disk: Disk, fd: number, dataDir: string, id: string): string {
  const bytes = new TextEncoder().encode(`${id}\n`);
  disk.truncate(fd, 0);
  if (disk.write(fd, bytes) !== bytes.length) throw new JournalError('ENOSPC', 'short write');
  disk.fsync(fd);
  disk.fsyncDirectory(dataDir);
  return id;
}

/** mkdir -p, each new name made durable in its parent. */
function makeDirectory(disk: Disk, directory: string): void {
  if (disk.lookup(directory) !== undefined) return;
  const parent = dirname(directory);
  makeDirectory(disk, parent);
  try {
    disk.mkdir(directory, 0o700);
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'EEXIST') throw error;
  }
  disk.fsyncDirectory(parent);
}

function withFile<T>(disk: Disk, path: string, flags: 'r', use: (fd: number) => T): T | undefined {
  let fd: number;
  try {
    fd = disk.open(path, flags);
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return undefined;
    throw wrap(`cannot read "${path}"`, error);
  }
  try {
    return use(fd);
  } finally {
    disk.close(fd);
  }
}

async function asJournalError<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw wrap(what, error);
  }
}

function wrap(what: string, error: unknown): unknown {
  if (!isSystemError(error) || error instanceof JournalError) return error;
  return new JournalError(error.code, `${what}: ${error.message}`, { cause: error });
}
