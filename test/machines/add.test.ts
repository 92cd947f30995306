import { describe, expect, it } from 'vitest';
import { type Step, steps } from '../../src/machines/protocol.ts';
import type { AttachmentEvent } from '../../src/machines/steps.ts';
import {
  abandon,
  allMade,
  begin,
  contextOf,
  displaced,
  type Folded,
  folded,
  hear,
  machines,
  made,
  owed,
  plannedOf,
  planWithout,
  refused,
  removed,
  removedFrom,
  trouble,
  wordsOf,
} from '../support/fake/machine-events.ts';

const add = (...events: readonly AttachmentEvent[]): Folded => folded(machines.add, events);

const pendingAfter = (...events: readonly AttachmentEvent[]) => add(...events).pending;

/** An ADD up to the announcement of this step. */
const upTo = (step: Step): AttachmentEvent[] => [
  begin(),
  ...steps.slice(0, steps.indexOf(step)).flatMap(made),
  { type: `${step}.begun` },
];

describe('ADD', () => {
  it('asks for nothing before it gets its plan', () => {
    expect(add().pending).toEqual([]);
    expect(add().snapshot.can(abandon)).toBe(false);
  });

  it('makes the steps in their order, each after the one before it is made, and rests ready', () => {
    const state = add(begin(), ...allMade());
    expect(wordsOf(state.asked)).toEqual(steps.map((step) => `ensure ${step}`));
    expect(state.snapshot.value).toBe('ready');
    expect(state.pending).toEqual([]);
  });

  it.each([['address' as const], ['bridge' as const], ['deviceInfo' as const]])(
    'takes no step for %s when the plan has none',
    (absent) => {
      const plan = planWithout(absent);
      const state = add(begin(plan), ...allMade(plan));
      expect(wordsOf(state.asked)).toEqual(plannedOf(plan).map((step) => `ensure ${step}`));
      expect(state.snapshot.value).toBe('ready');
    },
  );

  it.each(steps)(
    'rolls back the steps that it began when %s fails, and reports that failure (MA2, MA3, I3)',
    (step) => {
      const reason = { code: 100, message: `no ${step}` };
      const giving = add(...upTo(step), { type: `${step}.refused`, trouble: reason });
      expect(giving.pending[0]?.verb).toBe('remove');
      expect(contextOf(giving.snapshot).failure).toEqual(reason);
      expect(plannedOf(giving.pending[0]?.plan ?? planWithout())).toEqual(steps.slice(0, steps.indexOf(step) + 1));
      const end = removedFrom(machines.add, giving);
      expect(end.snapshot.value).toBe('failed');
      expect(contextOf(end.snapshot).failure).toEqual(reason);
    },
  );

  it.each(steps)(
    "that is abandoned before it announces its %s does not take that away: it may be another attachment's (MA3)",
    (step) => {
      const [pending] = pendingAfter(...upTo(step).slice(0, -1), abandon);
      expect(plannedOf(pending?.plan ?? planWithout())).toEqual(steps.slice(0, steps.indexOf(step)));
    },
  );

  it.each(steps)(
    'that is abandoned while it waits for its %s takes that away too: it may have happened (I1)',
    (step) => {
      const [pending] = pendingAfter(...upTo(step), abandon);
      expect(plannedOf(pending?.plan ?? planWithout())).toContain(step);
    },
  );

  it('that is ready can still be abandoned, and then takes everything back', () => {
    const giving = add(begin(), ...allMade(), abandon);
    expect(giving.pending[0]?.plan).toEqual(planWithout());
    const end = removedFrom(machines.add, giving);
    expect(wordsOf(end.asked)).toEqual([
      ...steps.map((step) => `ensure ${step}`),
      ...steps.toReversed().map((step) => `remove ${step}`),
    ]);
    expect(end.snapshot.value).toBe('failed');
  });

  it('that gave up hears nothing but the outcomes of its removal', () => {
    const { snapshot } = add(...upTo('port'), refused('port'));
    expect(snapshot.can(abandon)).toBe(false);
    expect(snapshot.can({ type: 'port.ensured' })).toBe(false);
  });

  it('that failed has ended and hears nothing more', () => {
    const { snapshot } = removedFrom(machines.add, add(begin(), abandon));
    expect(snapshot.status).toBe('done');
    for (const event of [begin(), abandon, removed('address'), owed('port')]) expect(snapshot.can(event)).toBe(false);
  });

  it('whose removal cannot finish fails too, and says what is owed', () => {
    const end = removedFrom(machines.add, add(begin(), ...allMade(), abandon), ['port']);
    expect(end.snapshot.value).toBe('failed');
    expect(contextOf(end.snapshot).owed).toEqual([{ step: 'port', trouble }]);
  });
});

describe('an ADD whose bridge goes away before its port is made', () => {
  const again = (): AttachmentEvent[] => [displaced, ...made('bridge'), { type: 'port.begun' }];
  const times = (count: number): Folded => add(...upTo('port'), ...Array.from({ length: count }, again).flat());

  it.each([1, 2, 3])('makes the bridge again, %d times', (count) => {
    const { asked, pending } = times(count);
    expect(wordsOf(asked).filter((word) => word === 'ensure bridge')).toHaveLength(count + 1);
    expect(pending).toMatchObject([{ verb: 'ensure', step: 'port' }]);
  });

  it('gives up the fourth time, with the last reason, and takes the bridge away with the rest', () => {
    const giving = hear(machines.add, times(3), displaced);
    expect(giving.pending).toMatchObject([{ verb: 'remove', step: 'publication' }]);
    expect(contextOf(giving.snapshot).failure).toEqual(trouble);
    expect(plannedOf(giving.pending[0]?.plan ?? planWithout())).toEqual(['address', 'socketDir', 'bridge', 'port']);
  });

  it('attaches if the bridge stays in the end', () => {
    const port = hear(machines.add, times(3), { type: 'port.ensured' });
    const events = [...made('publication'), ...made('deviceInfo')];
    expect(events.reduce((state, event) => hear(machines.add, state, event), port).snapshot.value).toBe('ready');
  });

  it('gives up at once, and makes none, if others make the bridge (need N5)', () => {
    const plan = planWithout('bridge');
    const before = steps.slice(0, steps.indexOf('bridge')).flatMap(made);
    const state = add(begin(plan), ...before, { type: 'port.begun' }, displaced);
    expect(wordsOf(state.asked)).not.toContain('ensure bridge');
    expect(contextOf(state.snapshot).failure).toEqual(trouble);
  });

  it('is the only step that can be displaced', () => {
    for (const step of steps) {
      expect(add(...upTo(step)).snapshot.can({ type: `${step}.displaced`, trouble })).toBe(step === 'port');
    }
  });
});
