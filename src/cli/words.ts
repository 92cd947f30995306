/**
 * The words of `userspace list`, `show` and `status`, each explained once: their --help prints the text. docs/recovery.md has the words
 * of `list` and `status`, docs/screens.md the bars of `show`.
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
  unreadable: 'its journal cannot be read',
} as const;

/** The answers of the switch's database about a port. */
export const liveWords = {
  yes: 'the switch has its port',
  no: 'the switch does not have its port (recover puts back what a living sandbox lost)',
  unknown: 'the switch could not be asked',
  '-': 'its journal names no port',
} as const;

/** How an effect of `userspace show` went. */
export const resultWords = {
  ok: 'it is done',
  failed: 'its answer is below it',
  displaced: 'the bridge went away meanwhile: nothing was made, and the bridge is made once more',
  died: 'its process ended before it wrote an outcome: the effect may have happened',
  'no answer': 'no outcome is recorded yet: its process is at work, or dead',
  'no record': 'its outcome could not be written, and the process went on',
} as const;

/** How an episode of `userspace show` ended. */
export const endingWords = {
  attached: 'the ADD came to rest',
  'put back': 'the switch has again what it had lost',
  failed: 'an ADD was taken back, or a put-back gave up',
  owed: 'a removal that is to be tried again',
  died: 'a later process found its work unfinished (or its records: a full disk takes none)',
  unfinished: 'its process is at work, or dead: the records do not tell; recover does',
} as const;

/** The bars of `userspace show`: the character where the locale has no UTF-8, and the look of the other one. */
export const barWords = {
  '- (thin line)': 'the record of the step was made durable (its disk was waited for)',
  '= (block)': 'the step was at work, and waited for what WAITED FOR names',
  '* (diamond)': 'the moment of a record',
  'x (cross)': 'an ADD was abandoned, or a process died: no length is known',
  '> (triangle)': 'an effect without an outcome: no length is known',
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
