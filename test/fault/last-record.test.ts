/** The last record of an ADD, `attached`, on a disk that does not take it: the answer, and the later calls. */
import { afterAll, describe, expect, it } from 'vitest';
import { loseAll } from '../support/fake/choices.ts';
import { diskKindsOf } from '../support/fake/crash-points.ts';
import { type Attachment, FakeNode, podA, socketOf } from '../support/fake/fake-node.ts';
import type { Fault } from '../support/fake/simulated-disk.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, leftOf, recordsOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'client', ipam: true, deviceInfo: false };
const withNetns = (of = one): FakeNode => new FakeNode().withNetns(of);

/** The last call of this kind in an ADD that nothing disturbs. */
async function last(call: 'write' | 'fsync', of = one): Promise<Pick<Fault, 'call' | 'nth'>> {
  const kinds = await diskKindsOf(withNetns(of), 'ADD', of);
  return { call, nth: kinds.filter((kind) => kind === call).length };
}

describe('an ADD whose last record the disk does not take', () => {
  it.each([
    ['write', 'ENOSPC', true],
    ['write', 'ENOSPC', false],
    ['fsync', 'EIO', true],
    ['fsync', 'EIO', false],
  ] as const)(
    '(%s, %s, with IPAM %s) and that dies while it takes itself back is finished by recovery, and never put back',
    async (call, error, ipam) => {
      const of = { ...one, ipam };
      const node = withNetns(of);
      const dies = { step: 'bridge', verb: 'remove', how: 'crash' } as const;
      const disk: Fault[] = [{ ...(await last(call, of)), how: { error } }];
      expect(await node.add(of, { disk, host: [dies] })).toMatchObject({ kind: 'crashed' });
      expect(await node.recover()).toMatchObject({ recovered: [{ found: 'going', result: 'removed' }] });
      expect(leftOf(of, node)).toEqual([]);
    },
  );

  it('and no unlink either, leaves a journal that recovery removes and puts nothing back for', async () => {
    const node = withNetns();
    const disk: Fault[] = [
      { ...(await last('fsync')), how: { error: 'EIO' } },
      { call: 'unlink', nth: 1, how: { error: 'EROFS' }, forever: true },
    ];
    expect(await node.add(one, { disk })).toMatchObject({ kind: 'error', code: 5 });
    expect(node.world.ports.size).toBe(0);
    expect(await node.recover()).toMatchObject({ recovered: [{ found: 'going', result: 'removed' }] });
    expect(leftOf(one, node)).toEqual([]);
  });
});

it('a repeated ADD answers only from durable records, if a process died before its last fsync (I2)', async () => {
  const node = withNetns();
  const disk: Fault[] = [{ ...(await last('fsync')), how: 'crash' }];
  expect(await node.add(one, { disk })).toMatchObject({ kind: 'crashed' });
  const answer = await node.add(one);
  expect(faultsOf(one, node, answer)).toEqual([]);
  expect(recordsOf(one, node.disk.powerCut(loseAll)).at(-1)).toMatchObject({ kind: 'attached' });
});

it('I6 a power cut in a rollback before the port was begun: a stranger’s socket with a name that a user gave stays', async () => {
  const of: Attachment = { ...one, socketfile: 'vhost.sock', pod: 'app' };
  const refused = { step: 'bridge', verb: 'ensure', how: { code: 11 } } as const;
  for (const step of ['socketDir', 'address'] as const) {
    // Any record that was not synced may be lost, also the first alone.
    for (let lost = 0; lost < 64; lost++) {
      const node = withNetns(of);
      node.world.files.set(socketOf(of), { kind: 'socket', by: 'admin', text: 'theirs' });
      const dies = { step, verb: 'remove', how: 'crash' } as const;
      expect(await node.add(of, { host: [refused, dies] })).toMatchObject({ kind: 'crashed' });
      let asked = 0;
      node.disk = node.disk.powerCut((options, what) =>
        what.startsWith('content') && (lost >> asked++) % 2 === 0 ? 0 : options - 1,
      );
      node.world.reboot(false);
      expect(await node.recover()).toMatchObject({ recovered: [{ result: 'removed' }] });
      expect([step, lost, node.world.files.has(socketOf(of)), ...leftOf(of, node)]).toEqual([step, lost, true]);
    }
  }
});
