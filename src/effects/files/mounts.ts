/**
 * What is mounted where (proc_pid_mountinfo(5)), in this process's mount namespace and in the host's, and taking a mount away.
 *
 * Invariants
 *  MO1 Nothing here asks a mounted file system: umount2 does not either, so one that is stuck holds up no call.
 *  MO2 A mount is gone when neither namespace has it.
 */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { unmount } from '../../os/native.ts';
import { Mismatch } from '../outcome.ts';

export interface Mount {
  readonly id: string;
  /** Id of the mount it lies on. */
  readonly parent: string;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** The directory of that file system which is seen at `point`; of a bind mount the directory that was bound. */
  readonly root: string;
  readonly point: string;
  /** The directory that was bound was removed since. */
  readonly isOrphan: boolean;
}

/** How the kernel says that a mount's root is no longer in its file system. */
const removed = '//deleted';

/** More mounts on one point than any program of ours or of the predecessor's stacks there. */
const stackedMax = 8;

function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [id, parent, device, root, point] = line.split(' ').map(unescaped);
    if (!id || !parent || !device || !root || !point) return [];
    const isOrphan = root.endsWith(removed);
    return [{ id, parent, device, root: isOrphan ? root.slice(0, -removed.length) : root, point, isOrphan }];
  });
}

/** A space, a tab, a newline and a backslash are written as three octal digits. */
const unescaped = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

const readMounts = (process: 'self' | '1'): Mount[] => parseMounts(readFileSync(`/proc/${process}/mountinfo`, 'utf8'));

/**
 * Both namespaces': the daemon of Multus "thick" runs plugins in its container's, where a mount of the host is a copy.
 * @throws errno exceptions: what cannot be read proves nothing
 */
export const allMounts = (): Mount[] => [...readMounts('self'), ...readMounts('1')];

/** Takes away every mount on a point. @throws Mismatch if one stays */
export function unmountAll(point: string): void {
  for (let round = 0; readMounts('self').some((mount) => mount.point === point); round++) {
    // Never MNT_DETACH: a mount in use would leave mountinfo and still be held, and the next look would take it for gone.
    if (round >= stackedMax || !unmount(point))
      throw new Mismatch(`"${point}" cannot be unmounted: a process uses it ("fuser -vm ${point}" names it): end that`);
  }
  if (readMounts('1').some((mount) => mount.point === point))
    throw new Mismatch(
      `"${point}" is mounted in the host's mount namespace, and this call runs in another: "userspace recover" on the host unmounts it`,
    );
}

/** A directory bound to itself: what is seen there with and without the mount is the same. */
export function isOnItself(mount: Mount, mounts: readonly Mount[]): boolean {
  const below = mounts.find(({ id, device }) => id === mount.parent && device === mount.device);
  return below !== undefined && join(below.root, relative(below.point, mount.point)) === mount.root;
}

/** A part of a file system, or one that is mounted elsewhere too. */
export const isBind = (mount: Mount, mounts: readonly Mount[]): boolean =>
  mount.root !== '/' || mounts.some(({ device, point }) => device === mount.device && point !== mount.point);

/** `/var/lib/kubelet/pods/UID/volumes/kubernetes.io~empty-dir/NAME`: the uid, of what was bound from there. */
export function podOfRoot({ root }: Mount): string | undefined {
  const [, uid] = /\/pods\/([^/]+)\/volumes\/kubernetes\.io~empty-dir\/[^/]+$/.exec(root) ?? [];
  return uid;
}
