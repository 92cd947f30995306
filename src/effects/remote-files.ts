/**
 * Which files are served by another machine or a process, by the table of mounts (proc_pid_mountinfo(5)). No file is touched.
 */
import { readFileSync } from 'node:fs';

/** Whether a path is below `top` or equal to it, by the text of the paths. */
export const isBelow = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);

/** Types of file systems that a process or another machine serves, so that a whole one can fall silent. */
const remote = /^(fuse|nfs|cifs|smb|ceph|9p|afs|lustre|virtiofs|autofs)/;

/** Goes by the text of the path, because the file must not be touched. The first of two mounts at one point is hidden. */
export function remoteMountOf(path: string, mounts = readMounts()): string | undefined {
  const above = mounts.filter(({ point }) => isBelow(path, point));
  const last = above.reduceRight((longest, mount) => (mount.point.length > longest.point.length ? mount : longest), {
    point: '',
    type: '',
  });
  return remote.test(last.type) ? last.point : undefined;
}

/** @returns whether a process or another machine serves a path, by the mounts of this moment */
export function remoteFiles(): (path: string) => boolean {
  const mounts = readMounts();
  return (path) => remoteMountOf(path, mounts) !== undefined;
}

const readMounts = (): Mount[] => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').map(readMount);

interface Mount {
  readonly point: string;
  readonly type: string;
}

/** Reads two fields of proc_pid_mountinfo(5): the fifth, with white space and backslashes in octal, and the one behind the dash. */
function readMount(line: string): Mount {
  const [own = '', rest = ''] = line.split(' - ');
  const unescaped = (_: string, digits: string) => String.fromCharCode(Number.parseInt(digits, 8));
  return { point: (own.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, unescaped), type: rest.split(' ')[0] ?? '' };
}
