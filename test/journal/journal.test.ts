import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { journalName } from '../../src/attachment.ts';
import { now } from '../../src/deadlines.ts';
import { type Disk, realDisk } from '../../src/journal/disk.ts';
import { Journal, JournalError } from '../../src/journal/journal.ts';
import { copyOf } from '../../src/journal/repair.ts';
import { keepAll, loseAll, nulTail } from '../support/fake/choices.ts';
import { bytesOf } from '../support/fake/disk-cases.ts';
import { SimulatedDisk } from '../support/fake/simulated-disk.ts';
import {
  clock,
  contentOf,
  lockedWords,
  openWords,
  refusal,
  tells,
  type Word,
  wordsFound,
  wordsOf,
} from '../support/fake/word-journal.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const simulated = '/data/a:b:c.journal';

/** Both disks: a journal must treat whole and broken files the same on each. */
const disks: readonly (readonly [name: string, make: () => { disk: Disk; path: string }])[] = [
  ['real', () => ({ disk: realDisk, path: join(temporaryDirectory(), 'a:b:c.journal') })],
  ['simulated', () => ({ disk: new SimulatedDisk(), path: simulated })],
];

async function written(disk: Disk, path: string, words: readonly string[]): Promise<void> {
  const journal = await lockedWords(disk, path);
  for (const word of words) journal.append({ word });
  journal.close();
}

/** Changes the file behind the journal's back. */
function spoil(disk: Disk, path: string, change: (text: string) => string): string {
  const spoilt = change(contentOf(disk, path) ?? '');
  const fd = disk.open(path, 'a+', 0o600);
  disk.truncate(fd, 0);
  disk.write(fd, bytesOf(spoilt));
  disk.close(fd);
  return spoilt;
}

describe.each(disks)('a journal on the %s disk', (_, make) => {
  it('gives every record back, numbered and dated, to the next process that opens it', async () => {
    const { disk, path } = make();
    await written(disk, path, ['one', 'two']);
    const next = await lockedWords(disk, path);
    const at = clock().toISOString();
    expect(next.records.map(({ seq, at, word }) => ({ seq, at, word }))).toEqual([
      { seq: 1, at, word: 'one' },
      { seq: 2, at, word: 'two' },
    ]);
    expect(next.damaged).toBe(false);
    next.close();
  });

  it.each([[true], [false]])(
    'grows at its end, whether it was opened to be created or not (create: %s)',
    async (create) => {
      const { disk, path } = make();
      await written(disk, path, ['one', 'two']);
      const journal = await lockedWords(disk, path, create);
      journal.append({ word: 'three' });
      journal.note({ word: 'four' });
      journal.close();
      expect(await wordsFound(disk, path)).toEqual(['one', 'two', 'three', 'four']);
    },
  );

  it('is not made by a call that only looks for it', () => {
    const { disk, path } = make();
    expect(Journal.open(disk, path, { create: false, clock, tells })).toBeUndefined();
    expect(disk.lookup(path)).toBeUndefined();
  });

  it.each([
    ['half a record', '{"seq":3,"at":"2025'],
    ['the first bytes of one', '{"s'],
  ])('cuts a torn tail of %s, goes on after it and reads that back', async (__, tail) => {
    const { disk, path } = make();
    await written(disk, path, ['one', 'two']);
    const whole = contentOf(disk, path);
    spoil(disk, path, (text) => text + tail);

    const journal = await lockedWords(disk, path);
    expect(wordsOf(journal)).toEqual(['one', 'two']);
    expect(journal.damaged).toBe(false);
    expect(contentOf(disk, path)).toBe(whole);
    expect(disk.lookup(copyOf(path))).toBeUndefined();
    for (const word of ['three', 'four']) journal.append({ word });
    journal.close();
    expect(await wordsFound(disk, path)).toEqual(['one', 'two', 'three', 'four']);
  });

  it('copies a corrupt file aside whole before it cuts it, says so until it is removed, and goes on (JO4)', async () => {
    const { disk, path } = make();
    await written(disk, path, ['one', 'two', 'three']);
    const corrupt = spoil(disk, path, (text) => text.replace('two', 'TWO'));

    const journal = await lockedWords(disk, path);
    expect(wordsOf(journal)).toEqual(['one']);
    expect(journal.damaged).toBe(true);
    expect(contentOf(disk, copyOf(path))).toBe(corrupt);
    for (const word of ['four', 'five']) journal.append({ word });
    journal.close();

    const next = await lockedWords(disk, path);
    expect(wordsOf(next)).toEqual(['one', 'four', 'five']);
    expect(next.damaged).toBe(true);
    next.unlink();
    next.close();
    expect([disk.lookup(path), disk.lookup(copyOf(path))]).toEqual([undefined, undefined]);
    const fresh = await lockedWords(disk, path);
    expect(fresh.damaged).toBe(false);
    fresh.close();
  });

  it('restarts in place: the same inode, empty, numbered from one (JO3)', async () => {
    const { disk, path } = make();
    await written(disk, path, ['one', 'two']);
    const before = disk.lookup(path)?.ino;
    const journal = await lockedWords(disk, path);
    journal.restart();
    expect(contentOf(disk, path)).toBe('');
    journal.append({ word: 'again' });
    expect(journal.records.map(({ seq, word }) => ({ seq, word }))).toEqual([{ seq: 1, word: 'again' }]);
    journal.close();
    expect(disk.lookup(path)?.ino).toBe(before);
    expect(await wordsFound(disk, path)).toEqual(['again']);
  });

  it('is gone once it is unlinked, with nothing beside it, and a second unlink is not an error', async () => {
    const { disk, path } = make();
    const journal = await lockedWords(disk, path);
    journal.append({ word: 'one' });
    journal.unlink();
    journal.unlink();
    journal.close();
    expect(disk.lookup(path)).toBeUndefined();
  });

  it('never leaves the copy of a corrupt file behind without the file: a new ADD would take its journal for damaged', async () => {
    const { disk, path } = make();
    await written(disk, path, ['one', 'two', 'three']);
    spoil(disk, path, (text) => text.replace('two', 'TWO'));
    const unlink: Disk['unlink'] = (name) => {
      disk.unlink(name);
      expect(disk.lookup(copyOf(path))).toBeUndefined();
    };
    const seen: Disk = new Proxy(disk, {
      get: (target, name: keyof Disk) => (name === 'unlink' ? unlink : target[name].bind(target)),
    });
    const journal = await lockedWords(seen, path);
    journal.unlink();
    journal.close();
    expect(disk.lookup(path)).toBeUndefined();
  });

  it('tells a waiter whose file was unlinked meanwhile that it is gone, and shows it no record', async () => {
    const { disk, path } = make();
    const remover = await lockedWords(disk, path);
    remover.append({ word: 'one' });
    const late = openWords(disk, path);
    const waiting = late.lock(now() + 60_000);
    remover.unlink();
    remover.close();
    expect(await waiting).toBe('gone');
    expect(late.records).toEqual([]);
    late.close();
  });

  it('shows the going mark at once to every process that has it open, and keeps it through everything (JO2)', async () => {
    const { disk, path } = make();
    const holder = await lockedWords(disk, path);
    holder.append({ word: 'one' });
    expect(holder.going).toBe(false);
    const other = openWords(disk, path);
    other.markGoing();
    expect([holder.going, other.going]).toEqual([true, true]);
    other.close();
    holder.append({ word: 'two' });
    holder.restart();
    expect(holder.going).toBe(true);
    holder.append({ word: 'three' });
    holder.close();
    spoil(disk, path, (text) => `${text}{"torn`);
    const next = await lockedWords(disk, path);
    expect(next.going).toBe(true);
    next.close();
  });

  it('can be removed with a key of any length: every name it gives fits the disk', async () => {
    const { disk, path } = make();
    for (let length = 30; length < 60; length++) {
      const key = { network: 'n'.repeat(length), containerId: 'c'.repeat(190), ifName: 'net1' };
      const long = join(path, '..', journalName(key));
      await written(disk, long, ['one', 'two', 'three']);
      spoil(disk, long, (text) => text.replace('two', 'TWO'));
      const journal = await lockedWords(disk, long);
      expect(journal.damaged).toBe(true);
      journal.unlink();
      journal.close();
      expect(disk.list(join(path, '..'))).toEqual([]);
    }
  });
});

describe('a journal file', () => {
  it("is for root alone while it lives and bears the going mark as the owner's x bit (JO2)", async () => {
    const path = join(temporaryDirectory(), 'a:b:c.journal');
    const journal = await lockedWords(realDisk, path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    journal.markGoing();
    expect(statSync(path).mode & 0o7777).toBe(0o1714);
    journal.close();
  });

  it('is opened for reading where the disk is read-only: the lock holds, the records are there, nothing is written', async () => {
    const disk = new SimulatedDisk();
    await written(disk, simulated, ['one', 'two']);
    spoil(disk, simulated, (text) => `${text}torn`);
    disk.readOnly = true;
    const journal = await lockedWords(disk, simulated);
    expect(journal.readOnly).toBe(true);
    expect(wordsOf(journal)).toEqual(['one', 'two']);
    expect(refusal(() => journal.append({ word: 'three' }))).toBeDefined();
    journal.note({ word: 'three' });
    journal.dueAt(new Date());
    expect(refusal(() => journal.markGoing())).toBe('EROFS');
    expect(refusal(() => journal.unlink())).toBe('EROFS');
    const other = openWords(disk, simulated, false);
    expect(other.readOnly).toBe(true);
    expect(await other.lock(now() - 1)).toBe('busy');
  });

  it('is not there on a read-only disk that has none, whether it was to be created or not', () => {
    const disk = new SimulatedDisk();
    disk.readOnly = true;
    for (const create of [true, false]) expect(Journal.open(disk, simulated, { create, clock, tells })).toBeUndefined();
  });

  it('that cannot be opened says why, with the errno name and the path', () => {
    const disk = new SimulatedDisk();
    disk.inject({ call: 'open', nth: 1, how: { error: 'EMFILE' }, forever: true });
    const failing = () => Journal.open(disk, simulated, { create: true, clock, tells });
    expect(failing).toThrow(JournalError);
    expect(failing).toThrow(expect.objectContaining({ code: 'EMFILE', message: expect.stringContaining(simulated) }));
  });

  it('says by its time when it is due, and losing that is not an error', async () => {
    const disk = new SimulatedDisk();
    const journal = await lockedWords(disk, simulated);
    journal.dueAt(new Date(86_400_000));
    expect(disk.stat(journal.fd).mtimeMs).toBe(86_400_000n);
    disk.inject({ call: 'touch', nth: 1, how: { error: 'EIO' } });
    journal.dueAt(new Date(1));
  });
});

describe('a look at a journal', () => {
  it('shows the records and the mark while another process holds the lock, and changes nothing: no lock, no repair', async () => {
    const disk = new SimulatedDisk();
    const holder = await lockedWords(disk, simulated);
    for (const word of ['one', 'two']) holder.append({ word });
    disk.write(holder.fd, bytesOf('torn'));
    const before = disk.calls.length;
    const seen = Journal.peek<Word>(disk, simulated, tells);
    expect(seen?.records.map(({ word }) => word)).toEqual(['one', 'two']);
    expect(seen?.going).toBe(false);
    holder.markGoing();
    expect(Journal.peek(disk, simulated, tells)?.going).toBe(true);
    expect(disk.calls.slice(before).filter((call) => /lock|write|truncate/i.test(call))).toEqual([]);
    expect(disk.openFiles).toBe(1);
  });

  it('finds nothing where there is no file, and fails where the disk cannot be read', async () => {
    const disk = new SimulatedDisk();
    expect(Journal.peek(disk, simulated, tells)).toBeUndefined();
    await written(disk, simulated, ['one']);
    disk.inject({ call: 'read', nth: 1, how: { error: 'EIO' } });
    expect(refusal(() => Journal.peek(disk, simulated, tells))).toBe('EIO');
    expect(disk.openFiles).toBe(0);
  });
});

describe('a journal when power fails', () => {
  it('keeps a record whose append returned, and its name once that is synced (I1, I2)', async () => {
    const disk = new SimulatedDisk();
    const journal = await lockedWords(disk, simulated);
    journal.append({ word: 'one' });
    expect(contentOf(disk.powerCut(loseAll), simulated)).toBeUndefined();
    journal.fsyncName();
    expect(await wordsFound(disk.powerCut(loseAll), simulated)).toEqual(['one']);
  });

  it('keeps a staged record once the next append returned, and promises nothing before (JO1)', async () => {
    const disk = new SimulatedDisk();
    const journal = await lockedWords(disk, simulated);
    journal.fsyncName();
    journal.stage({ word: 'one' });
    expect(await wordsFound(disk.powerCut(loseAll), simulated)).toEqual([]);
    journal.append({ word: 'two' });
    expect(await wordsFound(disk.powerCut(loseAll), simulated)).toEqual(['one', 'two']);
  });

  it('is cut and goes on where an unsynced record has become NULs, as ext4 leaves it', async () => {
    const disk = new SimulatedDisk();
    const journal = await lockedWords(disk, simulated);
    journal.fsyncName();
    journal.append({ word: 'one' });
    journal.note({ word: 'note' });
    const after = disk.powerCut(nulTail);
    expect(contentOf(after, simulated)).toMatch(/}\n\0+$/);
    const next = await lockedWords(after, simulated);
    next.append({ word: 'two' });
    next.close();
    expect(await wordsFound(after, simulated)).toEqual(['one', 'two']);
  });

  it('keeps the going mark once any process has set it, and a restart never takes it away (JO2)', async () => {
    const disk = new SimulatedDisk();
    const journal = await lockedWords(disk, simulated);
    journal.fsyncName();
    openWords(disk, simulated).markGoing();
    journal.restart();
    for (const choose of [loseAll, keepAll]) expect(openWords(disk.powerCut(choose), simulated).going).toBe(true);
  });

  it('does not bring back records that a restart emptied nor a file that a removal unlinked', async () => {
    const disk = new SimulatedDisk();
    const journal = await lockedWords(disk, simulated);
    journal.fsyncName();
    journal.append({ word: 'one' });
    journal.restart();
    expect(contentOf(disk.powerCut(loseAll), simulated)).toBe('');
    journal.unlink();
    expect(contentOf(disk.powerCut(loseAll), simulated)).toBeUndefined();
  });

  it('does not bring back the torn tail that a repair cut', async () => {
    const disk = new SimulatedDisk();
    await written(disk, simulated, ['one']);
    const whole = contentOf(disk, simulated);
    spoil(disk, simulated, (text) => `${text}torn`);
    disk.fsync(disk.open(simulated, 'r'));
    disk.fsyncDirectory('/data');
    await lockedWords(disk, simulated);
    expect(contentOf(disk.powerCut(loseAll), simulated)).toBe(whole);
  });

  it('keeps the copy of a corrupt file: it is durable before the file is cut (JO4)', async () => {
    const disk = new SimulatedDisk();
    await written(disk, simulated, ['one', 'two', 'three']);
    disk.fsyncDirectory('/data');
    const corrupt = spoil(disk, simulated, (text) => text.replace('two', 'TWO'));
    await lockedWords(disk, simulated);
    expect(contentOf(disk.powerCut(loseAll), copyOf(simulated))).toBe(corrupt);
  });
});
