/**
 * The words of `userspace list` and `userspace status`, each explained once: their --help prints it, and docs/recovery.md has them
 * all.
 */

/** The states that a journal gives to its attachment. */
export const stateWords = {
  attached: 'at rest until its DEL',
  adding: 'an ADD is at work, or died: recover tells the two apart',
  removing: 'a removal is at work, or another process holds its lock',
  owed: 'a removal was begun and could not be completed',
  empty: 'nothing was ever written to its journal',
  damaged: 'its journal is corrupt or cut off: kept until DEL, which removes it by its marks',
  newer: 'its journal is of another format than this release writes: kept until DEL, which removes it by its marks',
  unreadable: 'its journal cannot be opened',
} as const;

/** The answers of the switch's database about a port. */
export const liveWords = {
  yes: 'the switch has its port',
  no: 'the switch has not its port (recover puts back what a living sandbox lost)',
  unknown: 'the switch could not be asked',
  '-': 'its journal names no port',
} as const;

/** The verdicts of `userspace status` on one thing. */
export const healthWords = {
  ok: 'as it has to be',
  owed: 'a removal is still to be completed',
  sick: 'an ADD would fail, or what is attached suffers; what to do is said',
  unknown: 'could not be told from here; it counts as healthy',
} as const;

export type AttachmentState = keyof typeof stateWords;
export type Live = Exclude<keyof typeof liveWords, '-'>;
export type Health = keyof typeof healthWords;
