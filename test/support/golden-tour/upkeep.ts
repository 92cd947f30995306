/** CHECK after a drift, GC, STATUS, and `status` for people. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Changes } from '../real/node.ts';
import { bridge, type Call, type Chapters, type Ground } from './ground.ts';

const newest: Changes = { cniVersion: '1.1.0', ipam: undefined };

/** An IPAM program that knows 1.1.0, and fails if there is a file `broken` beside it. */
const modern = `case $CNI_COMMAND in VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}'; exit 0;; esac
[ -e "$0.broken" ] && { echo '{"code":50,"msg":"pool is empty"}'; exit 1; }
case $CNI_COMMAND in GC) cat > "$0.told";; ADD) echo '{"cniVersion":"1.1.0","ips":[{"address":"10.56.0.9/24"}]}';; esac
cat > /dev/null`;

const upkeepOf = (ground: Ground, verb: string, note: string, changes: Changes = {}, call: Call = {}) =>
  ground.cni(verb, undefined, { ...call, changes: { ...newest, ...changes }, note });

const statusOf = async (ground: Ground, note: string, text: string, file = 'network.json'): Promise<void> => {
  const path = join(ground.directory, 'config', file);
  await ground.write(path, text);
  await ground.act(`a file: ${note}`, () => undefined);
  for (const more of [[], ['--json']]) await ground.here('status', '--config', path, ...more);
};

export const upkeep: Chapters = {
  check: async (ground) => {
    const red = await ground.sandbox('red');
    const vhost = { ingressPolicingRate: 1000, ingressPolicingBurst: 100 };
    const changes = { host: { mtu: 2000, vhost, bridge: { vlanId: 100 } } };
    const added = await ground.cni('ADD', red, { changes });
    const check = (prevResult: unknown = added.json, note?: string) =>
      ground.cni('CHECK', red, { changes: { ...changes, prevResult }, ...(note && { note }) });
    const port = ground.portName(red);
    /** Set, checked, and set as it was. */
    const drifts: [string, string, string][] = [
      ['Port', 'tag=200', 'tag=100'],
      ['Port', 'trunks=7', 'trunks=[]'],
      ['Port', 'vlan_mode=native-tagged', 'vlan_mode=[]'],
      ['Interface', 'mtu_request=1400', 'mtu_request=2000'],
      ['Interface', 'ingress_policing_rate=5', 'ingress_policing_rate=1000'],
      ['Interface', 'ingress_policing_burst=5', 'ingress_policing_burst=100'],
    ];
    for (const [table, drift, before] of drifts) {
      await ground.vsctl('set', table, port, drift);
      await check();
      await ground.vsctl('set', table, port, before);
    }
    await check();
    const other = { ...added.json, ips: [{ ...added.json.ips[0], address: '10.56.0.99/24' }] };
    await check(other, 'of another address');
    await check({ ...added.json, interfaces: [] }, 'of no interface');
    await check({ ...added.json, cniVersion: '0.4.0' }, 'of another version');
    await ground.cni('CHECK', await ground.sandbox('stranger'), { changes: { ...changes, prevResult: added.json } });
    const file = join(ground.sharedDir, port.slice(0, 12), `configData-${port}.json`);
    await ground.act('the published file changes', () => writeFile(file, '{}'));
    await check();
    await ground.act('the published file goes, and the address', async () => {
      await rm(file);
      await rm(join(ground.ipamDir, 'net-a', '10.56.0.2'));
    });
    await check();
    await ground.vsctl('set', 'Port', port, 'tag=9', '--', 'remove', 'Port', port, 'external_ids', 'owner');
    await check();
    await ground.vsctl('del-port', port);
    await check();
    await ground.leave(red);
    await check();
    await ground.cni('DEL', red, { changes });
  },

  'check-server': async (ground) => {
    const red = await ground.sandbox('red');
    const changes = { host: { vhost: { mode: 'server' } }, ipam: undefined };
    const { json: prevResult } = await ground.cni('ADD', red, { changes });
    await ground.act('the socket goes', () => rm(join(ground.sharedDir, 'red000000000', ground.portName(red))));
    await ground.cni('CHECK', red, { changes: { ...changes, prevResult } });
    await ground.whileAway(() => ground.cni('CHECK', red, { changes: { ...changes, prevResult } }));
    await ground.here('recover');
    await ground.cni('DEL', red, { changes });
  },

  gc: async (ground) => {
    const [red, blue] = [await ground.sandbox('red'), await ground.sandbox('blue')];
    for (const one of [red, blue]) await ground.cni('ADD', one);
    await ground.cni('ADD', red, { ifName: 'net2', changes: { name: 'net-b' } });
    const valid = (...ids: string[]) => ({
      'cni.dev/valid-attachments': ids.map((containerID) => ({ containerID, ifname: 'net1' })),
    });
    await upkeepOf(ground, 'GC', 'no list');
    await upkeepOf(ground, 'GC', 'a list that is none', { 'cni.dev/valid-attachments': [7] });
    await upkeepOf(ground, 'GC', 'all are valid', valid(red.id, blue.id));
    await upkeepOf(ground, 'GC', 'red is valid', valid(red.id));
    const impatient = { deadlines: { delMs: 1_000, reconnectMs: 100 } };
    await ground.whileAway(() => upkeepOf(ground, 'GC', 'the switch is away', { ...valid(), ...impatient }));
    await upkeepOf(ground, 'GC', 'null', { 'cni.dev/valid-attachments': null });
    await upkeepOf(ground, 'GC', 'of the other network', { name: 'net-b', ...valid() });
    await upkeepOf(ground, 'GC', 'an older version', { cniVersion: '1.0.0', ...valid() });
    ground.program('modern', modern);
    const ipam = { ipam: { type: 'modern' } };
    await ground.cni('ADD', red, { changes: { ...newest, ...ipam } });
    await upkeepOf(ground, 'GC', 'handed to an IPAM program', { ...ipam, ...valid(red.id) });
    await ground.act('what it was told', async () => {
      const told = await Bun.file(join(ground.binDir, 'modern.told')).text();
      await ground.write(join(ground.directory, 'more', 'told'), told);
    });
    await ground.write(join(ground.binDir, 'modern.broken'), '');
    await upkeepOf(ground, 'GC', 'an IPAM program that fails', { ...ipam, ...valid(red.id) });
    await rm(join(ground.binDir, 'modern.broken'));
    await ground.cni('DEL', red, { changes: { ...newest, ...ipam } });
  },

  status: async (ground) => {
    await upkeepOf(ground, 'STATUS', 'healthy');
    await upkeepOf(ground, 'STATUS', 'an older version', { cniVersion: '1.0.0' });
    await upkeepOf(ground, 'STATUS', 'no version', { cniVersion: undefined });
    await upkeepOf(ground, 'STATUS', 'no database', { ovsdb: 'unix:/nowhere/db.sock' });
    await upkeepOf(ground, 'STATUS', 'no room', { dataDir: '/proc/data' });
    await upkeepOf(ground, 'STATUS', 'no IPAM program', { ipam: { type: 'no-such' } });
    await upkeepOf(ground, 'STATUS', 'a configuration that ADD refuses', { host: { engine: 'vpp' } });
    ground.program('modern', modern);
    const ipam = { ipam: { type: 'modern' } };
    await upkeepOf(ground, 'STATUS', 'handed to an IPAM program', ipam);
    await ground.write(join(ground.binDir, 'modern.broken'), '');
    await upkeepOf(ground, 'STATUS', 'an IPAM program that fails', ipam);
    ground.program('old', `echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'`);
    await upkeepOf(ground, 'STATUS', 'an IPAM program that is older', { ipam: { type: 'old' } });
    await ground.vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'dpdk_initialized=false');
    await upkeepOf(ground, 'STATUS', 'no DPDK');
    await statusOf(ground, 'no DPDK', JSON.stringify(ground.config()));
    await ground.vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'dpdk_initialized=true');
    await ground.whileSilent(() => upkeepOf(ground, 'STATUS', 'a silent database'));
    await ground.whileAway(() => upkeepOf(ground, 'STATUS', 'no database'));
    await ground.whilePaused(() => upkeepOf(ground, 'STATUS', 'ovs-vswitchd stands still'));
  },

  'status-of-networks': async (ground) => {
    const text = JSON.stringify(ground.config());
    await statusOf(ground, 'healthy', text);
    const list = { name: 'a-list', cniVersion: '1.0.0', plugins: [{ type: 'other' }, ground.config()] };
    await statusOf(ground, 'a list', JSON.stringify(list));
    const definition = `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: { name: blue, namespace: tour }
spec:
  config: |
    ${text}
`;
    await statusOf(ground, 'a definition', definition, 'definition.yaml');
    await statusOf(ground, 'no JSON', '{"type":"userspace"');
    await statusOf(ground, 'nothing of ours', '{"type":"other"}');
    const faults: [string, Changes][] = [
      ['refused', { host: { engine: 'vpp', bridge: { vlanId: 5000 } } }],
      ['no IPAM program', { ipam: { type: 'no-such' } }],
      ['no database', { ovsdb: 'unix:/nowhere/db.sock' }],
      ['no room', { dataDir: '/proc/data' }],
      ['a port of OVN', { host: { bridge: undefined }, args: { cni: { OvnPort: 'lsp' } } }],
      ['no kubeconfig', { kubeconfig: '/nowhere/kubeconfig' }],
    ];
    for (const [note, changes] of faults) await statusOf(ground, note, JSON.stringify(ground.config(changes)));
    await ground.here('status', '--config', '/nowhere/network.json');
    await ground.whileAway(() => statusOf(ground, 'the switch is away', text));
  },

  orphans: async (ground) => {
    const red = await ground.sandbox('red');
    const changes = { ipam: undefined };
    await ground.cni('ADD', red, { changes });
    await ground.act('the journal goes', () => rm(ground.journal(red)));
    for (const command of ['list', 'recover']) await ground.here(command);
    await ground.cni('CHECK', red, { changes: { ...changes, prevResult: {} } });
    await ground.cni('ADD', red, { changes });
    await ground.cni('DEL', red, { changes });
    await ground.cni('ADD', red);
    await ground.act('the journal goes', () => rm(ground.journal(red)));
    await ground.leave(red);
    await ground.here('recover', '--dry-run');
    await ground.here('recover', '--json');
    const blue = await ground.sandbox('blue');
    await ground.cni('ADD', blue, { changes });
    await ground.act('the data directory goes away', () => rename(ground.dataDir, `${ground.directory}/more/data`));
    await ground.cni('ADD', blue, { changes });
    await ground.cni('CHECK', blue, { changes: { ...changes, prevResult: {} } });
    const green = await ground.sandbox('green');
    await ground.cni('ADD', green, { changes });
    for (const more of [[], ['--json']]) await ground.here('recover', ...more);
    await ground.cni('DEL', green, { changes });
    await ground.act('the data directory comes back', async () => {
      await rm(ground.dataDir, { recursive: true, force: true });
      await rename(`${ground.directory}/more/data`, ground.dataDir);
    });
    await ground.vsctl('add-port', bridge, 'others0', '--', 'set', 'Interface', 'others0', 'type=internal');
    await ground.cni('DEL', blue, { changes });
    await ground.here('recover');
    await ground.vsctl('del-port', bridge, 'others0');
    await ground.here('recover', '--json');
  },
};
