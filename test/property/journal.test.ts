/**
 * The journal's bytes under every damage, and its life on a disk that loses all data not fsynced.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Decoded, decode, encode, type Stamped } from '../../src/journal/record.ts';
import { bytesOf } from '../support/fake/disk-cases.ts';
import { withSeed } from '../support/seed.ts';

type Anything = Stamped & { readonly [name: string]: unknown };

/** A journal writes `seq` and `at` first; a member that is a number would go before them, and none of ours is. */
const members = fc.string().filter((name) => !/^(\d+|seq|at)$/.test(name));

/** The content of a record: any JSON, any text in it, also members named like our own. */
const payloads = fc.array(
  fc.dictionary(fc.oneof(members, fc.constantFrom('crc', 'chain', 'kind')), fc.jsonValue(), { maxKeys: 4 }),
  { maxLength: 8 },
);

interface File {
  readonly records: readonly Anything[];
  readonly bytes: Uint8Array;
  /** Where each record ends. */
  readonly ends: readonly number[];
}

/** A whole journal of these payloads. */
function fileOf(content: readonly object[]): File {
  const records: Anything[] = [];
  const ends: number[] = [];
  let bytes = new Uint8Array();
  let chain = 0;
  for (const payload of content) {
    const record = JSON.parse(JSON.stringify({ seq: records.length + 1, at: 'now', ...payload })) as Anything;
    const encoded = encode(record, chain);
    chain = encoded.chain;
    bytes = joined(bytes, encoded.line);
    records.push(record);
    ends.push(bytes.length);
  }
  return { records, bytes, ends };
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}

/** Expects the decoded records to be a beginning of the written ones, with exactly their bytes. */
function expectPrefix({ records, ends }: File, decoded: Decoded<Anything>): void {
  const count = decoded.records.length;
  expect(JSON.stringify(decoded.records)).toBe(JSON.stringify(records.slice(0, count)));
  expect(goodBytesOf(decoded)).toBe(ends[count - 1] ?? 0);
}

const goodBytesOf = ({ ends }: Decoded<Anything>): number => ends.at(-1)?.bytes ?? 0;

/**
 * The line that ends there is whole by its own checksum and says that it belongs elsewhere: its chain was hit, and is one still.
 */
function isMisplaced(bytes: Uint8Array, at: number, end: number): boolean {
  const chain = { start: end - 11, end: end - 3 };
  return at >= chain.start && at < chain.end && /[0-9a-f]/.test(String.fromCharCode(bytes[at] ?? 0));
}

/** Garbage that happens to be the beginning of the next record. */
function couldBeCut(waste: Uint8Array, whole: number): boolean {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(waste);
  return `{"seq":${whole + 1},"at":"`.startsWith(text.slice(0, 14)) && !waste.some((byte) => byte < 0x20);
}

const files = payloads.map(fileOf);
const filled = files.filter(({ records }) => records.length > 0);

/** Anything but a whole record. */
const garbage = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 200 }),
  fc.string({ unit: 'binary', minLength: 1 }).map(bytesOf),
  fc.nat(300).map((length) => new Uint8Array(length + 1)),
  fc.json().map((text) => bytesOf(`${text}\n`)),
  fc.constantFrom('\n', '\n\n', '{}\n', '{"seq":1,"at":"now"}\n', '\u{feff}').map(bytesOf),
);

describe(withSeed('the codec'), () => {
  it('gives every record of any JSON back, and accounts for every byte (RE1)', () => {
    fc.assert(
      fc.property(files, (file) => {
        const decoded = decode<Anything>(file.bytes);
        expect(JSON.stringify(decoded.records)).toBe(JSON.stringify(file.records));
        expect([decoded.tail, goodBytesOf(decoded)]).toEqual(['clean', file.bytes.length]);
      }),
      { numRuns: 300 },
    );
  });

  it('is cut anywhere: the whole records before the cut stand, the rest is a torn tail (RE2)', () => {
    fc.assert(
      fc.property(files, (file) => {
        for (let length = 0; length <= file.bytes.length; length++) {
          const decoded = decode<Anything>(file.bytes.subarray(0, length));
          expectPrefix(file, decoded);
          const whole = file.ends.filter((end) => end <= length).length;
          expect(decoded.records).toHaveLength(whole);
          expect(decoded.tail).toBe(length === (file.ends[whole - 1] ?? 0) ? 'clean' : 'torn');
        }
      }),
      { numRuns: 30 },
    );
  });

  it('meets one wrong byte anywhere: all before it stands, and it is corruption, which no kill leaves (RE2)', () => {
    fc.assert(
      fc.property(filled, fc.integer({ min: 1, max: 255 }), (file, flip) => {
        for (let at = 0; at < file.bytes.length; at++) {
          const bytes = file.bytes.slice();
          bytes[at] = (bytes[at] ?? 0) ^ flip;
          const decoded = decode<Anything>(bytes);
          expectPrefix(file, decoded);
          const hit = file.ends.filter((end) => end <= at).length;
          expect(decoded.records).toHaveLength(hit);
          const isLast = hit === file.records.length - 1;
          // Only its newline is missing, so the record could go on; or there is not one whole record.
          const isCut = at === (file.ends[hit] ?? 0) - 1 && (bytes[at] ?? 0) >= 0x20;
          const isFirst = hit === 0 && !isMisplaced(bytes, at, file.ends[hit] ?? 0);
          expect(decoded.tail).toBe(isLast && (isCut || isFirst) ? 'torn' : 'corrupt');
        }
      }),
      { numRuns: 15 },
    );
  });

  it('ends in NULs of any length, at a boundary or within a record: they are damage and never a record', () => {
    fc.assert(
      fc.property(files, fc.nat(), fc.integer({ min: 1, max: 5_000 }), (file, cut, nuls) => {
        const length = cut % (file.bytes.length + 1);
        const decoded = decode<Anything>(joined(file.bytes.subarray(0, length), new Uint8Array(nuls)));
        expectPrefix(file, decoded);
        const whole = file.ends.filter((end) => end <= length).length;
        expect(decoded.records).toHaveLength(whole);
        expect(decoded.tail).toBe(whole === 0 ? 'torn' : 'corrupt');
      }),
    );
  });

  it('is followed by garbage: every record stands; is led by garbage: none does', () => {
    fc.assert(
      fc.property(filled, garbage, (file, waste) => {
        const followed = decode<Anything>(joined(file.bytes, waste));
        expectPrefix(file, followed);
        expect(followed.records).toHaveLength(file.records.length);
        expect(followed.tail).toBe(couldBeCut(waste, file.records.length) ? 'torn' : 'corrupt');
        const led = decode<Anything>(joined(waste, file.bytes));
        expect(led.ends).toEqual([]);
        expect(led.tail).toBe('corrupt');
      }),
      { numRuns: 300 },
    );
  });

  it('has records of another journal in it: none of them is taken for one of this', () => {
    fc.assert(
      fc.property(filled, filled, (file, other) => {
        const from = other.bytes.subarray(other.ends.at(-2) ?? 0);
        const decoded = decode<Anything>(joined(file.bytes, from));
        const same = JSON.stringify(file.records) === JSON.stringify(other.records.slice(0, -1));
        if (!same) expect(decoded.records).toHaveLength(file.records.length);
      }),
    );
  });

  it('never throws and never invents a record, with any input (RE3)', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            garbage,
            filled.map(({ bytes }) => bytes),
          ),
          { maxLength: 4 },
        ),
        (parts) => {
          const bytes = joined(...parts);
          const decoded = decode<Anything>(bytes);
          const { records, tail } = decoded;
          const goodBytes = goodBytesOf(decoded);
          const again = decode<Anything>(bytes.subarray(0, goodBytes));
          expect([again.tail, goodBytesOf(again)]).toEqual(['clean', goodBytes]);
          expect(again.records).toEqual(records);
          expect(tail === 'clean').toBe(goodBytes === bytes.length);
        },
      ),
      { numRuns: 300 },
    );
  });
});
