/**
 * run.ts against xstate (docs/adr/0002): after any events both stand in the same state, remember the same and ask for the same; and
 * what xstate does not hear, run.ts does not hear either.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { initialTransition, type Snapshot as Memory, transition } from 'xstate';
import { addMachine } from '../../src/machines/add.ts';
import { delMachine } from '../../src/machines/del.ts';
import { isAnnotation, type Request, steps } from '../../src/machines/protocol.ts';
import { restoreMachine } from '../../src/machines/restore.ts';
import { hear, initialState, type SnapshotOf } from '../../src/machines/run.ts';
import type { Attaching, AttachmentEvent, Machine } from '../../src/machines/steps.ts';
import { abandon, begin, factsOf, plannedOf, trouble } from '../support/fake/machine-events.ts';
import { everyPlan } from '../support/fake/machine-graph.ts';
import { xstateMachines } from '../support/fake/xstate-machines.ts';
import { withSeed } from '../support/seed.ts';

type Snapshot = SnapshotOf<Attaching>;

interface Pair {
  readonly machine: Machine;
  readonly reference: (typeof xstateMachines)['add'];
}

const pairs: readonly [name: string, pair: Pair][] = [
  ['add', { machine: addMachine, reference: xstateMachines.add }],
  ['del', { machine: delMachine, reference: xstateMachines.del }],
  ['restore', { machine: restoreMachine, reference: xstateMachines.restore }],
];

interface Both {
  readonly ours: Snapshot;
  readonly theirs: Memory<unknown> & { readonly value: unknown; readonly context: unknown };
}

const beginning = ({ machine, reference }: Pair): Both => ({
  ours: initialState(machine),
  theirs: initialTransition(reference)[0] as never,
});

/** Tells both of one event, and compares them. @returns undefined if neither hears it */
function tellBoth({ machine, reference }: Pair, { ours, theirs }: Both, event: AttachmentEvent): Both | undefined {
  const before = JSON.stringify(ours);
  const heard = hear(machine, ours, event);
  expect(JSON.stringify(ours)).toBe(before);
  const [next, actions] = transition(reference, theirs as never, event as never) as unknown as [
    Both['theirs'],
    Asking[],
  ];
  const isHeard = next !== theirs;
  expect(heard !== undefined, `${event.type} in ${JSON.stringify(theirs.value)}`).toBe(isHeard);
  if (!heard) return undefined;
  const { value, context } = next;
  expect({ snapshot: heard.snapshot, asked: heard.asked }).toEqual({
    snapshot: { value, context },
    asked: actions.map(({ params }) => params),
  });
  return { ours: heard.snapshot, theirs: next };
}

interface Asking {
  readonly params: Request;
}

/** Each event of each step, with and without the members that it may carry. */
const everyEvent: readonly AttachmentEvent[] = [
  ...everyPlan.flatMap((plan) => [
    begin(plan),
    { ...begin(plan, factsOf), doubtful: steps } as AttachmentEvent,
    { ...begin(plan), doubtful: ['port'] } as AttachmentEvent,
  ]),
  abandon,
  ...steps.flatMap((step): AttachmentEvent[] => {
    const facts = factsOf[step as keyof typeof factsOf] ?? { created: true };
    return [
      { type: `${step}.begun` },
      { type: `${step}.ensured` },
      { type: `${step}.ensured`, facts },
      { type: `${step}.refused`, trouble },
      { type: `${step}.refused`, trouble, made: 'nothing' },
      { type: `${step}.refused`, trouble, made: 'doubtful', facts },
      { type: `${step}.displaced`, trouble },
      { type: `${step}.removed` },
      { type: `${step}.removed`, facts, warning: 'it was not ours' },
      { type: `${step}.owed`, trouble },
    ];
  }),
];

/** The members upon which transitions depend. The others are compared too, but a new value of one opens no new state. */
function whatDecides({ value, context }: Snapshot): string {
  const { plan, owed, displacements, doubtful } = context;
  const debtors = [owed.length > 0, owed.some(({ step }) => step === 'port')];
  const planned = [plannedOf(plan), isAnnotation(plan.publication)];
  return JSON.stringify([value, planned, debtors, displacements, [...new Set(doubtful)].sort()]);
}

describe('run.ts and xstate', () => {
  it.each(pairs)('%s: agree on each event in each state that any events lead to', (_, pair) => {
    const seen = new Set<string>();
    const open = [beginning(pair)];
    for (let both = open.pop(); both; both = open.pop()) {
      for (const event of everyEvent) {
        const next = tellBoth(pair, both, event);
        const place = next && whatDecides(next.ours);
        if (!place || seen.has(place)) continue;
        seen.add(place);
        open.push(next);
      }
    }
    console.log(`run.ts: ${seen.size} states of ${pair.machine.id}, each told ${everyEvent.length} events`);
    expect(seen.size).toBeGreaterThan(8);
  });
});

const anyEvents = fc.array(
  fc.record({
    event: fc.nat(everyEvent.length - 1),
    message: fc.string(),
    isMeant: fc.integer({ min: 0, max: 3 }),
  }),
  { maxLength: 80 },
);

describe(withSeed('run.ts and xstate on any walk'), () => {
  it.each(pairs)('%s: agree after any events, heard or not', (_, pair) => {
    fc.assert(
      fc.property(fc.nat(), anyEvents, (first, events) => {
        const beginnings = everyEvent.filter(({ type }) => type === 'begin');
        let both = tellBoth(pair, beginning(pair), beginnings[first % beginnings.length] ?? begin()) as Both;
        for (const { event, message, isMeant } of events) {
          const here = everyEvent.filter((one) => hear(pair.machine, both.ours, one));
          // Most events are ones that lead on; the others are any.
          const pool = isMeant > 0 && here.length > 0 ? here : everyEvent;
          const chosen = pool[event % pool.length] ?? abandon;
          const told = 'trouble' in chosen ? { ...chosen, trouble: { ...trouble, message } } : chosen;
          both = tellBoth(pair, both, told) ?? both;
        }
      }),
    );
  });
});
