import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { now } from '../../src/deadlines.ts';
import { type Disk, realDisk } from '../../src/journal/disk.ts';
import { Journal } from '../../src/journal/journal.ts';
import { lock } from '../../src/journal/lock.ts';
import { lend } from '../../src/os/processes.ts';
import { SimulatedDisk } from '../support/fake/simulated-disk.ts';
import { bunChild, type Child, startChild } from '../support/real/child.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const holderProgram = new URL('../support/real/lock-holder.ts', import.meta.url);

/** Far beyond what any of these waits takes; the test's own time limit comes first. */
const ample = (): number => now() + 60_000;

/** A process that holds the lock of `path`. */
async function holder(path: string): Promise<Child> {
  const child = bunChild(holderProgram, [path, '60000']);
  expect(await child.line()).toBe('held');
  return child;
}

const journal = (): string => join(temporaryDirectory(), 'a:b:c.journal');

describe('the lock among real processes', () => {
  it('is refused while another process holds it, and the wait is bounded (LO3, I8, I10)', async () => {
    const path = journal();
    await holder(path);
    const fd = realDisk.open(path, 'r+');
    expect(await lock({ disk: realDisk, path, fd }, now() + 20)).toBe('busy');
    realDisk.close(fd);
  });

  it('is tried exactly once when there is no time to wait', async () => {
    const path = journal();
    const disk = new SimulatedDisk();
    const [one, two] = [disk.open('/data/f', 'a+'), disk.open('/data/f', 'a+')];
    disk.tryLock(one);
    const before = disk.calls.length;
    expect(await lock({ disk, path: '/data/f', fd: two }, now() - 1)).toBe('busy');
    expect(disk.calls.slice(before)).toEqual(['tryLock']);
    const free = realDisk.open(path, 'a+', 0o600);
    expect(await lock({ disk: realDisk, path, fd: free }, now() - 1)).toBe('held');
    realDisk.close(free);
  });

  it('is free as soon as its holder is killed: no stale lock, no waiting for a clock', async () => {
    const path = journal();
    const first = await holder(path);
    const fd = realDisk.open(path, 'r+');
    const waiting = lock({ disk: realDisk, path, fd }, ample());
    await first.kill();
    expect(await first.ended()).toBe('SIGKILL');
    expect(await waiting).toBe('held');
    realDisk.close(fd);
  });

  it('is not lost by a holder that is stopped', async () => {
    const path = journal();
    const first = await holder(path);
    first.process.kill('SIGSTOP');
    const fd = realDisk.open(path, 'r+');
    expect(await lock({ disk: realDisk, path, fd }, now() + 20)).toBe('busy');
    realDisk.close(fd);
  });

  it('stays with a child that was handed the descriptor after its parent has closed it (LO2)', async () => {
    const path = journal();
    const fd = realDisk.open(path, 'a+', 0o600);
    expect(await lock({ disk: realDisk, path, fd }, ample())).toBe('held');
    const orphan = startChild('cat', [], [fd]);
    realDisk.close(fd);
    const next = realDisk.open(path, 'r+');
    expect(await lock({ disk: realDisk, path, fd: next }, now() + 20)).toBe('busy');
    await orphan.kill();
    expect(await lock({ disk: realDisk, path, fd: next }, ample())).toBe('held');
    realDisk.close(next);
  });

  it('is not kept by a child that was not handed the descriptor', async () => {
    const path = journal();
    const fd = realDisk.open(path, 'a+', 0o600);
    expect(await lock({ disk: realDisk, path, fd }, ample())).toBe('held');
    const stranger = startChild('sh', ['-c', 'echo started; exec cat']);
    expect(await stranger.line()).toBe('started');
    realDisk.close(fd);
    const next = realDisk.open(path, 'r+');
    expect(await lock({ disk: realDisk, path, fd: next }, now() - 1)).toBe('held');
    realDisk.close(next);
  });

  it('is the lock that flock(1) knows: an operator can hold an attachment still', async () => {
    const path = journal();
    const fd = realDisk.open(path, 'a+', 0o600);
    expect(await lock({ disk: realDisk, path, fd }, ample())).toBe('held');
    expect(spawnSync('flock', ['--nonblock', path, 'true']).status).toBe(1);
    realDisk.close(fd);
    expect(spawnSync('flock', ['--nonblock', path, 'true']).status).toBe(0);
  });

  it('passes through a queue of processes one at a time, each killed while it holds it (I8)', async () => {
    const path = journal();
    const holding: Child[] = [];
    const turns = Array.from({ length: 4 }, () => {
      const child = bunChild(holderProgram, [path, '60000']);
      return child.line().then((word) => {
        expect(word).toBe('held');
        holding.push(child);
      });
    });
    for (let turn = 1; turn <= turns.length; turn++) {
      await expect.poll(() => holding.length, { interval: 5, timeout: 5_000 }).toBe(turn);
      const probe = realDisk.open(path, 'r+');
      expect(realDisk.tryLock(probe)).toBe(false);
      realDisk.close(probe);
      await holding[turn - 1]?.kill();
    }
    await Promise.all(turns);
  });
});

describe('the lock at the end of its operation (LO2)', () => {
  /** An operation that handed its lock to a program, which left a process behind. */
  async function operation(isEnded: boolean): Promise<boolean> {
    const path = journal();
    const operated = Journal.open(realDisk, path, { create: true, clock: () => new Date(0), tells: () => undefined });
    if (!operated) throw new Error('no journal');
    expect(await operated.lock(ample())).toBe('held');
    const giveBack = lend([operated.fd]);
    const child = startChild('sh', ['-c', 'echo started; exec cat'], [operated.fd]);
    const next = realDisk.open(path, 'r+');
    expect(await child.line()).toBe('started');
    if (isEnded) giveBack();
    operated.close();
    const isFree = realDisk.tryLock(next);
    realDisk.close(next);
    return isFree;
  }

  it('kind 3: is not kept by the processes that a program left behind when it ended by itself', async () => {
    expect(await operation(true)).toBe(true);
  });

  it('kind 3: stays with a program that was killed or is still at work', async () => {
    expect(await operation(false)).toBe(false);
  });
});

describe('the locked file is still the journal (LO1)', () => {
  const disks: readonly (readonly [string, () => readonly [Disk, string]])[] = [
    ['real', () => [realDisk, journal()]],
    ['simulated', () => [new SimulatedDisk(), '/data/a:b:c.journal']],
  ];

  it.each(disks)('a lock won after a removal has unlinked the file says gone (%s disk)', async (_, make) => {
    const [disk, path] = make();
    const remover = disk.open(path, 'a+', 0o600);
    expect(await lock({ disk, path, fd: remover }, ample())).toBe('held');
    const late = disk.open(path, 'r+');
    const waiting = lock({ disk, path, fd: late }, ample());
    disk.unlink(path);
    disk.close(remover);
    expect(await waiting).toBe('gone');
    disk.close(late);
  });

  it.each(disks)(
    'a file of the same name that came afterwards does not make the old lock good (%s disk)',
    async (_, make) => {
      const [disk, path] = make();
      const old = disk.open(path, 'a+', 0o600);
      disk.unlink(path);
      const fresh = disk.open(path, 'a+', 0o600);
      expect(await lock({ disk, path, fd: old }, ample())).toBe('gone');
      expect(await lock({ disk, path, fd: fresh }, ample())).toBe('held');
      for (const fd of [old, fresh]) disk.close(fd);
    },
  );

  it('is not released by any other call: only close ends it (LO2)', async () => {
    const disk = new SimulatedDisk();
    const fd = disk.open('/data/f', 'a+');
    expect(await lock({ disk, path: '/data/f', fd }, ample())).toBe('held');
    expect(await lock({ disk, path: '/data/f', fd }, ample())).toBe('held');
    const other = disk.open('/data/f', 'r+');
    expect(disk.tryLock(other)).toBe(false);
    disk.close(fd);
    expect(disk.tryLock(other)).toBe(true);
  });

  it('ends with its process and stays with the child that has a copy (LO2)', () => {
    const disk = new SimulatedDisk();
    const fd = disk.open('/data/f', 'a+');
    disk.tryLock(fd);
    const child = disk.spawn([fd]);
    const successor = disk.processDeath();
    const next = successor.open('/data/f', 'r+');
    expect(successor.tryLock(next)).toBe(false);
    child.processDeath();
    expect(successor.tryLock(next)).toBe(true);
  });
});
