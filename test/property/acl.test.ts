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
/** Few, so that they meet. */
const id = fc.integer({ min: 1, max: 4 });
const owned = fc.record({ uid: id, gid: id, mode: fc.nat(0o777) });
const credentials = fc.record({ uid: id, groups: fc.uniqueArray(id, { minLength: 1, maxLength: 3 }) });

/** Of a mode, and of some users that were let in on top of it, each of which narrows or widens the mask. */
const lists: fc.Arbitrary<AccessList> = fc
  .record({ mode: fc.nat(0o777), users: fc.array(fc.tuple(id, rights), { maxLength: 3 }), mask: fc.option(rights) })
  .map(({ mode, users, mask }) => {
    const list = users.reduce<AccessList>((one, [uid, right]) => withUser(one, uid, right), listOfMode(mode));
    return mask === null ? list : list.map((one) => (one.tag === 0x10 ? { ...one, rights: mask } : one));
  });

describe(withSeed('a POSIX ACL'), () => {
  it('with one user more takes nothing from another, gives nothing to another, and that user just what was said (need N2)', () => {
    fc.assert(
      fc.property(lists, owned, credentials, id, rights, (list, inode, who, uid, wanted) => {
        const after = withUser(list, uid, wanted);
        if (who.uid !== uid) expect(rightsIn(who, inode, after)).toBe(rightsIn(who, inode, list));
        else if (who.uid !== inode.uid) expect(rightsIn(who, inode, after)).toBe(wanted);
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
    ['its owner, whom the group’s rights do not help', { uid: 1, groups: [2] }, 0o070, false],
    ['a member of its group', { uid: 9, groups: [7, 2] }, 0o010, true],
    ['a member of its group, whom everybody’s rights do not help', { uid: 9, groups: [2] }, 0o701, false],
    ['everybody', { uid: 9, groups: [7] }, 0o701, true],
  ])('that a mode says lets %s through, or not (need N2)', (_, who, mode, isLetThrough) => {
    expect(hasRights(who, { uid: 1, gid: 2, mode }, listOfMode(mode), 1)).toBe(isLetThrough);
  });

  it('of what is made in an open directory by default is one user’s more (need N2)', () => {
    const list = withUser(openList, 9, 7);
    for (const uid of [1, 9, 12]) expect(rightsIn({ uid, groups: [3] }, { uid: 1, gid: 2, mode: 0o777 }, list)).toBe(7);
  });
});
