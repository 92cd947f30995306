/**
 * The one loop: the machine asks, the intent is recorded, the effect happens, the outcome is recorded, the machine goes on.
 *
 * Owns: the order of record and effect, and reading a journal back. Does not own: what to do next (machines/), how (perform), when
 * to stop (the caller's `stop`).
 *
 * Invariants
 *  I1 No creating effect without an fsynced intent.
 *  I2 No effect and no answer of an ADD on an outcome that is not fsynced: the next intent's fsync takes it along.
 *  I3 A step that can not be recorded is taken back with everything before it.
 */
import { type AnyActorScope, type AnyStateMachine, createActor, type SnapshotFrom } from 'xstate';
import { code, type Trouble } from '../attachment.ts';
import { type Moment, now } from '../deadlines.ts';
import type { Disk } from '../journal/disk.ts';
import { Journal, JournalError, type Tells } from '../journal/journal.ts';
import type { Stamped } from '../journal/record.ts';
import { addMachine } from '../machines/add.ts';
import type { delMachine } from '../machines/del.ts';
import {
  type Call,
  type Facts,
  isMaking,
  type Outcome,
  type Perform,
  type Plan,
  type Request,
  type Step,
  type Verb,
} from '../machines/protocol.ts';
import type { restoreMachine } from '../machines/restore.ts';
import { type AttachmentEvent, eventOf, neverUsed } from '../machines/steps.ts';

export const formatVersion = 1;
/** Of the add machine: a journal of another one is not folded. */
export const machineVersion = 1;

/** The first record of every journal. */
export interface Begin {
  readonly kind: 'begin';
  readonly format: number;
  readonly machine: number;
  readonly instance: string;
  readonly boot: string;
  readonly netns: { readonly path: string; readonly file: string; readonly directory: string };
  readonly plan: Plan;
  /** The ADD's own moment of this boot (Call.begun): a port that is put back bears it too. Absent in journals of earlier releases. */
  readonly begun?: string;
  /** Which database it was (Plan.database), also where the ADD came to no port. Absent in journals of earlier releases. */
  readonly database?: string;
  /** Which file it was written to (Journal.identity). Absent in journals of earlier releases. */
  readonly file?: string;
}

export type Entry =
  | Begin
  | { readonly kind: 'intent'; readonly step: Step }
  | {
      readonly kind: 'outcome';
      readonly step: Step;
      readonly verb: Verb;
      readonly outcome: Outcome;
      readonly ms: number;
    }
  | { readonly kind: 'abandon'; readonly trouble: Trouble }
  /** At rest: nothing left to do until DEL. */
  | { readonly kind: 'attached' }
  /** A removal begins; with what there is to remove, where no header says it. */
  | { readonly kind: 'going'; readonly by: string; readonly plan?: Plan }
  /** What an attachment at rest has lost is put back: until `attached` nothing is told of the ADD. */
  | { readonly kind: 'restoring' };

export interface Ways {
  readonly journal: Pick<Journal<Entry>, 'append' | 'stage' | 'note'>;
  readonly perform: Perform;
  readonly call: Omit<Call, 'end'>;
  /** Until when something may be made, and until when it may be taken away. */
  readonly end: { readonly make: Moment; readonly remove: Moment };
  /** Why nothing more may be made; asked before each intent. */
  readonly stop: () => Trouble | undefined;
}

type Machine = typeof addMachine | typeof delMachine | typeof restoreMachine;

export const start = <M extends Machine>(machine: M): SnapshotFrom<M> =>
  machine.getInitialSnapshot(scopeOf(machine)) as SnapshotFrom<M>;

const scopes = new Map<AnyStateMachine, AnyActorScope>();

/** xstate's own pure `transition` makes an actor for each event: as much again as the event itself. One for each machine will do. */
function scopeOf(machine: AnyStateMachine): AnyActorScope {
  const known = scopes.get(machine);
  if (known) return known;
  const self = createActor(machine);
  const nothing = () => undefined;
  const scope = { self, id: self.id, sessionId: self.sessionId, system: self.system, logger: nothing, defer: nothing };
  const inert: AnyActorScope = { ...scope, stopChild: nothing, emit: nothing, actionExecutor: nothing };
  scopes.set(machine, inert);
  return inert;
}

/** Drives a machine from one event until it rests. */
export async function drive<M extends Machine>(
  machine: M,
  from: SnapshotFrom<M>,
  event: AttachmentEvent,
  ways: Ways,
): Promise<SnapshotFrom<M>> {
  let [snapshot, request] = step(machine, from, event);
  while (request) {
    const making = isMaking(request.verb);
    const stop = making ? announce(request, ways) : undefined;
    if (making && !stop) [snapshot] = step(machine, snapshot, { type: `${request.step}.begun` });
    const next: AttachmentEvent = stop ? abandon(stop, ways) : await act(request, ways);
    [snapshot, request] = step(machine, snapshot, next);
  }
  return snapshot as SnapshotFrom<M>;
}

/** Pure: what the machine would do is taken down, and left to the caller. */
function step(machine: AnyStateMachine, from: SnapshotFrom<AnyStateMachine>, event: AttachmentEvent) {
  if (!from.can(event)) throw new Error(`the machine does not know "${event.type}" in ${JSON.stringify(from.value)}`);
  let asked: Request | undefined;
  const actionExecutor: AnyActorScope['actionExecutor'] = ({ type, params }) => {
    if (type === 'request') asked = params as unknown as Request;
  };
  const snapshot = machine.transition(from, event, { ...scopeOf(machine), actionExecutor });
  return [snapshot, asked] as const;
}

/** @returns why the step may not be taken. */
function announce({ step: name }: Request, { journal, stop }: Ways): Trouble | undefined {
  const reason = stop();
  return reason ?? recorded(() => journal.append({ kind: 'intent', step: name }));
}

function abandon(trouble: Trouble, { journal }: Ways): AttachmentEvent {
  journal.note({ kind: 'abandon', trouble });
  return { type: 'abandon', trouble };
}

async function act(request: Request, ways: Ways): Promise<AttachmentEvent> {
  const { journal, perform, call, end } = ways;
  const making = isMaking(request.verb);
  const began = now();
  const outcome = await perform(request, { ...call, end: making ? end.make : end.remove });
  const ms = Math.round((now() - began) * 10) / 10;
  const entry: Entry = { kind: 'outcome', step: request.step, verb: request.verb, outcome, ms };
  if (!making) journal.note(entry);
  const lost = making ? recorded(() => journal.stage(entry)) : undefined;
  return lost ? abandon(lost, ways) : eventOf(request, outcome);
}

/** What a journal that fails us is to an ADD: a reason to take everything back. */
export function recorded(use: () => void): Trouble | undefined {
  try {
    use();
    return undefined;
  } catch (error) {
    if (error instanceof JournalError) return { code: code.io, message: error.message };
    throw error;
  }
}

/** Why nothing more may be made: a DEL came, or its mark can not be looked for. */
export function whyGoing(journal: Pick<Journal<Entry>, 'going'>): Trouble | undefined {
  let marked = false;
  const unseen = recorded(() => {
    marked = journal.going;
  });
  return unseen ?? (marked ? going : undefined);
}

export const going: Trouble = { code: code.tryAgainLater, message: 'the attachment is being removed' };

/** The plan of a journal's header, if there is one that can be read: another version may have written anything. */
export function planOfHeader(entries: readonly Entry[]): Plan | undefined {
  const header = entries.find((entry) => entry.kind === 'begin' || (entry.kind === 'going' && entry.plan));
  const plan: unknown = header && 'plan' in header ? header.plan : undefined;
  const whole = typeof plan === 'object' && plan !== null && 'key' in plan && 'ovsdb' in plan && 'request' in plan;
  return whole ? (plan as Plan) : undefined;
}

/** The header of a journal, of whatever version: it tells through which data directory the attachment was made. */
export function headerOf([first]: readonly Entry[]): Begin | undefined {
  return first?.kind === 'begin' && typeof first.instance === 'string' ? first : undefined;
}

/** What a journal tells of its attachment. */
export interface Past {
  readonly header: Begin & Stamped;
  /** `attached`: at rest. `adding`: an ADD that came to no end. `going`: a removal was begun. */
  readonly state: 'attached' | 'adding' | 'going';
  /**
   * What a removal has to look for: everything that is ours by its name, whatever the records that a disk may have lost would say;
   * the port's socket, whose name a user gave, and the pod's annotation, which costs others a write, only if they were begun.
   */
  readonly undo: Plan;
  readonly facts: Facts;
  /** The steps of `undo` that nothing says to have made anything: nothing is owed of them. */
  readonly doubtful: readonly Step[];
  /** What an earlier removal has taken away already: what is there by now is another's, as long as the machine has not lost power since. */
  readonly removed: readonly Step[];
}

/** What records say of an attachment, for a mark that could be an accident. */
export const tells: Tells<Entry> = (entries) => {
  const added = addedBy(entries);
  if (added.some((entry) => replayed(entry) === 'removal')) return 'removal';
  const isAtRest = added.some(({ kind }) => kind === 'attached') || fold(entries)?.state === 'attached';
  return isAtRest ? 'rest' : undefined;
};

/** @throws JournalError */
export const openJournal = (disk: Disk, path: string, options: { create: boolean; clock: () => Date }) =>
  Journal.open<Entry>(disk, path, { ...options, tells });

/** @throws JournalError */
export const peekJournal = (disk: Disk, path: string) => Journal.peek<Entry>(disk, path, tells);

/** Written by a release whose records this one cannot understand: they are whole, and tell nothing here. */
export const isOfAnotherVersion = ([header]: readonly Entry[]): boolean =>
  header?.kind === 'begin' && (header.format !== formatVersion || header.machine !== machineVersion);

/** @returns undefined if the journal has no header, or one of another version, or events its machine does not know. */
export function fold(entries: readonly (Entry & Stamped)[]): Past | undefined {
  const [header, ...rest] = entries;
  if (header?.kind !== 'begin' || isOfAnotherVersion(entries)) return undefined;
  const added = addedBy(rest);
  const snapshot = replay(header.plan, added);
  if (!snapshot) return undefined;
  const { facts, begun, doubtful, refused } = snapshot.context;
  const removed = removals(added);
  const isUsed = snapshot.matches('ready') || added.some(({ kind }) => kind === 'attached');
  const isGoing = added.some((entry) => replayed(entry) === 'removal');
  const database = (facts.port && 'uuid' in facts.port ? facts.port.database : undefined) ?? header.database;
  const whole = { ...planToUndo(header.plan, begun, refused), ...(database && { database }) };
  const undo = isUsed ? whole : neverUsed(whole);
  const never = undo.address && !begun.includes('address') ? (['address'] as const) : [];
  return {
    header,
    state: isGoing ? 'going' : snapshot.matches('ready') ? 'attached' : 'adding',
    undo,
    facts: { ...facts, ...goneFacts(removed) },
    doubtful: [...doubtful, ...never],
    removed: [...new Set(removed.map(({ step: name }) => name))],
  };
}

/** The machine as the records left it, up to where a removal began. @returns undefined for an event it does not know */
function replay(plan: Plan, entries: readonly Entry[]): SnapshotFrom<typeof addMachine> | undefined {
  let [snapshot] = step(addMachine, start(addMachine), { type: 'begin', plan });
  for (const entry of entries) {
    const event = replayed(entry);
    if (event === 'removal') break;
    if (event === undefined) continue;
    if (!snapshot.can(event)) return undefined;
    [snapshot] = step(addMachine, snapshot as never, event);
  }
  return snapshot as SnapshotFrom<typeof addMachine>;
}

/**
 * Everything that is ours by its name, begun or not: a lost record must not leave a leftover. The port's socket bears a name that a
 * user gave, and an annotation costs other writers a conflict, so these two only if their step was begun. A step that was refused
 * without making anything is not undone.
 */
function planToUndo(plan: Plan, begun: readonly Step[], refused: readonly Step[]): Plan {
  const isMeant = (name: string): boolean => {
    if (refused.includes(name as Step)) return false;
    if (name === 'port') return begun.includes('port');
    return name !== 'publication' || !isAnnotation(plan) || begun.includes('publication');
  };
  return Object.fromEntries(Object.entries(plan).filter(([name]) => isMeant(name))) as unknown as Plan;
}

const isAnnotation = ({ publication }: Plan): boolean => publication !== undefined && 'pod' in publication;

interface Removal {
  readonly step: Step;
  readonly facts: Facts[keyof Facts] | undefined;
}

const removals = (entries: readonly Entry[]): Removal[] =>
  entries.flatMap((entry) =>
    entry.kind === 'outcome' && entry.verb === 'remove' && entry.outcome.kind === 'ok'
      ? [{ step: entry.step, facts: entry.outcome.facts }]
      : [],
  );

/** When ovs-vswitchd has let go of a port that is removed already: its address waits for that. */
function goneFacts(removed: readonly Removal[]): Pick<Facts, 'port'> {
  const facts = removed.findLast(({ step: name }) => name === 'port')?.facts;
  return facts && 'goneAt' in facts ? { port: facts } : {};
}

/** Without what a put-back did: it changes nothing in what was added, and is done again if it came to no end. */
function addedBy(entries: readonly Entry[]): Entry[] {
  let restoring = false;
  return entries.filter(({ kind }) => {
    if (kind === 'restoring') restoring = true;
    const told = !restoring || kind === 'going';
    if (kind === 'attached' || kind === 'going') restoring = false;
    return told;
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

/** What is wrong with one step of an attachment; `unjudged`: it could not be asked for, so that it may be right. */
export type Finding = Trouble & Pick<Extract<Outcome, { kind: 'failed' }>, 'unjudged'>;

/** Asks of every planned step whether the world still is as it was left: CHECK, and a repeated ADD. */
export async function survey(plan: Plan, facts: Facts, perform: Perform, call: Call): Promise<Finding[]> {
  const steps: Step[] = ['address', 'socketDir', 'bridge', 'port', 'publication', 'deviceInfo'];
  const findings: Finding[] = [];
  for (const name of steps) {
    if (!plan[name]) continue;
    const outcome = await perform({ step: name, verb: 'find', plan, facts }, call);
    if (outcome.kind === 'ok') continue;
    findings.push({ ...outcome.trouble, ...(outcome.kind === 'failed' && outcome.unjudged && { unjudged: true }) });
  }
  return findings;
}
