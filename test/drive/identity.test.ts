import { describe, expect, it } from 'vitest';
import { now } from '../../src/deadlines.ts';
import { adoptIdentity, ensureIdentity, instancesOfJournals } from '../../src/drive/identity.ts';
import { openJournal } from '../../src/drive/past.ts';
import { JournalError } from '../../src/journal/journal.ts';
import { readInstance } from '../../src/journal/store.ts';
import { SimulatedDisk } from '../support/fake/simulated-disk.ts';

const [a, b] = ['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb'];
const fresh = 'ffffffffffffffff';
const end = now() + 1_000;

/** A journal for each id, and one that tells none. */
function diskWith(...ids: readonly (string | undefined)[]): SimulatedDisk {
  const disk = new SimulatedDisk();
  ids.forEach((instance, index) => {
    const journal = openJournal(disk, `/data/net:c${index}:net1.journal`, { create: true, clock: () => new Date(0) });
    if (instance) journal?.append({ kind: 'begin', instance } as never);
    journal?.close();
  });
  return disk;
}

const propose = () => fresh;

describe('kind 2: the id of a data directory whose file "instance" is lost', () => {
  it('is the one that most of its journals were written with', async () => {
    const disk = diskWith(a, b, undefined, b);
    expect(instancesOfJournals(disk, '/data')).toEqual([b, a]);
    expect(await ensureIdentity(disk, '/data', propose, end)).toBe(b);
    expect(readInstance(disk, '/data')).toBe(b);
  });

  it.each(['', 'rubbish\n', '0123'])('or holds "%s" is it too', async (content) => {
    const disk = diskWith(a);
    const fd = disk.open('/data/instance', 'a+');
    disk.write(fd, new TextEncoder().encode(content));
    expect(await ensureIdentity(disk, '/data', propose, end)).toBe(a);
    expect(readInstance(disk, '/data')).toBe(a);
  });

  it('is a new one for an ADD or a DEL where no journal tells any, and none for recover', async () => {
    const disk = diskWith(undefined);
    expect(await adoptIdentity(disk, '/data', end)).toBeUndefined();
    expect(readInstance(disk, '/data')).toBeUndefined();
    expect(await ensureIdentity(disk, '/data', propose, end)).toBe(fresh);
  });

  it('is adopted by recover, and kept', async () => {
    const disk = diskWith(a);
    expect(await adoptIdentity(disk, '/data', end)).toBe(a);
    expect(readInstance(disk, '/data')).toBe(a);
  });

  it('is always that of the file where there is one', async () => {
    const disk = diskWith(b, b);
    disk.write(disk.open('/data/instance', 'a+'), new TextEncoder().encode(`${a}\n`));
    expect(await ensureIdentity(disk, '/data', propose, end)).toBe(a);
    expect(await adoptIdentity(disk, '/data', end)).toBe(a);
  });

  it('is that of the journals that can be read, and the others do not matter', () => {
    const disk = diskWith(a, b, b);
    // The second one to be opened.
    disk.inject({ call: 'open', nth: 2, how: { error: 'EIO' } });
    expect(new Set(instancesOfJournals(disk, '/data'))).toEqual(new Set([a, b]));
    disk.inject({ call: 'list', nth: 1, how: { error: 'EIO' } });
    expect(() => instancesOfJournals(disk, '/data')).toThrow(JournalError);
  });
});
