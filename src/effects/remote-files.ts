/**
 * Which files another machine or a process answers for, by the table of mounts (proc_pid_mountinfo(5)). No file is asked.
 */
import { readFileSync } from 'node:fs';

/** Or the same; by the text of the paths. */
export const isBelow = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);

/** Types of file systems behind which there is a process or another machine, so that all of one can fall silent. */
const remote = /^(fuse|nfs|cifs|smb|ceph|9p|afs|lustre|virtiofs|autofs)/;

/** By the text of the path, for what it leads to is not to be asked. The first of two at one place is the hidden one. */
export function remoteMountOf(path: string, mounts = readMounts()): string | undefined {
  const above = mounts.filter(({ point }) => isBelow(path, point));
  const last = above.reduceRight((longest, mount) => (mount.point.length > longest.point.length ? mount : longest), {
    point: '',
    type: '',
  });
  return remote.test(last.type) ? last.point : undefined;
}

/** @returns whether a process or another machine answers for what is at a path, not this kernel alone; as things are now */
export function remoteFiles(): (path: string) => boolean {
  const mounts = readMounts();
  return (path) => remoteMountOf(path, mounts) !== undefined;
}

const readMounts = (): Mount[] => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').map(readMount);

interface Mount {
  readonly point: string;
  readonly type: string;
}

/** Of proc_pid_mountinfo(5): the fifth field, white space and backslashes in octal, and the one behind the dash. */
function readMount(line: string): Mount {
  const [own = '', rest = ''] = line.split(' - ');
  const unescaped = (_: string, digits: string) => String.fromCharCode(Number.parseInt(digits, 8));
  return { point: (own.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, unescaped), type: rest.split(' ')[0] ?? '' };
}
