/**
 * The data directory: the journals, and the id by which we know our own marks.
 *
 * Owns: the directory, the instance id, the list of journals. Layout: `instance` and one `*.journal` per attachment.
 *
 * Invariants
 *  ST1 An instance id that was used on a switch is durable: it is fsynced, with its name, before any call gets it.
 *  ST2 The directory is root's alone (0700).
 */
import { dirname, join } from 'node:path';
import type { Moment } from '../deadlines.ts';
import { type Disk, isSystemError, type OpenFile } from './disk.ts';
import { asJournalError, JournalError } from './failure.ts';
import { lock } from './lock.ts';
import { isGoing } from './marks.ts';
import { closeQuietly, wholeWrite } from './repair.ts';

/** A line of 16 hex digits: 64 random bits. The first whole line counts. */
const instancePattern = /^([0-9a-f]{16})\n/m;

const instanceFile = 'instance';

/** The mode that says that the file, its name and its directories are fsynced. With another mode all of that is done again. */
const modeDurable = 0o700;

/** The instance id of a data directory; undefined while it has none. @throws JournalError if it cannot be read. */
export function readInstance(disk: Disk, dataDir: string): string | undefined {
  return readFile(disk, dataDir)?.id;
}

/**
 * The instance id. It is created with the directory if there is none, and is durable before any process gets it.
 * @param propose gives the id of a directory that has none; it is called before anything is made, so that it may refuse
 * @throws JournalError if the disk refuses, or another call is creating it for longer than `end`.
 */
export async function ensureInstance(disk: Disk, dataDir: string, propose: () => string, end: Moment): Promise<string> {
  const existing = readFile(disk, dataDir);
  if (existing?.durable) return existing.id;
  const proposed = existing?.id ?? propose();
  const path = join(dataDir, instanceFile);
  let fd: number | undefined;
  try {
    makeDirectory(disk, dataDir);
    fd = disk.open(path, 'a+', 0o600);
    const outcome = await lock({ disk, path, fd }, end);
    if (outcome !== 'held') throw new JournalError('EAGAIN', `"${path}" is being created by another call`);
    const id = parseInstance(disk, fd) ?? proposed;
    if (!isDurable(disk, fd)) appendInstance({ disk, path, fd }, dataDir, id);
    return id;
  } catch (error) {
    throw asJournalError(`cannot create "${path}"`, error);
  } finally {
    if (fd !== undefined) closeQuietly(disk, fd);
  }
}

/**
 * Makes the unlinks of dead calls durable: a power cut must not bring back a journal that was seen to be gone. @throws
 * JournalError
 */
export function syncNames(disk: Disk, dataDir: string): void {
  try {
    if (disk.lookup(dataDir) !== undefined) disk.fsyncDirectory(dataDir);
  } catch (error) {
    throw asJournalError(`cannot sync "${dataDir}"`, error);
  }
}

/** The journals' file names, unsorted; none if there is no directory. @throws JournalError */
export function listJournals(disk: Disk, dataDir: string, suffix: string): string[] {
  try {
    return disk.list(dataDir).filter((name) => name.endsWith(suffix));
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return [];
    throw asJournalError(`cannot list "${dataDir}"`, error);
  }
}

/** A due time that is farther away was set by another clock. */
const dueMsMax = 600_000;

/**
 * The journals that bear the going mark and are due to be tried again, the longest due first. A mark of an earlier release is not
 * counted, because it may be an accident: recovery judges those journals by their records. @throws JournalError
 */
export function listDue(disk: Disk, dataDir: string, suffix: string, now: Date): string[] {
  const isDue = (dueMs: number): boolean => dueMs <= now.getTime() || dueMs > now.getTime() + dueMsMax;
  try {
    return listJournals(disk, dataDir, suffix)
      .map((name) => ({ name, stat: disk.lookup(join(dataDir, name)) }))
      .flatMap(({ name, stat }) => (stat && isGoing(stat) ? [{ name, dueMs: Number(stat.mtimeMs) }] : []))
      .filter(({ dueMs }) => isDue(dueMs))
      .sort((a, b) => a.dueMs - b.dueMs)
      .map(({ name }) => name);
  } catch (error) {
    throw asJournalError(`cannot look through "${dataDir}"`, error);
  }
}

function parseInstance(disk: Disk, fd: number): string | undefined {
  return instancePattern.exec(new TextDecoder().decode(disk.read(fd)))?.[1];
}

/**
 * Appends an id once more that an earlier call wrote and did not make durable: after a failed fsync it can be read and still be
 * lost. Nothing is ever cut, because a call may have used it. All directories are synced, because a dead call may have made them.
 */
function appendInstance({ disk, fd }: OpenFile, dataDir: string, id: string): void {
  // The rest of a torn write before it must not become a part of its line.
  const apart = disk.stat(fd).size > 0n ? '~\n' : '';
  wholeWrite(disk, fd, new TextEncoder().encode(`${apart}${id}\n`));
  disk.fsync(fd);
  for (let directory = dataDir; ; directory = dirname(directory)) {
    disk.fsyncDirectory(directory);
    if (directory === dirname(directory)) break;
  }
  disk.chmod(fd, modeDurable);
}

const isDurable = (disk: Disk, fd: number): boolean => (disk.stat(fd).mode & 0o777n) === BigInt(modeDurable);

/** mkdir -p. The directories above it (`/var/lib/cni`) are not ours alone, so they get another mode. */
function makeDirectory(disk: Disk, directory: string, mode = 0o700): void {
  if (disk.lookup(directory) !== undefined) return;
  makeDirectory(disk, dirname(directory), 0o755);
  try {
    disk.mkdir(directory, mode);
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'EEXIST') throw error;
  }
}

function readFile(disk: Disk, dataDir: string): { id: string; durable: boolean } | undefined {
  const path = join(dataDir, instanceFile);
  try {
    const fd = disk.open(path, 'r');
    try {
      const id = parseInstance(disk, fd);
      return id === undefined ? undefined : { id, durable: isDurable(disk, fd) };
    } finally {
      closeQuietly(disk, fd);
    }
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return undefined;
    throw asJournalError(`cannot read "${path}"`, error);
  }
}
