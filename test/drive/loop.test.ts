/**
 * Two effects at once in the one loop. All else of it is walked by the crash tests (test/fault).
 */
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/drive/entry.ts';
import { drive, start } from '../../src/drive/loop.ts';
import { delMachine } from '../../src/machines/del.ts';
import type { Outcome, Request } from '../../src/machines/protocol.ts';
import { annotated, begin, factsOf, planWithout } from '../support/fake/machine-events.ts';

const ok: Outcome = { kind: 'ok' };
const plan = annotated(planWithout('address', 'deviceInfo'));

/** A removal whose effects end when the test says so. */
function removing() {
  const waiting = new Map<
    string,
    { readonly end: (outcome: Outcome) => void; readonly fail: (error: Error) => void }
  >();
  const noted: string[] = [];
  const perform = ({ step }: Request): Promise<Outcome> =>
    new Promise((end, fail) => {
      waiting.set(step, { end, fail });
    });
  const note = (entry: Entry): void => {
    if (entry.kind === 'outcome') noted.push(entry.step);
  };
  const unexpected = () => {
    throw new Error('a removal records no intent');
  };
  let isOver = false;
  const over = drive(delMachine, start(delMachine), begin(plan, factsOf), {
    journal: { append: unexpected, stage: unexpected, note },
    perform,
    call: { instance: 'id' },
    end: { make: 0, remove: Number.POSITIVE_INFINITY },
    reasonToStop: () => undefined,
  });
  const ended = () => {
    isOver = true;
  };
  over.then(ended, ended);
  const turn = () => new Promise(setImmediate);
  return { over, noted, waiting, turn, isOver: () => isOver };
}

describe('a removal of an annotated pod', () => {
  it('performs two effects at once, and notes each outcome as it comes', async () => {
    const { over, noted, waiting, turn } = removing();
    expect([...waiting.keys()]).toEqual(['publication', 'port']);
    waiting.get('port')?.end(ok);
    await turn();
    expect([noted, waiting.has('bridge')]).toEqual([['port'], false]);
    waiting.get('publication')?.end(ok);
    for (const step of ['bridge', 'socketDir']) {
      await turn();
      waiting.get(step)?.end(ok);
    }
    expect((await over).value).toBe('removed');
    expect(noted).toEqual(['port', 'publication', 'bridge', 'socketDir']);
  });

  it('does not end while the other effect is under way, even by an error that no effect may throw (DR4)', async () => {
    const { over, waiting, turn, isOver } = removing();
    waiting.get('publication')?.fail(new Error('a bug'));
    await turn();
    expect(isOver()).toBe(false);
    waiting.get('port')?.end(ok);
    await expect(over).rejects.toThrow('a bug');
  });
});
