import { describe, expect, it } from 'vitest';
import { isNothingNew, nextTry } from '../../src/drive/due.ts';
import type { Entry } from '../../src/drive/entry.ts';

const now = new Date('2025-01-17T12:00:00.000Z');
const pauseAfter = (tries: number): number => {
  const others: Entry[] = [{ kind: 'intent', step: 'port' }, { kind: 'attached' }];
  const going = Array.from({ length: tries }, (): Entry => ({ kind: 'going', by: 'DEL' }));
  const records = [...others, ...going].map((entry, index) => ({ ...entry, seq: index + 1, at: '' }));
  return nextTry({ records, failed: false }, now).getTime() - now.getTime();
};

describe('kind 5: a removal that is owed is due', () => {
  it('at once after its first try, which may have come at a bad moment', () => {
    expect(pauseAfter(0)).toBe(0);
    expect(pauseAfter(1)).toBe(0);
  });

  it('after a pause that doubles with each further try', () => {
    expect([2, 3, 4, 5, 10].map(pauseAfter)).toEqual([1_000, 2_000, 4_000, 8_000, 256_000]);
  });

  it('after five minutes at most, after any number of tries', () => {
    expect([11, 12, 100, 2_000].map(pauseAfter)).toEqual([300_000, 300_000, 300_000, 300_000]);
  });
});

it('kind 5: a removal that is owed on a full disk is due after the longest pause: no record counts its tries', () => {
  expect(nextTry({ records: [], failed: true }, now).getTime() - now.getTime()).toBe(300_000);
});

describe('kind 5: the records of a try that failed', () => {
  const going: Entry = { kind: 'going', by: 'recover' };
  const failed: Entry = {
    kind: 'outcome',
    step: 'address',
    verb: 'remove',
    outcome: { kind: 'failed', trouble: { code: 999, message: 'no' } },
    ms: 1,
  };
  const gone = (goneAt: number): Entry => ({
    kind: 'outcome',
    step: 'port',
    verb: 'remove',
    outcome: { kind: 'ok', facts: { goneAt } },
    ms: 1,
  });
  const tries = (count: number): Entry[] => Array.from({ length: count }, () => [going, gone(2), failed]).flat();

  it('are news as long as there are few tries', () => {
    expect(isNothingNew([...tries(11), going, gone(2), failed], tries(11).length)).toBe(false);
  });

  it('tell nothing new where the same was done, and the same failed, often enough before', () => {
    expect(isNothingNew([...tries(12), going, gone(2), failed], tries(12).length)).toBe(true);
  });

  it('are news where something was done', () => {
    expect(isNothingNew([...tries(12), going, gone(3), failed], tries(12).length)).toBe(false);
  });
});
