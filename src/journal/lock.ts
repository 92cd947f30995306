/**
 * The attachment's lock: a kernel lock on its journal file (docs/adr/0001).
 *
 * Owns: the wait for the lock, and the check that the locked file is still the journal. Does not own: the file, the going mark.
 *
 * Invariants
 *  LO1 A lock counts only while the journal's name leads to the locked inode, because a removal unlinks the file that it has
 *     locked.
 *  LO2 The lock ends with its holder's operation. If every program that was given the fd has ended by itself, LOCK_UN after the
 *     last record ends it: processes that such a program leaves behind have no part in the operation. Else the holder only closes
 *     the file, and the program keeps the lock.
 *  LO3 The wait is bounded.
 *  LO4 The waiting process ends a process that has inherited the lock, once that one's lease is over (processes.ts).
 */
import type { Moment } from '../deadlines.ts';
import { claim, taken } from '../os/processes.ts';
import type { Disk, OpenFile } from './disk.ts';

/** `gone`: a removal completed while we waited. `busy`: another process held it until the end of the wait. */
export type LockOutcome = 'held' | 'gone' | 'busy';

export async function lock({ disk, path, fd }: OpenFile, end: Moment): Promise<LockOutcome> {
  // A blocking flock(2) would stop every timer of the process.
  const tryLock = () => disk.tryLock(fd);
  const lockOf = () => ({ path, ...identity(disk, fd) });
  if (!(await taken(tryLock, lockOf, end))) return 'busy';
  claim(fd);
  return disk.lookup(path)?.ino === disk.stat(fd).ino ? 'held' : 'gone';
}

function identity(disk: Disk, fd: number): { ino: bigint; dev: bigint } {
  const { ino, dev } = disk.stat(fd);
  return { ino, dev };
}
