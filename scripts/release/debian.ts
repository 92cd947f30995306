/**
 * Debian's packages for the image, by name, version and hash (deploy/debian-packages.json), so that the machine that makes a release
 * leaves no trace in it. The address of a mirror comes from apt's own settings, or from DEBIAN_MIRROR.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { cached } from '../../test/support/requirements.ts';

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Its place on a mirror. */
  readonly path: string;
  readonly sha256: string;
}

interface Lock {
  readonly suite: string;
  readonly packages: readonly DebianPackage[];
}

const lockFile = 'deploy/debian-packages.json';

/** The packages of which the image has files, and those that a check of an executable needs. */
export const imagePackages = ['base-files', 'libc6', 'libpcre2-8-0', 'libselinux1', 'util-linux'];
const checkPackages: { readonly [architecture: string]: readonly string[] } = { amd64: ['musl'], arm64: [] };

const helper = '/usr/lib/apt/apt-helper';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

const remedy = 'a newer version may have replaced it: "npm run release -- --lock" takes the newest ones';

const readLock = (): Lock => JSON.parse(readFileSync(lockFile, 'utf8'));

export const lockedSuite = (): string => readLock().suite;

export function lockedDebian(architecture: string, names: readonly string[]): DebianPackage[] {
  const { packages } = readLock();
  return names.map((name) => {
    const found = packages.find((one) => one.name === name && one.architecture === architecture);
    if (!found) throw new Error(`${lockFile} does not have ${name} for ${architecture}`);
    return found;
  });
}

/** @returns the path of the .deb file */
export function fetchDebian({ name, version, path, sha256 }: DebianPackage): string {
  const home = cached('debian');
  const file = join(home, `${sha256.slice(0, 16)}-${basename(path)}`);
  if (existsSync(file) && hashOf(file) === sha256) return file;
  mkdirSync(home, { recursive: true });
  if (!existsSync(helper)) throw new Error(`"${helper}" is missing: the image is made on Debian`);
  const fresh = `${file}.${process.pid}`;
  try {
    for (const mirror of mirrors()) {
      if (!isFetched(`${mirror}/${path}`, fresh, sha256)) continue;
      renameSync(fresh, file);
      return file;
    }
  } finally {
    for (const left of [fresh, `${fresh}.FAILED`]) rmSync(left, { force: true });
  }
  throw new Error(`no mirror has ${name} ${version}: ${remedy}`);
}

function isFetched(address: string, file: string, sha256: string): boolean {
  try {
    execFileSync(helper, ['download-file', address, file, `SHA256:${sha256}`], { stdio: 'ignore' });
    return hashOf(file) === sha256;
  } catch {
    return false;
  }
}

const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

/** The addresses of Debian and of its security updates. */
function mirrors(): string[] {
  const told = process.env.DEBIAN_MIRROR?.split(' ').filter(Boolean) ?? [];
  const format = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages', 'Origin: Debian'];
  const all = told.length > 0 ? told : execFileSync('apt-get', format, { encoding: 'utf8' }).split('\n');
  const found = [...new Set(all.map((address) => address.replace(/\/+$/, '')).filter(Boolean))];
  if (found.length === 0) throw new Error('apt knows no mirror of Debian: run "apt-get update", or set DEBIAN_MIRROR');
  return found;
}

/** Writes the newest versions of the suite into the lock file, asked from an apt with directories of its own. */
export function relock(): string[] {
  const suite = lockedSuite();
  const packages = Object.entries(checkPackages).flatMap(([architecture, more]) =>
    newest(suite, architecture, [...imagePackages, ...more]),
  );
  writeFileSync(lockFile, `${JSON.stringify({ suite, packages }, null, 2)}\n`);
  return packages.map(({ name, version, architecture }) => `${name} ${version} ${architecture}`);
}

function newest(suite: string, architecture: string, names: readonly string[]): DebianPackage[] {
  const home = mkdtempSync(join(tmpdir(), 'userspace-apt-'));
  try {
    for (const directory of ['lists/partial', 'cache/archives/partial'])
      mkdirSync(join(home, directory), { recursive: true });
    const list = join(home, 'sources.list');
    const line = (mirror: string): string =>
      `deb [signed-by=${keyring}] ${mirror} ${suite}${mirror.endsWith('-security') ? '-security' : ''} main\n`;
    writeFileSync(list, mirrors().map(line).join(''));
    const options = {
      'Dir::State::Lists': join(home, 'lists'),
      'Dir::State::status': '/dev/null',
      'Dir::Cache': join(home, 'cache'),
      'Dir::Etc::SourceList': list,
      'Dir::Etc::SourceParts': '/dev/null',
      'APT::Sandbox::User': 'root',
      'APT::Architecture': architecture,
      'APT::Architectures': architecture,
    };
    const own = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    execFileSync('apt-get', [...own, '-q', 'update'], { stdio: ['ignore', 'ignore', 'inherit'] });
    const asked = execFileSync('apt-cache', [...own, 'show', '--no-all-versions', ...names], { encoding: 'utf8' });
    return readRecords(asked)
      .map((record) => asPackage(record, architecture))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

const asPackage = (record: { readonly [field: string]: string }, architecture: string): DebianPackage => ({
  name: record.Package ?? '',
  version: record.Version ?? '',
  architecture,
  path: record.Filename ?? '',
  sha256: record.SHA256 ?? '',
});

/** Records of fields, as Debian writes them (deb-control(5)): a line that begins with a space goes on. */
export function readRecords(text: string): { readonly [field: string]: string }[] {
  return text
    .split(/\n\n+/)
    .filter((record) => record.trim() !== '')
    .map((record) =>
      Object.fromEntries(
        [...record.matchAll(/^([^\s:]+):[ \t]*(.*(?:\n[ \t].*)*)/gm)].map(([, name, value]) => [name, value]),
      ),
    );
}
