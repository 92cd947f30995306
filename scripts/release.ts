/**
 * Makes dist/release: the executables of each target, an image for each architecture, the JSON Schema of a network, a bill of materials,
 * and the sums of all (docs/release.md). The same commit gives the same bytes.
 */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import manifest from '../package.json' with { type: 'json' };
import { networkSchema } from '../src/cni/config/network-schema.ts';
import { checkIdentity } from './release/check.ts';
import { commitHere, compile, epochHere, runtimePackages, type Target, targets } from './release/compile.ts';
import { imagePackages, lockedDebian, lockedSuite, relock } from './release/debian.ts';
import { packImage } from './release/pack.ts';
import type { Architecture } from './release/root.ts';
import { fetchRuntime, lockedPackages } from './release/runtimes.ts';
import { billOf } from './release/sbom.ts';

const help = `npm run release              executables, images, a schema, sums and a bill of materials in dist/release (docs/release.md)
npm run release -- --lock    take the newest packages of Debian into deploy/debian-packages.json
`;

const directory = 'dist/release';
const { version, license } = manifest;

/** The executables of an image: the glibc one for its own processes, and the one that nodes with musl are given. */
const images: { readonly [architecture in Architecture]: { readonly [path: string]: Target } } = {
  amd64: { 'usr/local/bin/userspace': 'linux-x64', 'usr/local/lib/userspace/userspace-musl': 'linux-x64-musl' },
  arm64: { 'usr/local/bin/userspace': 'linux-arm64' },
};

const fileOf = (target: Target): string => join(directory, `userspace-${version}-${target}`);

async function makeImage(architecture: Architecture, work: string, made: { commit: string; epoch: number }) {
  const executables = Object.fromEntries(
    Object.entries(images[architecture]).map(([path, target]) => [path, fileOf(target)]),
  );
  const archive = join(directory, `userspace-${version}-oci-${architecture}.tar`);
  mkdirSync(join(work, architecture));
  await packImage({ architecture, executables, ...made }, join(work, architecture), archive);
}

async function sumOf(name: string): Promise<{ name: string; sha256: string }> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(join(directory, name)), hash);
  return { name, sha256: hash.digest('hex') };
}

const sumsHere = (): Promise<{ name: string; sha256: string }[]> =>
  Promise.all(readdirSync(directory).sort().map(sumOf));

async function release(work: string): Promise<void> {
  const [commit, epoch] = [commitHere(), epochHere()];
  rmSync(directory, { recursive: true, force: true });
  const packages = new Set<string>();
  for (const target of targets) {
    for (const one of compile(fileOf(target), { target, commit, runtime: fetchRuntime(target) })) packages.add(one);
  }
  const architectures = Object.keys(images) as Architecture[];
  await Promise.all(architectures.map((architecture) => makeImage(architecture, work, { commit, epoch })));
  for (const target of targets) {
    const places = { arm64Root: join(work, 'arm64/root'), work };
    const ways = checkIdentity(fileOf(target), { version, commit, target }, places);
    console.log(`${fileOf(target)}: ${ways.join('; ')}`);
  }
  const schema = JSON.stringify(networkSchema(version), null, 2);
  writeFileSync(join(directory, `userspace-${version}.schema.json`), `${schema}\n`);
  const bill = billOf({
    version,
    commit,
    license,
    epoch,
    files: await sumsHere(),
    packages: [...packages].sort(),
    runtimes: targets.map((target) => runtimePackages[target]),
    locked: lockedPackages(),
    debian: architectures.flatMap((architecture) => lockedDebian(architecture, imagePackages)),
    suite: lockedSuite(),
  });
  writeFileSync(join(directory, `userspace-${version}.cdx.json`), bill);
  const sums = (await sumsHere()).map(({ name, sha256 }) => `${sha256}  ${name}\n`).join('');
  writeFileSync(join(directory, 'SHA256SUMS'), sums);
  console.log(
    `${directory}/SHA256SUMS:\n${sums}${version} (commit ${commit}) in ${Math.round(performance.now() / 1000)} s`,
  );
}

const { values } = parseArgs({ options: { lock: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } });
// The modes of the image's files are not the shell's.
process.umask(0o022);
if (values.help) console.log(help);
else if (values.lock) console.log(relock().join('\n'));
else {
  const work = mkdtempSync(join(tmpdir(), 'userspace-release-'));
  try {
    await release(work);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
