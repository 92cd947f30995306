/** A wall clock that goes back: before NTP has spoken, a node without a battery lives in 1970. */
import { afterAll, describe, expect, it } from 'vitest';
import { type Attachment, FakeNode, podA } from '../support/fake/fake-node.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { leftOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'client', ipam: true, deviceInfo: false };
const killed = { step: 'port', verb: 'ensure', how: 'crash' } as const;
const refused = { step: 'port', verb: 'remove', how: { code: 11 } } as const;

describe('recovery with a clock before every time in the journals', () => {
  it.each([
    ['at rest', async (node: FakeNode) => void (await node.add(one))],
    ['interrupted', async (node: FakeNode) => void (await node.add(one, { host: [killed] }))],
    [
      'owed',
      async (node: FakeNode) => {
        await node.add(one);
        await node.del(one, { host: [refused] });
      },
    ],
  ])('releases an attachment that was %s in another boot', async (_, leave) => {
    const node = new FakeNode().withNetns(one);
    await leave(node);
    expect(leftOf(one, node)).not.toEqual([]);
    node.world.reboot(false);
    node.now = new Date(0);
    expect(await node.recover()).toMatchObject({ recovered: [{ result: 'removed' }] });
    expect(leftOf(one, node)).toEqual([]);
  });
});

it('GC keeps an attachment that began after it, though the runtime did not list it', async () => {
  const node = new FakeNode().withNetns(one);
  expect(await node.add(one)).toMatchObject({ kind: 'ok' });
  node.now = new Date(node.now.getTime() - 1);
  const before = leftOf(one, node);
  expect(await node.call('GC', one)).toMatchObject({ kind: 'ok' });
  expect(leftOf(one, node)).toEqual(before);
});
