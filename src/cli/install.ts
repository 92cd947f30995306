/**
 * `userspace install` puts this executable into a runtime's plugin directory; `--version` says which one it is.
 *
 * A copy by cp(1) fails over a running plugin ("Text file busy"), or leaves half of one that a runtime may start. Here the name
 * leads to the old or to the new file at any moment, even after a power cut. The new file has run once before it gets the name.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { arch, platform } from 'node:os';
import { join, resolve } from 'node:path';
import { messageOf } from '../attachment.ts';
import { flock } from '../os/native.ts';
import type { CliNode } from './command-line.ts';
import { type Extras, type Placed, placeExtras, planExtras } from './setup/extras.ts';

export const defaultBinDir = '/opt/cni/bin';

/** This executable, even if its name leads to another file meanwhile (proc(5)). */
const self = '/proc/self/exe';

/** `type` in a network configuration, which runtimes look up by name. */
export const name = 'userspace';
/** A name that runtimes do not look up. Only the holder of the directory's lock writes it, so an earlier file is a leftover. */
export const freshName = '.userspace.new';

const runMs = 10_000;
const chunkBytes = 1024 * 1024;

/** The build's share of the identity. */
interface Build {
  /** The first digits of the commit, with "+changes" if files differed from it; "unknown" outside a repository. */
  readonly commit: string;
  /** Operating system, architecture and C library, as linux-x64 or linux-x64-musl. */
  readonly target: string;
  /** The runtime inside, as "Bun 1.4.5". */
  readonly runtime: string;
}

/** scripts/release/compile.ts puts the value here. Code that runs from its source has none. */
declare const builtAs: Build | undefined;

const build = (): Build =>
  typeof builtAs === 'undefined'
    ? { commit: 'unknown', target: `${platform()}-${arch()}`, runtime: 'not compiled' }
    : builtAs;

/** Tells one executable from another; the size tells a partial copy. */
export interface Identity extends Build {
  readonly version: string;
  readonly bytes: number;
}

export const readIdentity = (version: string): Identity => ({ version, ...build(), bytes: fs.statSync(self).size });

export const identityText = ({ version, commit, target, runtime, bytes }: Identity): string =>
  `${version} (${commit === 'unknown' ? 'unknown commit' : `commit ${commit}`}, ${target}, ${runtime}, ${bytes} bytes)`;

export interface Installed extends Identity {
  readonly path: string;
  readonly done: 'installed' | 'replaced' | 'already there';
  /** The files beside it that were asked for. */
  readonly files?: readonly Placed[];
}

interface Wanted {
  readonly machine: CliNode;
  /** The runtime's `bin_dir`, which has to exist. */
  readonly directory: string;
  readonly version: string;
  readonly extras: Extras;
}

/** @throws Error naming the failure and its remedy; each name leads to the old or to the whole new file */
export async function install({ machine, directory, version, extras }: Wanted): Promise<Installed> {
  const bin = openDirectory(resolve(directory));
  try {
    lockDirectory(bin);
    const planned = await planExtras(machine, { path: join(bin.path, name), version }, extras);
    const executable = { ...readIdentity(version), ...placeSelf(bin, readIdentity(version)) };
    const files = placeExtras(machine, planned);
    return { ...executable, ...(files.length > 0 && { files }) };
  } finally {
    fs.closeSync(bin.fd);
  }
}

export interface PluginDirectory {
  readonly path: string;
  readonly fd: number;
}

/** Install and uninstall exclude each other. The lock ends with this process, and containers that have the directory see it too. */
export function lockDirectory({ path, fd }: PluginDirectory): void {
  if (!flock(fd))
    throw new Error(`another install or uninstall is at work in "${path}": run this one when it has ended`);
}

/** Refuses a missing directory: in a mistyped one no runtime would look for the plugin. */
export function openDirectory(path: string): PluginDirectory {
  try {
    return { path, fd: fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY) };
  } catch (cause) {
    const { code: reason } = cause as NodeJS.ErrnoException;
    if (reason !== 'ENOENT' && reason !== 'ENOTDIR')
      throw new Error(`"${path}" cannot be opened (${messageOf(cause)}): mend that, and run this once more`, { cause });
    throw new Error(
      `there is no directory "${path}": name the runtime's plugin directory, or make this one (mkdir -p)`,
      { cause },
    );
  }
}

function placeSelf(bin: PluginDirectory, identity: Identity): Pick<Installed, 'path' | 'done'> {
  const path = join(bin.path, name);
  const there = fs.lstatSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory()) throw new Error(`"${path}" is a directory: take it away; nothing was touched`);
  if (there?.isFile() && (there.mode & 0o7777) === 0o755 && isSame(path, identity.bytes)) {
    fs.fsyncSync(bin.fd);
    return { path, done: 'already there' };
  }
  const fresh = join(bin.path, freshName);
  try {
    fs.rmSync(fresh, { force: true });
    copySelf(fresh);
    proveIdentity(fresh, identity);
    fs.renameSync(fresh, path);
  } catch (cause) {
    if (fs.lstatSync(fresh, { throwIfNoEntry: false })?.isFile()) fs.rmSync(fresh);
    throw new Error(`"${path}" cannot be written (${messageOf(cause)}): mend that, and run install once more`, {
      cause,
    });
  }
  fs.fsyncSync(bin.fd);
  return { path, done: there ? 'replaced' : 'installed' };
}

function copySelf(to: string): void {
  const fd = fs.openSync(to, 'wx', 0o755);
  try {
    for (const chunk of chunksOf(self)) {
      for (let written = 0; written < chunk.length; ) written += fs.writeSync(fd, chunk, written);
    }
    // The umask may have taken bits away.
    fs.fchmodSync(fd, 0o755);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Runs the copy, so that a file system that executes nothing or lost a part of it is found before a runtime calls. */
function proveIdentity(path: string, identity: Identity): void {
  const answer = runVersion(path);
  const expected = JSON.stringify(identity);
  if (answer !== expected)
    throw new Error(`what was written to "${path}" says ${answer || 'nothing'} and not ${expected}`);
}

export function runVersion(path: string): string {
  try {
    const answer = execFileSync(path, ['--version', '--json'], {
      env: {},
      timeout: runMs,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return JSON.stringify(JSON.parse(answer.toString()));
  } catch (cause) {
    const why = messageOf(cause);
    throw new Error(`"${path}" cannot be executed (${why}): is its file system mounted noexec?`, { cause });
  }
}

export function isSame(path: string, bytes: number): boolean {
  if (fs.statSync(path).size !== bytes) return false;
  const [ours, theirs] = [chunksOf(self), chunksOf(path)];
  for (const chunk of ours) {
    const other = theirs.next();
    if (other.done || !chunk.equals(other.value)) return false;
  }
  return true;
}

/** Each chunk is valid until the next one is read. */
function* chunksOf(path: string): Generator<Buffer, void> {
  const fd = fs.openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    for (let at = 0; ; ) {
      const count = fs.readSync(fd, buffer, 0, chunkBytes, at);
      if (count === 0) return;
      at += count;
      yield buffer.subarray(0, count);
    }
  } finally {
    fs.closeSync(fd);
  }
}
