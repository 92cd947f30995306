/**
 * The mounts (proc_pid_mountinfo(5)) of this process's mount namespace and of the host's, and unmounting.
 *
 * Invariants
 *  MO1 Nothing here asks a mounted file system. Neither does umount2, so a stuck one blocks no call.
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
  /** The directory of that file system that is seen at `point`. For a bind mount it is the bound directory. */
  readonly root: string;
  readonly point: string;
  /** The bound directory has been removed. */
  readonly isOrphan: boolean;
}

/** The kernel's suffix for a mount's root that is no longer in its file system. */
const removed = '//deleted';

/** More mounts than this plugin or the predecessor ever stacks on one point. */
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
