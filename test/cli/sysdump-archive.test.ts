/** The archive's bytes, as tar(1) reads them, and its way to the disk. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { archivePath, dumpName, writeArchive } from '../../src/cli/sysdump/archive.ts';
import { tarOf } from '../../src/cli/sysdump/tar.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const at = new Date('2026-01-31T12:00:00Z');

describe('an archive', () => {
  it('is read back by tar: every size around a block, long names, names beyond ASCII, modes and times', () => {
    const directory = temporaryDirectory();
    const sizes = [0, 1, 511, 512, 513, 10_240, 100_000].map((size) => ({
      path: `top/${size}`,
      bytes: randomBytes(size),
    }));
    const long = [99, 100, 101, 160, 250].map((length) => `${'n'.repeat(length - 3)}:x1`);
    const named = [...long, 'žluťoučký:kůň', `${'ů'.repeat(60)}`].flatMap((name) =>
      ['top', `top/${'d'.repeat(90)}/${'e'.repeat(90)}`].map((above) => ({
        path: `${above}/${name}`,
        bytes: Buffer.from(name),
      })),
    );
    const files = [...sizes, ...named];
    const archive = join(directory, 'a.tar.gz');
    writeArchive(archive, tarOf(files, at));
    const list = execFileSync('tar', ['--quoting-style=literal', '-tzf', archive], { encoding: 'utf8' });
    expect(list.trimEnd().split('\n')).toEqual(files.map(({ path }) => path));
    const { status, stderr } = spawnSync('tar', ['-xzf', archive, '-C', directory], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const { path, bytes } of files) expect(readFileSync(join(directory, path)).equals(bytes)).toBe(true);
    const { mode, mtimeMs } = statSync(join(directory, 'top/512'));
    expect({ mode: mode & 0o777, mtimeMs }).toEqual({ mode: 0o600, mtimeMs: at.getTime() });
  });

  it('has a name without a colon, which tar takes for another machine’s name', () => {
    expect(dumpName('node-1', new Date('2026-01-31T12:34:56.789Z'))).toBe('userspace-sysdump-node-1-20260131T123456Z');
  });

  it('is root’s alone, and is made only where there is nothing, also if that came to be there meanwhile', () => {
    const directory = temporaryDirectory();
    const path = archivePath(directory, 'dump');
    expect(path).toBe(join(directory, 'dump.tar.gz'));
    const umask = process.umask(0);
    try {
      writeArchive(path, Buffer.from('x'));
    } finally {
      process.umask(umask);
    }
    expect(lstatSync(path).mode & 0o7777).toBe(0o600);
    const before = readFileSync(path);
    expect(() => archivePath(directory, 'dump')).toThrow('exists');
    expect(() => writeArchive(path, Buffer.from('y'))).toThrow('EEXIST');
    expect(readFileSync(path)).toEqual(before);
    const [link, target] = [join(directory, 'link'), join(directory, 'target')];
    symlinkSync(target, link);
    expect(() => writeArchive(link, Buffer.from('y'))).toThrow('EEXIST');
    writeFileSync(target, 'theirs');
    expect(() => writeArchive(link, Buffer.from('y'))).toThrow('EEXIST');
    expect(readFileSync(target, 'utf8')).toBe('theirs');
  });

  const canMount =
    process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
  const itMounted = canMount || process.env.CI ? it : it.skip; // mounting needs root; never skipped in CI
  const onFullDisk = 'leaves nothing on a disk that takes a part of it alone, and says so';

  itMounted(canMount ? onFullDisk : skippedTitle(onFullDisk, 'mounting needs root'), () => {
    const directory = temporaryDirectory();
    const program = new URL('../support/real/archive-writer.ts', import.meta.url).pathname;
    const script = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" "$3" "$1/dump.tar.gz" "$4"';
    const write = (bytes: number) => {
      const args = ['--mount', 'sh', '-c', script, 'sh', directory, process.execPath, program, String(bytes)];
      return JSON.parse(spawnSync('unshare', args, { encoding: 'utf8' }).stdout);
    };
    expect(write(200_000)).toEqual({ said: expect.stringMatching(/cannot write the archive .*ENOSPC/), left: [] });
    expect(write(20_000)).toEqual({ said: expect.stringMatching(/^\d+ bytes$/), left: ['dump.tar.gz'] });
    expect(readdirSync(directory)).toEqual([]);
  });
});
