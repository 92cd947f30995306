/**
 * Who holds a journal: the process that has it open, for messages and for people. Nothing is decided on it.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface Holder {
  readonly pid: number;
  readonly command: string;
}

/** Another process that has the file open; undefined if none can be seen (another pid namespace). */
export function whoHolds(path: string): Holder | undefined {
  const own = attempt(() => readlinkSync('/proc/self'));
  for (const name of attempt(() => readdirSync('/proc')) ?? []) {
    if (!/^\d+$/.test(name) || name === own) continue;
    const fds = attempt(() => readdirSync(`/proc/${name}/fd`)) ?? [];
    if (!fds.some((fd) => attempt(() => readlinkSync(`/proc/${name}/fd/${fd}`)) === path)) continue;
    const words = attempt(() => readFileSync(`/proc/${name}/cmdline`, 'utf8')) ?? '';
    return { pid: Number(name), command: words.replaceAll('\0', ' ').trim() };
  }
  return undefined;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
