import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { now, sleep } from '../../src/deadlines.ts';
import { realDisk } from '../../src/journal/disk.ts';
import { lock } from '../../src/journal/lock.ts';
import { sinceBootMs } from '../../src/os/bare.ts';
import { flock, lockByte, unlock } from '../../src/os/native.ts';
import { claim, endOrphans, findHolders, isLent, type Lock, lockOf } from '../../src/os/processes.ts';
import { run } from '../../src/os/subprocess.ts';
import { until } from '../support/fake/held-call.ts';
import { type Programs, programs } from '../support/programs.ts';
import { type Child, startChild } from '../support/real/child.ts';
import { soon } from '../support/stand-in/scene.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** Starts a process with a lease whose deadline is `inMs` from now. */
async function bearer(inMs: number, purpose: string, fds: readonly number[] = [], program = 'cat'): Promise<Child> {
  const lease = `USERSPACE_CNI_CALL=${Math.ceil(sinceBootMs() + inMs)} ${purpose}`;
  const child = startChild('sh', ['-c', 'echo started; exec env "$0" "$1"', lease, program], fds);
  expect(await child.line()).toBe('started');
  await until(() => readFileSync(`/proc/${child.process.pid}/environ`, 'utf8').includes(lease));
  return child;
}

/** A journal whose lock is held only by a process that inherited it. */
async function inherited(inMs: number) {
  const path = join(temporaryDirectory(), 'a:b:c.journal');
  const fd = realDisk.open(path, 'a+', 0o600);
  expect(realDisk.tryLock(fd)).toBe(true);
  const orphan = await bearer(inMs, 'net:a:b', [fd]);
  realDisk.close(fd);
  const next = realDisk.open(path, 'r+');
  onTestFinished(() => realDisk.close(next));
  return { path, next, orphan };
}

const lives = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};

const pidOf = async (own: Programs, file = 'pid'): Promise<number> => {
  await until(() => own.has(file) && own.read(file).endsWith('\n'));
  const pid = Number(own.read(file));
  onTestFinished(() => void (lives(pid) && process.kill(pid, 'SIGKILL')));
  return pid;
};

describe('a lock that was inherited', () => {
  it('kind 3: of a process whose deadline is over is taken: the process that waits ends it', async () => {
    const { path, next, orphan } = await inherited(-1_500);
    expect(await lock({ disk: realDisk, path, fd: next }, now() + 5_000)).toBe('held');
    expect(await orphan.ended()).toBe('SIGKILL');
  });

  it('kind 3: of a process whose deadline is not over stays with it: it may finish its task', async () => {
    const { path, next, orphan } = await inherited(60_000);
    expect(await lock({ disk: realDisk, path, fd: next }, now() + 1_600)).toBe('busy');
    expect(lives(orphan.process.pid ?? 0)).toBe(true);
  });

  it('kind 3: is waited for without a look through /proc at first: a short wait costs nothing', async () => {
    const { path, next, orphan } = await inherited(-60_000);
    expect(await lock({ disk: realDisk, path, fd: next }, now() + 200)).toBe('busy');
    expect(lives(orphan.process.pid ?? 0)).toBe(true);
  });

  it('kind 3: of a process without a lease is never taken: it is not ours to end', async () => {
    const path = join(temporaryDirectory(), 'a:b:c.journal');
    const fd = realDisk.open(path, 'a+', 0o600);
    expect(realDisk.tryLock(fd)).toBe(true);
    const stranger = startChild('cat', [], [fd]);
    realDisk.close(fd);
    const next = realDisk.open(path, 'r+');
    expect(await lock({ disk: realDisk, path, fd: next }, now() + 1_000)).toBe('busy');
    expect(lives(stranger.process.pid ?? 0)).toBe(true);
    realDisk.close(next);
  });

  it('kind 3: of a process of this executable is never taken, whatever lease it has (PS2)', async () => {
    const path = join(temporaryDirectory(), 'a:b:c.journal');
    const fd = realDisk.open(path, 'a+', 0o600);
    expect(realDisk.tryLock(fd)).toBe(true);
    const script = join(temporaryDirectory(), 'wait.ts');
    writeFileSync(script, "console.log('up'); process.stdin.on('end', () => process.exit(0)).resume();");
    const lease = `USERSPACE_CNI_CALL=${Math.ceil(sinceBootMs() - 60_000)} x`;
    const own = startChild('env', [lease, process.execPath, script], [fd]);
    expect(await own.line()).toBe('up');
    realDisk.close(fd);
    const next = realDisk.open(path, 'r+');
    expect(await lock({ disk: realDisk, path, fd: next }, now() + 1_000)).toBe('busy');
    expect(lives(own.process.pid ?? 0)).toBe(true);
    realDisk.close(next);
  });

  it('kind 3: is taken by ending every process of the same lease, and no other: the rest of that program could still act', async () => {
    const { path, next, orphan } = await inherited(-1_500);
    const lease = readFileSync(`/proc/${orphan.process.pid}/environ`, 'utf8')
      .split('\0')
      .find((one) => one.startsWith('USERSPACE_CNI_CALL='));
    const other = startChild('env', [lease ?? '', 'cat']);
    const stranger = await bearer(-1_400, 'net:a:b');
    await until(() => readFileSync(`/proc/${other.process.pid}/cmdline`, 'utf8') === 'cat\0');
    expect(await lock({ disk: realDisk, path, fd: next }, now() + 5_000)).toBe('held');
    expect(await other.ended()).toBe('SIGKILL');
    expect(lives(stranger.process.pid ?? 0)).toBe(true);
  });
});

describe('the holder of a lock', () => {
  it('is found for one byte of a file too, and only for that byte', async () => {
    const path = join(temporaryDirectory(), 'instance');
    writeFileSync(path, '');
    const fd = openSync(path, 'r+');
    expect(lockByte(fd, 4_000_000_000, 'alone')).toBe(true);
    const holder = startChild('cat', [], [fd]);
    const at = (byte: number): Lock => ({ ...(lockOf(path, byte) as Lock) });
    const pidsOf = (one: Lock) =>
      findHolders([one])
        .get(one)
        ?.map(({ pid }) => pid);
    expect(pidsOf(at(4_000_000_000))).toEqual([holder.process.pid]);
    expect(pidsOf(at(7))).toBeUndefined();
    expect(pidsOf(lockOf(path) as Lock)).toBeUndefined();
    closeSync(fd);
  });
});

describe('orphans of an attachment', () => {
  it('kind 3: are ended in whatever session they are, but not those of another attachment', async () => {
    const own = await bearer(60_000, 'net:a:b');
    const others = [await bearer(60_000, 'net:a:b2'), await bearer(60_000, 'net:a')];
    await endOrphans('net:a:b');
    expect(await own.ended()).toBe('SIGKILL');
    expect(others.map(({ process }) => lives(process.pid ?? 0))).toEqual([true, true]);
  });
});

/** Runs a script that is given a lock of its own file. */
function locked(body: string, ms: number) {
  const own = programs();
  const file = own.write('program', body);
  const path = join(own.directory, 'journal');
  const fd = openSync(path, 'a+');
  expect(flock(fd)).toBe(true);
  claim(fd);
  onTestFinished(() => closeSync(fd));
  const finished = run({ file, env: { PATH: '/usr/bin:/bin' }, stdin: '', locks: [fd], end: soon(ms) });
  return { own, path, fd, finished };
}

const daemon = (how: string) =>
  `${how} sh -c 'echo $$ > ${'$'}D/pid.new; mv ${'$'}D/pid.new ${'$'}D/pid; exec sleep 60' < /dev/null > /dev/null 2>&1 &`;

const ways = [
  ['in a session of its own', 'setsid'],
  ['forked twice', 'setsid --fork'],
  ['without our variable', 'env -i PATH=/usr/bin:/bin D=$D setsid --fork'],
] as const;

describe('a process that a program leaves behind', () => {
  it.each(ways)('kind 3: %s is ended with a program that overran its time, so it cannot act later', async (_, how) => {
    const { own, finished } = locked(`export D; ${daemon(how)}\nuntil [ -s $D/pid ]; do :; done; exec sleep 60`, 600);
    expect(await finished).toMatchObject({ timedOut: true });
    expect(lives(await pidOf(own))).toBe(false);
  });

  it.each(ways)('kind 3: %s goes on if the program ended by itself, and the lock is not its own', async (_, how) => {
    const { own, path, fd, finished } = locked(`export D; ${daemon(how)}\nuntil [ -s $D/pid ]; do :; done`, 5_000);
    expect(await finished).toMatchObject({ exitCode: 0, timedOut: false });
    expect(lives(await pidOf(own))).toBe(true);
    expect(isLent(fd)).toBe(false);
    unlock(fd);
    const next = openSync(path, 'r+');
    expect(flock(next)).toBe(true);
    closeSync(next);
  });

  it('kind 3: by a program that was killed may still have the lock', async () => {
    const { fd, finished } = locked('kill -KILL $$', 5_000);
    expect(isLent(fd)).toBe(true);
    expect(await finished).toMatchObject({ signal: 'SIGKILL' });
    expect(isLent(fd)).toBe(true);
  });

  it('kind 3: earlier is spared when a later program overruns its time, and so are programs that run beside that one', async () => {
    const early = locked(`export D; ${daemon('setsid --fork')}\nuntil [ -s $D/pid ]; do :; done`, 5_000);
    await early.finished;
    const pid = await pidOf(early.own);
    await sleep(20);
    const beside = locked(`export D; ${daemon('setsid --fork')}\nsleep 0.8; echo fine`, 5_000);
    const late = locked('exec sleep 60', 200);
    expect(await late.finished).toMatchObject({ timedOut: true });
    expect(lives(pid)).toBe(true);
    expect(lives(await pidOf(beside.own))).toBe(true);
    expect(await beside.finished).toMatchObject({ exitCode: 0, stdout: 'fine\n' });
  });
});
