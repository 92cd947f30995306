/** `userspace install` and `--version`, by the executable itself; a switch is not needed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { flock } from '../../src/os/native.ts';
import { cni, run } from '../support/real/cni.ts';
import { executable, missing } from '../support/requirements.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const bytes = (): number => statSync(executable).size;
const { version } = manifest;
const target = `${process.platform}-${process.arch}`;
const runtime = `Bun ${manifest.devDependencies.bun}`;
/** Whatever the commit is: a test that expected one would fail in a copy without its repository. */
const commit = /^([0-9a-f]{12}(\+changes)?|unknown)$/;
const commitText = '(commit [0-9a-f]{12}(\\+changes)?|unknown commit)';
const identity = () => ({ version, commit: expect.stringMatching(commit), target, runtime, bytes: bytes() });
const text = () => `${version} \\(${commitText}, ${target}, ${runtime}, ${bytes()} bytes\\)`;

// Never skipped in CI: a part that is missing fails there.
const lacking = process.env.CI ? [] : missing(['executable']);
const title = 'userspace install';

describe.skipIf(lacking.length > 0)(lacking.length > 0 ? skippedTitle(title, lacking.join('; ')) : title, () => {
  test('--version prints version, commit, target, runtime and size, as text and as JSON (need N21)', async () => {
    expect((await run(['--version'])).stdout).toMatch(new RegExp(`^${text()}\n$`));
    expect((await run(['--version', '--json'])).json).toEqual(identity());
  });

  test('the build says what it made (need N22)', async () => {
    const { stdout } = await execa(process.execPath, ['scripts/build.ts'], { cwd: join(import.meta.dirname, '../..') });
    expect(stdout).toMatch(new RegExp(`^dist/userspace: ${text()}, built in \\d+ ms$`));
  });

  test('the executable is in the directory, and answers a runtime there (need N21)', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'userspace');
    const { exitCode, json } = await run(['install', directory, '--json']);
    expect({ exitCode, json }).toEqual({ exitCode: 0, json: { path, ...identity(), done: 'installed' } });
    expect(readdirSync(directory)).toEqual(['userspace']);
    expect(statSync(path).mode & 0o7777).toBe(0o755);
    expect(readFileSync(path).equals(readFileSync(executable))).toBe(true);
    expect((await cni('VERSION', { config: { cniVersion: '1.0.0' } }, { program: path })).exitCode).toBe(0);
  });

  test('a second install writes nothing and says so, by the installed one too (need N21)', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'userspace');
    await run(['install', directory]);
    const { ino, mtimeMs } = statSync(path);
    const { stdout } = await run(['install', directory]);
    expect(stdout).toContain(`${path}: already there: ${version}`);
    const again = await execa(path, ['install', directory]);
    expect(again.stdout).toContain('already there');
    expect(statSync(path)).toMatchObject({ ino, mtimeMs });
  });

  test('a plugin that runs is replaced, and runs on (need N21)', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'userspace');
    copyFileSync('/bin/sleep', path);
    const running = spawn(path, ['600'], { stdio: 'ignore' });
    onTestFinished(() => void running.kill('SIGKILL'));
    await once(running, 'spawn');
    expect(() => copyFileSync(executable, path)).toThrow('ETXTBSY');
    expect((await run(['install', directory, '--json'])).json).toMatchObject({ done: 'replaced', bytes: bytes() });
    expect(running.exitCode).toBeNull();
    expect((await execa(path, ['--version'])).stdout).toContain(version);
  });

  test('half a copy, a leftover and a wrong mode are mended (need N21)', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'userspace');
    copyFileSync(executable, path);
    truncateSync(path, bytes() - 1);
    writeFileSync(join(directory, '.userspace.new'), 'of an install that was killed');
    expect((await run(['install', directory, '--json'])).json).toMatchObject({ done: 'replaced' });
    chmodSync(path, 0o644);
    expect((await run(['install', directory, '--json'])).json).toMatchObject({ done: 'replaced' });
    expect(readdirSync(directory)).toEqual(['userspace']);
    expect(statSync(path)).toMatchObject({ size: bytes() });
    expect((await execa(path, ['--version'])).exitCode).toBe(0);
  });

  test('killed at any moment, the name leads to the old one or to the whole new one (need N21)', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'userspace');
    for (let afterMs = 0; afterMs < 300; afterMs += 30) {
      copyFileSync('/bin/true', path);
      await execa(executable, ['install', directory], { timeout: afterMs + 1, killSignal: 'SIGKILL', reject: false });
      expect([statSync('/bin/true').size, bytes()]).toContain(statSync(path).size);
    }
    expect((await run(['install', directory])).exitCode).toBe(0);
    expect(readdirSync(directory)).toEqual(['userspace']);
  });

  test.each([
    ['a directory that is missing', (at: string) => join(at, 'absent'), ['no directory', 'absent', 'mkdir']],
    ['one at whose name a directory lies', (at: string) => at, ['userspace']],
  ])('%s: exit code 1, said on stderr, and nothing is left (need N21)', async (what, where, words) => {
    const directory = temporaryDirectory();
    if (what.startsWith('one')) mkdirSync(join(directory, 'userspace', 'full'), { recursive: true });
    const before = readdirSync(directory);
    const { exitCode, stdout, stderr } = await run(['install', where(directory)]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    for (const word of words) expect(stderr).toContain(word);
    expect(readdirSync(directory)).toEqual(before);
  });

  test('two installs at once: one works, the other one is told (need N21)', async () => {
    const directory = temporaryDirectory();
    const fd = openSync(directory, 'r');
    expect(flock(fd)).toBe(true);
    const { exitCode, stderr } = await run(['install', directory]);
    closeSync(fd);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('another install or uninstall is at work');
    expect((await run(['install', directory])).exitCode).toBe(0);
  });

  test('an option that install does not heed is refused (need N21)', async () => {
    expect(await run(['install', '--data-dir', '/tmp'])).toMatchObject({ exitCode: 2, stdout: '' });
    expect(await run(['install', '/a', '/b'])).toMatchObject({ exitCode: 2, stdout: '' });
  });
});
