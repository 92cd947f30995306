/**
 * The removal is the same in a failed ADD and in a DEL: every case here runs with both.
 */
import { describe, expect, it } from 'vitest';
import { type Plan, type Step, steps } from '../../src/machines/protocol.ts';
import {
  abandon,
  allMade,
  annotated,
  begin,
  contextOf,
  type Folded,
  factsOf,
  folded,
  hear,
  machines,
  owed,
  plannedOf,
  planWithout,
  removed,
  removedFrom,
  trouble,
  wordsOf,
} from '../support/fake/machine-events.ts';

const removals = {
  'a failed ADD': { machine: machines.add, start: (plan: Plan) => [begin(plan), ...allMade(plan), abandon] },
  'a DEL': { machine: machines.del, start: (plan: Plan) => [begin(plan, factsOf)] },
} as const;

const reversed = steps.toReversed();

describe.each(Object.entries(removals))('the removal of %s', (_, { machine, start }) => {
  /** The requests when these steps cannot be taken away. */
  const removal = (failing: readonly Step[] = [], plan = planWithout()): { words: Step[]; end: Folded } => {
    const end = removedFrom(machine, folded(machine, start(plan)), failing);
    return { words: end.asked.filter(({ verb }) => verb === 'remove').map(({ step }) => step), end };
  };

  it('is the exact reverse of the order in which ADD makes the steps', () => {
    const made = folded(machines.add, [begin(), ...allMade()]).asked.map(({ step }) => step);
    expect(removal().words).toEqual(made.toReversed());
  });

  it('asks for an address and for device information only where there was one', () => {
    expect(removal([], planWithout('address', 'deviceInfo')).words).toEqual(reversed.slice(1, -1));
  });

  it('looks for everything else with any plan: marks on the switch do not need one', () => {
    const words = removal([], planWithout('address', 'deviceInfo')).words;
    expect(words).toEqual(expect.arrayContaining(['publication', 'port', 'bridge', 'socketDir']));
  });

  it.each(reversed.filter((step) => step !== 'port'))(
    'goes on past a %s that cannot be taken away, and owes it with the reason',
    (step) => {
      const { words, end } = removal([step]);
      expect(words).toEqual(reversed);
      expect(contextOf(end.snapshot).owed).toEqual([{ step, trouble }]);
    },
  );

  it('holds the address, the bridge and the directory while the port is owed (case A32)', () => {
    const { words, end } = removal(['port']);
    expect(words).toEqual(['deviceInfo', 'publication', 'port']);
    expect(contextOf(end.snapshot).owed).toEqual([{ step: 'port', trouble }]);
  });

  it('hands the end of the port to the step of the address: when ovs-vswitchd has released it (case A32)', () => {
    const facts = { goneAt: 7 };
    const gone = removedFrom(machine, folded(machine, start(planWithout())), [], { port: facts });
    expect(gone.asked.at(-1)).toMatchObject({ step: 'address', verb: 'remove', facts: { port: facts } });
  });

  it('never asks for the address before the port is gone, even if other steps fail (case A32)', () => {
    for (let failing = 0; failing < 2 ** steps.length; failing++) {
      const failed = steps.filter((__, bit) => failing & (1 << bit));
      const { words } = removal(failed);
      expect(words.includes('address')).toBe(!failed.includes('port'));
      expect(words.includes('bridge')).toBe(!failed.includes('port'));
      expect(words).toEqual(reversed.filter((step) => words.includes(step)));
    }
  });

  it('asks for each step once and owes exactly those that failed', () => {
    const { words, end } = removal(steps);
    expect(new Set(words).size).toBe(words.length);
    expect(contextOf(end.snapshot).owed.map(({ step }) => step)).toEqual(words);
    expect(end.snapshot.status).toBe('done');
  });

  it('carries the plan and the facts in every request, so that an effect needs no memory', () => {
    const { end } = removal();
    for (const request of end.asked.filter(({ verb }) => verb === 'remove')) {
      expect(plannedOf(request.plan)).toEqual(steps);
      expect(request.facts).toEqual(factsOf);
    }
  });

  it('never makes anything', () => {
    const from = folded(machine, start(planWithout())).asked.length - 1;
    const { end } = removal(steps);
    expect(wordsOf(end.asked.slice(from)).filter((word) => word.startsWith('ensure'))).toEqual([]);
  });
});

describe('the removal of a DEL whose plan has an annotation', () => {
  const both = folded(machines.del, [begin(annotated(planWithout('deviceInfo')), factsOf)]);

  it('asks for the annotation and the port at once, because neither needs the other', () => {
    expect(wordsOf(both.pending)).toEqual(['remove publication', 'remove port']);
  });

  it.each([
    ['publication', 'port'],
    ['port', 'publication'],
  ] as const)('waits for the other one when the %s is gone first', (first, second) => {
    const one = hear(machines.del, both, removed(first));
    expect(wordsOf(one.pending)).toEqual([`remove ${second}`]);
    expect(wordsOf(hear(machines.del, one, removed(second)).pending)).toEqual(['remove bridge']);
  });

  it.each([
    ['publication', 'port'],
    ['port', 'publication'],
  ] as const)(
    'holds the address, the bridge and the directory while the port is owed, whichever ends first: %s',
    (...order) => {
      const answers = { port: owed('port'), publication: removed('publication') };
      const end = order.reduce((state, step) => hear(machines.del, state, answers[step]), both);
      expect(end.pending).toEqual([]);
      expect(end.snapshot.value).toBe('owed');
    },
  );

  it('hands the end of the port to the step of the address, even if the annotation ends later', () => {
    const gone = hear(machines.del, both, removed('port', { goneAt: 7 }));
    const end = removedFrom(machines.del, gone);
    expect(end.asked.at(-1)).toMatchObject({ step: 'address', facts: { port: { goneAt: 7 } } });
  });
});
