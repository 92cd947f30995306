/**
 * The words in which recovery says what it found and what it did. Each is explained here once, and `userspace recover --help` prints
 * the text. docs/recovery.md has a row for each finding.
 */

/** The state of an attachment by its journal and its node. */
export const foundWords = {
  going: 'a removal was begun',
  interrupted: 'the process of its ADD is dead',
  rebooted: 'its journal is of another boot: no sandbox of that lives',
  abandoned: 'its network namespace is gone',
  lost: 'its sandbox lives, and the switch has lost its port, or cannot use its socket',
  stale: 'the runtime that called GC does not list it',
  orphan: 'a port with our mark and no journal, or a bridge of ours that no port uses',
  empty: 'nothing was ever written to its journal',
  attached: 'its sandbox lives',
  unjudged: 'its network namespace cannot be judged from here',
  damaged: 'its journal is corrupt, cut off or a copy',
  newer: 'its journal is of another format than this release writes',
  unreadable: 'its journal cannot be read',
  held: 'another process has its lock, and nothing was judged',
} as const;

export type Found = keyof typeof foundWords;

/** The result for the attachment; in a dry run, the one that there would be. */
export const fateWords = {
  removed: 'all of it is gone',
  restored: 'its port was put back',
  owed: 'what could not be done, and why, is said; the next recover tries again',
  kept: 'nothing of the attachment was changed',
  held: 'that process was left to its work; what is going counts as owed',
  'not looked at': 'nothing was changed: the switch could not be asked whether its port is there',
} as const;

export type Fate = keyof typeof fateWords;
