/**
 * `npm run release`, made twice from two copies of the repository in directories of other names. Downloads are kept in the cache, so that
 * only the first run on a machine needs the network.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { targets } from '../../scripts/release/compile.ts';
import { readElf } from '../../scripts/release/elf.ts';
import { fetchRuntime, lockedPackages } from '../../scripts/release/runtimes.ts';
import { Containerd } from '../support/containerd.ts';
import { missing } from '../support/requirements.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const root = join(import.meta.dirname, '../..');
const { version } = manifest;
const runMs = 900_000;

// Never skipped in CI: a part that is missing fails there.
const lacking = process.env.CI ? [] : missing(['root', 'emulators', 'containerd']);
const title = 'npm run release';

/** A clone with the changes that are not committed yet, and the packages that an executable contains. */
async function copyOf(directory: string): Promise<string> {
  await execa('git', ['clone', '--quiet', '--no-hardlinks', root, directory]);
  const listed = await execa('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
  for (const path of listed.stdout.split('\0').filter(Boolean)) {
    if (path !== 'node_modules' && existsSync(join(root, path))) cpSync(join(root, path), join(directory, path));
  }
  const inside = Object.entries(lockedPackages()).filter(([path, one]) => path !== '' && !('dev' in one));
  for (const [path] of inside) {
    const from = join(root, path);
    if (existsSync(from)) cpSync(from, join(directory, path), { recursive: true, dereference: true });
  }
  return directory;
}

const release = async (directory: string): Promise<string> =>
  (await execa('npm', ['run', '--silent', 'release'], { cwd: directory, timeout: runMs })).stdout;

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

describe.skipIf(lacking.length > 0)(lacking.length > 0 ? skippedTitle(title, lacking.join('; ')) : title, () => {
  let home = '';
  let copy = '';
  let made: [string, string];
  let said = '';
  const file = (name: string): string => join(made[0], `userspace-${version}${name}`);

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'userspace-cni-'));
    mkdirSync(join(home, 'below'));
    copy = await copyOf(join(home, 'one'));
    const another = await copyOf(join(home, 'below/another one'));
    made = [join(copy, 'dist/release'), join(another, 'dist/release')];
    // Downloaded before, for both.
    for (const target of targets) fetchRuntime(target);
    [said] = await Promise.all([release(copy), release(another)]);
  }, 2 * runMs);
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  test('two runs of one commit in two directories give the same files, byte for byte (need N26)', () => {
    const sums = made.map((directory) =>
      readdirSync(directory)
        .sort()
        .map((name) => [name, sha256(join(directory, name))]),
    );
    expect(sums[0]).toEqual(sums[1]);
    expect(sums[0]?.map(([name]) => name)).toEqual([
      'SHA256SUMS',
      `userspace-${version}-linux-arm64`,
      `userspace-${version}-linux-x64`,
      `userspace-${version}-linux-x64-musl`,
      `userspace-${version}-oci-amd64.tar`,
      `userspace-${version}-oci-arm64.tar`,
      `userspace-${version}.cdx.json`,
      `userspace-${version}.schema.json`,
    ]);
  });

  test('SHA256SUMS has the sum of every other file, for sha256sum(1) (need N26)', async () => {
    const { stdout } = await execa('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: made[0] });
    expect(stdout.split('\n')).toHaveLength(readdirSync(made[0]).length - 1);
  });

  test('each executable is run, the x64 one on a processor without AVX2 too (need N26)', () => {
    const found = Object.fromEntries(
      [...said.matchAll(/-(linux-[a-z0-9-]+): (.*)$/gm)].map(([, target = '', ways = '']) => [
        target,
        ways.split('; '),
      ]),
    );
    const isX64 = process.arch === 'x64';
    expect(found).toEqual({
      'linux-x64': [...(isX64 ? ['run'] : []), 'run on a Nehalem, which has no AVX2 (QEMU)'],
      // Debian has no libstdc++ for musl, and where no other is to be had the words in the file have to do.
      'linux-x64-musl': [expect.stringMatching(isX64 ? /^(run by musl|not run: its words are in it)$/ : /^not run/)],
      'linux-arm64': [isX64 ? 'run by QEMU' : 'run'],
    });
  });

  test('`npm run build` makes the same files as a release of this target (need N26)', async () => {
    await execa(process.execPath, ['scripts/build.ts'], { cwd: copy });
    expect(sha256(join(copy, 'dist/userspace.schema.json'))).toBe(sha256(file('.schema.json')));
    const target = `linux-${process.arch}`;
    expect(sha256(join(copy, 'dist/userspace'))).toBe(sha256(file(`-${target}`)));
  });

  test('the bill of materials has the sum of each file, and what is inside (need N26)', () => {
    const bill = JSON.parse(readFileSync(file('.cdx.json'), 'utf8'));
    const components = bill.components as { name: string; type: string; hashes: { content: string }[] }[];
    const files = components.filter(({ type }) => type === 'file');
    expect(files.map(({ name }) => name)).toEqual(
      readdirSync(made[0])
        .filter((name) => name !== 'SHA256SUMS' && !name.endsWith('.cdx.json'))
        .sort(),
    );
    for (const { name, hashes } of files) expect(hashes[0]?.content).toBe(sha256(join(made[0], name)));
    const names = components.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining([...Object.keys(manifest.dependencies), 'libc6', 'util-linux']));
    // A package that runs none of its code in the executable is not a part of it.
    expect(names).not.toContain('undici');
  });

  describe('the image', () => {
    let containerd: Containerd;
    beforeAll(async () => {
      containerd = await Containerd.start();
    });
    afterAll(async () => await containerd?.stop());

    test.runIf(process.arch === 'x64')(
      'is imported and run by containerd, with its executables and nsenter (need N26)',
      async () => {
        const commit = (await execa('git', ['rev-parse', 'HEAD'], { cwd: copy })).stdout.slice(0, 12);
        await containerd.load(file('-oci-amd64.tar'));
        const image = `docker.io/library/userspace-cni:${version}`;
        const said = await containerd.run(image, '/usr/local/bin/userspace', '--version');
        expect(said).toContain(`${version} (commit ${commit}`);
        expect(said).toContain(', linux-x64, ');
        expect(await containerd.run(image)).toContain('userspace list');
        expect(await containerd.run(image, '/usr/bin/nsenter', '--version')).toContain('util-linux');
      },
    );

    test.each([
      ['amd64', ['linux-x64', 'linux-x64-musl'], 'x64'],
      ['arm64', ['linux-arm64'], 'arm64'],
    ])(
      'for %s has the executables of %j, and of its own architecture alone (need N26)',
      async (architecture, inside, machine) => {
        const [oci, files] = [temporaryDirectory(), temporaryDirectory()];
        await execa('tar', ['--extract', '--file', file(`-oci-${architecture}.tar`), '--directory', oci]);
        const read = (digest: string) => join(oci, 'blobs', digest.replace(':', '/'));
        const index = JSON.parse(readFileSync(join(oci, 'index.json'), 'utf8'));
        const { layers } = JSON.parse(readFileSync(read(index.manifests[0].digest), 'utf8'));
        await execa('tar', ['--extract', '--gzip', '--file', read(layers[0].digest), '--directory', files]);
        const paths = ['usr/local/bin/userspace', 'usr/local/lib/userspace/userspace-musl'];
        for (const [index, target] of inside.entries())
          expect(sha256(join(files, paths[index] ?? ''))).toBe(sha256(file(`-${target}`)));
        const binaries = globSync(['usr/bin/*', 'usr/local/bin/*', 'usr/lib/*/*.so*'], { cwd: files });
        expect(binaries.length).toBeGreaterThan(6);
        for (const path of binaries) expect(readElf(join(files, path)).machine).toBe(machine);
        for (const name of ['libc6', 'libselinux1', 'libpcre2-8-0', 'util-linux', 'userspace-cni'])
          expect(existsSync(join(files, `usr/share/doc/${name}/copyright`))).toBe(true);
      },
    );
  });
});
