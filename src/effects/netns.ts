/**
 * Network namespaces and boots: does the sandbox of a journal still exist?
 */
import { closeSync, constants, existsSync, lstatSync, openSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { code, type Trouble } from '../attachment.ts';
import { sinceBootMs } from '../os/bare.ts';
import { codeOf } from './outcome.ts';

/** The identity of a netns, as far as there is one: numbers are reused, so equality alone proves nothing. */
export interface Netns {
  readonly path: string;
  /** dev:inode of the netns file and of its directory. */
  readonly file: string;
  readonly directory: string;
}

const { O_DIRECTORY, O_RDONLY } = constants;

/** nsfs (magic.h). */
const NSFS_MAGIC = 0x6e736673;

/** nsfs holds every kind of namespace. A runtime that mixes them up most likely names one of its own. */
const otherKinds = ['mnt', 'uts', 'ipc', 'pid', 'user', 'cgroup'] as const;

const identity = (path: string): string => {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
};

/** @returns undefined unless the path leads to a live network namespace. */
export function readNetns(path: string): Netns | undefined {
  try {
    if (Number(statfsSync(path).type) !== NSFS_MAGIC) return undefined;
    if (otherKinds.some((kind) => identity(`/proc/self/ns/${kind}`) === identity(path))) return undefined;
    return { path, file: identity(path), directory: identity(dirname(path)) };
  } catch {
    return undefined;
  }
}

/**
 * Judges whether the namespace of a journal of this boot still exists. It is gone if it is missing from the same directory, or
 * replaced by another namespace. It is unknown for a plain file, a path below /proc, a link that may lead there, or another
 * directory.
 */
export function judgeNetns({ path, file, directory }: Netns): 'alive' | 'gone' | 'unknown' {
  if (path.startsWith('/proc/')) return 'unknown';
  let fd: number;
  try {
    fd = openSync(dirname(path), O_RDONLY | O_DIRECTORY);
  } catch {
    return 'unknown';
  }
  // The name is looked up in the very directory that was compared, because another may take its place.
  const inside = `/proc/self/fd/${fd}/${basename(path)}`;
  try {
    if (identity(`/proc/self/fd/${fd}/.`) !== directory) return 'unknown';
    // A link below /proc leads to nothing, or to another namespace, if this process has another pid namespace.
    const missing = lstatSync(inside).isSymbolicLink() ? 'unknown' : 'gone';
    if (!existsSync(inside)) return missing;
    if (Number(statfsSync(inside).type) !== NSFS_MAGIC) return 'unknown';
    return identity(inside) === file ? 'alive' : missing;
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? 'gone' : 'unknown';
  } finally {
    closeSync(fd);
  }
}

/** An ADD needs a live namespace that is not the host's (CNI code 8). */
export function netnsTroubles(path: string, env: { readonly [name: string]: string }): Trouble[] {
  const netns = readNetns(path);
  if (!netns) {
    return [{ code: code.invalidNetns, message: `CNI_NETNS "${path}" is no live network namespace` }];
  }
  const override = ['1', 'true'].includes(env.CNI_NETNS_OVERRIDE?.toLowerCase() ?? '');
  if (override || netns.file !== identity('/proc/self/ns/net')) return [];
  return [{ code: code.invalidNetns, message: `CNI_NETNS "${path}" is the plugin's own network namespace` }];
}

/**
 * Boot id and milliseconds since the boot. Within a boot a later moment compares greater, even if the wall clock is set.
 */
export const momentOfBoot = (): string => `${bootId()} ${String(Math.floor(sinceBootMs())).padStart(12, '0')}`;

/** Whether one moment is of the same boot as another and later. */
export function isLater(one: string, other: string): boolean {
  const [boot] = other.split(' ');
  return one.startsWith(`${boot} `) && one > other;
}

/** boot_id of proc(5). If it differs from a journal's, the journal's sandbox is gone. */
export function bootId(): string {
  const id = readFileSync(bootIdFile, 'utf8').trim();
  // An empty id would differ from every journal's, and every sandbox would look gone.
  if (!/^[0-9a-f-]{36}$/.test(id)) throw new Error(`"${bootIdFile}" tells no boot: is /proc mounted whole?`);
  return id;
}

const bootIdFile = '/proc/sys/kernel/random/boot_id';
