/**
 * Which files are served by another machine or a process, by the table of mounts (proc_pid_mountinfo(5)). No file is touched.
 */
import { type Mount, readMounts } from '../os/mountinfo.ts';

/** Whether a path is below `top` or equal to it, by the text of the paths. */
export const isBelow = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);

/** Types of file systems that a process or another machine serves, so that a whole one can fall silent. */
const remote = /^(fuse|nfs|cifs|smb|ceph|9p|afs|lustre|virtiofs|autofs)/;

/** Goes by the text of the path, because the file must not be touched. The first of two mounts at one point is hidden. */
export function remoteMountOf(
  path: string,
  mounts: readonly Pick<Mount, 'point' | 'type'>[] = readMounts('self'),
): string | undefined {
  const above = mounts.filter(({ point }) => isBelow(path, point));
  const last = above.reduceRight((longest, mount) => (mount.point.length > longest.point.length ? mount : longest), {
    point: '',
    type: '',
  });
  return remote.test(last.type) ? last.point : undefined;
}

/** @returns whether a process or another machine serves a path, by the mounts of this moment */
export function remoteFiles(): (path: string) => boolean {
  const mounts = readMounts('self');
  return (path) => remoteMountOf(path, mounts) !== undefined;
}
