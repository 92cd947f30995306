/**
 * CHECK names each change that was made behind the plugin's back, and nothing else.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Json } from '../support/real/cni.ts';
import type { Changes, Pod, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';

const changes: Changes = {
  host: { mtu: 2000, vhost: { ingressPolicingRate: 1000, ingressPolicingBurst: 100 }, bridge: { vlanId: 100 } },
};

/** A change behind its back, and the words that the error must have. */
const drifts: [string, (node: TestNode, pod: Pod) => Promise<unknown>, string[]][] = [
  [
    'the VLAN tag',
    (node, pod) => node.theSwitch.vsctl('set', 'Port', pod.portName(), 'tag=200'),
    ['tag', '200', '100'],
  ],
  ['the trunks', (node, pod) => node.theSwitch.vsctl('set', 'Port', pod.portName(), 'trunks=7'), ['trunks', '7']],
  [
    'the VLAN mode',
    (node, pod) => node.theSwitch.vsctl('set', 'Port', pod.portName(), 'vlan_mode=native-tagged'),
    ['vlan_mode'],
  ],
  [
    'the MTU',
    (node, pod) => node.theSwitch.vsctl('set', 'Interface', pod.portName(), 'mtu_request=1400'),
    ['mtu', '1400', '2000'],
  ],
  [
    'the policing rate',
    (node, pod) => node.theSwitch.vsctl('set', 'Interface', pod.portName(), 'ingress_policing_rate=5'),
    ['ingress_policing_rate', '5'],
  ],
  [
    'the socket path',
    (node, pod) =>
      node.theSwitch.vsctl('set', 'Interface', pod.portName(), 'options:vhost-server-path=/nowhere/at-all'),
    ['vhost-server-path', '/nowhere/at-all'],
  ],
  [
    'our mark',
    (node, pod) => node.theSwitch.vsctl('remove', 'Port', pod.portName(), 'external_ids', 'owner'),
    ['port'],
  ],
  ['the port itself', (node, pod) => node.theSwitch.vsctl('del-port', pod.portName()), ['port', 'gone']],
  [
    'the published file',
    (node, pod) => rm(join(node.sharedDir, pod.shortId, `configData-${pod.shortId}-net1.json`)),
    ['configData'],
  ],
  ['the reserved address', (node) => rm(join(node.ipamDir, 'net-a', '10.56.0.2')), ['host-local']],
];

onRealSwitch('CHECK', (theSwitch) => {
  const node = useNode(theSwitch);

  const attach = async (): Promise<{ pod: Pod; result: Json }> => {
    const pod = await node().pod();
    const { json } = await pod.add('net1', changes);
    return { pod, result: json };
  };

  test('passes while no application has connected: in client mode the application makes the socket, and a link that is down is not a fault (case A3)', async () => {
    const { pod, result } = await attach();
    expect(await node().port(pod.portName())).toMatchObject({ linkState: 'down' });
    expect(await pod.check(result, 'net1', changes)).toMatchObject({ exitCode: 0, stdout: '' });
    await pod.del();
  });

  describe('names each difference from what ADD left', () => {
    test.each(drifts)('%s', async (_, spoil, words) => {
      const { pod, result } = await attach();
      await spoil(node(), pod);
      const checked = await pod.check(result, 'net1', changes);
      expect(checked.exitCode).toBe(1);
      const { code, msg, details } = checked.json;
      expect(code).toBeGreaterThanOrEqual(100);
      for (const word of words) expect(`${msg} ${details ?? ''}`).toContain(word);
      await pod.del();
    });

    test('the bridge that the port is on', async () => {
      const { pod, result } = await attach();
      const other = `${node().bridge}x`;
      await theSwitch().vsctl('add-br', other, '--', 'set', 'Bridge', other, 'datapath_type=netdev');
      const port = (await theSwitch().vsctl('get', 'Port', pod.portName(), '_uuid')).trim();
      await theSwitch().vsctl(
        'remove',
        'Bridge',
        node().bridge,
        'ports',
        port,
        '--',
        'add',
        'Bridge',
        other,
        'ports',
        port,
      );
      const { exitCode, json } = await pod.check(result, 'net1', changes);
      expect(exitCode).toBe(1);
      expect(json).toMatchObject({ code: 100, msg: expect.stringContaining(other) });
      await pod.del();
    });

    test('every one of several, in one answer', async () => {
      const { pod, result } = await attach();
      await theSwitch().vsctl(
        'set',
        'Port',
        pod.portName(),
        'tag=9',
        '--',
        'set',
        'Interface',
        pod.portName(),
        'mtu_request=1300',
      );
      await rm(join(node().sharedDir, pod.shortId, `configData-${pod.shortId}-net1.json`));
      const { msg } = (await pod.check(result, 'net1', changes)).json;
      for (const word of ['tag', 'mtu_request', 'configData']) expect(msg).toContain(word);
      await pod.del();
    });

    test('a previous result that is not the attachment', async () => {
      const { pod, result } = await attach();
      const other = { ...result, ips: [{ ...result.ips[0], address: '10.56.0.99/24' }] };
      const { exitCode, json } = await pod.check(other, 'net1', changes);
      expect(exitCode).toBe(1);
      expect(json).toMatchObject({ code: 100, msg: expect.stringContaining('10.56.0.2') });
      await pod.del();
    });

    test('an attachment that never was', async () => {
      const { result } = await attach();
      const stranger = await node().pod();
      const { exitCode, json } = await stranger.check(result, 'net1', changes);
      expect(exitCode).toBe(1);
      expect(json.code).toBeGreaterThanOrEqual(100);
      expect((await node().world()).journals).toHaveLength(1);
    });
  });

  test('needs the result of ADD: without prevResult it is refused', async () => {
    const { pod } = await attach();
    expect(await pod.check(undefined, 'net1', changes)).toMatchObject({
      exitCode: 1,
      json: { code: 7, msg: expect.stringContaining('prevResult') },
    });
    await pod.del();
  });

  test('passes while siblings and other pods come and go', async () => {
    const { pod, result } = await attach();
    const other = await node().pod();
    await other.add();
    await pod.add('net2');
    expect(await pod.check(result, 'net1', changes)).toMatchObject({ exitCode: 0 });
    await other.del();
    await pod.del('net2');
    expect(await pod.check(result, 'net1', changes)).toMatchObject({ exitCode: 0 });
  });
});

onRealSwitch('CHECK in server mode', (theSwitch) => {
  const node = useNode(theSwitch, 'server');

  test('names the socket that is gone', async () => {
    const pod = await node().pod();
    const { json } = await pod.add();
    expect(await pod.check(json)).toMatchObject({ exitCode: 0 });
    await rm(pod.socket());
    expect((await pod.check(json)).json).toMatchObject({ code: 100, msg: expect.stringContaining(pod.socket()) });
    await pod.del();
  });
});
