import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sleep } from '../../src/deadlines.ts';
import { bootId, isLater, momentOfBoot, netnsTroubles, readNetns } from '../../src/effects/netns.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const own = '/proc/self/ns/net';

describe('a network namespace', () => {
  it('is told by the device and inode of its file and of the file’s directory', () => {
    const numbers = expect.stringMatching(/^\d+:\d+$/);
    expect(readNetns(own)).toEqual({ path: own, file: numbers, directory: numbers });
    expect(readNetns(own)).toEqual(readNetns(own));
  });

  it('is found through a symlink, as runtimes leave them', () => {
    const link = join(temporaryDirectory(), 'ns');
    symlinkSync(`/proc/${process.pid}/ns/net`, link);
    expect(readNetns(link)?.file).toBe(readNetns(own)?.file);
    expect(readNetns(link)?.directory).not.toBe(readNetns(own)?.directory);
  });
});

describe('a path that is not a network namespace', () => {
  const planted = (name: string): string => {
    const directory = temporaryDirectory();
    const path = join(directory, name);
    if (name === 'file') writeFileSync(path, '');
    if (name === 'directory') mkdirSync(path);
    if (name === 'FIFO') execFileSync('mkfifo', [path]);
    if (name === 'dangling') symlinkSync('/nowhere', path);
    return path;
  };

  it.each(['file', 'directory', 'FIFO', 'dangling', 'missing'])(
    'like a %s is refused with code 8, by its path',
    (name) => {
      const path = planted(name);
      expect(readNetns(path)).toBeUndefined();
      expect(netnsTroubles(path, {})).toEqual([
        { code: 8, message: `CNI_NETNS "${path}" is no live network namespace` },
      ]);
    },
  );

  it.each(['', '/proc/self/ns/mnt', '/proc/self/ns/uts', '/proc/self/ns', '/proc/self/fd/0', '/'])(
    'like "%s" is refused with code 8',
    (path) => {
      expect(netnsTroubles(path, {}).map(({ code }) => code)).toEqual([8]);
    },
  );
});

describe('the plugin’s own network namespace', () => {
  it('is refused with code 8: the runtime mixed up host and pod', () => {
    expect(netnsTroubles(own, {})).toEqual([
      { code: 8, message: `CNI_NETNS "${own}" is the plugin's own network namespace` },
    ]);
  });

  it.each(['1', 'true', 'TRUE'])('is taken with CNI_NETNS_OVERRIDE=%s', (yes) => {
    expect(netnsTroubles(own, { CNI_NETNS_OVERRIDE: yes })).toEqual([]);
  });

  it.each(['', '0', 'no'])('is not with CNI_NETNS_OVERRIDE=%j', (no) => {
    expect(netnsTroubles(own, { CNI_NETNS_OVERRIDE: no })).toHaveLength(1);
  });
});

describe('the boot', () => {
  it('has an id that stays the same as long as the machine runs', () => {
    expect(bootId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(bootId()).toBe(bootId());
  });
});

describe('a moment of this boot', () => {
  it('is later than what was before it, and says nothing of another boot', async () => {
    const first = momentOfBoot();
    await sleep(3);
    const second = momentOfBoot();
    expect([isLater(second, first), isLater(first, second), isLater(first, first)]).toEqual([true, false, false]);
    const other = second.replace(bootId(), 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    expect([isLater(other, first), isLater(first, other), isLater('', first)]).toEqual([false, false, false]);
  });

  it('counts on past a power of ten', () => {
    const at = (ms: number) => `${bootId()} ${String(ms).padStart(12, '0')}`;
    expect(isLater(at(1_000_000), at(999_999))).toBe(true);
    expect(momentOfBoot()).toMatch(/^[0-9a-f-]{36} \d{12}$/);
  });

  it('is not what an earlier version wrote: the time of day', () => {
    expect(isLater('2099-01-01T00:00:00.000Z', momentOfBoot())).toBe(false);
  });
});
