/** No key of the schema can be forgotten by its reader: the compiler and the warnings see each. */
import { expect, test } from 'vitest';
import { lenient, type Optional, parseConfig } from '../../../src/cni/config/config.ts';
import { Bridge, Side, Vhost } from '../../../src/cni/config/keys.ts';

const unset: Optional = {
  group: '',
  policingRate: 0,
  policingBurst: 0,
  tag: 0,
  trunks: undefined,
  vlanMode: '',
  mtu: 0,
  mac: '',
  ovnPort: '',
  dns: undefined,
  prevResult: undefined,
};

test('a misspelt or forgotten optional key does not compile', () => {
  // @ts-expect-error it is "policingBurst"
  const misspelt: Optional = { ...unset, policingBrust: 1 };
  const { group: _, ...others } = unset;
  // @ts-expect-error "group" is missing
  const forgotten: Optional = others;
  expect([misspelt, forgotten]).toHaveLength(2);
});

const half = { engine: 'ovs-dpdk', iftype: 'vhostuser' };

const warningsOf = (host: object, container: object) =>
  parseConfig(lenient({ name: 'net', host: { ...half, ...host }, container }), new Map()).config?.warnings;

test('keys without effect in their half give warnings in a fixed order, and no other key does', () => {
  const vhost = {
    group: 'hugetlbfs',
    socketfile: 'socket',
    ingressPolicingRate: 1,
    ingressPolicingBurst: 1,
    enableGso: true,
    enablePacked: true,
    enableEventIdx: true,
  };
  const every = {
    engine: 'ovs-dpdk',
    iftype: 'vhostuser',
    netType: 'bridge',
    mtu: 1500,
    mac: '02:00:00:00:00:01',
    memif: { role: 'master' },
    bridge: { bridgeName: 'br0', bridgeId: 0, vlanId: 1, trunks: [1], vlanMode: 'native-tagged' },
  };
  const host = { ...every, vhost: { ...vhost, mode: 'client' } };
  const container = { ...every, vhost: { ...vhost, mode: 'server' } };
  expect(Object.keys(host).sort()).toEqual(Object.keys(Side.entries).sort());
  expect(Object.keys(host.bridge).sort()).toEqual(Object.keys(Bridge.entries).sort());
  expect(Object.keys(host.vhost).sort()).toEqual(Object.keys(Vhost.entries).sort());
  expect(warningsOf(host, container)).toEqual(
    [
      'host.bridge.bridgeId',
      'host.memif',
      'container.vhost.socketfile',
      'host.vhost.enableGso',
      'host.vhost.enablePacked',
      'host.vhost.enableEventIdx',
      'container.vhost.enableGso',
      'container.vhost.enablePacked',
      'container.vhost.enableEventIdx',
      'container.vhost.ingressPolicingRate',
      'container.vhost.ingressPolicingBurst',
    ].map((key) => `"${key}" has no effect with engine "ovs-dpdk"`),
  );
});

test('a key that is not set gives no warning', () => {
  const vhost = { socketfile: '', ingressPolicingRate: 0, ingressPolicingBurst: 0, enableGso: false };
  expect(warningsOf({ memif: {}, vhost }, { memif: {}, vhost })).toEqual([]);
});
