/**
 * Which process ovs-vswitchd is.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Moment } from '../deadlines.ts';
import { inTime } from './directory.ts';

/** As ovs-ctl names it, and as Debian's alternative with DPDK does where it is started by itself. */
const pidFiles = ['ovs-vswitchd.pid', 'ovs-vswitchd-dpdk.pid'];

/**
 * By its pid file, and by what /proc says of that process.
 * @param rundir its run directory
 * @returns undefined where nothing can be said: it is gone, or of another pid namespace
 */
export async function vswitchdPid(rundir: string, end: Moment): Promise<string | undefined> {
  for (const name of pidFiles) {
    const file = join(rundir, name);
    try {
      const pid = (await inTime(() => readFile(file, 'utf8'), end, `"${file}"`)).trim();
      if (/^\d+$/.test(pid) && readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('ovs-vswitchd')) return pid;
    } catch {
      // The next name.
    }
  }
  return undefined;
}
