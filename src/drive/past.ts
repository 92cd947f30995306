/**
 * Reading a journal back: what it tells of its attachment, and what a removal has to look for.
 *
 * Owns: the meaning of records. Does not own: their words (entry.ts), the machine that they are replayed on (machines/).
 */
import type { Disk } from '../journal/disk.ts';
import { Journal, type Tells } from '../journal/journal.ts';
import type { Stamped } from '../journal/record.ts';
import { addMachine } from '../machines/add.ts';
import { eventOf } from '../machines/notation.ts';
import {
  type Facts,
  isAnnotation,
  isGonePort,
  isMadePort,
  isMaking,
  type Plan,
  type Step,
} from '../machines/protocol.ts';
import { hear, type SnapshotOf } from '../machines/run.ts';
import { type Attaching, type AttachmentEvent, keepForeignSocket } from '../machines/steps.ts';
import { type Begin, type Entry, isOfAnotherVersion } from './entry.ts';
import { start, step } from './loop.ts';

/** An attachment as its journal tells it. */
export interface Past {
  readonly header: Begin & Stamped;
  /** `attached`: at rest. `adding`: its ADD was interrupted. `going`: a removal was begun. */
  readonly state: 'attached' | 'adding' | 'going';
  /** The parts of the plan that a removal has to look for (planToUndo). */
  readonly undo: Plan;
  readonly facts: Facts;
  /** The steps of `undo` that may have made nothing: they leave no debt. */
  readonly doubtful: readonly Step[];
  /** Steps that an earlier removal took away. Unless the power failed since, a thing found under their names is another's. */
  readonly removed: readonly Step[];
}

/** The state of an attachment by its records alone, to judge a mark that could be an accident. */
export const tells: Tells<Entry> = (entries) => {
  const recorded = withoutPutBacks(entries);
  if (recorded.some((entry) => replayed(entry) === 'removal')) return 'removal';
  const isAtRest = recorded.some(({ kind }) => kind === 'attached') || fold(entries)?.state === 'attached';
  return isAtRest ? 'rest' : undefined;
};

/** @throws JournalError */
export const openJournal = (disk: Disk, path: string, options: { create: boolean; clock: () => Date }) =>
  Journal.open<Entry>(disk, path, { ...options, tells });

/** @throws JournalError */
export const peekJournal = (disk: Disk, path: string) => Journal.peek<Entry>(disk, path, tells);

/** @returns undefined if the journal has no header, a header of another version, or events that its machine does not know. */
export function fold(entries: readonly (Entry & Stamped)[]): Past | undefined {
  const [header, ...rest] = entries;
  if (header?.kind !== 'begin' || isOfAnotherVersion(entries)) return undefined;
  const recorded = withoutPutBacks(rest);
  const snapshot = replay(header.plan, recorded);
  if (!snapshot) return undefined;
  const { facts, begun, doubtful, refused } = snapshot.context;
  const removed = removedSteps(recorded);
  const isUsed = snapshot.value === 'ready' || recorded.some(({ kind }) => kind === 'attached');
  const isGoing = recorded.some((entry) => replayed(entry) === 'removal');
  const database = (isMadePort(facts.port) ? facts.port.database : undefined) ?? header.database;
  const asUsed = { ...planToUndo(header.plan, begun, refused), ...(database && { database }) };
  const undo = isUsed ? asUsed : keepForeignSocket(asUsed);
  const neverBegun = undo.address && !begun.includes('address') ? (['address'] as const) : [];
  return {
    header,
    state: isGoing ? 'going' : snapshot.value === 'ready' ? 'attached' : 'adding',
    undo,
    facts: { ...facts, ...goneFacts(removed) },
    doubtful: [...doubtful, ...neverBegun],
    removed: [...new Set(removed.map(({ step: name }) => name))],
  };
}

/** The machine as the records left it, up to the beginning of a removal. @returns undefined for an event it does not know */
function replay(plan: Plan, entries: readonly Entry[]): SnapshotOf<Attaching> | undefined {
  let { snapshot } = step(addMachine, start(addMachine), { type: 'begin', plan });
  for (const entry of entries) {
    const event = replayed(entry);
    if (event === 'removal') break;
    if (event === undefined) continue;
    const heard = hear(addMachine, snapshot, event);
    if (!heard) return undefined;
    ({ snapshot } = heard);
  }
  return snapshot;
}

/**
 * The parts of a plan that a removal has to undo. A part that is ours by its name is undone whether it was begun or not, because
 * the disk may have lost the record of its step. Two parts are undone only if their step was begun: the port, whose socket may
 * bear a name that a user gave; and an annotation, whose removal costs other writers a conflict. A step that was refused without
 * making anything is not undone.
 */
export function planToUndo(plan: Plan, begun: readonly Step[], refused: readonly Step[]): Plan {
  const isMeant = (name: string): boolean => {
    if (refused.includes(name as Step)) return false;
    if (name === 'port') return begun.includes('port');
    return name !== 'publication' || !isAnnotation(plan.publication) || begun.includes('publication');
  };
  return Object.fromEntries(Object.entries(plan).filter(([name]) => isMeant(name))) as unknown as Plan;
}

/** A step that a removal has taken away. */
interface RemovedStep {
  readonly step: Step;
  readonly facts: Facts[keyof Facts] | undefined;
}

const removedSteps = (entries: readonly Entry[]): RemovedStep[] =>
  entries.flatMap((entry) =>
    entry.kind === 'outcome' && entry.verb === 'remove' && entry.outcome.kind === 'ok'
      ? [{ step: entry.step, facts: entry.outcome.facts }]
      : [],
  );

/** When ovs-vswitchd releases a port that is removed already: the removal of its address waits for that. */
function goneFacts(removed: readonly RemovedStep[]): Pick<Facts, 'port'> {
  const facts = removed.findLast(({ step: name }) => name === 'port')?.facts;
  return isGonePort(facts) ? { port: facts } : {};
}

/** Leaves out put-backs: a put-back changes nothing that the ADD made, and one that was interrupted is done again. */
function withoutPutBacks(entries: readonly Entry[]): Entry[] {
  let restoring = false;
  return entries.filter(({ kind }) => {
    if (kind === 'restoring') restoring = true;
    const isKept = !restoring || kind === 'going';
    if (kind === 'attached' || kind === 'going') restoring = false;
    return isKept;
  });
}

function replayed(entry: Entry): AttachmentEvent | 'removal' | undefined {
  switch (entry.kind) {
    case 'intent':
      return { type: `${entry.step}.begun` };
    case 'outcome':
      return isMaking(entry.verb) ? eventOf(entry, entry.outcome) : 'removal';
    case 'abandon':
      return { type: 'abandon', trouble: entry.trouble };
    case 'going':
      return 'removal';
    case 'attached':
    case 'restoring':
    case 'begin':
      return undefined;
  }
}
