/** GC of an attachment that its runtime has forgotten, while its namespace still lives: no death or failure lets it be put back. */
import { afterAll, expect, it } from 'vitest';
import { type Attachment, FakeNode, podA, portOf } from '../support/fake/fake-node.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { leftOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'client', ipam: true, deviceInfo: false };

it('I1 that could write nothing and was killed after the port was gone is completed by recover', async () => {
  const node = new FakeNode().withNetns(one);
  expect(await node.add(one)).toMatchObject({ kind: 'ok' });
  const full = { call: 'write', nth: 1, how: { error: 'ENOSPC' }, forever: true } as const;
  const killed = { step: 'bridge', verb: 'remove', how: 'crash' } as const;
  expect(await node.call('GC', one, { disk: [full], host: [killed] })).toMatchObject({ kind: 'crashed' });
  expect(node.world.ports.size).toBe(0);
  expect(await node.recover()).toMatchObject({ recovered: [{ found: 'going', result: 'removed' }] });
  expect(leftOf(one, node)).toEqual([]);
});

it.each([1, 2, 3, 4, 5])(
  'that cannot read something once (%i) goes on with the others, and names the one that it left',
  async (nth) => {
    const node = new FakeNode().withNetns(one);
    // Not net2, because the runtime lists it.
    const ifNames = ['net1', 'net3', 'net4'];
    for (const ifName of ifNames) expect(await node.add({ ...one, ifName })).toMatchObject({ kind: 'ok' });
    const unreadable = { call: 'read', nth, how: { error: 'EIO' } } as const;
    const collected = await node.call('GC', one, { disk: [unreadable] });
    const left = node.world.ports.size;
    expect(collected).toMatchObject(
      left > 0 ? { kind: 'error', message: expect.stringContaining('EIO') } : { kind: 'ok' },
    );
    // The first read is of the data directory's id, without which no port is known to be ours.
    expect(left).toBeLessThanOrEqual(nth === 1 ? 3 : 1);
    expect(await node.call('GC', one)).toMatchObject({ kind: 'ok' });
    for (const ifName of ifNames) expect(leftOf({ ...one, ifName }, node)).toEqual([]);
  },
);

it('does not read journals that its runtime lists: GC does not fail if one of those cannot be read', async () => {
  const listed = { ...one, ifName: 'net2' };
  const node = new FakeNode().withNetns(one);
  for (const of of [one, listed]) expect(await node.add(of)).toMatchObject({ kind: 'ok' });
  // The instance's id, and the journal of the removed attachment: a third read would fail.
  const unreadable = { call: 'read', nth: 3, how: { error: 'EIO' }, forever: true } as const;
  expect(await node.call('GC', one, { disk: [unreadable] })).toMatchObject({ kind: 'ok' });
  expect([...node.world.ports.keys()]).toEqual([portOf(listed)]);
});

it('I7 keeps the address of an owed attachment: the IPAM program gets a longer list than the runtime’s', async () => {
  const node = new FakeNode().withNetns(one);
  expect(await node.add(one)).toMatchObject({ kind: 'ok' });
  const stuck = { step: 'port', verb: 'remove', how: { code: 11 } } as const;
  expect(await node.call('GC', one, { host: [stuck] })).toMatchObject({ kind: 'error', code: 11 });
  expect([...node.world.addresses.values()]).toHaveLength(1);
  expect(await node.call('GC', one)).toMatchObject({ kind: 'ok' });
  expect(leftOf(one, node)).toEqual([]);
});

it('I7 keeps the address of an attachment that the runtime could not list yet, and releases an unknown one', async () => {
  const node = new FakeNode().withNetns(one);
  expect(await node.add(one)).toMatchObject({ kind: 'ok' });
  const [own] = [...node.world.addresses];
  node.world.addresses.set('192.0.2.77', String(own?.[1]).replace('net1', 'lost'));
  node.now = new Date(node.now.getTime() - 1);
  expect(await node.call('GC', one)).toMatchObject({ kind: 'ok' });
  expect([...node.world.addresses]).toEqual([own]);
});
