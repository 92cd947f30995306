/**
 * POSIX ACLs as bytes and as the kernel's answer to "may this process?" (acl(5); linux/posix_acl_xattr.h). Pure.
 */

export const search = 1;
export const write = 2;
export const all = 7;

/** The kernel's bytes: a version, then entries of 16 bits tag, 16 bits rights, 32 bits id, in the order of the tags. */
const version = 2;
const headBytes = 4;
const entryBytes = 8;
const tags = { owner: 0x01, user: 0x02, owningGroup: 0x04, group: 0x08, mask: 0x10, other: 0x20 } as const;
const noId = 0xffffffff;

interface Entry {
  readonly tag: number;
  readonly rights: number;
  readonly id: number;
}

export type AccessList = readonly Entry[];

/** The ids of a process (credentials(7)): fsuid, fsgid and supplementary groups. */
export interface ProcessIds {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** An inode's owner, group and mode. */
interface Owned {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

const entry = (tag: number, rights: number, id = noId): Entry => ({ tag, rights, id });

/** The list of an inode without an ACL, made from its mode. */
export const listOfMode = (mode: number): AccessList => [
  entry(tags.owner, (mode >> 6) & all),
  entry(tags.owningGroup, (mode >> 3) & all),
  entry(tags.other, mode & all),
];

/** @returns undefined for bytes that are not a list */
export function readList(bytes: Uint8Array): AccessList | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headBytes || view.getUint32(0, true) !== version) return undefined;
  const count = Math.floor((bytes.length - headBytes) / entryBytes);
  return Array.from({ length: count }, (_, index) => {
    const at = headBytes + index * entryBytes;
    return entry(view.getUint16(at, true), view.getUint16(at + 2, true), view.getUint32(at + 4, true));
  });
}

export function bytesOfList(list: AccessList): Uint8Array {
  const view = new DataView(new ArrayBuffer(headBytes + list.length * entryBytes));
  view.setUint32(0, version, true);
  for (const [index, { tag, rights, id }] of list.entries()) {
    const at = headBytes + index * entryBytes;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, rights, true);
    view.setUint32(at + 4, id, true);
  }
  return new Uint8Array(view.buffer);
}

const rightsOf = (list: AccessList, tag: number, id = noId): number | undefined =>
  list.find((one) => one.tag === tag && one.id === id)?.rights;

/** The kernel's algorithm (acl(5), ACCESS CHECK ALGORITHM). */
export function hasRights({ uid, groups }: ProcessIds, owned: Owned, list: AccessList, wanted: number): boolean {
  const has = (rights: number): boolean => (rights & wanted) === wanted;
  if (uid === owned.uid) return has(rightsOf(list, tags.owner) ?? 0);
  const mask = rightsOf(list, tags.mask) ?? all;
  const named = rightsOf(list, tags.user, uid);
  if (named !== undefined) return has(named & mask);
  const ofGroups = list.filter(
    ({ tag, id }) =>
      (tag === tags.owningGroup && groups.includes(owned.gid)) || (tag === tags.group && groups.includes(id)),
  );
  if (ofGroups.length > 0) return ofGroups.some(({ rights }) => has(rights & mask));
  return has(rightsOf(list, tags.other) ?? 0);
}

/** The rights, of the three, that a process has. */
export const rightsIn = (ids: ProcessIds, owned: Owned, list: AccessList): number =>
  [search, write, 4].filter((right) => hasRights(ids, owned, list, right)).reduce((one, other) => one | other, 0);

/**
 * Adds an entry for one user, with exactly these rights, because only that entry counts for it. The other entries must not gain
 * rights. So if the mask has to be widened, they are narrowed by the old mask first.
 */
export function withUser(list: AccessList, uid: number, rights: number): AccessList {
  const owning = rightsOf(list, tags.owningGroup) ?? 0;
  const before = rightsOf(list, tags.mask);
  const mask = (before ?? owning) | rights;
  const isWidened = before !== undefined && mask !== before;
  const masked = new Set<number>([tags.user, tags.owningGroup, tags.group]);
  const kept = list
    .filter(({ tag, id }) => tag !== tags.mask && !(tag === tags.user && id === uid))
    .map((one) => (isWidened && masked.has(one.tag) ? { ...one, rights: one.rights & before } : one));
  const added = [...kept, entry(tags.user, rights, uid), entry(tags.mask, mask)];
  return added.toSorted((one, other) => one.tag - other.tag || one.id - other.id);
}

/** A directory's default list that takes no rights from new files, to begin with in withUser. */
export const openList: AccessList = listOfMode(0o777);
