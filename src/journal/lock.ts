/**
 * The attachment's lock: a kernel lock on its journal file (docs/adr/0001).
 *
 * Owns: waiting for it, and knowing that what was locked is still the journal. Does not own: the file, the going mark.
 *
 * Invariants
 *  LO1 A lock counts only while the journal's name still leads to the locked inode: a removal unlinks the file it holds.
 *  LO2 The lock ends with the operation of its holder: by LOCK_UN after the last record, if every program that was given the fd has ended
 *     by itself, since what such a program leaves behind has no part in the operation; else by close alone, and the program keeps it.
 *  LO3 The wait is bounded.
 *  LO4 A process that has the lock by inheritance is ended by the process that waits, once its lease is over (processes.ts).
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
