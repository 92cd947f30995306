import { crc32 as crc32OfZlib } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type Decoded, decode, encode, type Stamped } from '../../src/journal/record.ts';
import { crc32 } from '../../src/os/native.ts';
import { bytesOf, textOf } from '../support/fake/disk-cases.ts';

interface Word extends Stamped {
  readonly word: string;
}

const at = '2025-01-17T12:00:00.000Z';
const words = ['intent', 'outcome', 'attached', 'going'];

const lineOf = (record: Word, chain = 0): string => textOf(encode(record, chain).line);

/** The lines of a whole journal, one record per word. */
function lines(): string[] {
  let chain = 0;
  return words.map((word, index) => {
    const record: Word = { seq: index + 1, at, word };
    const encoded = encode(record, chain);
    chain = encoded.chain;
    return textOf(encoded.line);
  });
}

const read = (...parts: readonly string[]): Decoded<Word> => decode<Word>(bytesOf(parts.join('')));
const wordsIn = ({ records }: Decoded<Word>): string[] => records.map(({ word }) => word);

describe('the checksum', () => {
  it('is the common CRC-32', () => {
    expect(crc32(bytesOf('123456789'))).toBe(0xcbf43926);
    expect(crc32(new Uint8Array())).toBe(0);
  });

  it('continues from an earlier one as if both texts were one', () => {
    expect(crc32(bytesOf('6789'), crc32(bytesOf('12345')))).toBe(0xcbf43926);
    const bytes = Uint8Array.from({ length: 1_000 }, (_, index) => (index * 7) % 256);
    expect(crc32(bytes, 0xdeadbeef)).toBe(crc32OfZlib(bytes, 0xdeadbeef));
  });
});

describe('a line', () => {
  it('is one JSON object for people, its checksums last', () => {
    const line = lineOf({ seq: 1, at, word: 'ä\n"' });
    expect(line.indexOf('\n')).toBe(line.length - 1);
    const shown = JSON.parse(line) as object;
    expect(Object.keys(shown)).toEqual(['seq', 'at', 'word', 'crc', 'chain']);
    expect(shown).toMatchObject({ seq: 1, at, word: 'ä\n"' });
  });

  it('is read by every later version: the bytes are these', () => {
    const [first = '', second = ''] = lines();
    expect(first).toBe(`{"seq":1,"at":"${at}","word":"intent","crc":"4a141e21","chain":"4a141e21"}\n`);
    expect(second).toBe(`{"seq":2,"at":"${at}","word":"outcome","crc":"24e69430","chain":"9ea84ff2"}\n`);
  });

  it('may carry members of its own called crc and chain', () => {
    const record = { seq: 1, at, crc: 'mine', chain: 7 };
    expect(decode<typeof record>(encode(record, 0).line).records).toEqual([record]);
  });
});

describe('a whole file', () => {
  it('gives its records back and is clean to its last byte (RE1)', () => {
    const file = lines().join('');
    const decoded = read(file);
    expect(wordsIn(decoded)).toEqual(words);
    expect([decoded.tail, decoded.ends.at(-1)?.bytes]).toEqual(['clean', bytesOf(file).length]);
  });

  it('is clean when it is empty', () => {
    expect(read()).toEqual({ records: [], ends: [], tail: 'clean' });
  });

  it('goes on by the chain it gave: what is appended is read with the rest', () => {
    const decoded = read(...lines());
    const more = lineOf({ seq: words.length + 1, at, word: 'more' }, decoded.ends.at(-1)?.chain ?? 0);
    expect(wordsIn(read(...lines(), more))).toEqual([...words, 'more']);
  });
});

describe('a tail (RE2)', () => {
  const [first = '', second = '', third = ''] = lines();
  const torn: readonly (readonly [what: string, tail: string])[] = [
    ['is short by its newline', third.slice(0, -1)],
    ['is short by half', third.slice(0, third.length / 2)],
    ['has only begun', third.slice(0, 3)],
  ];
  const damaged: readonly (readonly [what: string, tail: string])[] = [
    ['is NULs', '\0'.repeat(90)],
    ['ends in NULs', `${third.slice(0, 20)}${'\0'.repeat(40)}`],
    ['is NULs and a newline', '\0\0\0\n'],
    ['is an empty line', '\n'],
    ['is the beginning of another record', `{"seq":9,"at":"${at}"`],
    ['has one wrong letter', third.replace('attached', 'attacked')],
    ['has one wrong digit in its own checksum', third.replace(/"crc":"./, '"crc":"g')],
    ['is a JSON object without checksums', `{"seq":3,"at":"${at}"}\n`],
    ['is not JSON', 'attached\n'],
    ['is several bad lines', 'a\n\0\nb'],
  ];

  it.each(torn)('that %s is torn, as a killed write leaves it, and all before it stands', (_, tail) => {
    const decoded = read(first, second, tail);
    expect(wordsIn(decoded)).toEqual(words.slice(0, 2));
    expect([decoded.tail, decoded.ends.at(-1)?.bytes]).toEqual(['torn', bytesOf(first + second).length]);
  });

  it.each(damaged)('kind 2: that %s is damage, which no kill leaves, and all before it stands', (_, tail) => {
    const decoded = read(first, second, tail);
    expect(wordsIn(decoded)).toEqual(words.slice(0, 2));
    expect([decoded.tail, decoded.ends.at(-1)?.bytes]).toEqual(['corrupt', bytesOf(first + second).length]);
  });

  it.each([...torn.slice(1), ...damaged])('that %s is corruption if a whole record follows', (_, tail) => {
    const [, , , fourth = ''] = lines();
    const decoded = read(first, second, tail, tail.endsWith('\n') ? '' : '\n', fourth);
    expect(wordsIn(decoded)).toEqual(words.slice(0, 2));
    expect(decoded.tail).toBe('corrupt');
  });

  it('is torn in a file that has not one whole record', () => {
    expect(read(first.slice(0, 30))).toEqual({ records: [], ends: [], tail: 'torn' });
  });
});

describe('a line whose checksum is right', () => {
  const sealed = (text: string): string => {
    const sum = crc32(bytesOf(text)).toString(16).padStart(8, '0');
    return `${text},"crc":"${sum}","chain":"${sum}"}\n`;
  };

  it.each([
    ['is not JSON', '{"seq":1,"at":}'],
    ['is not an object', '[1'],
    ['has no number', '{"at":"now"'],
    ['has a number that is none', '{"seq":"1","at":"now"'],
    ['has no date', '{"seq":1'],
    ['is empty', ''],
  ])('is neither a record nor an error if it %s (RE3)', (_, text) => {
    expect(read(sealed(text))).toEqual({ records: [], ends: [], tail: 'torn' });
  });

  it('is a record by its checksum alone', () => {
    expect(read(sealed('{"seq":1,"at":"now"')).records).toEqual([{ seq: 1, at: 'now' }]);
  });
});

describe('whole records out of their place (RE2)', () => {
  const [first = '', second = '', third = '', fourth = ''] = lines();

  it.each([
    ['one is missing', [first, third, fourth]],
    ['the first is missing', [second, third]],
    ['two have changed places', [first, third, second]],
    ['one stands twice', [first, second, second]],
    [
      'one was written by a process that had not read the one before',
      [first, lineOf({ seq: 2, at, word: 'alien' }, 0)],
    ],
    ['one has skipped a number', [first, lineOf({ seq: 3, at, word: 'skip' }, read(first).ends[0]?.chain ?? 0)]],
  ])('are corruption when %s', (_, file) => {
    expect(read(...file).tail).toBe('corrupt');
  });

  it('are corruption when the newline between two of them is damaged', () => {
    const decoded = read(first, second, third.replace('\n', '\v'), fourth);
    expect(wordsIn(decoded)).toEqual(words.slice(0, 2));
    expect(decoded.tail).toBe('corrupt');
  });

  it('are accepted with no byte that is not theirs, a byte order mark included (RE1)', () => {
    expect(wordsIn(read(first, `\u{feff}${second}`))).toEqual(words.slice(0, 1));
    expect(wordsIn(read(`\u{feff}${first}`, second))).toEqual([]);
  });
});
