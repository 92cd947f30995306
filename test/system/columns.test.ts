/**
 * Each wish of the configuration is in the switch's rows, or is refused.
 */
import { describe, expect, test } from 'vitest';
import type { Changes } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const bridge = (settings: Changes): Changes => ({ host: { bridge: settings } });
const cases: [string, Changes, object][] = [
  ['an access VLAN', bridge({ vlanId: 100 }), { tag: 100, trunks: [], vlanMode: undefined }],
  ['an access VLAN by mode', bridge({ vlanId: 7, vlanMode: 'access' }), { tag: 7, vlanMode: 'access' }],
  ['trunks', bridge({ trunks: [1, 2, 4000] }), { tag: undefined, trunks: [1, 2, 4000] }],
  [
    'a native VLAN beside trunks',
    bridge({ vlanId: 5, trunks: [6], vlanMode: 'native-untagged' }),
    { tag: 5, trunks: [6], vlanMode: 'native-untagged' },
  ],
  [
    'a native tagged VLAN',
    bridge({ vlanId: 5, trunks: [6], vlanMode: 'native-tagged' }),
    { vlanMode: 'native-tagged' },
  ],
  ['a trunk of everything', bridge({ vlanMode: 'trunk' }), { vlanMode: 'trunk', trunks: [] }],
  ['a tunnel', bridge({ vlanId: 5, vlanMode: 'dot1q-tunnel' }), { tag: 5, vlanMode: 'dot1q-tunnel' }],
  ['an MTU on the host side', { host: { mtu: 9000 } }, { mtuRequest: 9000 }],
  ['an MTU of the network', { mtu: 1400 }, { mtuRequest: 1400 }],
  [
    'ingress policing',
    { host: { vhost: { ingressPolicingRate: 1000, ingressPolicingBurst: 100 } } },
    { policingRate: 1000, policingBurst: 100 },
  ],
  [
    'nothing',
    {},
    { tag: undefined, trunks: [], vlanMode: undefined, mtuRequest: undefined, policingRate: 0, policingBurst: 0 },
  ],
];

onRealSwitch('what the configuration asks for is on the rows (case A7, bug B44)', (theSwitch) => {
  const node = useNode(theSwitch);

  test.each(cases)('%s', async (_, changes, wanted) => {
    const pod = await node().pod();
    expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
    expect(await node().port(pod.portName())).toMatchObject({ ...wanted, error: undefined });
    await pod.del('net1', changes);
    expectNothingLeft(await node().world());
  });

  test('the marks tell which attachment a port belongs to, without the journal', async () => {
    const pod = await node().pod();
    await pod.add();
    const port = await node().port(pod.portName());
    expect(port?.externalIds).toMatchObject({
      owner: 'userspace-cni',
      instance: expect.stringMatching(/./),
      key: `net-a:${pod.containerId}:net1`,
      socket: pod.socket(),
      netns: pod.netns,
    });
    await pod.del();
  });

  test('no row is marked transient: a containerised switch deletes such ports when it restarts (case A39)', async () => {
    const pod = await node().pod();
    await pod.add();
    for (const [table, name] of [
      ['Port', pod.portName()],
      ['Interface', pod.portName()],
      ['Bridge', node().bridge],
    ] as const) {
      expect(await theSwitch().vsctl('get', table, name, 'other_config')).toBe('{}');
    }
    await pod.del();
  });

  describe('a value that no row can hold is refused', () => {
    test.each([
      ['vlanId', bridge({ vlanId: 4096 }), '4096'],
      ['trunks', bridge({ trunks: [-1] }), '-1'],
      ['vlanMode', bridge({ vlanMode: 'sideways' }), 'sideways'],
      ['mtu', { host: { mtu: 12 } }, '12'],
    ] as [string, Changes, string][])('%s', async (key, changes, value) => {
      const { exitCode, json } = await (await node().pod()).add('net1', changes);
      expect(exitCode).toBe(1);
      expect(json).toMatchObject({ code: 7, msg: expect.stringContaining(key) });
      expect(json.msg).toContain(value);
      expectNothingLeft(await node().world());
    });
  });
});
