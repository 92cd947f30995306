/**
 * Calls whose caller goes away: the agent acts for a process that may have ended, and that other calls have followed since. Every moment
 * at which a call asks for its caller is tried.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { chmod } from '../support/fake/damage.ts';
import { type Attachment, FakeNode, podA } from '../support/fake/fake-node.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, isGoing, lawsBroken, leftOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'server', ipam: true, deviceInfo: true };
const ok = { kind: 'ok' };
const refused = {
  kind: 'error',
  code: 11,
  message: expect.stringContaining('the process that made this call has gone'),
};

const newNode = (): FakeNode => new FakeNode().withNetns(one);

/** A caller that goes when it is asked for after this many times, and the count of those. */
function going(after: number): { readonly isCallerGone: () => boolean; readonly asked: () => number } {
  let asked = 0;
  return { isCallerGone: () => asked++ >= after, asked: () => asked };
}

/** How often a call asks for a caller that stays. */
async function looks(call: (node: FakeNode, isCallerGone: () => boolean) => Promise<unknown>): Promise<number> {
  const { isCallerGone, asked } = going(Number.POSITIVE_INFINITY);
  await call(newNode(), isCallerGone);
  return asked();
}

describe('an ADD', () => {
  it('whose caller has gone before it has the lock makes nothing, and leaves no journal', async () => {
    const node = newNode();
    const before = node.world.describe();
    expect(await node.add(one, { isCallerGone: () => true })).toMatchObject(refused);
    expect(node.world.describe()).toBe(before);
    expect(leftOf(one, node)).toEqual([]);
  });

  it('whose caller goes at any moment takes back all that it made', async () => {
    const count = await looks((node, isCallerGone) => node.add(one, { isCallerGone }));
    // Before the first effect, before each of the steps, and before the answer.
    expect(count).toBeGreaterThan(6);
    for (let after = 0; after < count; after++) {
      const node = newNode();
      const answer = await node.add(one, { isCallerGone: going(after).isCallerGone });
      expect([after, answer]).toMatchObject([after, refused]);
      expect([after, ...leftOf(one, node)]).toEqual([after]);
      expect(lawsBroken(node)).toEqual([]);
      expect(node.leaked).toBe(0);
    }
  });

  it('that is repeated, and whose caller has gone, neither answers nor removes what stands', async () => {
    for (const changes of [{}, { sharedDir: '/elsewhere' }]) {
      const node = newNode();
      const added = await node.add(one);
      expect(added).toMatchObject(ok);
      const before = node.world.describe();
      expect(await node.add(one, { changes, isCallerGone: () => true })).toMatchObject(refused);
      expect(node.world.describe()).toBe(before);
      expect(isGoing(one, node.disk)).toBe(false);
      expect(faultsOf(one, node, added)).toEqual([]);
    }
  });
});

describe('a repeated ADD that was marked by a DEL meanwhile', () => {
  it('heeds the mark, although its caller has gone: the DEL may have answered already', async () => {
    for (const markAt of [0, 1]) {
      const node = newNode();
      expect(await node.add(one)).toMatchObject(ok);
      let asked = 0;
      // The first look finds its caller, and while the call then stands still, a DEL marks and gives up its wait for the lock.
      const isCallerGone = (): boolean => {
        if (asked++ === markAt) chmod(one, node, 0o1714);
        return asked > markAt + 1;
      };
      const changes = { sharedDir: '/elsewhere' };
      expect(await node.add(one, { changes, isCallerGone })).toMatchObject({ kind: 'error', code: 11 });
      expect([markAt, ...leftOf(one, node)]).toEqual([markAt]);
    }
  });
});

describe('a DEL', () => {
  it('whose caller has gone before its mark removes nothing and marks nothing', async () => {
    const node = newNode();
    const added = await node.add(one);
    const count = await looks(async (fresh, isCallerGone) => {
      await fresh.add(one);
      return await fresh.del(one, { isCallerGone });
    });
    // Before it makes a journal, and before its mark.
    expect(count).toBe(2);
    for (let after = 0; after < count; after++) {
      const before = node.world.describe();
      expect(await node.del(one, { isCallerGone: going(after).isCallerGone })).toMatchObject(refused);
      expect(node.world.describe()).toBe(before);
      expect(isGoing(one, node.disk)).toBe(false);
      expect(faultsOf(one, node, added)).toEqual([]);
    }
    expect(await node.del(one)).toMatchObject(ok);
    expect(leftOf(one, node)).toEqual([]);
  });

  it('of nothing, whose caller has gone, leaves no journal', async () => {
    for (const after of [0, 1]) {
      const node = newNode();
      expect(await node.del(one, { isCallerGone: going(after).isCallerGone })).toMatchObject(refused);
      expect(leftOf(one, node)).toEqual([]);
    }
  });

  it('that has marked goes on to its end, whatever becomes of its caller', async () => {
    const node = newNode();
    await node.add(one);
    const isCallerGone = () => isGoing(one, node.disk);
    expect(await node.del(one, { isCallerGone })).toMatchObject(ok);
    expect(leftOf(one, node)).toEqual([]);
  });
});
