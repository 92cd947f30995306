import { describe, expect, it } from 'vitest';
import { steps } from '../../src/machines/protocol.ts';
import {
  abandon,
  begin,
  contextOf,
  factsOf,
  folded,
  machines,
  owed,
  planWithout,
  removed,
  removedFrom,
  trouble,
} from '../support/fake/machine-events.ts';

describe('DEL', () => {
  it('asks for nothing before it gets its plan', () => {
    expect(folded(machines.del, []).pending).toEqual([]);
  });

  it('ends as removed when nothing is left', () => {
    const end = removedFrom(machines.del, folded(machines.del, [begin()]));
    expect(end.snapshot.value).toBe('removed');
    expect(end.snapshot.status).toBe('done');
  });

  it.each(steps)('ends as owed when its %s is left, and says why (I4)', (step) => {
    const end = removedFrom(machines.del, folded(machines.del, [begin()]), [step]);
    expect(end.snapshot.value).toBe('owed');
    expect(end.snapshot.status).toBe('done');
    expect(contextOf(end.snapshot).owed).toEqual([{ step, trouble }]);
  });

  it('removes from the key alone: no step but address and device information needs a plan', () => {
    const { key, ovsdb, request } = planWithout();
    const end = removedFrom(machines.del, folded(machines.del, [begin({ key, ovsdb, request })]));
    expect(end.asked.map(({ step }) => step)).toEqual(['publication', 'port', 'bridge', 'socketDir']);
    expect(end.snapshot.value).toBe('removed');
  });

  it('knows the facts of the journal, and none when there was no journal', () => {
    expect(folded(machines.del, [begin(planWithout(), factsOf)]).pending[0]?.facts).toEqual(factsOf);
    expect(folded(machines.del, [begin()]).pending[0]?.facts).toEqual({});
  });

  it('cannot be abandoned: a removal that was begun stays one', () => {
    for (const events of [[], [begin()], [begin(), owed('deviceInfo')], [begin(), removed('deviceInfo')]]) {
      expect(folded(machines.del, events).snapshot.can(abandon)).toBe(false);
    }
  });

  it('is begun once', () => {
    expect(folded(machines.del, [begin()]).snapshot.can(begin())).toBe(false);
  });

  it('that is done a second time asks for the same and ends the same (I5)', () => {
    const first = removedFrom(machines.del, folded(machines.del, [begin()]));
    const second = removedFrom(machines.del, folded(machines.del, [begin()]));
    expect(second.asked).toEqual(first.asked);
    expect(second.snapshot.value).toBe(first.snapshot.value);
  });
});
