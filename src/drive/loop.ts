/**
 * The one loop: the machine asks, the intent is recorded, the effect happens, the outcome is recorded, the machine goes on. Only effects
 * that make something have an intent. If the machine asks for two effects, they run side by side.
 *
 * Owns: the order of record and effect. Does not own: what to do next (machines/), how (perform), when to stop (`reasonToStop`).
 *
 * Invariants
 *  DR1 No creating effect starts before its intent is fsynced.
 *  DR2 An ADD begins no effect and gives no answer before the outcome of the previous step is fsynced. The append of the next intent, or of
 *     `attached`, does that.
 *  DR3 A creating step that cannot be recorded is taken back, with everything that the ADD has begun.
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
  /** The moments by which an effect that makes, and one that takes away, must have answered. */
  readonly end: { readonly make: Moment; readonly remove: Moment };
  /** Tells why nothing more may be made. Called before each intent. */
  readonly reasonToStop: () => Trouble | undefined;
}

export const start = initialState;

/** Tells a machine of one event, and performs what it asks for until it rests. */
export async function drive(
  machine: Machine,
  from: Snapshot,
  event: AttachmentEvent,
  options: DriveOptions,
): Promise<Snapshot> {
  const underWay = new Map<Step, Promise<Ended>>();
  let { snapshot, asked } = step(machine, from, event);
  try {
    for (;;) {
      for (const request of asked) {
        const isCreating = isMaking(request.verb);
        const trouble = isCreating ? recordIntent(request, options) : undefined;
        if (isCreating && !trouble) ({ snapshot } = step(machine, snapshot, { type: `${request.step}.begun` }));
        const answer = trouble ? recordAbandon(trouble, options) : performAndRecord(request, options);
        underWay.set(request.step, endOf(request.step, answer));
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

/** An effect that has ended, with the event for the machine. */
interface Ended {
  readonly step: Step;
  readonly answer: AttachmentEvent;
}

const endOf = async (name: Step, answer: AttachmentEvent | Promise<AttachmentEvent>): Promise<Ended> => ({
  step: name,
  answer: await answer,
});

/** Like hear(), but an event that the machine does not know in this state is a bug. @throws an Error then */
export function step(machine: Machine, from: Snapshot, event: AttachmentEvent): Heard {
  const heard = hear(machine, from, event);
  if (!heard) throw new Error(`the machine does not know "${event.type}" in ${JSON.stringify(from.value)}`);
  return heard;
}

/** Records the intent, unless nothing more may be made. @returns why the step must not be taken */
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
