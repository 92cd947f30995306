/** The values that an ADD takes from the configuration. Refusals: config.test.ts. */
import { describe, expect, it } from 'vitest';
import { defaultDeadlines } from '../../../src/deadlines.ts';
import { added, host, refusal } from '../../support/cni-requests.ts';

describe('the smallest configuration', () => {
  it('has the predecessor’s defaults: server mode, bridge br0, its shared directory', () => {
    const { config } = added();
    expect(config).toMatchObject({
      mode: 'server',
      bridge: 'br0',
      sharedDir: '/usr/local/var/run/openvswitch',
      dataDir: '/var/lib/cni/userspace',
      ovsdb: 'unix:/var/run/openvswitch/db.sock',
      logLevel: 'warning',
      deadlines: defaultDeadlines,
      warnings: [],
    });
    for (const absent of ['tag', 'trunks', 'vlanMode', 'mtu', 'mac', 'group', 'socketfile', 'ipam', 'logFile', 'dns'])
      expect(config).not.toHaveProperty(absent);
  });
});

describe('keys of the switch’s side (case A7, bug B44)', () => {
  it('are all taken over: VLAN, trunks, MTU, policing, mode, group, socket file', () => {
    const bridge = { bridgeName: 'br1', vlanId: 7, trunks: [1, 2], vlanMode: 'native-tagged' };
    const vhost = {
      mode: 'client',
      group: 'kvm',
      socketfile: 'own.sock',
      ingressPolicingRate: 1000,
      ingressPolicingBurst: 100,
    };
    expect(added(host({ bridge, vhost, mtu: 9000 })).config).toMatchObject({
      bridge: 'br1',
      tag: 7,
      trunks: [1, 2],
      vlanMode: 'native-tagged',
      mode: 'client',
      group: 'kvm',
      socketfile: 'own.sock',
      policingRate: 1000,
      policingBurst: 100,
      mtu: 9000,
    });
  });

  it('say whether a switch that does not run as root is given access to the sockets: by default it is (need N2)', () => {
    expect(added().config.grantAccess).toBe(true);
    expect(added({ grantAccess: false }).config.grantAccess).toBe(false);
    expect(refusal(() => added({ grantAccess: 'no' }))).toMatchObject({ code: 7 });
  });

  it('that are empty or zero count as absent: the predecessor wrote them so', () => {
    const empty = host({
      netType: '',
      mtu: 0,
      mac: '',
      memif: {},
      vhost: { mode: '', group: '', socketfile: '', ingressPolicingRate: 0, ingressPolicingBurst: 0 },
      bridge: { bridgeName: '', vlanId: 0, trunks: [], vlanMode: '' },
    });
    const more = { mtu: 0, sharedDir: '', logFile: '', logLevel: '', kubeconfig: '', dns: {}, ipam: {} };
    expect(added({ ...empty, ...more }).config).toEqual(added().config);
  });

  it('name each trunk once: the switch refuses a set with the same number twice', () => {
    expect(added(host({ bridge: { trunks: [1, 2, 1] } })).config.trunks).toEqual([1, 2]);
  });

  it('take the MTU from either of its two places', () => {
    expect(added({ mtu: 1400 }).config.mtu).toBe(1400);
    expect(added(host({ mtu: 1400 })).config.mtu).toBe(1400);
    expect(added({ ...host({ mtu: 1400 }), mtu: 1400 }).config.mtu).toBe(1400);
  });
});

describe('the MAC address (bug B41)', () => {
  const macs = {
    runtime: '02:00:00:00:00:01',
    args: '02:00:00:00:00:02',
    env: '02:00:00:00:00:03',
    host: '02:00:00:00:00:04',
  };
  const macOf = (...sources: (keyof typeof macs)[]) => {
    const has = (source: keyof typeof macs) => (sources.includes(source) ? macs[source] : undefined);
    const changes = {
      ...(has('runtime') && { runtimeConfig: { mac: has('runtime') } }),
      ...(has('args') && { args: { cni: { mac: has('args'), other: 1 } } }),
      ...host({ mac: has('host') }),
    };
    return added(changes, has('env') ? { CNI_ARGS: `MAC=${has('env')}` } : {}).config.mac;
  };

  it('of args.cni is read in any case, and a wrong one is refused by name (case A18)', () => {
    for (const key of ['mac', 'MAC', 'Mac'])
      expect(added({ args: { cni: { [key]: macs.args } } }).config.mac).toBe(macs.args);
    expect(refusal(() => added({ args: { cni: { MAC: 'x' } } }))).toMatchObject({
      code: 7,
      message: expect.stringContaining('args.cni.mac'),
    });
  });

  it('is taken from runtimeConfig before args.cni before CNI_ARGS before the configuration (case A18)', () => {
    expect(macOf('runtime', 'args', 'env', 'host')).toBe(macs.runtime);
    expect(macOf('args', 'env', 'host')).toBe(macs.args);
    expect(macOf('env', 'host')).toBe(macs.env);
    expect(macOf('host')).toBe(macs.host);
    expect(macOf()).toBeUndefined();
  });

  it('that is empty counts as absent: the next source is used', () => {
    const empty = { runtimeConfig: { mac: '' }, args: { cni: { mac: '' } }, ...host({ mac: macs.host }) };
    expect(added(empty, { CNI_ARGS: `MAC=${macs.env}` }).config.mac).toBe(macs.env);
    expect(added(empty, { CNI_ARGS: 'MAC=' }).config.mac).toBe(macs.host);
  });
});

describe('the container’s half', () => {
  it.each([
    ['client', 'server'],
    ['server', 'client'],
    [undefined, 'client'],
    ['', 'client'],
  ])('is by default the inverse of host mode %j: %s', (mode, inverse) => {
    expect(added(host({ vhost: { mode } })).config.container).toMatchObject({
      iftype: 'vhostuser',
      netType: 'interface',
      vhost: { mode: inverse },
    });
  });

  it('keeps the values that the configuration gives', () => {
    const container = {
      engine: 'vpp',
      iftype: 'vhostuser',
      netType: 'bridge',
      mtu: 1400,
      bridge: { bridgeName: 'br-in' },
    };
    expect(added({ container }).config.container).toMatchObject(container);
  });
});

describe('deadlines', () => {
  it('are the configured ones, and the defaults for the rest', () => {
    const { deadlines } = added({ deadlines: { addMs: 20_001, ipamMs: 600_000 } }).config;
    expect(deadlines).toEqual({ ...defaultDeadlines, addMs: 20_001, ipamMs: 600_000 });
  });

  it('have a configuration key each', () => {
    const all = Object.fromEntries(Object.keys(defaultDeadlines).map((key, index) => [key, 100 - index]));
    expect(added({ deadlines: all }).config.deadlines).toEqual(all);
  });
});

describe('the runtime’s additions', () => {
  it('are taken over: prevResult, dns and the device information file', () => {
    const prevResult = { cniVersion: '1.0.0', interfaces: [{ name: 'eth0' }] };
    const runtimeConfig = { CNIDeviceInfoFile: '/run/info.json', portMappings: [] };
    expect(added({ prevResult, dns: { domain: 'x' }, runtimeConfig }).config).toMatchObject({
      prevResult,
      dns: { domain: 'x' },
      deviceInfoFile: '/run/info.json',
    });
  });
});
