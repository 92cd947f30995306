import { describe, expect, it } from 'vitest';
import { parseAdd, parseDel } from '../../src/cni/request.ts';
import type { FilePlan, Plan, PortPlan } from '../../src/machines/protocol.ts';
import { planOf } from '../../src/plan/attach.ts';
import { removalPlan } from '../../src/plan/removal.ts';
import { isSamePlan } from '../../src/plan/same-plan.ts';
import { added, environment, host, type Json, network, textOf } from '../support/cni-requests.ts';

const containerId = '0123456789abcdef';
const own = '/pods/0123456789ab';

const planned = (changes: Json = {}, env = {}) => planOf(added({ sharedDir: '/pods', ...changes }, env));

/** The predecessor marshals with four spaces, so a comparison of bytes does too. */
const publishedText = (changes: Json = {}): string => JSON.stringify(planned(changes).publication?.data, null, 4);

const fileOf = (publication: Plan['publication']): FilePlan | undefined =>
  publication && 'file' in publication ? publication : undefined;

describe('a repeated ADD', () => {
  const text =
    '{"cniVersion":"1.0.0","name":"net","host":{"engine":"ovs-dpdk","iftype":"vhostuser"},"a":[1,{"b":2,"c":3}]}';
  const args = 'IgnoreUnknown=1;K8S_POD_NAME=a;K8S_POD_NAME=b;K8S_POD_NAMESPACE=c';
  const asked = (env = {}, stdin = text) => planOf(parseAdd(environment({ CNI_ARGS: args, ...env }), stdin));
  const turned = Object.fromEntries(Object.entries(environment({ CNI_ARGS: args })).reverse());

  it.each([
    ['its variables', planOf(parseAdd(turned, text))],
    [
      'the pairs of CNI_ARGS',
      asked({ CNI_ARGS: 'K8S_POD_NAMESPACE=c;;K8S_POD_NAME=a;K8S_POD_NAME=b;IgnoreUnknown=1' }),
    ],
    [
      'the keys of the configuration, and its spaces',
      asked(
        {},
        '{"a": [1, {"c": 3, "b": 2}], "host": {"iftype": "vhostuser", "engine": "ovs-dpdk"}, "name": "net", "cniVersion": "1.0.0"}',
      ),
    ],
  ])('asks for the same in another order of %s (need N24)', (_, plan) => {
    expect(isSamePlan(asked(), plan)).toBe(true);
    expect(JSON.stringify(plan)).not.toBe(JSON.stringify(asked()));
  });

  it.each([
    ['another order of CNI_PATH', asked({ CNI_PATH: '/usr/lib/cni:/opt/cni/bin' })],
    ['another last value of an argument', asked({ CNI_ARGS: args.replace('=a;K8S_POD_NAME=b', '=b;K8S_POD_NAME=a') })],
    ['another argument', asked({ CNI_ARGS: `${args};K8S_POD_UID=d` })],
    ['another order of a list', asked({}, text.replace('[1,{"b":2,"c":3}]', '[{"b":2,"c":3},1]'))],
    ['another number', asked({}, text.replace('"c":3', '"c":4'))],
    ['one variable more', asked({ CNI_NETNS_OVERRIDE: '1' })],
  ])('asks for something else with %s (need N24)', (_, plan) => {
    expect(isSamePlan(asked(), plan)).toBe(false);
  });
});

describe('an OVN port', () => {
  const lsp = { args: { cni: { OvnPort: 'lsp' } } };

  it('is a part of the port, given in either way; args.cni comes before CNI_ARGS, in any case (need N5)', () => {
    expect(planned(lsp).port?.ovnPort).toBe('lsp');
    expect(planned({ args: { cni: { ovnport: 'lsp' } } }).port?.ovnPort).toBe('lsp');
    expect(planned({}, { CNI_ARGS: 'OvnPort=env' }).port?.ovnPort).toBe('env');
    expect(planned(lsp, { CNI_ARGS: 'OvnPort=env' }).port?.ovnPort).toBe('lsp');
    expect(planned({ args: { cni: { OvnPort: '' } } }, { CNI_ARGS: 'OvnPort=' }).port).not.toHaveProperty('ovnPort');
  });

  it('is on br-int where no bridge is named; that bridge is not made: the plan has no such step (need N5)', () => {
    expect(planned(lsp)).toMatchObject({ port: { bridge: 'br-int' } });
    expect(planned(lsp)).not.toHaveProperty('bridge');
    expect(planned({ ...lsp, ...host({ bridge: { bridgeName: 'br-int' } }) })).not.toHaveProperty('bridge');
  });

  it('is on the bridge that is named, which is OVN’s too and not made (need N5)', () => {
    const plan = planned({ ...lsp, ...host({ bridge: { bridgeName: 'br1' } }) });
    expect(plan).toMatchObject({ port: { bridge: 'br1', ovnPort: 'lsp' } });
    expect(plan).not.toHaveProperty('bridge');
  });
});

describe('the plan of an ADD', () => {
  it('names every thing after the key, in the shared directory of the configuration', () => {
    const plan = planned({ ipam: { type: 'host-local' }, runtimeConfig: { CNIDeviceInfoFile: '/run/info.json' } });
    expect(plan).toMatchObject({
      key: { network: 'net', containerId, ifName: 'net1' },
      ovsdb: 'unix:/var/run/openvswitch/db.sock',
      address: { program: 'host-local', path: ['/opt/cni/bin', '/usr/lib/cni'] },
      socketDir: { base: '/pods', own, hold: expect.stringMatching(/^\.[0-9a-f]{16}$/) },
      bridge: { name: 'br0' },
      port: { name: '0123456789ab-net1', file: '0123456789ab-net1', bridge: 'br0', mode: 'server', directory: own },
      publication: { directory: own, file: 'configData-0123456789ab-net1.json' },
      deviceInfo: { path: '/run/info.json', mode: 'client', socket: `${own}/0123456789ab-net1` },
    });
  });

  it.each([1, 11, 12, 200])('is made for an id of %d characters (bug B26)', (length) => {
    const id = 'c'.repeat(length);
    const short = 'c'.repeat(Math.min(12, length));
    const { port, socketDir, publication } = planned({}, { CNI_CONTAINERID: id });
    expect([port?.name, socketDir?.own, fileOf(publication)?.file]).toEqual([
      `${short}-net1`,
      `/pods/${short}`,
      `configData-${short}-net1.json`,
    ]);
  });

  it('of two ids with the same first 12 characters shares a directory but no hold file (bug B27)', () => {
    const [one, two] = ['1', '2'].map((end) => planned({}, { CNI_CONTAINERID: `0123456789ab${end}` }).socketDir);
    expect(one?.own).toBe(two?.own);
    expect(one?.hold).not.toBe(two?.hold);
  });

  it('of two interfaces of one sandbox shares the directory and nothing in it (case A6)', () => {
    const [one, two] = ['net1', 'net2'].map((ifName) => planned({}, { CNI_IFNAME: ifName }));
    expect(one?.socketDir?.own).toBe(two?.socketDir?.own);
    const names = [one, two].flatMap((plan) => [
      plan?.socketDir?.hold,
      plan?.port?.file,
      fileOf(plan?.publication)?.file,
    ]);
    expect(new Set(names).size).toBe(6);
  });

  it('leaves out the steps that were not asked for', () => {
    expect(Object.keys(planned())).not.toContain('address');
    expect(Object.keys(planned())).not.toContain('deviceInfo');
  });

  it('gives the port everything the configuration says of it (case A7)', () => {
    const vhost = {
      mode: 'client',
      group: 'kvm',
      socketfile: 'own.sock',
      ingressPolicingRate: 9,
      ingressPolicingBurst: 8,
    };
    const bridge = { bridgeName: 'br1', vlanId: 7, trunks: [1, 2], vlanMode: 'native-tagged' };
    const plan = planned(
      { ...host({ vhost, bridge, mtu: 1400 }), runtimeConfig: { mac: '02:00:00:00:00:01' } },
      { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod' },
    );
    // A new part of a port does not compile without its line here; others are for long paths, OVN and removals alone.
    const whole: Required<Omit<PortPlan, 'link' | 'ovnPort' | 'socketStays'>> = {
      bridge: 'br1',
      name: 'own.sock',
      mode: 'client',
      directory: own,
      file: 'own.sock',
      vlan: { tag: 7, trunks: [1, 2], mode: 'native-tagged' },
      mtu: 1400,
      policingRate: 9,
      policingBurst: 8,
      group: 'kvm',
      marks: { netns: '/run/netns/a', pod: 'ns/pod', mac: '02:00:00:00:00:01' },
    };
    expect(plan.port).toEqual(whole);
    expect(plan.socketDir?.group).toBe('kvm');
    expect(plan.bridge?.name).toBe('br1');
  });

  it('takes a shared directory with or without a slash at its end for the same', () => {
    expect(planned({ sharedDir: '/pods/' })).toMatchObject({ socketDir: { base: '/pods', own } });
  });

  it('keeps the call for the IPAM plugin: all of stdin, and the environment without the verb', () => {
    const { request } = planned();
    expect(request.stdin).toBe(textOf(network({ sharedDir: '/pods' })));
    expect(request.env).not.toHaveProperty('CNI_COMMAND');
    expect(request.env.CNI_CONTAINERID).toBe(containerId);
  });

  it('is plain JSON data: a journal gives back the same', () => {
    const plan = planned({ ipam: { type: 'static' }, container: { memif: { role: 'slave' } } });
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });
});

describe('the published data', () => {
  it('is byte for byte the predecessor’s: containerId first, and always memif, vhost and bridge', () => {
    expect(publishedText(host({ vhost: { mode: 'client' } }))).toBe(`{
    "containerId": "0123456789abcdef",
    "ifName": "net1",
    "name": "net",
    "config": {
        "iftype": "vhostuser",
        "netType": "interface",
        "memif": {},
        "vhost": {
            "mode": "server",
            "socketfile": "0123456789ab-net1"
        },
        "bridge": {}
    }
}`);
  });

  it('has the keys of a full container half in the predecessor’s order, from any order in the request', () => {
    const container = {
      bridge: { bridgeName: 'br-in', vlanId: 3 },
      vhost: { socketfile: 'ignored', group: 'qemu', mode: 'client' },
      memif: { role: 'slave', mode: 'ethernet' },
      mac: '02:00:00:00:00:01',
      mtu: 1400,
      netType: 'bridge',
      iftype: 'vhostuser',
      engine: 'vpp',
    };
    expect(publishedText({ ...host({ vhost: { socketfile: 'own.sock' } }), container })).toBe(`{
    "containerId": "0123456789abcdef",
    "ifName": "net1",
    "name": "net",
    "config": {
        "engine": "vpp",
        "iftype": "vhostuser",
        "netType": "bridge",
        "mtu": 1400,
        "mac": "02:00:00:00:00:01",
        "memif": {
            "role": "slave",
            "mode": "ethernet"
        },
        "vhost": {
            "mode": "client",
            "group": "qemu",
            "socketfile": "own.sock"
        },
        "bridge": {
            "bridgeName": "br-in",
            "vlanId": 3
        }
    }
}`);
  });

  it.each([
    ['client', 'server'],
    ['server', 'client'],
    [undefined, 'client'],
  ])('turns host mode %j into container mode %s', (mode, inverse) => {
    expect(planned(host({ vhost: { mode } })).publication?.data).toMatchObject({
      config: { vhost: { mode: inverse } },
    });
  });

  it('never defaults the engine: the predecessor did not', () => {
    expect(publishedText()).not.toContain('engine');
  });

  it('has no “=” in it for any names that are taken: consumers split on it', () => {
    for (const ifName of ['net1', 'a.b-c_d@e+f', 'äö'])
      for (const id of ['a', containerId, `${'x'.repeat(100)}_.-`]) {
        const plan = planned(host({ vhost: { socketfile: 'A-1_2:3@4+5', mode: 'client' } }), {
          CNI_IFNAME: ifName,
          CNI_CONTAINERID: id,
        });
        expect(JSON.stringify(plan.publication?.data)).not.toContain('=');
      }
  });

  it('names the socket that the plan gives the port, in device information with the container’s role', () => {
    for (const [mode, role] of [
      ['client', 'server'],
      ['server', 'client'],
    ]) {
      const changes = { ...host({ vhost: { mode, socketfile: 's' } }), runtimeConfig: { CNIDeviceInfoFile: '/i' } };
      expect(planned(changes)).toMatchObject({
        port: { mode, file: 's' },
        publication: { data: { config: { vhost: { socketfile: 's' } } } },
        deviceInfo: { mode: role, socket: `${own}/s` },
      });
    }
  });
});

describe('the plan of a removal without a journal', () => {
  const removal = (config: unknown, env = {}) =>
    removalPlan(parseDel(environment({ CNI_COMMAND: 'DEL', ...env }), textOf(config)));

  it('holds no port: its marks say what it is, never stdin (bug B14)', () => {
    const plan = removal(network(host({ vhost: { socketfile: 'victim.sock' } })));
    expect(plan).not.toHaveProperty('port');
    expect(JSON.stringify({ ...plan, request: undefined })).not.toContain('victim.sock');
  });

  it('finds everything else where ADD put it', () => {
    const config = network({
      sharedDir: '/pods',
      ipam: { type: 'host-local' },
      ...host({ bridge: { bridgeName: 'br1' } }),
    });
    const { address, socketDir, bridge, publication } = planOf(added(config));
    const plan = removal(config);
    expect(plan).toMatchObject({ address, socketDir, bridge });
    expect(plan.publication).toEqual({ ...publication, data: {} });
  });

  it('needs the name alone, and neither a network namespace nor a path (case A16, bug B16)', () => {
    expect(removal({ name: 'net' }, { CNI_NETNS: '', CNI_PATH: undefined })).toMatchObject({
      key: { network: 'net', containerId, ifName: 'net1' },
      bridge: { name: 'br0' },
      socketDir: { own: '/usr/local/var/run/openvswitch/0123456789ab' },
    });
  });

  it('takes device information away where the call names its file', () => {
    const config = network({ runtimeConfig: { CNIDeviceInfoFile: '/run/info.json' } });
    expect(removal(config).deviceInfo?.path).toBe('/run/info.json');
    expect(removal({ name: 'net' })).not.toHaveProperty('deviceInfo');
  });
});
