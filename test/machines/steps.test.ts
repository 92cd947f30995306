import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { eventOf } from '../../src/machines/notation.ts';
import { type Outcome, steps } from '../../src/machines/protocol.ts';
import { begunPlan } from '../../src/machines/steps.ts';
import {
  abandon,
  allMade,
  begin,
  contextOf,
  factsOf,
  folded,
  machines,
  made,
  planWithout,
  trouble,
} from '../support/fake/machine-events.ts';

describe('a request of a machine', () => {
  it('is returned as data; the implementation of the action throws if it is run', () => {
    const [idle] = initialTransition(machines.add);
    const [, actions] = transition(machines.add, idle, begin());
    expect(actions.map(({ type }) => type)).toEqual(['request']);
    expect(() => actions[0]?.exec?.(actions[0].info as never, actions[0].params as never)).toThrow(
      'a machine does not act',
    );
  });

  it('carries the plan and the facts learnt so far, and nothing else', () => {
    const plan = planWithout();
    const { pending } = folded(machines.add, [begin(plan), ...made('address')]);
    expect(pending).toEqual([{ step: 'socketDir', verb: 'ensure', plan, facts: { address: factsOf.address } }]);
  });

  it('is not asked for again when its announcement is heard', () => {
    const before = folded(machines.add, [begin()]);
    const announced = folded(machines.add, [begin(), { type: 'address.begun' }]);
    expect(announced.pending).toEqual(announced.asked);
    expect(announced.asked).toHaveLength(before.asked.length);
  });

  it('is unchanged by a fact of another step: facts are kept apart by their step', () => {
    const { snapshot } = folded(machines.add, [begin(), ...allMade()]);
    expect(contextOf(snapshot).facts).toEqual(factsOf);
  });
});

describe('a step that was begun (MA3)', () => {
  it('is one whose intent was recorded; it is listed once, in the order of the intents', () => {
    const events = [begin(), ...made('address'), ...made('socketDir'), ...made('bridge')];
    const again: typeof events = [{ type: 'port.begun' }, { type: 'port.displaced', trouble }, ...made('bridge')];
    expect(contextOf(folded(machines.add, [...events, ...again]).snapshot).begun).toEqual([
      'address',
      'socketDir',
      'bridge',
      'port',
    ]);
  });

  it('is all that is left of a plan, beside its key, its switch and the call that made it', () => {
    const plan = planWithout();
    expect(Object.keys(begunPlan({ plan, begun: [], refused: [] })).sort()).toEqual(['key', 'ovsdb', 'request']);
    for (const step of steps) {
      expect(begunPlan({ plan, begun: [step], refused: [] })).toEqual({
        key: plan.key,
        ovsdb: plan.ovsdb,
        request: plan.request,
        [step]: step === 'port' ? { ...plan.port, socketStays: true } : plan[step],
      });
    }
  });

  it('adds nothing to a plan that never had it', () => {
    const plan = planWithout('address');
    expect(begunPlan({ plan, begun: ['address', 'port'], refused: [] }).address).toBeUndefined();
  });

  it('leaves an ADD that was abandoned before its first intent with nothing to take away', () => {
    const { pending, asked } = folded(machines.add, [begin(), abandon]);
    expect(pending[0]?.plan).toEqual(begunPlan({ plan: planWithout(), begun: [], refused: [] }));
    expect(asked.slice(-1)).toEqual(pending);
  });
});

describe('the event that tells a machine of an outcome', () => {
  const outcomes: Outcome[] = [{ kind: 'ok' }, { kind: 'failed', trouble }, { kind: 'displaced', trouble }];
  const words = { ensure: ['ensured', 'refused', 'displaced'], remove: ['removed', 'owed', 'owed'] } as const;

  for (const verb of ['ensure', 'remove'] as const) {
    for (const [index, outcome] of outcomes.entries()) {
      it(`of an ${verb} that is ${outcome.kind} is "${words[verb][index]}", with why it is not done`, () => {
        for (const step of steps) {
          const event = eventOf({ step, verb }, outcome);
          expect(event).toEqual({
            type: `${step}.${words[verb][index]}`,
            ...(outcome.kind !== 'ok' && { trouble }),
          });
        }
      });
    }
  }

  it('carries the facts of what was made or removed, and none where there are none', () => {
    const facts = { created: true };
    expect(eventOf({ step: 'bridge', verb: 'ensure' }, { kind: 'ok', facts })).toEqual({
      type: 'bridge.ensured',
      facts,
    });
    expect('facts' in eventOf({ step: 'bridge', verb: 'ensure' }, { kind: 'ok' })).toBe(false);
    expect(eventOf({ step: 'port', verb: 'remove' }, { kind: 'ok', facts: { goneAt: 7 } })).toEqual({
      type: 'port.removed',
      facts: { goneAt: 7 },
    });
  });
});
