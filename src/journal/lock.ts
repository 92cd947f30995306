/**
 * The attachment's lock: a kernel lock on its journal file (docs/adr/0001).
 *
 * Owns: waiting for it, and knowing that what was locked is still the journal. Does not own: the file, the going mark.
 *
 * Invariants
 *  L1 A lock counts only while the journal's name still leads to the locked inode: a removal unlinks the file it holds.
 *  L2 The lock is released by close alone, never by LOCK_UN: a child that was given the fd keeps it.
 *  L3 The wait is bounded.
 */
import { type Moment, polled } from '../deadlines.ts';
import type { Disk } from './disk.ts';

/** `gone`: a removal completed while we waited. `busy`: somebody held it until the end of the wait. */
export type LockOutcome = 'held' | 'gone' | 'busy';

export async function lock(disk: Disk, fd: number, path: string, end: Moment): Promise<LockOutcome> {
  // A blocking flock(2) would stop every timer of the process.
  if (!(await polled(() => disk.tryLock(fd), end))) return 'busy';
  return disk.lookup(path)?.ino === disk.stat(fd).ino ? 'held' : 'gone';
}
