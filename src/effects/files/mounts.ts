/**
 * The mounts (proc_pid_mountinfo(5)) of this process's mount namespace and of the host's, and unmounting.
 *
 * Invariants
 *  MO1 Nothing here asks a mounted file system. Neither does umount2, so a stuck one blocks no call.
 *  MO2 A mount is gone when neither namespace has it.
 */
import { join, relative } from 'node:path';
import { type Mount, readMounts } from '../../os/mountinfo.ts';
import { unmount } from '../../os/native.ts';
import { Mismatch } from '../outcome.ts';

/** More mounts than this plugin or the predecessor ever stacks on one point. */
const stackedMax = 8;

/**
 * The mounts of both namespaces. The daemon of Multus "thick" runs plugins in its container's namespace, which has copies of the
 * host's mounts.
 * @throws errno exceptions, because an unreadable table proves nothing
 */
export const allMounts = (): Mount[] => [...readMounts('self'), ...readMounts('1')];

/** Unmounts every mount on a point. @throws Mismatch if one stays */
export function unmountAll(point: string): void {
  for (let round = 0; readMounts('self').some((mount) => mount.point === point); round++) {
    // Never MNT_DETACH, because a mount in use would leave mountinfo while it is held. The next look would take it for gone.
    if (round >= stackedMax || !unmount(point))
      throw new Mismatch(`"${point}" cannot be unmounted: a process uses it ("fuser -vm ${point}" names it): end that`);
  }
  if (readMounts('1').some((mount) => mount.point === point))
    throw new Mismatch(
      `"${point}" is mounted in the host's mount namespace, and this call runs in another: "userspace recover" on the host unmounts it`,
    );
}

/** Whether a directory is bound to itself, so that the same is seen with and without the mount. */
export function isOnItself(mount: Mount, mounts: readonly Mount[]): boolean {
  const below = mounts.find(({ id, device }) => id === mount.parent && device === mount.device);
  return below !== undefined && join(below.root, relative(below.point, mount.point)) === mount.root;
}

/** Whether the mount is a part of a file system, or its file system is mounted elsewhere too. */
export const isBind = (mount: Mount, mounts: readonly Mount[]): boolean =>
  mount.root !== '/' || mounts.some(({ device, point }) => device === mount.device && point !== mount.point);

/** The UID of a mount bound from `/var/lib/kubelet/pods/UID/volumes/kubernetes.io~empty-dir/NAME`. */
export function podOfRoot({ root }: Mount): string | undefined {
  const [, uid] = /\/pods\/([^/]+)\/volumes\/kubernetes\.io~empty-dir\/[^/]+$/.exec(root) ?? [];
  return uid;
}
