import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { journalSuffix } from '../../src/attachment.ts';
import { now } from '../../src/deadlines.ts';
import { type Disk, realDisk } from '../../src/journal/disk.ts';
import { JournalError } from '../../src/journal/journal.ts';
import { ensureInstance, listDue, listJournals, readInstance } from '../../src/journal/store.ts';
import { loseAll } from '../support/fake/choices.ts';
import { bytesOf } from '../support/fake/disk-cases.ts';
import { type Fault, SimulatedDisk } from '../support/fake/simulated-disk.ts';
import { openWords, refusal } from '../support/fake/word-journal.ts';
import { bunChild } from '../support/real/child.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const dataDir = '/var/lib/cni/userspace';
const file = `${dataDir}/instance`;
const id = '0123456789abcdef';
const ample = (): number => now() + 60_000;

const ensure = (disk: SimulatedDisk, random = () => id): Promise<string> =>
  ensureInstance(disk, dataDir, random, ample());

const neverAsked = (): string => {
  throw new Error('an id was made up although there is one');
};

/** A data directory with this in its instance file. */
function withInstance(content: string): SimulatedDisk {
  const disk = new SimulatedDisk([dataDir]);
  const fd = disk.open(file, 'a+', 0o600);
  disk.write(fd, bytesOf(content));
  disk.close(fd);
  return disk;
}

/** The code of the JournalError that a promise ends in. */
const refused = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof JournalError) return error.code;
  throw new Error('not a JournalError', { cause: error });
};

describe('the instance id', () => {
  it('is not there before a call has needed it, with or without the directory', () => {
    expect(readInstance(new SimulatedDisk(['/var']), dataDir)).toBeUndefined();
    expect(readInstance(new SimulatedDisk([dataDir]), dataDir)).toBeUndefined();
  });

  it('is created with its directory and stays the same for ever', async () => {
    const disk = new SimulatedDisk(['/var']);
    expect(await ensure(disk)).toBe(id);
    const before = disk.calls.length;
    expect(await ensure(disk, neverAsked)).toBe(id);
    expect(readInstance(disk, dataDir)).toBe(id);
    expect(disk.calls.slice(before).filter((call) => !['open', 'read', 'stat', 'close'].includes(call))).toEqual([]);
    expect(disk.openFiles).toBe(0);
  });

  it('survives a power cut from the moment a call got it, its directories with it (ST1)', async () => {
    const disk = new SimulatedDisk(['/var']);
    await ensure(disk);
    expect(readInstance(disk.powerCut(loseAll), dataDir)).toBe(id);
  });

  it('that another call wrote and did not live to sync is durable before the next call gets it (ST1)', async () => {
    const disk = new SimulatedDisk([dataDir]);
    disk.inject({ call: 'fsync', nth: 1, how: 'crash' });
    await expect(ensure(disk)).rejects.toThrow();
    const next = disk.processDeath();
    const told = await ensure(next, () => 'fedcba9876543210');
    expect(readInstance(next.powerCut(loseAll), dataDir)).toBe(told);
  });

  it('in a directory that another call made and did not live to sync is durable too (ST1)', async () => {
    const disk = new SimulatedDisk(['/var']);
    disk.inject({ call: 'fsyncDirectory', nth: 1, how: 'crash' });
    await expect(ensure(disk)).rejects.toThrow();
    const next = disk.processDeath();
    const told = await ensure(next);
    expect(readInstance(next.powerCut(loseAll), dataDir)).toBe(told);
  });

  it.each([
    ['nothing', ''],
    ['half an id', '01234567'],
    ['NULs', '\0'.repeat(17)],
    ['an id without the newline that ends it', '0123456789abcdef'],
    ['more digits than an id has', '0123456789abcdef0\n'],
    ['a word', 'userspace\n'],
  ])('is made again where a crash left %s: no call got that one', async (_, torn) => {
    const disk = withInstance(torn);
    expect(readInstance(disk, dataDir)).toBeUndefined();
    expect(await ensure(disk, () => 'fedcba9876543210')).toBe('fedcba9876543210');
    expect(await ensure(disk, neverAsked)).toBe('fedcba9876543210');
  });

  it('is refused after a bounded wait while another call is creating it (I10)', async () => {
    const disk = withInstance('');
    const creator = disk.spawn();
    creator.tryLock(creator.open(file, 'a+'));
    expect(await refused(ensureInstance(disk, dataDir, () => id, now() + 10))).toBe('EAGAIN');
    creator.processDeath();
    expect(await ensure(disk)).toBe(id);
  });

  it.each<readonly [what: string, fault: Fault, code: string]>([
    ['has no room for the file', { call: 'open', nth: 2, how: { error: 'ENOSPC' } }, 'ENOSPC'],
    ['has no room for the id', { call: 'write', nth: 1, how: { error: 'ENOSPC' } }, 'ENOSPC'],
    ['has room for a part of it', { call: 'write', nth: 1, how: { short: 4 } }, 'ENOSPC'],
    ['cannot make it durable', { call: 'fsync', nth: 1, how: { error: 'EIO' } }, 'EIO'],
    ['cannot make the directory', { call: 'mkdir', nth: 1, how: { error: 'ENOSPC' } }, 'ENOSPC'],
    ['cannot make its name durable', { call: 'fsyncDirectory', nth: 3, how: { error: 'EIO' } }, 'EIO'],
  ])('is refused when the disk %s, leaves nothing open, and is created when that is over', async (_, fault, code) => {
    const disk = new SimulatedDisk(['/var']);
    disk.inject(fault);
    expect(await refused(ensure(disk))).toBe(code);
    expect(disk.openFiles).toBe(0);
    disk.heal();
    const told = await ensure(disk);
    expect(readInstance(disk.powerCut(loseAll), dataDir)).toBe(told);
  });

  it('is not created on a read-only disk and is read from one', async () => {
    const empty = new SimulatedDisk([dataDir]);
    empty.readOnly = true;
    expect(await refused(ensure(empty))).toBe('EROFS');
    const disk = withInstance(`${id}\n`);
    disk.readOnly = true;
    expect(readInstance(disk, dataDir)).toBe(id);
  });

  it.each<readonly [call: 'open' | 'read']>([['open'], ['read']])(
    'that exists and fails to %s is an error and never another id',
    async (call) => {
      const disk = withInstance(`${id}\n`);
      disk.inject({ call, nth: 1, how: { error: 'EIO' }, forever: true });
      expect(refusal(() => readInstance(disk, dataDir))).toBe('EIO');
      expect(await refused(ensure(disk, neverAsked))).toBe('EIO');
    },
  );
});

describe('the list of journals that are due', () => {
  const names = ['a:b:c.journal', 'd:e:f.journal', 'g:h:i.journal'];
  const noon = new Date('2025-01-17T12:00:00.000Z');
  const seconds = (count: number): Date => new Date(noon.getTime() + count * 1000);

  /** Three journals, the first and the last marked, the last due earlier. */
  function marked(): SimulatedDisk {
    const disk = new SimulatedDisk([dataDir]);
    const [first, , last] = names.map((name) => openWords(disk, `${dataDir}/${name}`));
    for (const [journal, due] of [
      [last, -2],
      [first, -1],
    ] as const) {
      journal?.markGoing();
      journal?.dueAt(seconds(due));
    }
    return disk;
  }

  it('holds the marked journals alone, the longest due first', () => {
    const disk = marked();
    expect(listDue(disk, dataDir, journalSuffix, noon)).toEqual(['g:h:i.journal', 'a:b:c.journal']);
    openWords(disk, `${dataDir}/g:h:i.journal`).dueAt(noon);
    expect(listDue(disk, dataDir, journalSuffix, noon)).toEqual(['a:b:c.journal', 'g:h:i.journal']);
  });

  it('kind 5: leaves out a journal that is due later, but not one that a wrong clock put off for ever', () => {
    const disk = marked();
    openWords(disk, `${dataDir}/a:b:c.journal`).dueAt(seconds(60));
    expect(listDue(disk, dataDir, journalSuffix, noon)).toEqual(['g:h:i.journal']);
    openWords(disk, `${dataDir}/a:b:c.journal`).dueAt(seconds(86_400));
    expect(listDue(disk, dataDir, journalSuffix, noon)).toContain('a:b:c.journal');
  });

  it('leaves out a journal that goes away while the list is made, and opens none', () => {
    const disk = marked();
    const before = disk.openFiles;
    const list: Disk['list'] = (directory) => [...disk.list(directory), 'gone:x:y.journal'];
    const seen = listDue(
      Object.assign(Object.create(disk) as SimulatedDisk, { list, lookup: disk.lookup.bind(disk) }),
      dataDir,
      journalSuffix,
      noon,
    );
    expect(seen).toEqual(['g:h:i.journal', 'a:b:c.journal']);
    expect(disk.openFiles).toBe(before);
  });

  it('that cannot be made is an error: no call may take it for an empty one', () => {
    for (const call of ['list', 'lookup'] as const) {
      const disk = marked();
      disk.inject({ call, nth: 1, how: { error: 'EIO' } });
      expect(refusal(() => listDue(disk, dataDir, journalSuffix, noon))).toBe('EIO');
    }
  });
});

describe('the data directory', () => {
  const program = new URL('../support/real/instance-maker.ts', import.meta.url);

  it('gets one id even if many processes need it first at once (ST1, I8)', async () => {
    const directory = join(temporaryDirectory(), 'lib', 'cni', 'userspace');
    const makers = Array.from({ length: 6 }, () => bunChild(program, [directory]));
    const told = await Promise.all(makers.map((maker) => maker.line()));
    expect(new Set(told).size).toBe(1);
    expect(readInstance(realDisk, directory)).toBe(told[0]);
    expect(await Promise.all(makers.map((maker) => maker.ended()))).toEqual(makers.map(() => 0));
  });

  it("is root's alone, and so is its instance file (ST2)", async () => {
    const directory = join(temporaryDirectory(), 'cni', 'userspace');
    await ensureInstance(realDisk, directory, () => id, ample());
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    // Others have their directories in it too.
    expect(statSync(dirname(directory)).mode & 0o777).toBe(0o755);
    expect(statSync(join(directory, 'instance')).mode & 0o077).toBe(0);
  });

  it('lists the journals, and nothing else that lives there', async () => {
    const directory = temporaryDirectory();
    await ensureInstance(realDisk, directory, () => id, ample());
    for (const name of ['a:b:c.journal', 'd:e:f.journal', 'a:b:c.journal.corrupt', 'notes.txt', 'journal']) {
      writeFileSync(join(directory, name), '');
    }
    expect(listJournals(realDisk, directory, journalSuffix).sort()).toEqual(['a:b:c.journal', 'd:e:f.journal']);
  });

  it('that does not exist has no journals; one that cannot be listed is an error and not an empty one', () => {
    const directory = temporaryDirectory();
    expect(listJournals(realDisk, join(directory, 'none'), journalSuffix)).toEqual([]);
    writeFileSync(join(directory, 'file'), '');
    expect(refusal(() => listJournals(realDisk, join(directory, 'file'), journalSuffix))).toBe('ENOTDIR');
    const disk = new SimulatedDisk([dataDir]);
    disk.inject({ call: 'list', nth: 1, how: { error: 'EIO' } });
    expect(refusal(() => listJournals(disk, dataDir, journalSuffix))).toBe('EIO');
  });

  it('that exists keeps the mode its owner gave it', async () => {
    const directory = temporaryDirectory();
    chmodSync(directory, 0o750);
    await ensureInstance(realDisk, directory, () => id, ample());
    expect(statSync(directory).mode & 0o777).toBe(0o750);
  });
});
