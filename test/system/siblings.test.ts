/**
 * Several interfaces of one pod in one directory, deleted in every order: what stays keeps its socket and its port.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Mode, Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

/** Named so that each is a prefix of another or like it: a removal by pattern takes too much. */
const interfaces: [string, Mode][] = [
  ['net1', 'client'],
  ['net10', 'server'],
  ['net', 'server'],
];

function orders<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first) => orders(items.filter((item) => item !== first)).map((rest) => [first, ...rest]));
}

const cases = [1, 2, 3].flatMap((count) => orders(interfaces.slice(0, count)));
const changesOf = (mode: Mode) => ({
  host: { vhost: { mode } },
  container: { vhost: { mode: mode === 'client' ? 'server' : 'client' } },
});

onRealSwitch('interfaces of one pod in one directory', (theSwitch) => {
  const node = useNode(theSwitch);

  const expectAttached = async (pod: Pod, [ifName, mode]: [string, Mode]) => {
    expect(await node().port(pod.portName(ifName))).toMatchObject({ bridge: node().bridge, error: undefined });
    if (mode === 'server') expect((await lstat(pod.socket(ifName))).isSocket()).toBe(true);
  };

  describe('each DEL succeeds and takes its own things only (case A6, bug B12, bug B13)', () => {
    test.each(cases.map((order) => [order.map(([name]) => name).join(', '), order] as const))(
      'in the order %s',
      async (_, order) => {
        const pod = await node().pod();
        for (const [ifName, mode] of interfaces.slice(0, order.length)) {
          expect(await pod.add(ifName, changesOf(mode))).toMatchObject({ exitCode: 0 });
        }
        for (const [index, [ifName, mode]] of order.entries()) {
          expect(await pod.del(ifName, changesOf(mode))).toMatchObject({ exitCode: 0, stdout: '' });
          for (const other of order.slice(index + 1)) await expectAttached(pod, other);
          expect((await node().world()).ports).toHaveLength(order.length - index - 1);
        }
        expectNothingLeft(await node().world());
      },
    );
  });

  test('four pods at once on an empty switch all start, and all go at once (bug B42)', async () => {
    const pods = await Promise.all([node().pod(), node().pod(), node().pod(), node().pod()]);
    for (const added of await Promise.all(pods.map((pod) => pod.add()))) expect(added).toMatchObject({ exitCode: 0 });
    const world = await node().world();
    expect(world.ports).toHaveLength(pods.length);
    expect(world.addresses).toHaveLength(pods.length);
    for (const deleted of await Promise.all(pods.map((pod) => pod.del())))
      expect(deleted).toMatchObject({ exitCode: 0 });
    expectNothingLeft(await node().world());
  });

  test('of two pods whose ids share their first 12 characters the second is refused, naming the first (bug B27)', async () => {
    const first = await node().pod(`${'5'.repeat(12)}-first`);
    const second = await node().pod(`${'5'.repeat(12)}-second`);
    expect(await first.add()).toMatchObject({ exitCode: 0 });
    const refused = await second.add();
    expect(refused).toMatchObject({ exitCode: 1, json: { code: 7, msg: expect.stringContaining(first.containerId) } });
    expect(await second.del()).toMatchObject({ exitCode: 0 });
    await expectAttached(first, ['net1', 'client']);
    await first.del();
    expectNothingLeft(await node().world());
  });

  test('of two such pods both are attached with another interface name, or with a socketfile and a sharedDir of its own (need N8)', async () => {
    const first = await node().pod(`default-7f3a${'1'.repeat(60)}`);
    const second = await node().pod(`default-7f3a${'2'.repeat(60)}`);
    expect(await first.add()).toMatchObject({ exitCode: 0 });
    const alone = { host: { vhost: { socketfile: 'own-net1' } } };
    const apart = { ...alone, sharedDir: join(node().directory, 'apart') };
    for (const [changes, remedy] of [
      [{}, '"host.vhost.socketfile"'],
      [alone, 'another "sharedDir"'],
    ] as const) {
      const { exitCode, json } = await second.add('net1', changes);
      expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 7 });
      expect(json.msg).toContain(first.containerId);
      expect(json.msg).toContain(remedy);
    }
    expect(await second.add('net2')).toMatchObject({ exitCode: 0 });
    expect(await second.add('net1', apart)).toMatchObject({ exitCode: 0 });
    await expectAttached(first, ['net1', 'client']);
    expect(await second.del('net1', apart)).toMatchObject({ exitCode: 0 });
    expect(await second.del('net2')).toMatchObject({ exitCode: 0 });
    await expectAttached(first, ['net1', 'client']);
    await first.del();
    expectNothingLeft(await node().world());
  });
});
