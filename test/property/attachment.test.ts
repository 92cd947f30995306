import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AttachmentKey,
  configDataName,
  fenceName,
  holdFileName,
  journalName,
  keyText,
  portName,
  shortId,
} from '../../src/attachment.ts';
import { withSeed } from '../support/seed.ts';

/** Network names and container ids (CNI SPEC: parameters): a letter or digit, then those, underscore, dot, hyphen. */
const identifier = (maxLength: number): fc.Arbitrary<string> =>
  fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, { maxLength, size: 'max' });

/** An interface name is at most 15 bytes of anything but a slash, a colon and white space. */
const interfaceName = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 15 })
  .filter((name) => !/[/:\s]/.test(name) && !['.', '..'].includes(name) && Buffer.byteLength(name) <= 15);

const keys: fc.Arbitrary<AttachmentKey> = fc.record({
  network: identifier(260),
  containerId: fc.oneof(identifier(1), identifier(64), identifier(260)),
  ifName: interfaceName,
});

/** Two keys that differ little. */
const neighbours = fc
  .tuple(keys, keys, fc.subarray(['network', 'containerId', 'ifName'] as const, { minLength: 1, maxLength: 2 }))
  .map(([one, two, changed]) => [
    one,
    { ...one, ...Object.fromEntries(changed.map((name) => [name, two[name]])) } as AttachmentKey,
  ])
  .filter(([one, two]) => JSON.stringify(one) !== JSON.stringify(two));

const fenceOf = (key: AttachmentKey): string => fenceName(key, '0123456789abcdef');

describe(withSeed('the names of any key'), () => {
  it('are file names that every file system takes', () => {
    fc.assert(
      fc.property(keys, (key) => {
        for (const name of [journalName(key), holdFileName(key), configDataName(key)]) {
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
          expect(name).not.toMatch(/[/\0]/);
          expect(['.', '..']).not.toContain(name);
        }
      }),
    );
  });

  it('are fences that Open vSwitch takes', () => {
    fc.assert(
      fc.property(keys, (key) => {
        expect(fenceOf(key)).toMatch(/^[a-zA-Z_][a-zA-Z0-9_]*$/);
      }),
    );
  });

  it('differ where the keys do: journals, hold files and fences are never shared (AT2)', () => {
    fc.assert(
      fc.property(neighbours, ([one, two]) => {
        if (!one || !two) return;
        for (const name of [keyText, journalName, holdFileName, fenceOf]) expect(name(one)).not.toBe(name(two));
      }),
      { numRuns: 500 },
    );
  });

  it('read back: the text of a key gives the key', () => {
    fc.assert(
      fc.property(keys, (key) => {
        const [network, containerId, ifName] = keyText(key).split(':');
        expect({ network, containerId, ifName }).toEqual(key);
      }),
    );
  });

  it('are always the same, and follow from the key alone (AT1)', () => {
    fc.assert(
      fc.property(keys, (key) => {
        const copy = JSON.parse(JSON.stringify(key)) as AttachmentKey;
        for (const name of [journalName, holdFileName, fenceOf, portName, configDataName]) {
          expect(name(copy)).toBe(name(key));
        }
        expect(key.containerId.startsWith(shortId(key))).toBe(true);
      }),
    );
  });
});
