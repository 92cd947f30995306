/** Arrays of JSON from any writer: each element's own text is found, with anything in it and around it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementsOf, isSameValue } from '../../src/json-text.ts';
import { withSeed } from '../support/seed.ts';

const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
const escaped = fc.constantFrom(
  '"\\u003d"',
  '1.0',
  '12345678901234567890',
  '{"a":1,"a":2}',
  '"],[\\"\\\\"',
  '{"2":[],"1":{}}',
  '-0',
  '1e2',
  '"\\ud800é\u2028"',
);
const text = fc.oneof(fc.json(), escaped);

describe(withSeed('an array of JSON'), () => {
  it('is cut into its elements byte for byte (need N25)', () => {
    const property = fc.property(fc.array(fc.tuple(space, text, space)), space, (parts, around) => {
      const whole = `${around}[${parts.map((part) => part.join('')).join(',')}${parts.length > 0 ? '' : around}]${around}`;
      expect(elementsOf(whole)?.map((one) => one.text)).toEqual(parts.map(([, one]) => one.trim()));
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it('means the same when it is written in another order of its members, and nothing else does', () => {
    const turned = (value: unknown): unknown => {
      if (value === null || typeof value !== 'object') return value;
      if (Array.isArray(value)) return value.map(turned);
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, one]) => [key, turned(one)]),
      );
    };
    const property = fc.property(fc.json(), fc.json(), (one, other) => {
      const [left, right] = [JSON.parse(one), JSON.parse(other)];
      expect(isSameValue(left, turned(left))).toBe(true);
      expect(isSameValue(left, [left])).toBe(false);
      expect(isSameValue(left, right)).toBe(isSameValue(right, left));
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it.each(['', 'x', '{}', '"[]"', 'null', '[', '[1,]', '[]]'])('is not %j', (whole) => {
    expect(elementsOf(whole)).toBeUndefined();
  });
});
