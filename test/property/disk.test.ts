/**
 * The simulated disk behaves as the real one: any sequence of calls has the same answers on both.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Disk, realDisk } from '../../src/journal/disk.ts';
import { everyChoice } from '../support/fake/choices.ts';
import { attempt, bytesOf, textOf, withOpenFilesClosed } from '../support/fake/disk-cases.ts';
import { SimulatedDisk } from '../support/fake/simulated-disk.ts';
import { withSeed } from '../support/seed.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** One call; `files` are the descriptors that this sequence has open. */
type Act = (disk: Disk, directory: string, files: number[]) => unknown;

/** A failure shows the calls by name. */
const named = (name: string, act: Act): Act => Object.assign(act, { [fc.toStringMethod]: () => name });

const path = fc.constantFrom('a', 'b', 'd', 'd/a', 'a/below', 'none/a');
const mode = fc.constantFrom(0o600, 0o700);

const onPath = (
  name: string,
  paths: fc.Arbitrary<string>,
  act: (disk: Disk, path: string) => unknown,
): fc.Arbitrary<Act> =>
  paths.map((below) => named(`${name} ${below}`, (disk, directory) => act(disk, join(directory, below))));

/** A call on a descriptor, if there is one; on which, `pick` decides. */
const onFile = <T>(
  name: string,
  argument: fc.Arbitrary<T>,
  act: (disk: Disk, fd: number, argument: T) => unknown,
): fc.Arbitrary<Act> =>
  fc.tuple(fc.nat(7), argument).map(([pick, given]) =>
    named(`${name} #${pick} ${given}`, (disk, _, files) => {
      const fd = files[pick % files.length];
      return fd === undefined ? 'no file' : act(disk, fd, given);
    }),
  );

const open = fc.tuple(path, fc.constantFrom('r', 'r+', 'a+', 'ax'), mode).map(([below, flags, permissions]) =>
  named(`open ${below} ${flags} ${permissions}`, (disk, directory, files) => {
    // Opening a directory for reading works, but the journal never does it.
    if (below === 'd') return 'left out';
    files.push(disk.open(join(directory, below), flags, permissions));
    return 'opened';
  }),
);

const close = fc.nat(7).map((pick) =>
  named(`close #${pick}`, (disk, _, files) => {
    const [fd] = files.splice(pick % Math.max(1, files.length), 1);
    return fd === undefined ? 'no file' : disk.close(fd);
  }),
);

const nothing = fc.constant('');

const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: open },
  { weight: 1, arbitrary: close },
  {
    weight: 4,
    arbitrary: onFile('write', fc.string({ maxLength: 6 }), (disk, fd, text) => disk.write(fd, bytesOf(text))),
  },
  { weight: 3, arbitrary: onFile('read', nothing, (disk, fd) => textOf(disk.read(fd))) },
  { weight: 1, arbitrary: onFile('fsync', nothing, (disk, fd) => disk.fsync(fd)) },
  { weight: 2, arbitrary: onFile('truncate', fc.nat(9), (disk, fd, size) => disk.truncate(fd, size)) },
  { weight: 2, arbitrary: onFile('chmod', mode, (disk, fd, permissions) => disk.chmod(fd, permissions)) },
  { weight: 3, arbitrary: onFile('tryLock', nothing, (disk, fd) => disk.tryLock(fd)) },
  { weight: 2, arbitrary: onFile('unlock', nothing, (disk, fd) => disk.unlock(fd)) },
  {
    weight: 3,
    arbitrary: onFile('stat', nothing, (disk, fd) => {
      const { nlink, mode: bits, size } = disk.stat(fd);
      return [nlink, bits, size].map(Number);
    }),
  },
  { weight: 2, arbitrary: onPath('unlink', path, (disk, name) => disk.unlink(name)) },
  {
    weight: 1,
    arbitrary: onPath('mkdir', fc.constantFrom('d', 'a/below', 'none/a'), (disk, name) => disk.mkdir(name, 0o700)),
  },
  { weight: 1, arbitrary: onPath('list', path, (disk, name) => disk.list(name).sort()) },
  { weight: 1, arbitrary: onPath('fsyncDirectory', path, (disk, name) => disk.fsyncDirectory(name)) },
);

/** The descriptors that a name leads to. Inode numbers differ from disk to disk, so they are only compared with each other. */
function namesAsFiles(disk: Disk, directory: string, files: readonly number[]): unknown {
  const inodes = files.map((fd) => disk.stat(fd).ino);
  return ['a', 'b', 'd/a'].map((name) => {
    const inode = disk.lookup(join(directory, name))?.ino;
    return inode === undefined ? 'none' : inodes.map((ino) => ino === inode);
  });
}

function answers(disk: Disk, directory: string, sequence: readonly Act[]): unknown[] {
  const files: number[] = [];
  return sequence.map((act) => [attempt(() => act(disk, directory, files)), namesAsFiles(disk, directory, files)]);
}

describe(withSeed('the simulated disk on any sequence of calls'), () => {
  it('answers each of them as the real disk does', () => {
    const base = temporaryDirectory();
    let run = 0;
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 40, size: 'max' }), (sequence) => {
        const directory = join(base, `${run++}`);
        realDisk.mkdir(directory, 0o700);
        const real = withOpenFilesClosed(realDisk, (disk) => answers(disk, directory, sequence));
        expect(answers(new SimulatedDisk(), '/data', sequence)).toEqual(real);
      }),
      { numRuns: 300 },
    );
  });

  it('loses nothing by a process death, and any possible part by a power cut, also no part', () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 30, size: 'max' }), (sequence) => {
        const disk = new SimulatedDisk();
        const before = answers(disk, '/data', sequence).length;
        const alive = everything(disk);
        expect(everything(disk.powerCut((options) => options - 1))).toEqual(alive);
        expect(everything(disk.processDeath())).toEqual(alive);
        expect(before).toBe(sequence.length);
      }),
    );
  });
});

/** Names, contents and modes. */
function everything(disk: SimulatedDisk): unknown {
  const next = disk.spawn();
  const names = next
    .list('/data')
    .flatMap((name) => attempt(() => next.list(`/data/${name}`).map((below) => `${name}/${below}`)));
  return ['a', 'b', ...names.sort()].map((name) =>
    attempt(() => {
      const fd = next.open(`/data/${name}`, 'r');
      return [name, textOf(next.read(fd)), next.stat(fd).mode];
    }),
  );
}

describe('every choice', () => {
  it('is made once: all combinations of answers, however the later questions depend on the earlier ones', () => {
    const seen: string[] = [];
    const runs = everyChoice((choose) => {
      const first = choose(3, 'first');
      seen.push(first === 1 ? `1${choose(2, 'second')}` : `${first}`);
    });
    expect(seen).toEqual(['0', '10', '11', '2']);
    expect(runs).toBe(4);
  });

  it('is made among the ends, their neighbours and the middle when there are many options', () => {
    const seen = new Set<number>();
    everyChoice((choose) => seen.add(choose(101, 'content')));
    expect([...seen]).toEqual([0, 1, 50, 99, 100]);
  });
});
