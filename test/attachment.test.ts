import { describe, expect, it } from 'vitest';
import {
  type AttachmentKey,
  configDataName,
  fenceName,
  holdFileName,
  journalName,
  journalSuffix,
  keyHash,
  keyOfJournalName,
  keyText,
  portName,
  shortId,
} from '../src/attachment.ts';
import { copyOf } from '../src/journal/repair.ts';

const keyOf = (containerId: string, network = 'net', ifName = 'net1'): AttachmentKey => ({
  network,
  containerId,
  ifName,
});

const fenceOf = (key: AttachmentKey): string => fenceName(key, '0123456789abcdef');
const bytes = (text: string): number => Buffer.byteLength(text);

describe('the names of an attachment', () => {
  const key = keyOf('0123456789abcdef0123');

  it('are the ones that consumers compute: the first 12 characters of the id and the interface (docs of the data format)', () => {
    expect(shortId(key)).toBe('0123456789ab');
    expect(portName(key)).toBe('0123456789ab-net1');
    expect(configDataName(key)).toBe('configData-0123456789ab-net1.json');
  });

  it('spell the whole key where an operator looks for it', () => {
    expect(keyText(key)).toBe('net:0123456789abcdef0123:net1');
    expect(journalName(key)).toBe('net:0123456789abcdef0123:net1.journal');
  });

  it('are hidden and short in a directory of the pod', () => {
    expect(holdFileName(key)).toMatch(/^\.[0-9a-f]{16}$/);
  });

  it('hash as FNV-1a does, in this version and in every later one: files and locks are found by it', () => {
    expect(keyHash({ network: '', containerId: '', ifName: '' })).toBe('081e0e07b4d9f795');
    expect(keyHash(key)).toBe('1dbd2ddc1d125982');
  });

  it('make a fence that Open vSwitch accepts, a different one for each instance', () => {
    expect(fenceOf(key)).toMatch(/^[a-zA-Z_][a-zA-Z0-9_]*$/);
    expect(fenceName(key, '0'.repeat(16))).not.toBe(fenceName(key, '1'.repeat(16)));
  });
});

describe('an id of any length that CNI allows', () => {
  it.each([1, 11, 12, 13, 200])('of %d characters gives every name (bug B26)', (length) => {
    const key = keyOf('x'.repeat(length));
    expect(portName(key)).toBe(`${'x'.repeat(Math.min(length, 12))}-net1`);
    expect(journalName(key)).toBe(`net:${'x'.repeat(length)}:net1.journal`);
    expect(fenceOf(key)).toMatch(/^[a-zA-Z_][a-zA-Z0-9_]*$/);
  });

  it('that shares its first 12 characters with another id shares only the port name with it (bug B27)', () => {
    const [one, two] = [keyOf(`0123456789ab${'1'.repeat(52)}`), keyOf(`0123456789ab${'2'.repeat(52)}`)];
    expect(portName(one)).toBe(portName(two));
    for (const name of [journalName, holdFileName, fenceOf, keyText]) expect(name(one)).not.toBe(name(two));
  });
});

describe('the name of a journal (AT2)', () => {
  const longKeys = Array.from({ length: 100 }, (_, index) => keyOf('c'.repeat(200), 'n'.repeat(index + 1)));

  it('fits a file system, and so does the name of a corrupt journal’s copy, however long the key', () => {
    for (const key of longKeys) expect(bytes(copyOf(journalName(key)))).toBeLessThanOrEqual(255);
  });

  it('has the suffix of journals and the parts that a person looks for, even if the key is too long', () => {
    const name = journalName(keyOf('c'.repeat(200), 'n'.repeat(100)));
    expect(name).toContain('cccccccccccc');
    expect(name).toContain('net1');
    expect(name.endsWith(journalSuffix)).toBe(true);
  });

  it('reads back as its key if it spells the key out, and otherwise as no key at all', () => {
    for (const key of longKeys) {
      const read = keyOfJournalName(journalName(key));
      if (read) expect(read).toEqual(key);
      else expect(journalName(key)).toContain(keyHash(key));
    }
    expect(keyOfJournalName(journalName(keyOf('c')))).toEqual(keyOf('c'));
    expect(keyOfJournalName(journalName(keyOf('c'.repeat(250))))).toBeUndefined();
  });

  it.each(['a:b.journal', 'a:b:c:d.journal', 'a::c.journal', ':b:c.journal', 'journal', 'a:b:c.corrupt'])(
    'is not "%s", which no key has',
    (name) => expect(keyOfJournalName(name)).toBeUndefined(),
  );

  it('differs for long keys that differ in one character anywhere', () => {
    const long = 'c'.repeat(250);
    const others = [keyOf(`${long}d`), keyOf(`d${long}`), keyOf(long, 'neu'), keyOf(long, 'net', 'net2')];
    const names = [keyOf(`${long}c`), ...others].map(journalName);
    expect(new Set(names).size).toBe(names.length);
  });

  it('of a long key cannot equal that of a key that is named like the hash', () => {
    const long = keyOf('c'.repeat(250));
    expect(journalName({ network: keyHash(long), containerId: shortId(long), ifName: long.ifName })).not.toBe(
      journalName(long),
    );
  });
});
