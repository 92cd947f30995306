/**
 * The exports for another plugin that is written in TypeScript: journal, loop and machines, which know neither CNI nor Open vSwitch.
 * docs/library.md shows how they are used. Nothing of the product imports this file.
 */
export type { Trouble } from './attachment.ts';
export { now } from './deadlines.ts';
export type { StepEntry } from './drive/entry.ts';
export { type DriveOptions, drive, start } from './drive/loop.ts';
export { goingTrouble, journalTrouble } from './drive/trouble.ts';
export { type Disk, isSystemError, realDisk } from './journal/disk.ts';
export { Journal, JournalError, type Tells } from './journal/journal.ts';
export { listJournals } from './journal/store.ts';
export type { MachineOf, RequestOf, Rules, StateOf, StepFamily } from './machines/notation.ts';
export type { Outcome, Verb } from './machines/protocol.ts';
