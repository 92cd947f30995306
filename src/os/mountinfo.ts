/** The table of mounts of a process's mount namespace (proc_pid_mountinfo(5)). Reading it touches no mounted file system. */
import { readFileSync } from 'node:fs';

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
  /** The type of the file system: `ext4`, `fuse.sshfs`. */
  readonly type: string;
}

/** The kernel's suffix for a mount's root that is no longer in its file system. */
const removed = '//deleted';

/** In the table's order: the later of two mounts at one point hides the earlier. @throws errno exceptions */
export const readMounts = (process: 'self' | '1'): Mount[] =>
  readFileSync(`/proc/${process}/mountinfo`, 'utf8').split('\n').flatMap(readMount);

/** An optional field may stand before the dash, so the type is counted from there. */
function readMount(line: string): Mount[] {
  const [own = '', rest = ''] = line.split(' - ');
  const [id, parent, device, root, point] = own.split(' ').map(unescaped);
  if (!id || !parent || !device || !root || !point) return [];
  const isOrphan = root.endsWith(removed);
  const bound = isOrphan ? root.slice(0, -removed.length) : root;
  return [{ id, parent, device, root: bound, point, isOrphan, type: rest.split(' ')[0] ?? '' }];
}

/** A space, a tab, a newline and a backslash are written as three octal digits. */
const unescaped = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
