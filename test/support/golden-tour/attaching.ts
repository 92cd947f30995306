/** Attachments of every shape that are made, repeated, checked and removed. */
import { join } from 'node:path';
import type { Changes } from '../real/node.ts';
import type { Call, Chapters, Ground } from './ground.ts';

/** The whole life of one attachment. */
async function live(ground: Ground, note: string, changes: Changes = {}, call: Call = {}): Promise<void> {
  const red = await ground.sandbox('red');
  const added = await ground.cni('ADD', red, { ...call, changes, note });
  await ground.cni('ADD', red, { ...call, changes, note: 'again' });
  await ground.cni('CHECK', red, { ...call, changes: { ...changes, prevResult: added.json } });
  await ground.cni('DEL', red, { ...call, changes: { ...changes, prevResult: added.json } });
  await ground.cni('DEL', red, { ...call, changes, note: 'again' });
}

/** As `live`, without the repetition. */
async function addAndDelete(ground: Ground, note: string, changes: Changes = {}, call: Call = {}): Promise<void> {
  const red = await ground.sandbox('red');
  const added = await ground.cni('ADD', red, { ...call, changes, note });
  await ground.cni('CHECK', red, { ...call, changes: { ...changes, prevResult: added.json } });
  await ground.cni('DEL', red, { ...call, changes });
}

const noIpam: Changes = { ipam: undefined };
const server: Changes = { host: { vhost: { mode: 'server' } } };

/** Answers each ADD with the same addresses, in the words of any version. */
const fixedIpam = `case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}';;
ADD) echo '{"cniVersion":"1.0.0","ips":[{"address":"10.57.0.7/24","gateway":"10.57.0.1"},{"address":"fd00::7/64"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.57.0.1"},{"dst":"::/0"}],"dns":{"nameservers":["10.57.0.53"],"search":["tour"]}}';;
esac
cat > /dev/null`;

/** README's first network, which intel/userspace-cni-network-plugin takes too, with that plugin's other keys. */
const predecessors = (ground: Ground): Changes => ({
  cniVersion: '0.3.1',
  name: 'dpdk-net',
  logLevel: 'verbose',
  host: { bridge: { bridgeName: 'br-dpdk', bridgeId: 0, vlanId: 100 }, memif: {} },
  container: {
    engine: 'ovs-dpdk',
    iftype: 'vhostuser',
    netType: 'interface',
    vhost: { mode: 'server', socketfile: 'unused' },
    bridge: { bridgeName: 'br-inside' },
    memif: { role: 'slave', mode: 'ethernet' },
  },
  ipam: {
    type: 'host-local',
    ranges: undefined,
    subnet: '10.56.217.0/24',
    rangeStart: '10.56.217.131',
    rangeEnd: '10.56.217.190',
    routes: [{ dst: '0.0.0.0/0' }],
    gateway: '10.56.217.1',
    dataDir: ground.ipamDir,
  },
});

const chain = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:99', sandbox: '/run/netns/other' }],
  ips: [{ interface: 0, address: '192.0.2.5/24', gateway: '192.0.2.1' }],
  routes: [{ dst: '198.51.100.0/24', gw: '192.0.2.1' }],
  dns: { nameservers: ['192.0.2.53'] },
};

export const attaching: Chapters = {
  client: async (ground) => {
    await live(ground, 'client mode, host-local');
    await live(ground, 'client mode, no IPAM', noIpam);
  },

  server: async (ground) => {
    await live(ground, 'server mode, host-local', server);
    const group = { host: { vhost: { mode: 'server', group: 'daemon' } } };
    await live(ground, 'server mode, a group', { ...group, ...noIpam });
    await addAndDelete(ground, 'client mode, a group by number', { host: { vhost: { group: '1' } }, ...noIpam });
  },

  versions: async (ground) => {
    for (const cniVersion of ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0']) {
      await addAndDelete(ground, `cniVersion ${cniVersion}`, { cniVersion });
    }
    await addAndDelete(ground, 'no cniVersion', { cniVersion: undefined });
    await addAndDelete(ground, 'cniVersion 0.1.0, no address to say', { cniVersion: '0.1.0', ...noIpam });
    ground.program('fixed', fixedIpam);
    const more = { host: { mtu: 2000, mac: '02:00:00:00:00:01' }, ipam: { type: 'fixed' } };
    for (const cniVersion of ['0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
      await addAndDelete(ground, `cniVersion ${cniVersion}, all that a result can say`, { cniVersion, ...more });
    }
    await live(ground, 'cniVersion 1.1.0, no IPAM', { cniVersion: '1.1.0', ...noIpam });
  },

  columns: async (ground) => {
    const bridges: Changes[] = [
      { vlanId: 100 },
      { vlanId: 100, vlanMode: 'access' },
      { vlanId: 5, trunks: [5, 7, 7, 6], vlanMode: 'native-untagged' },
      { trunks: [9, 8], vlanMode: 'trunk' },
      { vlanId: 4, vlanMode: 'dot1q-tunnel' },
    ];
    for (const bridge of bridges) {
      await addAndDelete(ground, `host.bridge ${JSON.stringify(bridge)}`, { host: { bridge }, ...noIpam });
    }
    const vhosts: Changes[] = [{ ingressPolicingRate: 1000, ingressPolicingBurst: 100 }, { ingressPolicingRate: 7 }];
    for (const vhost of vhosts) {
      await addAndDelete(ground, `host.vhost ${JSON.stringify(vhost)}`, { host: { vhost }, ...noIpam });
    }
    await addAndDelete(ground, 'host.mtu', { host: { mtu: 2000 }, ...noIpam });
    await addAndDelete(ground, 'mtu', { mtu: 1400, ...noIpam });
    await live(ground, 'server mode, all of them', {
      ...noIpam,
      mtu: 2000,
      host: {
        mac: '02:00:00:00:00:02',
        vhost: { mode: 'server', ingressPolicingRate: 9, ingressPolicingBurst: 8, group: 'daemon' },
        bridge: { vlanId: 3, trunks: [4], vlanMode: 'native-tagged' },
      },
    });
  },

  arguments: async (ground) => {
    const macs = { host: { mac: '02:00:00:00:00:01' }, ...noIpam };
    const [second, third, fourth] = ['02:00:00:00:00:02', '02:00:00:00:00:03', '02:00:00:00:00:0F'];
    await addAndDelete(ground, 'host.mac', macs);
    await addAndDelete(ground, 'MAC in CNI_ARGS', macs, { args: `IgnoreUnknown=1;MAC=${second}` });
    const inArgs = { ...macs, args: { cni: { MAC: third } } };
    await addAndDelete(ground, 'args.cni.MAC', inArgs, { args: `IgnoreUnknown=1;MAC=${second}` });
    await addAndDelete(ground, 'runtimeConfig.mac', { ...inArgs, runtimeConfig: { mac: fourth } });
    const ips = { capabilities: { ips: true }, runtimeConfig: { ips: ['10.56.0.77/24'] } };
    await addAndDelete(ground, 'runtimeConfig.ips', ips);
    const pod = 'K8S_POD_NAMESPACE=blue;K8S_POD_NAME=app;K8S_POD_INFRA_CONTAINER_ID=i;K8S_POD_UID=u-1';
    await addAndDelete(ground, 'the pod in CNI_ARGS', {}, { args: `IgnoreUnknown=true;${pod};Other=x` });
    const deviceInfo = { runtimeConfig: { CNIDeviceInfoFile: join(ground.directory, 'more', 'devinfo', 'a.json') } };
    await live(ground, 'device information, client mode', { ...deviceInfo, ...noIpam });
    await live(ground, 'device information, server mode', { ...deviceInfo, ...noIpam, ...server });
  },

  configurations: async (ground) => {
    await live(ground, "README's and the predecessor's", predecessors(ground));
    await addAndDelete(ground, 'behind another plugin: prevResult', { prevResult: chain });
    await addAndDelete(ground, 'dns', { dns: { nameservers: ['192.0.2.1'], domain: 'tour' }, ...noIpam });
    await addAndDelete(ground, 'the name of a socket', { host: { vhost: { socketfile: 'sock-1' } }, ...noIpam });
    await addAndDelete(ground, 'keys in any case', { HOST: undefined, LogLevel: 'DEBUG', Mtu: 1500, ...noIpam });
    await addAndDelete(ground, 'nulls', { host: { mac: null, mtu: null }, dns: null, args: null, ipam: null });
    await addAndDelete(ground, 'empty texts', {
      kubeconfig: '',
      logLevel: '',
      host: { mac: '', netType: '' },
      ipam: {},
    });
    const tuning = { enableGso: true, enablePacked: true, enableEventIdx: true };
    await addAndDelete(ground, 'keys without effect', {
      ...noIpam,
      logLevel: 'trace',
      myOwnKey: 1,
      host: { vhost: tuning, bridge: { bridgeId: 7 }, memif: { role: 'master' } },
      container: { vhost: { ...tuning, socketfile: 'x', ingressPolicingRate: 5 } },
    });
    await addAndDelete(ground, 'no log file', { logFile: undefined, logLevel: undefined, ...noIpam });
    const container = {
      container: { engine: 'vpp', iftype: 'vhostuser', netType: 'bridge', vhost: { mode: 'server' } },
    };
    await addAndDelete(ground, 'a container of another engine', { ...container, ...noIpam });
  },

  places: async (ground) => {
    const long = join(ground.directory, 'pods', 'p'.repeat(100));
    await live(ground, 'a directory whose path is too long for a socket', { sharedDir: long, ...noIpam });
    await addAndDelete(ground, 'the same in server mode', { sharedDir: long, ...noIpam, ...server });
    await addAndDelete(ground, 'a slash at the end', { sharedDir: `${ground.sharedDir}/`, ...noIpam });
    const netdev = ['--', 'set', 'Bridge', 'br-admin', 'datapath_type=netdev', 'fail_mode=secure'];
    await ground.vsctl('add-br', 'br-admin', ...netdev);
    await addAndDelete(ground, "an administrator's bridge", {
      host: { bridge: { bridgeName: 'br-admin' } },
      ...noIpam,
    });
    await ground.vsctl('add-br', 'br-int', '--', 'set', 'Bridge', 'br-int', 'datapath_type=netdev');
    const ovn = { host: { bridge: undefined }, ...noIpam };
    await live(ground, 'a port of OVN by args.cni', { ...ovn, args: { cni: { OvnPort: 'blue/lsp-1' } } });
    await addAndDelete(ground, 'a port of OVN by CNI_ARGS', ovn, { args: 'IgnoreUnknown=1;OvnPort=lsp-2' });
  },

  several: async (ground) => {
    const [red, blue] = [await ground.sandbox('red'), await ground.sandbox('blue')];
    await ground.cni('ADD', red);
    await ground.cni('ADD', red, { ifName: 'net2', changes: server });
    await ground.cni('ADD', red, {
      ifName: 'net3',
      changes: { name: 'net-b', host: { bridge: { bridgeName: 'br-b' } } },
    });
    await ground.cni('ADD', blue, { changes: { host: { bridge: { vlanId: 6 } } } });
    for (const more of [[], ['--json'], ['--no-live'], ['-o', 'wide'], ['-o', 'name', '--network', 'net-b']])
      await ground.here('list', ...more);
    await ground.here('show', 'red');
    await ground.here('show', 'red', '--json');
    await ground.here('recover');
    await ground.cni('DEL', red);
    await ground.cni('DEL', blue);
    await ground.cni('DEL', red, { ifName: 'net3', changes: { name: 'net-b' } });
    await ground.cni('DEL', red, { ifName: 'net2' });
    const ids: [string, string][] = [
      ['a', 'a'],
      ['long', 'x'.repeat(200)],
      ['dots', 'a.b_c-d.e'],
    ];
    for (const [name, id] of ids) {
      const one = await ground.sandbox(name, id);
      await ground.cni('ADD', one, { changes: noIpam });
      await ground.here('list');
      await ground.cni('DEL', one, { changes: noIpam });
    }
    await ground.cni('DEL', await ground.sandbox('stranger'), { note: 'of an attachment that never was' });
  },
};
