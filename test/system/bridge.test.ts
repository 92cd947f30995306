/**
 * Bridges: ours come with the first port and go with the last; an administrator's are used and left alone.
 */
import { expect, test } from 'vitest';
import { type Pod, TestNode } from '../support/real/node.ts';
import { adminBridge, onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, readSwitch } from '../support/real/world.ts';

onRealSwitch('bridges', (theSwitch) => {
  const node = useNode(theSwitch);
  const bridgeRow = async (name = node().bridge) =>
    (await readSwitch(theSwitch())).bridges.find((bridge) => bridge.name === name);

  test('a bridge of ours forwards at once: standalone, netdev, one NORMAL flow, our mark (bug B43)', async () => {
    const pod = await node().pod();
    await pod.add();
    expect(await bridgeRow()).toMatchObject({
      datapathType: 'netdev',
      failMode: 'standalone',
      externalIds: { owner: 'userspace-cni', instance: expect.stringMatching(/./) },
    });
    expect(await theSwitch().appctl('bridge/dump-flows', node().bridge)).toContain('NORMAL');
    await pod.del();
    expect(await bridgeRow()).toBeUndefined();
  });

  test("an administrator's bridge is neither changed nor removed, down to the last column (bug B21, case A41)", async () => {
    await adminBridge(node(), 'fail_mode=secure', 'external_ids:made-by=hand', 'other_config:mac-aging-time=77');
    const { ports: _before, ...before } = JSON.parse((await bridgeRow())?.row ?? '{}');
    const pod = await node().pod();
    await pod.add();
    const { ports: _during, ...during } = JSON.parse((await bridgeRow())?.row ?? '{}');
    expect(during).toEqual(before);
    await pod.del();
    const { ports: _after, ...after } = JSON.parse((await bridgeRow())?.row ?? '{}');
    expect(after).toEqual(before);
    expectNothingLeft(await node().world());
  });

  test('I6 a bridge of ours with a foreign port stays, with that port', async () => {
    const pod = await node().pod();
    await pod.add();
    const foreign = `${node().bridge}p`;
    await theSwitch().vsctl('add-port', node().bridge, foreign, '--', 'set', 'Interface', foreign, 'type=internal');
    expect(await pod.del()).toMatchObject({ exitCode: 0 });
    expect(await node().world()).toMatchObject({ bridges: [node().bridge], ports: [foreign], journals: [] });
  });

  test('a DEL that cannot ask the switch does not remove the bridge that others use (bug B20)', async () => {
    const [staying, leaving] = [await node().pod(), await node().pod()];
    await staying.add();
    await leaving.add();
    theSwitch().pauseDatabase();
    try {
      const impatient = { deadlines: { delMs: 1_000, reconnectMs: 200 } };
      expect(await leaving.del('net1', impatient)).toMatchObject({ exitCode: 0 });
    } finally {
      theSwitch().resumeDatabase();
    }
    expect(await node().port(staying.portName())).toMatchObject({ bridge: node().bridge });
    expect(await leaving.del()).toMatchObject({ exitCode: 0 });
    expect((await node().world()).ports).toEqual([staying.portName()]);
    await staying.del();
    expectNothingLeft(await node().world());
  });

  test('the last pod leaves while the next one comes, again and again: each ADD that succeeds has a port (bug B21)', async () => {
    let leaving = await node().pod();
    await leaving.add();
    for (let round = 0; round < 8; round++) {
      const coming: Pod = await node().pod();
      const [deleted, added] = await Promise.all([leaving.del(), coming.add()]);
      expect(deleted).toMatchObject({ exitCode: 0 });
      expect(added).toMatchObject({ exitCode: 0 });
      expect(await node().port(coming.portName())).toMatchObject({ bridge: node().bridge, error: undefined });
      leaving = coming;
    }
    await leaving.del();
    expectNothingLeft(await node().world());
  });

  test('I6 two instances share a switch: neither removes a thing of the other', async () => {
    const other = await TestNode.create(theSwitch());
    try {
      const [mine, theirs] = [await node().pod(), await other.pod()];
      const shared = { host: { bridge: { bridgeName: node().bridge } } };
      await mine.add();
      await theirs.add('net1', shared);
      await mine.del();
      expect(await node().port(theirs.portName())).toMatchObject({ bridge: node().bridge });
      await node().recover();
      expect(await node().port(theirs.portName())).toMatchObject({ bridge: node().bridge });
      expect(await theirs.del('net1', shared)).toMatchObject({ exitCode: 0 });
    } finally {
      await other.end();
    }
  });
});
