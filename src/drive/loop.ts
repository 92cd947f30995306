/**
 * The one loop: the machine asks, the intent is recorded, the effect happens, the outcome is recorded, the machine goes on. Of two
 * effects at once each goes this way by itself.
 *
 * Owns: the order of record and effect. Does not own: what to do next (machines/), how (perform), when to stop (`reasonToStop`).
 *
 * Invariants
 *  DR1 No creating effect without an fsynced intent.
 *  DR2 An ADD begins no effect and gives no answer before its last outcome is fsynced: the next append does that.
 *  DR3 A step that cannot be recorded is taken back with everything before it.
 *  DR4 The loop never ends while an effect is under way.
 */
import type { Trouble } from '../attachment.ts';
import { type Moment, now } from '../deadlines.ts';
import type { Journal } from '../journal/journal.ts';
import { type Call, isMaking, type Perform, type Request, type Step } from '../machines/protocol.ts';
import { type Heard, hear, initialState, type Machine, type Snapshot } from '../machines/run.ts';
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

export const start = initialState;

/** Drives a machine from one event until it rests. */
export async function drive(
  machine: Machine,
  from: Snapshot,
  event: AttachmentEvent,
  options: DriveOptions,
): Promise<Snapshot> {
  const underWay = new Map<Step, Promise<Answer>>();
  let { snapshot, asked } = step(machine, from, event);
  try {
    for (;;) {
      for (const request of asked) {
        const isCreating = isMaking(request.verb);
        const trouble = isCreating ? recordIntent(request, options) : undefined;
        if (isCreating && !trouble) ({ snapshot } = step(machine, snapshot, { type: `${request.step}.begun` }));
        const answer = trouble ? recordAbandon(trouble, options) : performAndRecord(request, options);
        underWay.set(request.step, answered(request.step, answer));
      }
      if (underWay.size === 0) return snapshot;
      const first = await Promise.race(underWay.values());
      underWay.delete(first.step);
      ({ snapshot, asked } = step(machine, snapshot, first.answer));
    }
  } finally {
    await Promise.allSettled(underWay.values());
  }
}

/** The event that one effect ends in. */
interface Answer {
  readonly step: Step;
  readonly answer: AttachmentEvent;
}

const answered = async (name: Step, answer: AttachmentEvent | Promise<AttachmentEvent>): Promise<Answer> => ({
  step: name,
  answer: await answer,
});

/** Pure: the effects that the machine asks for are returned, not performed. @throws on an event that it does not know in this state */
export function step(machine: Machine, from: Snapshot, event: AttachmentEvent): Heard {
  const heard = hear(machine, from, event);
  if (!heard) throw new Error(`the machine does not know "${event.type}" in ${JSON.stringify(from.value)}`);
  return heard;
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
