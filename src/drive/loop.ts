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
import {
  begunOf,
  type EventOf,
  eventOf,
  type MachineOf,
  type RequestOf,
  type StepFamily,
} from '../machines/notation.ts';
import { isMaking, type Outcome } from '../machines/protocol.ts';
import { type Heard, hear, initialState, type SnapshotOf } from '../machines/run.ts';
import type { StepEntry } from './entry.ts';
import { journalTrouble } from './trouble.ts';

type Recorded<F extends StepFamily> = StepEntry<F['step'], F['fact']>;

export interface DriveOptions<F extends StepFamily> {
  readonly journal: Pick<Journal<Recorded<F>>, 'append' | 'stage' | 'note'>;
  /** Total: an expected failure is an outcome, and a throw is a bug. */
  readonly perform: (request: RequestOf<F>, call: F['call'] & { readonly end: Moment }) => Promise<Outcome<F['fact']>>;
  readonly call: F['call'];
  /** The moments by which an effect that makes, and one that takes away, must have answered. */
  readonly end: { readonly make: Moment; readonly remove: Moment };
  /** Tells why nothing more may be made. Called before each intent. */
  readonly reasonToStop: () => Trouble | undefined;
}

export const start = initialState;

/** Tells a machine of one event, and performs what it asks for until it rests. */
export async function drive<F extends StepFamily>(
  machine: MachineOf<F>,
  from: SnapshotOf<F>,
  event: EventOf<F>,
  options: DriveOptions<F>,
): Promise<SnapshotOf<F>> {
  const underWay = new Map<F['step'], Promise<Ended<F>>>();
  let { snapshot, asked } = step(machine, from, event);
  try {
    for (;;) {
      for (const request of asked) {
        const isCreating = isMaking(request.verb);
        const trouble = isCreating ? recordIntent(request, options) : undefined;
        if (isCreating && !trouble) ({ snapshot } = step(machine, snapshot, begunOf<F['step']>(request.step)));
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
interface Ended<F extends StepFamily> {
  readonly step: F['step'];
  readonly answer: EventOf<F>;
}

const endOf = async <F extends StepFamily>(
  name: F['step'],
  answer: EventOf<F> | Promise<EventOf<F>>,
): Promise<Ended<F>> => ({
  step: name,
  answer: await answer,
});

/** Like hear(), but an event that the machine does not know in this state is a bug. @throws an Error then */
export function step<F extends StepFamily>(machine: MachineOf<F>, from: SnapshotOf<F>, event: EventOf<F>): Heard<F> {
  const heard = hear(machine, from, event);
  if (!heard) throw new Error(`the machine does not know "${event.type}" in ${JSON.stringify(from.value)}`);
  return heard;
}

/** Records the intent, unless nothing more may be made. @returns why the step must not be taken */
function recordIntent<F extends StepFamily>(
  { step: name }: RequestOf<F>,
  { journal, reasonToStop }: DriveOptions<F>,
): Trouble | undefined {
  return reasonToStop() ?? journalTrouble(() => journal.append({ kind: 'intent', step: name }));
}

function recordAbandon<F extends StepFamily>(trouble: Trouble, { journal }: DriveOptions<F>): EventOf<F> {
  journal.note({ kind: 'abandon', trouble });
  return { type: 'abandon', trouble };
}

async function performAndRecord<F extends StepFamily>(
  request: RequestOf<F>,
  options: DriveOptions<F>,
): Promise<EventOf<F>> {
  const { journal, perform, call, end } = options;
  const isCreating = isMaking(request.verb);
  const began = now();
  const outcome = await perform(request, { ...call, end: isCreating ? end.make : end.remove });
  const ms = Math.round((now() - began) * 10) / 10;
  const entry: Recorded<F> = { kind: 'outcome', step: request.step, verb: request.verb, outcome, ms };
  if (!isCreating) journal.note(entry);
  const trouble = isCreating ? journalTrouble(() => journal.stage(entry)) : undefined;
  return trouble ? recordAbandon(trouble, options) : eventOf(request, outcome);
}
