/** Bun's runtimes for other machines, as packages of npm. package-lock.json has the hash of each; a download is kept. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../../test/support/requirements.ts';
import { bunVersion, runtimePackages, type Target } from './compile.ts';

export interface Locked {
  readonly version: string;
  /** "sha512-" and the hash in base64. */
  readonly integrity?: string;
  readonly license?: string;
}

export const lockedPackages = (): { readonly [path: string]: Locked } =>
  JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;

/** @returns the path of the runtime's executable */
export function fetchRuntime(target: Target): string {
  const name = runtimePackages[target];
  const locked = lockedPackages()[`node_modules/${name}`];
  if (!locked?.integrity || locked.version !== bunVersion)
    throw new Error(`package-lock.json does not have ${name} ${bunVersion}`);
  const parent = cached('runtimes');
  const home = join(parent, `${target}-${locked.version}-${idOf(locked.integrity)}`);
  const runtime = join(home, 'package/bin/bun');
  if (existsSync(runtime)) return runtime;
  mkdirSync(parent, { recursive: true });
  const fresh = mkdtempSync(`${home}.`);
  try {
    const pack = ['pack', '--silent', '--pack-destination', fresh, `${name}@${locked.version}`];
    const archive = join(fresh, execFileSync('npm', pack, { encoding: 'utf8' }).trim());
    verify(archive, locked.integrity);
    execFileSync('tar', ['--extract', '--file', archive, '--directory', fresh, 'package/bin/bun']);
    rmSync(archive);
    // Another release may have been faster.
    if (!existsSync(runtime)) renameSync(fresh, home);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return runtime;
}

/** A directory's name of a hash. */
const idOf = (integrity: string): string => Buffer.from(hashIn(integrity), 'base64').toString('hex').slice(0, 16);

const hashIn = (integrity: string): string => integrity.replace(/^sha512-/, '');

/** @throws Error if the file is not the one that package-lock.json names */
export function verify(archive: string, integrity: string): void {
  const found = createHash('sha512').update(readFileSync(archive)).digest('base64');
  if (found !== hashIn(integrity)) throw new Error(`"${archive}" is not what package-lock.json names: sha512-${found}`);
}
