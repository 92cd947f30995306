/** A journal that is lost or changed: the attachment is found by key and marks. */
import { afterAll, describe, expect, it } from 'vitest';
import { encode, type Stamped } from '../../src/journal/record.ts';
import { bytesOf, rewrite } from '../support/fake/damage.ts';
import { type Attachment, FakeNode, journalOf, podA } from '../support/fake/fake-node.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, lawsBroken, leftOf, othersThan, recordsOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const shapes: readonly Attachment[] = [
  { containerId: podA, ifName: 'net1', mode: 'server', ipam: true, deviceInfo: false },
  { containerId: podA, ifName: 'net1', mode: 'client', ipam: true, deviceInfo: false },
];

async function attached(one: Attachment): Promise<FakeNode> {
  const node = new FakeNode().withNetns(one);
  node.world.addOthers();
  expect(await node.add({ ...one, ifName: 'net2' })).toMatchObject({ kind: 'ok' });
  expect(await node.add(one)).toMatchObject({ kind: 'ok' });
  return node;
}

/** A header of another version, which has no plan of ours. */
function rewriteInWordsOfThen(one: Attachment, node: FakeNode): void {
  const [header] = recordsOf(one, node.disk);
  const { line } = encode({ ...(header as unknown as Stamped), machine: 9, plan: 'in words of then' } as Stamped, 0);
  rewrite(one, node, line);
}

/** Whether a line of the journal stands in it untouched. */
function holdsARecordOf(whole: Uint8Array, bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes);
  const lines = new TextDecoder().decode(whole).split('\n').slice(0, -1);
  return lines.some((line) => text.includes(`${line}\n`));
}

describe.each(shapes.map((one) => [one.mode, one] as const))('DEL of a port in %s mode', (_, one) => {
  it('removes it by its marks and the address by its key when the journal is gone (case A21, bug B1)', async () => {
    const node = await attached(one);
    const others = othersThan([one], node);
    node.disk.spawn().unlink(journalOf(one));
    expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect([...leftOf(one, node), ...lawsBroken(node)]).toEqual([]);
    expect(othersThan([one], node)).toBe(others);
  });

  it('succeeds when nothing was ever made, and after a reboot that wiped /run (case A15, case A21)', async () => {
    const node = new FakeNode();
    expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, node)).toEqual([]);
    const rebooted = await attached(one);
    rebooted.world.reboot(true);
    expect(await rebooted.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, rebooted)).toEqual([]);
  });

  it('leaves nothing if a journal was cut, filled or overwritten in any way (case A25, bug B5)', async () => {
    const whole = bytesOf(one, await attached(one));
    const places = Array.from({ length: 60 }, (__, index) => Math.floor((index * whole.length) / 60));
    // Fsynced records are not lost by themselves: a tail is torn in the first record ever, or in the last one.
    const lengths = places.filter((at) => at < whole.indexOf(0x0a) || at > whole.lastIndexOf(0x0a, whole.length - 150));
    const damaged = [
      ...lengths.map((length) => [`cut to ${length}`, whole.subarray(0, length)] as const),
      ...lengths.map((length) => [`NULs from ${length}`, new Uint8Array(whole).fill(0, length)] as const),
      ...places.map(
        (place) => [`byte ${place} rotten`, whole.map((byte, at) => (at === place ? byte ^ 1 : byte))] as const,
      ),
      ['garbage', new TextEncoder().encode('not a journal\n\u0000\n{"seq":1}\n')] as const,
    ];
    for (const [how, bytes] of damaged) {
      for (const verb of ['DEL', 'ADD', 'recover'] as const) {
        const node = await attached(one);
        const others = othersThan([one], node);
        rewrite(one, node, bytes);
        const answer = await node.call(verb, one);
        // Without a whole record an ADD takes itself for the first, and the address store or the switch refuses it.
        const lost = verb === 'ADD' && !holdsARecordOf(whole, bytes);
        if (!lost) expect([how, verb, answer]).toMatchObject([how, verb, { kind: 'ok' }]);
        if (verb === 'ADD' && !lost) expect([how, ...faultsOf(one, node, answer)]).toEqual([how]);
        if (verb !== 'DEL') expect(await node.del(one)).toMatchObject({ kind: 'ok' });
        expect([how, verb, ...leftOf(one, node), ...lawsBroken(node)]).toEqual([how, verb]);
        expect(othersThan([one], node)).toBe(others);
      }
    }
  });

  it('of another boot is released by recovery when a power cut took a record in its middle: its header tells its boot and its address', async () => {
    const whole = bytesOf(one, await attached(one));
    const ends = [...whole.keys()].filter((at) => whole[at] === 0x0a);
    for (const [index, end] of ends.slice(0, -2).entries()) {
      const node = await attached(one);
      rewrite(one, node, new Uint8Array(whole).fill(0, end + 1, ends[index + 1]));
      expect(await node.recover()).toMatchObject({ recovered: [{ found: 'damaged', result: 'kept' }, {}] });
      node.world.reboot(false);
      expect(await node.recover()).toMatchObject({ recovered: [{ found: 'rebooted', result: 'removed' }, {}] });
      expect([index, ...leftOf(one, node), ...lawsBroken(node)]).toEqual([index]);
    }
  });

  it('goes by marks and configuration where the journal is in words of the future', async () => {
    const node = await attached(one);
    rewriteInWordsOfThen(one, node);
    expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, node)).toEqual([]);
  });
});

describe('kind 2: a journal that was cut to its first record while its attachment lives', () => {
  it('is known to be damaged although DEL marks it before it reads it: the annotation is removed too', async () => {
    const one: Attachment = { ...(shapes[1] as Attachment), pod: 'app', socketfile: 'vhost.sock' };
    const node = new FakeNode().withNetns(one);
    expect(await node.add(one)).toMatchObject({ kind: 'ok' });
    const whole = bytesOf(one, node);
    rewrite(one, node, whole.subarray(0, whole.indexOf(0x0a) + 1));
    expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, node)).toEqual([]);
  });
});

describe('kind 1: DEL of an attachment that never was', () => {
  it('writes nothing to the pod that it names, nor does the next one when the first was killed', async () => {
    const one: Attachment = { ...(shapes[1] as Attachment), pod: 'app' };
    const node = new FakeNode().withNetns(one);
    const before = node.world.pods.get('pods/app');
    const killed = { step: 'address', verb: 'remove', how: 'crash' } as const;
    expect(await node.del(one, { host: [killed] })).toEqual({ kind: 'crashed' });
    expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect(node.world.pods.get('pods/app')).toEqual(before);
    expect(leftOf(one, node)).toEqual([]);
  });
});

describe('recovery of a journal that does not tell its address', () => {
  const [, one] = shapes as [Attachment, Attachment];
  const untold = { note: expect.stringContaining('may still be held') };

  it('says that there may be one: another version’s journal, after a reboot', async () => {
    const node = await attached(one);
    rewriteInWordsOfThen(one, node);
    node.world.reboot(false);
    expect(await node.recover()).toMatchObject({ recovered: [{ found: 'rebooted', ...untold }, {}] });
  });

  it('is not relied on by a DEL on a full disk: it answers an error, and the next DEL finishes', async () => {
    const node = await attached(one);
    node.disk.spawn().unlink(journalOf(one));
    const full = { call: 'write', nth: 1, how: { error: 'ENOSPC' }, forever: true } as const;
    const down = { step: 'port', verb: 'remove', how: { code: 11 } } as const;
    const message = expect.stringMatching(/; and it can not be recorded$/);
    expect(await node.del(one, { disk: [full], host: [down] })).toMatchObject({ kind: 'error', code: 11, message });
    const early = new FakeNode(node.disk, node.world);
    expect(await early.recover()).toMatchObject({ recovered: [{ found: 'going', ...untold }, {}] });
    expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, node)).toEqual([]);
  });

  it('changes nothing of it in a dry run, torn or corrupt as it is', async () => {
    const whole = bytesOf(one, await attached(one));
    const ends = [...whole.keys()].filter((at) => whole[at] === 0x0a);
    for (const bytes of [whole.subarray(0, -9), new Uint8Array(whole).fill(0, (ends[1] ?? 0) + 1, ends[2])]) {
      const node = await attached(one);
      rewrite(one, node, bytes);
      expect(await node.recover({ dryRun: true })).toMatchObject({ kind: 'ok' });
      expect(bytesOf(one, node)).toEqual(bytes);
      expect(node.disk.spawn().lookup(`${journalOf(one)}.corrupt`)).toBeUndefined();
    }
  });
});

describe('an attachment that was made again after its journal was damaged', () => {
  it('is as good as any other: recover keeps it, and ADD again answers the recorded result (I5, I7)', async () => {
    const [one] = shapes;
    if (!one) throw new Error('no shape');
    const node = await attached(one);
    const bytes = bytesOf(one, node);
    rewrite(
      one,
      node,
      bytes.map((byte, at) => (at === 20 ? byte ^ 1 : byte)),
    );
    const answer = await node.add(one);
    expect(faultsOf(one, node, answer)).toEqual([]);
    expect(await node.recover()).toMatchObject({ recovered: [{ result: 'kept' }, { result: 'kept' }] });
    expect(faultsOf(one, node, answer)).toEqual([]);
    const before = node.world.describe();
    expect(await node.add(one)).toEqual(answer);
    expect(node.world.describe()).toBe(before);
  });
});
