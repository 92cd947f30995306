/**
 * The one loop: the machine asks, the intent is recorded, the effect happens, the outcome is recorded, the machine goes on.
 *
 * Owns: the order of record and effect. Does not own: what to do next (machines/), how (perform), when to stop (`reasonToStop`).
 *
 * Invariants
 *  DR1 No creating effect without an fsynced intent.
 *  DR2 An ADD begins no effect and gives no answer before its last outcome is fsynced: the next append does that.
 *  DR3 A step that cannot be recorded is taken back with everything before it.
 */
import { type AnyActorScope, type AnyStateMachine, createActor, type SnapshotFrom } from 'xstate';
import type { Trouble } from '../attachment.ts';
import { type Moment, now } from '../deadlines.ts';
import type { Journal } from '../journal/journal.ts';
import type { addMachine } from '../machines/add.ts';
import type { delMachine } from '../machines/del.ts';
import { type Call, isMaking, type Perform, type Request } from '../machines/protocol.ts';
import type { restoreMachine } from '../machines/restore.ts';
import { type AttachmentEvent, eventOf } from '../machines/steps.ts';
import type { Entry } from './entry.ts';
import { journalTrouble } from './trouble.ts';

export interface DriveOptions {
  readonly journal: Pick<Journal<Entry>, 'append' | 'stage' | 'note'>;
  readonly perform: Perform;
  readonly call: Omit<Call, 'end'>;
  /** The moments until which the loop may make things, and take them away. */
  readonly end: { readonly make: Moment; readonly remove: Moment };
  /** Why nothing more may be made; asked before each intent. */
  readonly reasonToStop: () => Trouble | undefined;
}

type Machine = typeof addMachine | typeof delMachine | typeof restoreMachine;

export const start = <M extends Machine>(machine: M): SnapshotFrom<M> =>
  machine.getInitialSnapshot(scopeOf(machine)) as SnapshotFrom<M>;

const scopes = new Map<AnyStateMachine, AnyActorScope>();

/**
 * xstate's own pure `transition` makes an actor for each event, which costs as much as the event. One for each machine is enough.
 */
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
  options: DriveOptions,
): Promise<SnapshotFrom<M>> {
  let [snapshot, request] = step(machine, from, event);
  while (request) {
    const isCreating = isMaking(request.verb);
    const trouble = isCreating ? recordIntent(request, options) : undefined;
    if (isCreating && !trouble) [snapshot] = step(machine, snapshot, { type: `${request.step}.begun` });
    const answer: AttachmentEvent = trouble
      ? recordAbandon(trouble, options)
      : await performAndRecord(request, options);
    [snapshot, request] = step(machine, snapshot, answer);
  }
  return snapshot as SnapshotFrom<M>;
}

/** @throws on an event that the machine does not know in this state */
export function step(machine: AnyStateMachine, from: SnapshotFrom<AnyStateMachine>, event: AttachmentEvent) {
  const taken = stepIfKnown(machine, from, event);
  if (!taken) throw new Error(`the machine does not know "${event.type}" in ${JSON.stringify(from.value)}`);
  return taken;
}

/**
 * Pure: the effect that the machine asks for is returned with the new snapshot, and not performed.
 * @returns undefined for an event that the machine does not know in this state: xstate then returns the old snapshot itself
 */
export function stepIfKnown(machine: AnyStateMachine, from: SnapshotFrom<AnyStateMachine>, event: AttachmentEvent) {
  let asked: Request | undefined;
  const actionExecutor: AnyActorScope['actionExecutor'] = ({ type, params }) => {
    if (type === 'request') asked = params as unknown as Request;
  };
  const snapshot = machine.transition(from, event, { ...scopeOf(machine), actionExecutor });
  return snapshot === from ? undefined : ([snapshot, asked] as const);
}

/** Records the intent, unless the ADD has to stop. @returns why the step must not be taken */
function recordIntent({ step: name }: Request, { journal, reasonToStop }: DriveOptions): Trouble | undefined {
  return reasonToStop() ?? journalTrouble(() => journal.append({ kind: 'intent', step: name }));
}

function recordAbandon(trouble: Trouble, { journal }: DriveOptions): AttachmentEvent {
  journal.note({ kind: 'abandon', trouble });
  return { type: 'abandon', trouble };
}

async function performAndRecord(request: Request, options: DriveOptions): Promise<AttachmentEvent> {
  const { journal, perform, call, end } = options;
  const isCreating = isMaking(request.verb);
  const began = now();
  const outcome = await perform(request, { ...call, end: isCreating ? end.make : end.remove });
  const ms = Math.round((now() - began) * 10) / 10;
  const entry: Entry = { kind: 'outcome', step: request.step, verb: request.verb, outcome, ms };
  if (!isCreating) journal.note(entry);
  const trouble = isCreating ? journalTrouble(() => journal.stage(entry)) : undefined;
  return trouble ? recordAbandon(trouble, options) : eventOf(request, outcome);
}
