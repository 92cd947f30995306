import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AccessList,
  bytesOfList,
  hasRights,
  listOfMode,
  openList,
  readList,
  rightsIn,
  withUser,
} from '../../src/effects/files/acl.ts';
import { withSeed } from '../support/seed.ts';

const rights = fc.nat(7);
/** Few ids, so that they meet. */
const id = fc.integer({ min: 1, max: 4 });
const owned = fc.record({ uid: id, gid: id, mode: fc.nat(0o777) });
const credentials = fc.record({ uid: id, groups: fc.uniqueArray(id, { minLength: 1, maxLength: 3 }) });

/** Lists of a mode, with some users added to it, each of which narrows or widens the mask. */
const lists: fc.Arbitrary<AccessList> = fc
  .record({ mode: fc.nat(0o777), users: fc.array(fc.tuple(id, rights), { maxLength: 3 }), mask: fc.option(rights) })
  .map(({ mode, users, mask }) => {
    const list = users.reduce<AccessList>((one, [uid, right]) => withUser(one, uid, right), listOfMode(mode));
    return mask === null ? list : list.map((one) => (one.tag === 0x10 ? { ...one, rights: mask } : one));
  });

describe(withSeed('a POSIX ACL'), () => {
  it('with one more user changes nothing for others, and gives that user exactly the rights asked for (need N2)', () => {
    fc.assert(
      fc.property(lists, owned, credentials, id, rights, (list, inode, credential, uid, wanted) => {
        const after = withUser(list, uid, wanted);
        if (credential.uid !== uid) expect(rightsIn(credential, inode, after)).toBe(rightsIn(credential, inode, list));
        else if (credential.uid !== inode.uid) expect(rightsIn(credential, inode, after)).toBe(wanted);
      }),
    );
  });

  it('is read as it was written, its entries in the order that the kernel asks for (need N2)', () => {
    fc.assert(
      fc.property(lists, id, rights, (list, uid, wanted) => {
        const after = withUser(list, uid, wanted);
        expect(readList(bytesOfList(after))).toEqual(after);
        expect(after.map(({ tag }) => tag)).toEqual(after.map(({ tag }) => tag).toSorted((one, other) => one - other));
        expect(new Set(after.map(({ tag, id: whose }) => `${tag} ${whose}`)).size).toBe(after.length);
      }),
    );
    expect(readList(new Uint8Array([1, 0, 0, 0]))).toBeUndefined();
  });

  it.each([
    ['its owner', { uid: 1, groups: [2] }, 0o700, true],
    ['its owner, whose group’s rights do not help', { uid: 1, groups: [2] }, 0o070, false],
    ['a member of its group', { uid: 9, groups: [7, 2] }, 0o010, true],
    ['a member of its group, whose rights as others do not help', { uid: 9, groups: [2] }, 0o701, false],
    ['others', { uid: 9, groups: [7] }, 0o701, true],
  ])('of a mode lets %s through, or not (need N2)', (_, credential, mode, isLetThrough) => {
    expect(hasRights(credential, { uid: 1, gid: 2, mode }, listOfMode(mode), 1)).toBe(isLetThrough);
  });

  it('by default has one more user in a directory that was opened (need N2)', () => {
    const list = withUser(openList, 9, 7);
    for (const uid of [1, 9, 12]) expect(rightsIn({ uid, groups: [3] }, { uid: 1, gid: 2, mode: 0o777 }, list)).toBe(7);
  });
});
