import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { realDisk } from '../../src/journal/disk.ts';
import { findJournalHolder } from '../../src/journal/holder.ts';
import { bunChild, startChild } from '../support/real/child.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const holderProgram = new URL('../support/real/lock-holder.ts', import.meta.url);

describe('the holder of a journal', () => {
  it('is named by its process and its command, for the message of the call that waits in vain', async () => {
    const path = join(temporaryDirectory(), 'a:b:c.journal');
    const child = bunChild(holderProgram, [path, '0']);
    await child.line();
    expect(findJournalHolder(path)).toEqual({
      pid: child.process.pid,
      command: expect.stringContaining('lock-holder.ts'),
      ageMs: expect.any(Number),
    });
    await child.kill();
    expect(findJournalHolder(path)).toBeUndefined();
  });

  it('kind 3: is not a process that has the file open without the lock: one that waits, or one that an operation left behind', async () => {
    const path = join(temporaryDirectory(), 'a:b:c.journal');
    const fd = realDisk.open(path, 'a+', 0o600);
    const other = startChild('sh', ['-c', 'echo started; exec cat'], [fd]);
    expect(await other.line()).toBe('started');
    expect(findJournalHolder(path)).toBeUndefined();
    expect(realDisk.tryLock(fd)).toBe(true);
    expect(findJournalHolder(path)).toMatchObject({ pid: other.process.pid, command: 'cat' });
    realDisk.close(fd);
  });

  it('is never the process that asks, and is unknown where there is no file', () => {
    const path = join(temporaryDirectory(), 'a:b:c.journal');
    const fd = realDisk.open(path, 'a+', 0o600);
    expect(findJournalHolder(path)).toBeUndefined();
    realDisk.close(fd);
    expect(findJournalHolder(join(path, 'none'))).toBeUndefined();
  });
});
