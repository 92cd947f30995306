/**
 * Who holds a journal: the process that has it open, for messages and for people. Nothing is decided on it.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface Holder {
  readonly pid: number;
  readonly command: string;
}

/** Another process that has the file open; undefined if none can be seen (another pid namespace). */
export const whoHolds = (path: string): Holder | undefined => holders([path]).get(path);

/** The same for many files, in one walk of /proc. */
export function holders(paths: readonly string[]): ReadonlyMap<string, Holder> {
  const wanted = new Set(paths);
  const found = new Map<string, Holder>();
  const own = attempt(() => readlinkSync('/proc/self'));
  for (const name of attempt(() => readdirSync('/proc')) ?? []) {
    if (!/^\d+$/.test(name) || name === own || found.size === wanted.size) continue;
    for (const fd of attempt(() => readdirSync(`/proc/${name}/fd`)) ?? []) {
      const path = attempt(() => readlinkSync(`/proc/${name}/fd/${fd}`)) ?? '';
      if (!wanted.has(path) || found.has(path)) continue;
      const words = attempt(() => readFileSync(`/proc/${name}/cmdline`, 'utf8')) ?? '';
      found.set(path, { pid: Number(name), command: words.replaceAll('\0', ' ').trim() });
    }
  }
  return found;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
