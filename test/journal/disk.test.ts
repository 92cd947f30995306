import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { isSystemError, realDisk } from '../../src/journal/disk.ts';
import { type Choose, everyChoice, keepAll, loseAll } from '../support/fake/choices.ts';
import { bytesOf, diskCases, readOnlyCases, textOf, withOpenFilesClosed } from '../support/fake/disk-cases.ts';
import { ProcessKilled, SimulatedDisk } from '../support/fake/simulated-disk.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { temporaryDirectory } from '../support/temporary.ts';

describe('the real disk', () => {
  for (const { title, run, expected } of diskCases) {
    it(title, () => {
      const directory = temporaryDirectory();
      expect(withOpenFilesClosed(realDisk, (disk) => run(disk, directory))).toEqual(expected);
    });
  }
});

describe('the simulated disk, as the real one', () => {
  for (const { title, run, expected } of diskCases) {
    it(title, () => expect(run(new SimulatedDisk(), '/data')).toEqual(expected));
  }

  for (const { title, run, expected } of readOnlyCases) {
    it(title, () => {
      const disk = new SimulatedDisk();
      disk.write(disk.open('/data/f', 'a+', 0o600), bytesOf('abc'));
      disk.readOnly = true;
      expect(run(disk, '/data')).toEqual(expected);
    });
  }
});

/** A file system of 64 KiB in a mount namespace of its own, which ends with the program in it. */
const onSmallDisk = (directory: string): Record<string, unknown> => {
  const program = new URL('../support/real/small-disk.ts', import.meta.url).pathname;
  const script = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" "$3" "$1"';
  const args = ['--mount', 'sh', '-c', script, 'sh', directory, process.execPath, program];
  const { stdout, stderr, status } = spawnSync('unshare', args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
};

const canMount =
  process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;

// Without it the shared cases run on the simulated disk alone.
const describeMounted = canMount || process.env.CI ? describe : describe.skip; // mounting needs root; never skipped in CI

const mounted = 'a real disk that is full or read-only';

describeMounted(canMount ? mounted : skippedTitle(mounted, 'mounting needs root'), () => {
  it('answers as the simulated one does', () => {
    const seen = onSmallDisk(temporaryDirectory());
    expect(seen.readOnly).toEqual(readOnlyCases.map(({ expected }) => JSON.parse(JSON.stringify(expected))));
  });

  it('takes the going mark when it takes no record any more (JO2), and refuses every append (JO1)', () => {
    expect(onSmallDisk(temporaryDirectory()).full).toEqual({
      append: 'ENOSPC',
      appendWithRoom: 'ENOSPC',
      going: true,
      goingForTheNext: true,
      kept: true,
      appendAfterRepair: 'kept and one more',
    });
  });
});

describe('the faults of the simulated disk', () => {
  const opened = (): [SimulatedDisk, number] => {
    const disk = new SimulatedDisk();
    return [disk, disk.open('/data/f', 'a+', 0o600)];
  };
  const codeOf = (action: () => unknown): unknown => {
    try {
      return action();
    } catch (error) {
      return isSystemError(error) ? error.code : error;
    }
  };

  it('hit the call they name, once', () => {
    const [disk, fd] = opened();
    disk.inject({ call: 'write', nth: 2, how: { error: 'ENOSPC' } });
    disk.fsync(fd);
    expect([1, 2, 3].map(() => codeOf(() => disk.write(fd, bytesOf('x'))))).toEqual([1, 'ENOSPC', 1]);
  });

  it('hit the call they name for ever, until the disk is healed', () => {
    const [disk, fd] = opened();
    disk.inject({ call: 'write', nth: 2, how: { error: 'ENOSPC' }, forever: true });
    expect([1, 2, 3].map(() => codeOf(() => disk.write(fd, bytesOf('x'))))).toEqual([1, 'ENOSPC', 'ENOSPC']);
    disk.heal();
    expect(disk.write(fd, bytesOf('x'))).toBe(1);
  });

  it('cut a write short and keep what was written', () => {
    const [disk, fd] = opened();
    disk.inject({ call: 'write', nth: 1, how: { short: 2 } });
    expect(disk.write(fd, bytesOf('abc'))).toBe(2);
    expect(textOf(disk.read(fd))).toBe('ab');
  });

  it('kill the process before the call, and every later call with it', () => {
    const [disk, fd] = opened();
    disk.inject({ call: 'every', nth: 2, how: 'crash' });
    disk.write(fd, bytesOf('a'));
    expect(() => disk.write(fd, bytesOf('b'))).toThrow(ProcessKilled);
    expect(() => disk.close(fd)).toThrow(ProcessKilled);
    const next = disk.processDeath();
    const found = next.open('/data/f', 'r');
    expect(textOf(next.read(found))).toBe('a');
    expect(next.tryLock(found)).toBe(true);
  });

  it('make an fsync that failed once lose its data although the next one succeeds', () => {
    const [disk, fd] = opened();
    disk.fsyncDirectory('/data');
    disk.write(fd, bytesOf('lost'));
    disk.inject({ call: 'fsync', nth: 1, how: { error: 'EIO' } });
    expect(codeOf(() => disk.fsync(fd))).toBe('EIO');
    disk.write(fd, bytesOf('kept'));
    disk.fsync(fd);
    expect(contentAfter(disk, loseAll)).toBe('\0\0\0\0kept');
    expect(contentAfter(disk, keepAll)).toBe('lostkept');
  });

  it('tell of an fsync that failed once to every descriptor that was open, and to none that is opened later', () => {
    const [disk, fd] = opened();
    const [other, failing] = [disk.open('/data/f', 'r'), disk.open('/data/f', 'r')];
    disk.write(fd, bytesOf('lost'));
    disk.inject({ call: 'fsync', nth: 1, how: { error: 'EIO' } });
    const told = [failing, fd, fd, other, other].map((one) => codeOf(() => disk.fsync(one)));
    expect(told).toEqual(['EIO', 'EIO', undefined, 'EIO', undefined]);
    expect(codeOf(() => disk.fsync(disk.open('/data/f', 'r')))).toBeUndefined();
  });
});

/** The content of /data/f when power returns; undefined if it has no name. */
function contentAfter(disk: SimulatedDisk, choose: Choose): string | undefined {
  const after = disk.powerCut(choose);
  if (after.lookup('/data/f') === undefined) return undefined;
  return textOf(after.read(after.open('/data/f', 'r')));
}

describe('a power cut of the simulated disk', () => {
  const fates = (disk: SimulatedDisk): Set<string | undefined> => {
    const seen = new Set<string | undefined>();
    everyChoice((choose) => seen.add(contentAfter(disk, choose)));
    return seen;
  };

  it('spares what was fsynced and may tear, blank or drop what was not', () => {
    const disk = new SimulatedDisk();
    const fd = disk.open('/data/f', 'a+', 0o600);
    disk.fsyncDirectory('/data');
    disk.write(fd, bytesOf('one '));
    disk.fsync(fd);
    disk.write(fd, bytesOf('two'));
    expect(fates(disk)).toEqual(
      new Set([
        'one ',
        'one \0',
        'one \0\0',
        'one \0\0\0',
        'one t',
        'one t\0',
        'one t\0\0',
        'one tw',
        'one tw\0',
        'one two',
      ]),
    );
  });

  it('forgets a name whose directory was not fsynced, its fsynced content with it', () => {
    const disk = new SimulatedDisk();
    const fd = disk.open('/data/f', 'a+', 0o600);
    disk.write(fd, bytesOf('x'));
    disk.fsync(fd);
    expect(fates(disk)).toEqual(new Set([undefined, 'x']));
    disk.fsyncDirectory('/data');
    expect(fates(disk)).toEqual(new Set(['x']));
  });

  it('brings back a name that was unlinked and not synced, and no other', () => {
    const disk = new SimulatedDisk();
    disk.open('/data/f', 'a+', 0o600);
    disk.fsyncDirectory('/data');
    disk.unlink('/data/f');
    expect(fates(disk)).toEqual(new Set([undefined, '']));
    disk.fsyncDirectory('/data');
    expect(fates(disk)).toEqual(new Set([undefined]));
  });

  it('undoes a truncation and a mode that were not fsynced, and neither once they were', () => {
    const disk = new SimulatedDisk();
    const fd = disk.open('/data/f', 'a+', 0o600);
    disk.fsyncDirectory('/data');
    disk.write(fd, bytesOf('abc'));
    disk.fsync(fd);
    disk.truncate(fd, 1);
    disk.chmod(fd, 0o700);
    const modes = (choose: Choose): bigint => {
      const after = disk.powerCut(choose);
      return after.stat(after.open('/data/f', 'r')).mode & 0o777n;
    };
    expect(fates(disk)).toEqual(new Set(['abc', 'a']));
    expect([modes(loseAll), modes(keepAll)]).toEqual([0o600n, 0o700n]);
    disk.fsync(fd);
    expect(fates(disk)).toEqual(new Set(['a']));
    expect([modes(loseAll), modes(keepAll)]).toEqual([0o700n, 0o700n]);
  });

  it('forgets a directory made and not synced, with everything fsynced in it', () => {
    const disk = new SimulatedDisk();
    disk.mkdir('/data/d', 0o700);
    disk.fsync(disk.open('/data/d/f', 'a+', 0o600));
    disk.fsyncDirectory('/data/d');
    expect(disk.powerCut(loseAll).lookup('/data/d/f')).toBeUndefined();
    disk.fsyncDirectory('/data');
    expect(disk.powerCut(loseAll).lookup('/data/d/f')).toBeDefined();
  });

  it('frees every lock', () => {
    const disk = new SimulatedDisk();
    disk.tryLock(disk.open('/data/f', 'a+', 0o600));
    const after = disk.powerCut(keepAll);
    expect(after.tryLock(after.open('/data/f', 'r'))).toBe(true);
  });
});
