/** A kill leaves the beginning of one record: any other end of a living pod's journal is damage, and is kept until DEL. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { whileAway } from '../support/real/away.ts';
import type { Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };

/** Where records end. */
const endsOf = (bytes: Buffer): number[] => [...bytes].flatMap((byte, index) => (byte === 0x0a ? [index + 1] : []));

const garbage = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, index) => (index * 73 + 11) % 256));

type Damage = (bytes: Buffer) => Buffer;
const lastBytes = 700;
const withTail =
  (tail: (length: number) => Buffer): Damage =>
  (bytes) =>
    Buffer.concat([bytes.subarray(0, -lastBytes), tail(lastBytes)]);

const damages: [string, Damage][] = [
  ['NULs in the place of its last 700 bytes', withTail((length) => Buffer.alloc(length))],
  ['garbage in the place of its last 700 bytes', withTail(garbage)],
  ['blanks in the place of its last 700 bytes', withTail((length) => Buffer.alloc(length, ' '))],
  ['its last 700 bytes cut off', (bytes) => bytes.subarray(0, -lastBytes)],
  ['nothing left of it', () => Buffer.alloc(0)],
  ['nothing but NULs', (bytes) => Buffer.alloc(bytes.length)],
  ['a page of NULs behind its end', (bytes) => Buffer.concat([bytes, Buffer.alloc(4096)])],
  ['its last record twice', (bytes) => Buffer.concat([bytes, bytes.subarray(endsOf(bytes).at(-2))])],
  ['one bit of its last record turned', (bytes) => flipped(bytes, bytes.length - 40)],
  ['one bit of its header turned', (bytes) => flipped(bytes, 100)],
];

function flipped(bytes: Buffer, at: number): Buffer {
  const other = Buffer.from(bytes);
  other[at] = (other[at] ?? 0) ^ 1;
  return other;
}

onRealSwitch('the journal of a living pod', (theSwitch) => {
  const node = useNode(theSwitch);

  async function attached(): Promise<{ pod: Pod; bytes: Buffer }> {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    return { pod, bytes: readFileSync(pod.journal()) };
  }

  const kept = async (pod: Pod, found?: string) => {
    const { exitCode, json } = await node().recover();
    expect({ exitCode, json }).toMatchObject({ ...ok, json: { kept: 1, removed: 0, owed: 0 } });
    if (found) expect(json.attachments).toMatchObject([{ found }]);
    expect(await node().world()).toMatchObject({ ports: [pod.portName()], addresses: ['net-a/10.56.0.2'] });
  };

  test.each(damages)('kind 2: with %s is kept by recover, listed, and removed by DEL', async (_, damage) => {
    const { pod, bytes } = await attached();
    writeFileSync(pod.journal(), damage(bytes));
    // Another pod's DEL meanwhile does nothing to this one.
    const other = await node().pod();
    await other.add();
    expect(await other.del()).toMatchObject(ok);
    for (let time = 0; time < 2; time++) await kept(pod, 'damaged');
    expect(await node().list()).toHaveLength(1);
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('kind 2: cut at any end of a record, or a byte beside it, is kept; and DEL leaves nothing', async () => {
    const { pod, bytes } = await attached();
    const cuts = endsOf(bytes).flatMap((end) => [end - 1, end, end + 1]);
    for (const cut of cuts.filter((one) => one < bytes.length)) {
      writeFileSync(pod.journal(), bytes.subarray(0, cut));
      await kept(pod);
    }
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('kind 2: DEL leaves nothing, at whichever end of a record the journal is cut', async () => {
    const { bytes, pod } = await attached();
    const count = endsOf(bytes).length;
    expect(await pod.del()).toMatchObject(ok);
    for (let index = 0; index < count; index++) {
      const one = await attached();
      writeFileSync(one.pod.journal(), one.bytes.subarray(0, endsOf(one.bytes)[index]));
      expect(await one.pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    }
  });

  test('kind 2: damaged and without a switch is owed by DEL with its address, and goes when the switch is back', async () => {
    const { pod, bytes } = await attached();
    writeFileSync(pod.journal(), bytes.subarray(0, -lastBytes));
    const impatient = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500 } };
    expect(await whileAway(theSwitch(), () => pod.del('net1', impatient))).toMatchObject(ok);
    expect(await node().list()).toMatchObject([{ state: 'owed' }]);
    expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2']);
    expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1 } });
    expectNothingLeft(await node().world());
  });

  test('kind 2: a damaged journal does not stop a repeated ADD, which leaves one port and one address', async () => {
    const { pod, bytes } = await attached();
    writeFileSync(pod.journal(), bytes.subarray(0, -lastBytes));
    expect(await pod.add()).toMatchObject(ok);
    expect(await node().world()).toMatchObject({ ports: [pod.portName()], addresses: [expect.any(String)] });
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('kind 2: the beginning of one record at its end, as a killed put-back leaves it, is not damage', async () => {
    const { pod, bytes } = await attached();
    // A killed put-back leaves this: the attachment was at rest, and is again.
    const torn = Buffer.from(`{"seq":${endsOf(bytes).length + 1},"at":"2025-01-17T12:00:00.000Z","kind":"resto`);
    writeFileSync(pod.journal(), Buffer.concat([bytes, torn]));
    await kept(pod, 'attached');
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });
});
