/**
 * The user of ovs-vswitchd. Distributions run it as root, or as a user of its own (`openvswitch:hugetlbfs`) that needs rights to
 * reach its sockets.
 */
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Moment } from '../../deadlines.ts';
import type { ProcessIds } from '../files/acl.ts';
import { inTime } from '../outcome.ts';

export interface SwitchUser extends ProcessIds {
  /** The name in messages: "openvswitch (uid 993)". */
  readonly name: string;
  /** The process, if it could be found: /proc/PID/root is its view of the file system. */
  readonly pid?: number;
}

/** A process with this capability ignores file permissions (capabilities(7)). */
const CAP_DAC_OVERRIDE = 1n;

/**
 * @param pid of ovs-vswitchd, if it could be found
 * @param database path of the database's socket: without a pid, its owner and group are taken for those of ovs-vswitchd
 * @returns `unlimited` for root, or if no permission stops the process; undefined if nothing can be known
 */
export async function switchUser(
  pid: number | undefined,
  database: string,
  end: Moment,
): Promise<SwitchUser | 'unlimited' | undefined> {
  const known = pid === undefined ? undefined : ofProcess(pid);
  if (known !== undefined) return known;
  const owner = await inTime(() => stat(database), end, `"${database}"`).catch(() => undefined);
  if (owner?.uid === 0) return 'unlimited';
  return owner && userOf(owner.uid, [owner.gid]);
}

/** File systems use the last of the four ids in proc_pid_status(5). @returns undefined if the process has ended */
function ofProcess(pid: number): SwitchUser | 'unlimited' | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string): string[] =>
      (new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1] ?? '').split(/\s+/).filter(Boolean);
    const [uid, gid] = [field('Uid')[3], field('Gid')[3]];
    if (uid === undefined || gid === undefined) return undefined;
    const rights = BigInt(`0x${field('CapEff')[0] ?? '0'}`);
    if (uid === '0' || ((rights >> CAP_DAC_OVERRIDE) & 1n) === 1n) return 'unlimited';
    return { ...userOf(Number(uid), [gid, ...field('Groups')].map(Number)), pid };
  } catch {
    return undefined;
  }
}

const userOf = (uid: number, groups: readonly number[]): SwitchUser => ({ uid, groups, name: nameOf(uid) });

/** Looks the uid up in the host's /etc/passwd. */
function nameOf(uid: number): string {
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((one) => one.split(':')[2] === String(uid));
    return line ? `${line.split(':')[0]} (uid ${uid})` : `uid ${uid}`;
  } catch {
    return `uid ${uid}`;
  }
}
