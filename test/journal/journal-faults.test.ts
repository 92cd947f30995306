/**
 * A journal on a disk that fails: full, broken, short. Durable records stay, and others are never believed.
 */
import { describe, expect, it } from 'vitest';
import { now } from '../../src/deadlines.ts';
import { type Journal, JournalError } from '../../src/journal/journal.ts';
import { copyOf } from '../../src/journal/repair.ts';
import { loseAll } from '../support/fake/choices.ts';
import { bytesOf } from '../support/fake/disk-cases.ts';
import { type Fault, SimulatedDisk } from '../support/fake/simulated-disk.ts';
import {
  contentOf,
  lockedWords,
  openWords,
  refusal,
  type Word,
  wordsFound,
  wordsOf,
} from '../support/fake/word-journal.ts';

const path = '/data/a:b:c.journal';
const full: Fault = { call: 'write', nth: 1, how: { error: 'ENOSPC' }, forever: true };
const broken: Fault = { call: 'fsync', nth: 1, how: { error: 'EIO' } };

/** A journal with one durable record and a durable name. */
async function started(): Promise<{ disk: SimulatedDisk; journal: Journal<Word> }> {
  const disk = new SimulatedDisk();
  const journal = await lockedWords(disk, path);
  journal.fsyncName();
  journal.append({ word: 'one' });
  return { disk, journal };
}

const append = (journal: Journal<Word>, word: string) => refusal(() => journal.append({ word }));

describe('an append (JO1)', () => {
  it('is one write and one fsync after it, and no more', async () => {
    const { disk, journal } = await started();
    const before = disk.calls.length;
    journal.append({ word: 'two' });
    expect(disk.calls.slice(before)).toEqual(['write', 'fsync']);
  });

  it('whose fsync fails is refused, and so is every later one, although the disk is well again', async () => {
    const { disk, journal } = await started();
    disk.inject(broken);
    expect(append(journal, 'lost')).toBe('EIO');
    expect(wordsOf(journal)).toEqual(['one']);
    expect(append(journal, 'two')).toBe('EIO');
    journal.note({ word: 'note' });
    expect(disk.calls.at(-1)).toBe('fsync');
    expect(await wordsFound(disk.powerCut(loseAll), path)).toEqual(['one']);
  });

  it('that finds no room is refused, and so is every later one', async () => {
    const { disk, journal } = await started();
    disk.inject(full);
    expect(append(journal, 'lost')).toBe('ENOSPC');
    disk.heal();
    expect(append(journal, 'two')).toBe('ENOSPC');
    expect(await wordsFound(disk.processDeath(), path)).toEqual(['one']);
  });

  it('that is written in part is refused as a full disk, and the next holder goes on after the cut', async () => {
    const { disk, journal } = await started();
    disk.inject({ call: 'write', nth: 1, how: { short: 20 } });
    expect(append(journal, 'lost')).toBe('ENOSPC');
    expect(append(journal, 'two')).toBe('ENOSPC');
    expect(disk.calls.at(-1)).toBe('write');

    const next = await lockedWords(disk.processDeath(), path);
    expect(wordsOf(next)).toEqual(['one']);
    expect(append(next, 'two')).toBeUndefined();
    next.close();
  });

  it.each<readonly [what: string, act: (journal: Journal<Word>) => void]>([
    ['the going mark', (journal) => journal.markGoing()],
    ['a restart', (journal) => journal.restart()],
  ])('is refused after the fsync of %s has failed: unsynced records are in doubt', async (_, act) => {
    const { disk, journal } = await started();
    journal.note({ word: 'note' });
    disk.inject(broken);
    expect(refusal(() => act(journal))).toBe('EIO');
    expect(append(journal, 'two')).toBe('EIO');
    expect(await wordsFound(disk.powerCut(loseAll), path)).toEqual(['one']);
  });

  it('is refused after the name could not be made durable: the record would go with the file', async () => {
    const { disk, journal } = await started();
    disk.inject({ call: 'fsyncDirectory', nth: 1, how: { error: 'EIO' } });
    expect(refusal(() => journal.fsyncName())).toBe('EIO');
    expect(append(journal, 'two')).toBe('EIO');
  });

  it('is refused after a repair that failed: it would stand behind the torn tail', async () => {
    const { disk, journal } = await started();
    disk.write(journal.fd, bytesOf('torn'));
    journal.close();
    disk.inject({ call: 'truncate', nth: 1, how: { error: 'EIO' } });
    const next = await lockedWords(disk, path);
    expect(wordsOf(next)).toEqual(['one']);
    expect(append(next, 'two')).toBe('EIO');
    expect(contentOf(disk, path)).toMatch(/torn$/);
  });

  it('reports a bug as a bug: an error without an errno goes through', async () => {
    const { journal } = await started();
    const circular: { word: string; self?: unknown } = { word: 'x' };
    circular.self = circular;
    expect(() => journal.append(circular)).toThrow(TypeError);
  });
});

describe('a note', () => {
  it('is one write and no fsync: it is for people, and no effect depends on it', async () => {
    const { disk, journal } = await started();
    const before = disk.calls.length;
    journal.note({ word: 'note' });
    expect(disk.calls.slice(before)).toEqual(['write']);
    expect(await wordsFound(disk.powerCut(loseAll), path)).toEqual(['one']);
    expect(await wordsFound(disk.processDeath(), path)).toEqual(['one', 'note']);
  });

  it.each<readonly [what: string, fault: Fault]>([
    ['is full', full],
    ['is broken', { call: 'write', nth: 1, how: { error: 'EIO' }, forever: true }],
    ['writes a part', { call: 'write', nth: 1, how: { short: 5 } }],
  ])('is lost in silence when the disk %s, and nothing is appended behind the hole', async (_, fault) => {
    const { disk, journal } = await started();
    disk.inject(fault);
    journal.note({ word: 'note' });
    disk.heal();
    expect(append(journal, 'two')).toBeDefined();
    journal.note({ word: 'note' });
    expect(await wordsFound(disk.processDeath(), path)).toEqual(['one']);
  });

  it('is dropped once removals have filled the file, and an append is not', async () => {
    const { disk, journal } = await started();
    const word = 'x'.repeat(10_000);
    for (let count = 0; count < 30; count++) journal.note({ word });
    const kept = journal.records.length;
    expect(kept).toBeLessThan(30);
    expect((contentOf(disk, path) ?? '').length).toBeLessThan(300_000);
    journal.append({ word: 'end' });
    expect((await wordsFound(disk.processDeath(), path)).at(-1)).toBe('end');
    expect(journal.records).toHaveLength(kept + 1);

    const next = await lockedWords(disk.processDeath(), path);
    next.note({ word });
    expect(next.records).toHaveLength(kept + 1);
  });
});

describe('the going mark on a failing disk (JO2)', () => {
  it('is set durably when nothing can be written, created or truncated, and without the lock', async () => {
    const { disk } = await started();
    const noRoom = { how: { error: 'ENOSPC' }, nth: 1, forever: true } as const;
    disk.inject({ call: 'write', ...noRoom }, { call: 'truncate', ...noRoom }, { call: 'mkdir', ...noRoom });
    const removal = openWords(disk, path);
    const before = disk.calls.length;
    removal.markGoing();
    expect(disk.calls.slice(before)).toEqual(['chmod', 'stat', 'fsync']);
    expect(openWords(disk.powerCut(loseAll), path).going).toBe(true);
  });

  it('that could not be made durable is an error: no call may answer that the attachment is going', async () => {
    for (const call of ['chmod', 'fsync'] as const) {
      const { disk, journal } = await started();
      disk.inject({ call, nth: 1, how: { error: 'EIO' } });
      expect(refusal(() => journal.markGoing())).toBe('EIO');
    }
  });
});

describe('a corrupt file on a failing disk (JO4)', () => {
  /** The file of a journal whose second record of three is damaged. */
  async function corrupted(): Promise<{ disk: SimulatedDisk; corrupt: string }> {
    const { disk, journal } = await started();
    for (const word of ['two', 'three']) journal.append({ word });
    const corrupt = (contentOf(disk, path) ?? '').replace('two', 'TWO');
    disk.truncate(journal.fd, 0);
    disk.write(journal.fd, bytesOf(corrupt));
    journal.close();
    return { disk, corrupt };
  }

  it.each<readonly [what: string, fault: Fault]>([
    ['is full', full],
    ['writes a part', { call: 'write', nth: 1, how: { short: 40 } }],
    ['cannot make the copy durable', broken],
    ['cannot make its name durable', { call: 'fsyncDirectory', nth: 1, how: { error: 'EIO' } }],
    ['refuses the copy', { call: 'open', nth: 2, how: { error: 'ENOSPC' } }],
  ])(
    'is not cut when the disk %s; the lock is held, the good records are there, appends are refused',
    async (_, fault) => {
      const { disk, corrupt } = await corrupted();
      disk.inject(fault);
      const journal = await lockedWords(disk, path);
      expect(wordsOf(journal)).toEqual(['one']);
      expect(journal.damaged).toBe(true);
      expect(contentOf(disk, path)).toBe(corrupt);
      expect(append(journal, 'four')).toBeDefined();

      disk.heal();
      const next = await lockedWords(disk.processDeath(), path);
      expect(append(next, 'four')).toBeUndefined();
      expect(contentOf(disk.processDeath(), copyOf(path))).toBe(corrupt);
    },
  );

  it('leaves no descriptor open but the journal, at any failure', async () => {
    const { disk } = await corrupted();
    disk.inject(full);
    const journal = await lockedWords(disk, path);
    expect(disk.openFiles).toBe(1);
    journal.close();
    expect(disk.openFiles).toBe(0);
  });

  it('that cannot be read at all is held and damaged, and refuses appends: DEL goes by key and marks', async () => {
    const { disk, journal } = await started();
    journal.close();
    disk.inject({ call: 'read', nth: 1, how: { error: 'EIO' } });
    const next = await lockedWords(disk, path);
    expect(next.records).toEqual([]);
    expect(next.damaged).toBe(true);
    expect(append(next, 'two')).toBe('EIO');
  });
});

describe('a disk that cannot be asked', () => {
  it.each([
    ['the journal itself', 1],
    ['a copy of a corrupt one', 2],
  ])('is an expected failure, not a bug: a look at %s', async (_, nth) => {
    const { disk, journal } = await started();
    journal.close();
    disk.inject({ call: 'lookup', nth, how: { error: 'EIO' } });
    const next = openWords(disk, path);
    const outcome = await next.lock(now() + 1_000).catch((error: unknown) => error);
    expect(outcome === 'held' || outcome instanceof JournalError).toBe(true);
    // Its records may not be all that happened, so a removal goes by key and marks.
    if (outcome === 'held') expect(next.damaged).toBe(true);
    expect(append(next, 'two')).toBe('EIO');
  });
});

describe('an unlink that fails', () => {
  it.each<readonly [what: string, fault: Fault]>([
    ['the file stays', { call: 'unlink', nth: 2, how: { error: 'EIO' } }],
    ['the copy of a corrupt one stays', { call: 'unlink', nth: 1, how: { error: 'EIO' } }],
    ['its end is not durable', { call: 'fsyncDirectory', nth: 1, how: { error: 'EIO' } }],
  ])('is an error: %s', async (_, fault) => {
    const { disk, journal } = await started();
    disk.inject(fault);
    expect(refusal(() => journal.unlink())).toBe('EIO');
  });
});
