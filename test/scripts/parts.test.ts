/** The parts of a release: what is locked, what is inside an executable, and which commit it is of. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkHeader, hasWords } from '../../scripts/release/check.ts';
import { bunVersion, packagesIn, runtimePackages, targets } from '../../scripts/release/compile.ts';
import { imagePackages, lockedDebian, readRecords } from '../../scripts/release/debian.ts';
import { lockedPackages, verify } from '../../scripts/release/runtimes.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const compileModule = join(import.meta.dirname, '../../scripts/release/compile.ts');

describe('what is locked', () => {
  it.each(targets)(
    'package-lock.json has the hash of the runtime of %s, of the version that builds (need N26)',
    (target) => {
      const found = lockedPackages()[`node_modules/${runtimePackages[target]}`];
      expect(found).toMatchObject({ version: bunVersion, integrity: expect.stringMatching(/^sha512-/) });
    },
  );

  it.each(['amd64', 'arm64'])(
    'each package of the image has a hash for %s, and a place of its version (need N26)',
    (architecture) => {
      for (const { name, version, path, sha256 } of lockedDebian(architecture, imagePackages)) {
        expect(sha256).toMatch(/^[0-9a-f]{64}$/);
        expect(path).toMatch(/^pool\//);
        expect(path.endsWith(`/${name}_${version.replace(/^\d+:/, '')}_${architecture}.deb`)).toBe(true);
      }
    },
  );

  it('both architectures have the same versions (need N26)', () => {
    const versions = (architecture: string) => lockedDebian(architecture, imagePackages).map(({ version }) => version);
    expect(versions('arm64')).toEqual(versions('amd64'));
  });

  it('a package that is not locked is refused by name (need N26)', () => {
    expect(() => lockedDebian('amd64', ['no-such-package'])).toThrow('no-such-package');
  });

  it('a download that is not the locked one is refused (need N26)', () => {
    const file = join(temporaryDirectory(), 'package.tgz');
    writeFileSync(file, 'hello');
    const right = 'm3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==';
    expect(() => verify(file, `sha512-${right}`)).not.toThrow();
    expect(() => verify(file, `sha512-${right.replace('m3', 'm4')}`)).toThrow(file);
  });
});

it("a record of Debian's has its fields, with those of several lines whole (need N26)", () => {
  const text = 'Package: one\nVersion: 1:2-3\nDescription: short\n and long\n .\n more\n\nPackage: two\nSHA256: ab\n';
  expect(readRecords(text)).toEqual([
    { Package: 'one', Version: '1:2-3', Description: 'short\n and long\n .\n more' },
    { Package: 'two', SHA256: 'ab' },
  ]);
});

it('the packages inside are those of the files that a chunk has, with nested ones as their own (need N26)', () => {
  const inputs = (...files: string[]) => ({ inputs: Object.fromEntries(files.map((file) => [file, {}])) });
  const outputs = {
    'a.js': inputs('src/main.ts', 'node_modules/@scope/one/lib/a.js', 'node_modules/two/node_modules/three/b.js'),
    'b.js': inputs('../elsewhere/node_modules/two/c.js', 'node_modules/two/d.js'),
  };
  expect(packagesIn(JSON.stringify({ outputs }))).toEqual([
    'node_modules/@scope/one',
    'node_modules/two',
    'node_modules/two/node_modules/three',
  ]);
});

describe('the commit of a build', () => {
  const said = (cwd: string): string => {
    const program = `import { commitHere } from ${JSON.stringify(compileModule)}; console.log(commitHere());`;
    return execFileSync(process.execPath, ['-e', program], { cwd, encoding: 'utf8' }).trim();
  };
  const git = (cwd: string, ...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd, encoding: 'utf8' }).trim();

  it('is unknown outside a repository, and inside another one (need N26)', () => {
    const directory = temporaryDirectory();
    expect(said(directory)).toBe('unknown');
    git(directory, 'init', '--quiet');
    git(directory, 'commit', '--quiet', '--allow-empty', '--message', 'one');
    mkdirSync(join(directory, 'inside'));
    expect(said(join(directory, 'inside'))).toBe('unknown');
  });

  it('is told with its changes, unless no source is changed (need N26)', () => {
    const directory = temporaryDirectory();
    git(directory, 'init', '--quiet');
    mkdirSync(join(directory, 'src'));
    writeFileSync(join(directory, 'src/main.ts'), '');
    git(directory, 'add', '.');
    git(directory, 'commit', '--quiet', '--message', 'one');
    const commit = git(directory, 'rev-parse', 'HEAD').slice(0, 12);
    writeFileSync(join(directory, 'notes'), 'beside the sources');
    expect(said(directory)).toBe(commit);
    writeFileSync(join(directory, 'src/more.ts'), '');
    expect(said(directory)).toBe(`${commit}+changes`);
  });
});

describe('the check of an executable', () => {
  it('refuses a file of another target by its header (need N26)', () => {
    const own = targets.find((target) => target === `linux-${process.arch}`) ?? 'linux-x64';
    expect(() => checkHeader(process.execPath, own)).not.toThrow();
    expect(() => checkHeader(process.execPath, 'linux-x64-musl')).toThrow('ld-musl');
  });

  it('finds the words of --version in a file that cannot be run (need N26)', () => {
    const file = join(temporaryDirectory(), 'executable');
    const expected = { version: '1.2.3', commit: 'abcdef123456', target: 'linux-arm64' } as const;
    writeFileSync(file, `\0={commit:"abcdef123456",target:"linux-arm64",runtime:"Bun ${bunVersion}"}\0`);
    expect(hasWords(file, expected)).toBe(true);
    expect(hasWords(file, { ...expected, commit: 'abcdef123457' })).toBe(false);
    expect(hasWords(file, { ...expected, target: 'linux-x64' })).toBe(false);
  });
});
