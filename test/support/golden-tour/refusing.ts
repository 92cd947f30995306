/** ADDs that are refused: by their input, by the pre-flight, by an IPAM program, by the switch. */
import { join } from 'node:path';
import type { Changes } from '../real/node.ts';
import { bridge, type Call, type Chapters, type Ground, type Sandbox } from './ground.ts';

const environments: readonly (readonly [note: string, env: NonNullable<Call['env']>])[] = [
  ['no container id and no interface name', { CNI_CONTAINERID: undefined, CNI_IFNAME: undefined }],
  ['no namespace', { CNI_NETNS: undefined }],
  ['a container id with a slash', { CNI_CONTAINERID: '../../etc' }],
  ['a container id with a leading minus', { CNI_CONTAINERID: '-rf' }],
  ['an interface name with a slash', { CNI_IFNAME: 'a/b' }],
  ['an interface name that is a directory', { CNI_IFNAME: '..' }],
  ['an interface name with a colon', { CNI_IFNAME: 'a:b' }],
  ['an interface name of 16 bytes', { CNI_IFNAME: 'x'.repeat(16) }],
  ['CNI_ARGS that are no pairs', { CNI_ARGS: 'IgnoreUnknown' }],
  ['an unknown argument', { CNI_ARGS: 'COLOUR=red;SIZE=2' }],
  ['a MAC that is none', { CNI_ARGS: 'MAC=02:00' }],
  ['no CNI_PATH', { CNI_PATH: undefined }],
  ['a namespace that is not there', { CNI_NETNS: '/nowhere/netns' }],
  ['a namespace that is a plain file', { CNI_NETNS: '/etc/passwd' }],
  ["the plugin's own namespace", { CNI_NETNS: '/proc/self/ns/net' }],
  ['a namespace of another kind', { CNI_NETNS: '/proc/self/ns/uts' }],
];

const texts = ['', '{"cniVersion":', '[]', '7', 'null', '{}', '{"plugins":[]}'];

const configurations: readonly Changes[] = [
  { name: undefined },
  { name: '../x' },
  { cniVersion: '4.0.0' },
  { cniVersion: 7 },
  { host: { engine: 'bess' } },
  { host: { engine: 'vpp' }, container: { engine: 'vpp' } },
  { host: undefined },
  { host: [] },
  { host: 7 },
  { host: { iftype: 'memif' } },
  { host: { netType: 'interface' } },
  { container: { iftype: 'memif' } },
  { host: { vhost: { queues: 8, mod: 'client' } } },
  { container: { speed: 'fast' } },
  { deadlines: { everMs: 5 } },
  { deadlines: { addMs: 10, rollbackMs: 20 } },
  { deadlines: { addMs: 0 } },
  { host: { bridge: { vlanId: '100' } } },
  { host: { bridge: { vlanId: 5000 } } },
  { host: { bridge: { vlanMode: 'access' } } },
  { host: { bridge: { vlanMode: 'trunk', vlanId: 4 } } },
  { host: { bridge: { vlanMode: 'access', vlanId: 4, trunks: [1] } } },
  { host: { bridge: { vlanId: 4, trunks: [1] } } },
  { host: { bridge: { vlanMode: 'maybe' } } },
  { host: { bridge: { trunks: [5000, 'x'] } } },
  { host: { bridge: { bridgeName: '-br' } } },
  { host: { bridge: { bridgeName: 'b'.repeat(16) } } },
  { host: { vhost: { socketfile: '../../x' } } },
  { host: { vhost: { socketfile: 'configData-x' } } },
  { host: { vhost: { socketfile: 's'.repeat(101) } } },
  { host: { vhost: { mode: 'both' } } },
  { host: { vhost: { ingressPolicingBurst: 5 } } },
  { host: { vhost: { ingressPolicingRate: -1 } } },
  { host: { vhost: { group: 'nobodys-group' } } },
  { host: { mtu: 10 } },
  { host: { mtu: 1500 }, mtu: 1400 },
  { host: { mac: 'xx' } },
  { container: { vhost: { mode: 'client' } } },
  { sharedDir: 'pods' },
  { sharedDir: '/a/../b' },
  { dataDir: 'relative' },
  { ovsdb: 'tcp:127.0.0.1:6640' },
  { ipam: { type: '../../bin/true' } },
  { ipam: { ranges: [] } },
  { ipam: 7 },
  { kubeconfig: '/nowhere/kubeconfig' },
  { kubeconfig: 'relative' },
  { grantAccess: 'yes' },
  { runtimeConfig: { mac: 'xx', CNIDeviceInfoFile: 'relative' } },
  { args: { cni: { OvnPort: 'a\nb', mac: 5 } } },
  { prevResult: 7 },
  { dns: [] },
  { host: { engine: 'bess', bridge: { vlanId: 5000 } }, sharedDir: 'pods' },
];

/** The note for a case: its changes, with null for a key that is taken away. */
const noted = (changes: Changes): string => JSON.stringify(changes, (_, value) => (value === undefined ? null : value));

const noIpam: Changes = { ipam: undefined };
const impatient = { addMs: 8_000, rollbackMs: 4_000, switchMs: 500, ipamMs: 3_000, reconnectMs: 100, delMs: 6_000 };

async function refuse(ground: Ground, sandbox: Sandbox, note: string, more: Changes = {}): Promise<void> {
  const changes = { deadlines: impatient, ...more };
  await ground.cni('ADD', sandbox, { changes, note });
  await ground.cni('DEL', sandbox, { changes });
}

export const refusing: Chapters = {
  environment: async (ground) => {
    const red = await ground.sandbox('red');
    for (const [note, env] of environments) await ground.cni('ADD', red, { env, note });
    for (const verb of ['CHECK', 'DEL', 'GC', 'STATUS']) {
      const env = { CNI_CONTAINERID: '../x', CNI_IFNAME: undefined };
      await ground.cni(verb, red, { env, note: 'a container id with a slash' });
    }
    await ground.cni('DEL', red, {
      env: { CNI_PATH: undefined, CNI_NETNS: undefined },
      note: 'no path and no namespace',
    });
  },

  input: async (ground) => {
    const red = await ground.sandbox('red');
    for (const text of texts) {
      // None has a name, because an accepted DEL would use the machine's own data directory.
      for (const verb of ['ADD', 'DEL']) await ground.cni(verb, red, { config: text, note: `stdin is ${text}` });
    }
    for (const changes of configurations) await ground.cni('ADD', red, { changes, note: noted(changes) });
    for (const changes of configurations.slice(0, 12)) await ground.cni('DEL', red, { changes, note: noted(changes) });
    await ground.cni('CHECK', red, { note: 'no prevResult' });
    await ground.cni('CHECK', red, { changes: { cniVersion: '0.3.1' }, note: 'a version without CHECK' });
  },

  'pre-flight': async (ground) => {
    const red = await ground.sandbox('red');
    const more = (name: string): string => join(ground.directory, 'more', name);
    await ground.write(more('plain'), '');
    await refuse(ground, red, 'a shared directory that is a file', { sharedDir: more('plain') });
    await refuse(ground, red, 'a data directory that is a file', { dataDir: more('plain') });
    await refuse(ground, red, 'a data directory that cannot be made', { dataDir: '/proc/data' });
    await refuse(ground, red, 'an IPAM program that is not there', { ipam: { type: 'no-such-ipam' } });
    await refuse(ground, red, 'an IPAM program that is this plugin', { ipam: { type: 'userspace' } });
    await refuse(ground, red, 'a database that is not there', { ovsdb: 'unix:/nowhere/db.sock' });
    await refuse(ground, red, 'server mode on another file system', {
      sharedDir: '/dev/shm/userspace-tour',
      host: { vhost: { mode: 'server' } },
    });
    await refuse(ground, red, 'no room for a symlink', {
      sharedDir: `/x/${'p'.repeat(100)}`,
      shortDir: `/y/${'s'.repeat(100)}`,
    });
    await refuse(ground, red, 'no br-int for a port of OVN', {
      args: { cni: { OvnPort: 'lsp' } },
      host: { bridge: undefined },
    });
    await refuse(ground, red, 'log into a journal', { logFile: join(ground.dataDir, 'x.journal') });
    await ground.vsctl('add-br', 'br-sys', '--', 'set', 'Bridge', 'br-sys', 'datapath_type=system');
    await refuse(ground, red, 'a bridge of the kernel', { host: { bridge: { bridgeName: 'br-sys' } } });
    await ground.whileAway(() => refuse(ground, red, 'the switch is away'));
  },

  held: async (ground) => {
    const [red, twin] = [await ground.sandbox('red'), await ground.sandbox('twin', 'red'.padEnd(63, '0').concat('1'))];
    await ground.cni('ADD', red);
    await refuse(ground, twin, 'a port name of another attachment');
    const fixed = { host: { vhost: { socketfile: 'fixed' } }, ...noIpam };
    await refuse(ground, twin, 'a published file of another attachment', fixed);
    const blue = await ground.sandbox('blue');
    await refuse(ground, blue, 'another group in a shared directory', {
      host: { vhost: { group: 'daemon' } },
      ...noIpam,
    });
    await ground.cni('ADD', red, {
      ifName: 'net2',
      changes: { host: { vhost: { group: 'daemon' } } },
      note: 'another group',
    });
    await ground.cni('DEL', red, { ifName: 'net2' });
    const elsewhere = { dataDir: join(ground.directory, 'more', 'data') };
    await refuse(ground, red, 'another data directory', elsewhere);
    const devices = { runtimeConfig: { CNIDeviceInfoFile: join(ground.directory, 'more', 'device.json') }, ...noIpam };
    await ground.cni('ADD', blue, { changes: devices, note: 'with device information' });
    await refuse(ground, red, 'device information of another attachment', devices);
    await ground.cni('DEL', blue, { changes: devices });
    await ground.cni('DEL', red);
    const netdev = ['--', 'set', 'Bridge', bridge, 'datapath_type=netdev'];
    const port = ground.portName(red);
    await ground.vsctl(
      'add-br',
      bridge,
      ...netdev,
      '--',
      'add-port',
      bridge,
      port,
      '--',
      'set',
      'Interface',
      port,
      'type=internal',
    );
    await refuse(ground, red, 'a port name of a stranger');
  },

  ipam: async (ground) => {
    const red = await ground.sandbox('red');
    const answers: readonly (readonly [name: string, atAdd: string, changes?: Changes])[] = [
      ['full', `echo '{"cniVersion":"1.0.0","code":117,"msg":"no free addresses","details":"all taken"}'; exit 1`],
      ['later', `echo '{"code":11,"msg":"come again"}'; exit 1`],
      ['exhausted', `echo '{"code":999,"msg":"no IP addresses available in range set: a-b"}'; exit 1`],
      ['babble', 'echo hello'],
      ['silent', 'exit 0'],
      ['broken', 'echo "it is broken" >&2; exit 3'],
      ['killed', 'kill -9 $$'],
      ['empty', `echo '{"cniVersion":"1.0.0","ips":[]}'`],
      ['odd', `echo '{"cniVersion":"1.0.0","ips":[{"address":"not an address"}]}'`],
      ['future', `echo '{"cniVersion":"9.0.0","ips":[{"address":"10.0.0.2/24"}]}'`],
      ['stuck', 'exec sleep 60', { deadlines: { ...impatient, ipamMs: 300 } }],
    ];
    for (const [name, atAdd, changes] of answers) {
      ground.program(name, `[ "$CNI_COMMAND" = ADD ] && { ${atAdd}; exit 0; }\ncat > /dev/null\nexit 0`);
      await refuse(ground, red, `the IPAM program: ${atAdd}`, { ipam: { type: name }, ...changes });
    }
    ground.program('later-del', `[ "$CNI_COMMAND" = ADD ] || { echo '{"code":11,"msg":"away"}'; exit 1; }\nexit 1`);
    await refuse(ground, red, 'the IPAM program fails at ADD and at DEL', { ipam: { type: 'later-del' } });
    await ground.here('list');
    const one = { ipam: { ranges: [[{ subnet: '10.58.0.0/30', rangeStart: '10.58.0.2', rangeEnd: '10.58.0.2' }]] } };
    const blue = await ground.sandbox('blue');
    await ground.cni('ADD', blue, { changes: one });
    await ground.cni('DEL', blue, { changes: one });
  },

  'ovs-vswitchd': async (ground) => {
    const red = await ground.sandbox('red');
    await ground.whilePaused(() => ground.cni('ADD', red, { changes: { deadlines: impatient } }));
    await ground.here('list');
    await ground.here('recover');
    await ground.cni('DEL', red);
    await ground.whileSilent(() => ground.cni('ADD', red, { changes: { deadlines: impatient } }));
    await ground.cni('DEL', red);
  },
};
