/**
 * The machines as graphs: what holds in every state, on every transition, along every path (docs/adr/0002).
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Facts, type Step, steps } from '../../src/machines/protocol.ts';
import type { AttachmentEvent } from '../../src/machines/steps.ts';
import {
  abandon,
  begin,
  contextOf,
  type Folded,
  folded,
  hear,
  initial,
  type Machine,
  machines,
  plannedOf,
  removedFrom,
  type Snapshot,
  trouble,
  wordsOf,
} from '../support/fake/machine-events.ts';
import {
  everyPlan,
  everySimpleWalk,
  graphOf,
  heardIn,
  standing,
  takenBy,
  transitionsOf,
  whatDecides,
} from '../support/fake/machine-graph.ts';
import { withSeed } from '../support/seed.ts';

const all = Object.entries(machines) as [name: string, machine: Machine][];

interface Edge {
  readonly from: Snapshot;
  readonly event: AttachmentEvent;
  readonly to: Snapshot;
}

const edgesOf = (machine: Machine): Edge[] =>
  graphOf(machine).flatMap(({ state: from, edges }) => edges.map((edge) => ({ from, ...edge })));

/** All events of all steps, with and without what they may carry. */
const everyEvent: readonly AttachmentEvent[] = [
  ...everyPlan.map((plan) => begin(plan)),
  abandon,
  ...steps.flatMap((step): AttachmentEvent[] => [
    { type: `${step}.begun` },
    { type: `${step}.ensured` },
    { type: `${step}.refused`, trouble },
    { type: `${step}.displaced`, trouble },
    { type: `${step}.removed` },
    { type: `${step}.owed`, trouble },
  ]),
];

describe('the machines as graphs', () => {
  it('every transition of every machine can be taken by what the loop sends', () => {
    const defined = all.flatMap(([, machine]) => transitionsOf(machine));
    const taken = new Set(
      all.flatMap(([, machine]) => edgesOf(machine).flatMap(({ from, event }) => takenBy(machine, from, event))),
    );
    const covered = defined.filter((transition) => taken.has(transition));
    const percent = Math.floor((100 * covered.length) / defined.length);
    console.log(`machines: ${covered.length}/${defined.length} transitions covered (${percent}%)`);
    const missed = defined.filter((transition) => !taken.has(transition));
    expect(missed.map(({ source, eventType }) => `${source.id} on "${eventType}"`)).toEqual([]);
    expect(percent).toBe(100);
  });

  it.each(all)(
    '%s: it waits for the step of its state; only a DEL for two, the annotation’s and the port’s (MA1)',
    (_, machine) => {
      const visited = new Set<string>();
      everySimpleWalk(machine, ({ end: { snapshot, pending } }) => {
        visited.add(whatDecides(snapshot));
        const rests = snapshot.status === 'done' || ['idle', 'ready'].includes(standing(snapshot).state);
        expect(pending.map(({ step }) => step)).toEqual(rests ? [] : standing(snapshot).steps);
        if (pending.length > 1) expect(wordsOf(pending)).toEqual(['remove publication', 'remove port']);
      });
      expect(visited).toEqual(new Set(graphOf(machine).map(({ state }) => whatDecides(state))));
    },
  );

  it.each(all)('%s: it makes in ADD, and takes away in a removal', (_, machine) => {
    everySimpleWalk(machine, ({ end: { snapshot, pending } }) => {
      const { removing } = standing(snapshot);
      for (const { verb } of pending) expect(verb).toBe(removing ? 'remove' : 'ensure');
    });
  });

  it.each(all)(
    '%s: every failure of a step that makes something leads into removing, and nothing else does (MA2)',
    (_, machine) => {
      for (const { from, event, to } of edgesOf(machine)) {
        const before = standing(from);
        const failure = /\.(refused|displaced)$|^abandon$/.test(event.type);
        const bridgeAgain =
          event.type === 'port.displaced' && standing(to).state === 'bridge' && !standing(to).removing;
        const begunToRemove = !before.removing && standing(to).removing && event.type !== 'begin';
        expect(begunToRemove).toBe(failure && !bridgeAgain);
      }
    },
  );

  it.each(all)('%s: nothing leads from a removal back to making', (_, machine) => {
    for (const { from, to } of edgesOf(machine)) {
      if (standing(from).removing) expect(standing(to).removing || to.status === 'done').toBe(true);
    }
  });

  it.each(all)('%s: from every state a path leads to a final one', (_, machine) => {
    const edges = edgesOf(machine);
    const states = graphOf(machine).map(({ state }) => state);
    const reachesEnd = new Set(states.filter(({ status }) => status === 'done').map(whatDecides));
    for (let before = -1; before !== reachesEnd.size; ) {
      before = reachesEnd.size;
      for (const { from, to } of edges) if (reachesEnd.has(whatDecides(to))) reachesEnd.add(whatDecides(from));
    }
    expect(states.map(whatDecides).filter((state) => !reachesEnd.has(state))).toEqual([]);
  });

  it.each(all)('%s: a removal that only fails ends too, within one request per step', (_, machine) => {
    everySimpleWalk(machine, ({ end }) => {
      if (end.pending[0]?.verb !== 'remove') return;
      const failed = removedFrom(machine, end, steps);
      expect(failed.snapshot.status).toBe('done');
      expect(failed.asked.length - end.asked.length).toBeLessThan(steps.length);
    });
  });

  it.each(all)(
    '%s: any beginning of any path, read back from JSON, stands where it stood and waits for the same',
    (_, machine) => {
      let walks = 0;
      everySimpleWalk(machine, ({ events, end }) => {
        walks++;
        expect(told(folded(machine, JSON.parse(JSON.stringify(events)) as AttachmentEvent[]))).toBe(told(end));
      });
      console.log(`machines: ${walks} beginnings of simple paths folded`);
    },
  );

  it.each(all)('%s: an event is heard exactly where the loop can send it, and is refused elsewhere', (_, machine) => {
    for (const { state } of graphOf(machine)) {
      const sent = new Set(heardIn(state, everyPlan).map(({ type }) => type));
      const heard = new Set(everyEvent.filter((event) => state.can(event)).map(({ type }) => type));
      // A step made again after a displacement is announced again; an outcome is trusted to have been announced.
      const { state: at, removing } = standing(state);
      if (!removing && steps.includes(at as Step)) {
        for (const word of ['begun', 'ensured', 'refused', ...(at === 'port' ? ['displaced'] : [])])
          sent.add(`${at}.${word}` as never);
      }
      expect([...heard].sort()).toEqual([...sent].sort());
    }
  });
});

/** Everything that a machine remembers and waits for. */
const told = ({ snapshot, pending }: Folded): string =>
  JSON.stringify([snapshot.value, snapshot.status, snapshot.context, pending]);

/** An answer that the loop may give, with payloads of any content. */
const payloads = {
  trouble: fc.record({ code: fc.nat(200), message: fc.string() }),
  facts: fc.record({
    address: fc.record({ ips: fc.array(fc.record({ address: fc.ipV4() })), routes: fc.constant([]) }),
    socketDir: fc.record({
      uid: fc.nat(),
      granted: fc.array(
        fc.record({ path: fc.string(), right: fc.constantFrom('search' as const, 'connect' as const) }),
      ),
    }),
    bridge: fc.record({ created: fc.boolean() }),
    port: fc.record({ uuid: fc.uuid(), ofport: fc.nat() }),
    publication: fc.constant({ settled: true }),
  }),
};

const walks = fc.record({
  plan: fc.constantFrom(...everyPlan),
  answers: fc.array(fc.record({ pick: fc.nat(8), trouble: payloads.trouble, facts: payloads.facts }), {
    maxLength: 60,
  }),
});

type Walked = typeof walks extends fc.Arbitrary<infer T> ? T : never;

/** The walk that these answers lead through the machine. */
function walked(machine: Machine, { plan, answers }: Walked): { events: AttachmentEvent[]; state: Folded } {
  const events: AttachmentEvent[] = [begin(plan)];
  let state = hear(machine, initial(machine), begin(plan));
  for (const { pick, trouble: reason, facts } of answers) {
    const possible = heardIn(state.snapshot, everyPlan);
    // The first answer leads forward; most walks should get far.
    const chosen = possible[pick] ?? possible[0];
    if (!chosen) break;
    const own = chosen.type.endsWith('.ensured') ? facts[chosen.type.split('.')[0] as keyof Facts] : undefined;
    const event = {
      ...chosen,
      ...('trouble' in chosen && { trouble: reason }),
      ...(own && { facts: own }),
    } as AttachmentEvent;
    events.push(event);
    state = hear(machine, state, event);
  }
  return { events, state };
}

describe(withSeed('the machines on any walk'), () => {
  it.each(all)('%s: a walk cut anywhere and read back from JSON goes on as if it had not been cut', (_, machine) => {
    fc.assert(
      fc.property(walks, fc.nat(), (walk, cut) => {
        const { events, state } = walked(machine, walk);
        const at = cut % (events.length + 1);
        const kept = folded(machine, JSON.parse(JSON.stringify(events.slice(0, at))) as AttachmentEvent[]);
        const goneOn = events.slice(at).reduce((from, event) => hear(machine, from, event), kept);
        expect(told(goneOn)).toBe(told(state));
      }),
    );
  });

  it.each(all)('%s: a request carries the facts of the steps before it and plain data only', (_, machine) => {
    fc.assert(
      fc.property(walks, (walk) => {
        const { events, state } = walked(machine, walk);
        const learnt: Record<string, unknown> = {};
        for (const event of events) {
          if (event.type.endsWith('.ensured') && 'facts' in event && event.facts) {
            learnt[event.type.split('.')[0] ?? ''] = event.facts;
          }
        }
        expect(JSON.parse(JSON.stringify(state.asked))).toEqual(state.asked);
        expect(contextOf(state.snapshot).facts).toEqual(learnt);
        for (const { facts } of state.pending) expect(facts).toEqual(learnt);
      }),
    );
  });

  it.each(all)(
    '%s: an ADD that gives up takes away what was begun and may have been made, and nothing else (MA3), a DEL all that was planned',
    (_, machine) => {
      fc.assert(
        fc.property(walks, (walk) => {
          const { events, state } = walked(machine, walk);
          const isUnmade = (step: Step) =>
            events.some((event) => event.type === `${step}.refused` && 'made' in event && event.made === 'nothing');
          const begun = steps.filter((step) => events.some(({ type }) => type === `${step}.begun`) && !isUnmade(step));
          for (const { verb, plan } of state.asked) {
            if (verb !== 'remove') continue;
            expect(plannedOf(plan)).toEqual(machine === machines.add ? begun : plannedOf(walk.plan));
          }
        }),
      );
    },
  );
});
