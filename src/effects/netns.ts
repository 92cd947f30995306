/**
 * Network namespaces and boots: is the sandbox that a journal speaks of still the one that is there?
 */
import { closeSync, constants, existsSync, lstatSync, openSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { code, type Trouble } from '../attachment.ts';
import { sinceBootMs } from '../os/native.ts';
import { codeOf } from './outcome.ts';

/** What tells one netns from another as far as anything does: numbers are reused, so equality alone proves nothing. */
export interface Netns {
  readonly path: string;
  /** dev:inode of the netns file and of its directory. */
  readonly file: string;
  readonly directory: string;
}

const { O_DIRECTORY, O_RDONLY } = constants;

/** nsfs (magic.h). */
const NSFS_MAGIC = 0x6e736673;

/** nsfs holds every kind of namespace; a runtime that mixes them up most likely names one of its own. */
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
 * Whether the namespace of a journal of this boot still is there. Gone is what is missing from that same directory, or replaced by
 * another namespace. A plain file, a path below /proc or a link that may lead there, another directory at its place: seen from here,
 * nothing can be said.
 */
export function judgeNetns({ path, file, directory }: Netns): 'alive' | 'gone' | 'unknown' {
  if (path.startsWith('/proc/')) return 'unknown';
  let fd: number;
  try {
    fd = openSync(dirname(path), O_RDONLY | O_DIRECTORY);
  } catch {
    return 'unknown';
  }
  // In the very directory that was compared, whatever lies at its place by then.
  const inside = `/proc/self/fd/${fd}/${basename(path)}`;
  try {
    if (identity(`/proc/self/fd/${fd}/.`) !== directory) return 'unknown';
    // One that leads below /proc leads to nothing, or to another, where another pid namespace is looked at.
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
 * Boot id and milliseconds since: of two moments of one boot the later one compares greater, whatever becomes of the clock on the wall.
 */
export const momentOfBoot = (): string => `${bootId()} ${String(Math.floor(sinceBootMs())).padStart(12, '0')}`;

/** Whether one moment is of the same boot as another, and later. */
export function isLater(one: string, other: string): boolean {
  const [boot] = other.split(' ');
  return one.startsWith(`${boot} `) && one > other;
}

/** boot_id of proc(5): another one means that every sandbox of a journal is gone. */
export function bootId(): string {
  const id = readFileSync(bootIdFile, 'utf8').trim();
  // An empty one would be another boot than any journal's.
  if (!/^[0-9a-f-]{36}$/.test(id)) throw new Error(`"${bootIdFile}" tells no boot: is /proc mounted whole?`);
  return id;
}

const bootIdFile = '/proc/sys/kernel/random/boot_id';
