/** The state of a journal's file beside its records: its mode, its attribute, whether it is blank. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { now } from '../../src/deadlines.ts';
import { type Disk, realDisk } from '../../src/journal/disk.ts';
import { Journal } from '../../src/journal/journal.ts';
import { bytesOf } from '../support/fake/disk-cases.ts';
import { SimulatedDisk } from '../support/fake/simulated-disk.ts';
import {
  contentOf,
  lockedWords,
  openWords,
  refusal,
  tells,
  wordsFound,
  wordsOf,
} from '../support/fake/word-journal.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const simulated = '/data/a:b:c.journal';

const disks: readonly (readonly [name: string, make: () => { disk: Disk; path: string }])[] = [
  ['real', () => ({ disk: realDisk, path: join(temporaryDirectory(), 'a:b:c.journal') })],
  ['simulated', () => ({ disk: new SimulatedDisk(), path: simulated })],
];

async function written(disk: Disk, path: string, words: readonly string[]): Promise<void> {
  const journal = await lockedWords(disk, path);
  for (const word of words) journal.append({ word });
  journal.close();
}

/** Changes the content behind the journal's back, in the same file. */
function spoil(disk: Disk, path: string, change: (text: string) => string): void {
  const text = change(contentOf(disk, path) ?? '');
  const fd = disk.open(path, 'a+');
  disk.truncate(fd, 0);
  disk.write(fd, bytesOf(text));
  disk.close(fd);
}

describe('kind 4: the mark of a journal', () => {
  const withMode = (mode: number, ...words: string[]) => {
    const disk = new SimulatedDisk();
    const journal = openWords(disk, simulated);
    for (const word of words) journal.append({ word });
    disk.chmod(journal.fd, mode);
    journal.close();
    return disk;
  };

  it.each([0o600, 0o640, 0o644, 0o660, 0o750, 0o755, 0o777, 0o1600, 0o1700, 0o1777, 0o4700])(
    'is not the mode %o, which a chmod, a umask or a restored backup leaves',
    async (mode) => {
      const journal = await lockedWords(withMode(mode, 'one'), simulated);
      expect(journal.going).toBe(false);
      expect(journal.strangeMode).toBe(mode === 0o600 ? undefined : mode.toString(8).padStart(4, '0'));
    },
  );

  it.each([
    ['at rest', ['one', 'rest'], false],
    ['being removed', ['one', 'rest', 'removal'], true],
    ['of which nothing is told', ['one'], true],
    ['that is empty', [], true],
  ] as const)(
    'of an earlier release, 0700, counts unless the records contradict it: one %s',
    async (_, words, going) => {
      const disk = withMode(0o700, ...words);
      expect((await lockedWords(disk, simulated)).going).toBe(going);
      expect(Journal.peek(disk, simulated, tells)?.going).toBe(going);
    },
  );

  it('is not set where the file system keeps no modes, and that is said', async () => {
    const disk = new SimulatedDisk();
    const modeless = new Proxy<Disk>(disk, {
      get: (_, name) => {
        const call = disk[name as keyof Disk] as (...args: never[]) => unknown;
        return name === 'chmod' ? () => undefined : call.bind(disk);
      },
    });
    const journal = await lockedWords(modeless, simulated);
    expect(refusal(() => journal.markGoing())).toBe('ENOTSUP');
    expect(journal.going).toBe(false);
  });
});

describe('kind 2: a journal that was at rest', () => {
  const atRest = async (disk: Disk, path: string) => {
    const journal = await lockedWords(disk, path);
    for (const word of ['one', 'two', 'rest']) journal.append({ word });
    journal.markRest();
    journal.close();
  };
  const cuts = {
    'in a record': (text: string) => text.slice(0, -40),
    'at a record': (text: string) => text.split('\n').slice(0, 2).join('\n').concat('\n'),
    'to nothing': () => '',
  };

  it.each(disks)(
    'is damaged wherever it was cut off, though no byte of the rest says so (%s disk)',
    async (_, make) => {
      for (const [where, cut] of Object.entries(cuts)) {
        const { disk, path } = make();
        await atRest(disk, path);
        expect([where, (await lockedWords(disk, path)).damaged]).toEqual([where, false]);
        spoil(disk, path, cut);
        expect([where, Journal.peek(disk, path, tells)?.damaged]).toEqual([where, true]);
      }
    },
  );

  it('is no longer damaged once it was restarted, or when a removal of it was begun', async () => {
    const disk = new SimulatedDisk();
    await atRest(disk, simulated);
    const journal = await lockedWords(disk, simulated);
    journal.restart();
    journal.append({ word: 'one' });
    journal.close();
    expect((await lockedWords(disk, simulated)).damaged).toBe(false);
    const other = new SimulatedDisk();
    await atRest(other, simulated);
    (await lockedWords(other, simulated)).note({ word: 'removal' });
    expect(Journal.peek(other, simulated, tells)?.damaged).toBe(false);
  });
});

describe('records that are taken back', () => {
  it.each(disks)('are gone, and the next append continues the rest (%s disk)', async (_, make) => {
    const { disk, path } = make();
    await written(disk, path, ['one', 'two', 'three']);
    const journal = await lockedWords(disk, path);
    journal.cutBack(1);
    expect(wordsOf(journal)).toEqual(['one']);
    journal.append({ word: 'other' });
    journal.close();
    expect(await wordsFound(disk, path)).toEqual(['one', 'other']);
  });
});

describe('a blank journal', () => {
  it('is unlinked by the call that made it, and left alone once it is marked or written to', async () => {
    const disk = new SimulatedDisk();
    const [journal, waiting] = [await lockedWords(disk, simulated), openWords(disk, simulated)];
    journal.discardBlank();
    expect(disk.lookup(simulated)).toBeUndefined();
    journal.close();
    expect(await waiting.lock(now() + 1_000)).toBe('gone');
    expect(waiting.blank).toBe(true);
    const marked = await lockedWords(disk, simulated);
    marked.markGoing();
    marked.discardBlank();
    expect(disk.lookup(simulated)).toBeDefined();
    marked.unlink();
    marked.close();
    await written(disk, simulated, ['one']);
    (await lockedWords(disk, simulated)).discardBlank();
    expect(disk.lookup(simulated)).toBeDefined();
  });
});
