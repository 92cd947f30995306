/**
 * Network configurations as the field writes them (test/golden/networks), each called as a runtime would call it: attached, CHECKed and
 * removed on a real switch, or refused with the words that say why. What belongs to the machine (paths of the switch, of directories, of
 * kubeconfigs) is put in place of what the file says; nothing else is changed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KubeNode, type Volume } from '../support/cluster/kube-node.ts';
import { type Call, cni, type Json } from '../support/real/cni.ts';
import type { TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, readSwitch } from '../support/real/world.ts';
import { tokenOf, writeKubeconfig } from '../support/stand-in/api.ts';
import { StandInApi } from '../support/stand-in/stand-in-api.ts';

const directory = join(import.meta.dirname, '../golden/networks');

interface Attached {
  /** Columns of the port; others are not compared. */
  readonly port: { readonly [column: string]: unknown };
  readonly addresses?: number;
  /** The pod's volume, where the network names a kubeconfig. */
  readonly volume?: Volume;
  /** In stderr, one line each. */
  readonly warnings?: readonly string[];
  /** Made by hand before. */
  readonly bridge?: string;
  /** In CNI_ARGS. */
  readonly args?: string;
  /** As Multus before 4.2.3 writes the server of its kubeconfig. */
  readonly bracketed?: true;
}

interface Refused {
  readonly code: number;
  readonly words: readonly string[];
}

const client = { type: 'dpdkvhostuserclient' };
const server = { type: 'dpdkvhostuser' };

const expected: { readonly [network: string]: Attached | Refused } = {
  'client-in-a-pod': { port: { ...client, bridge: 'br-dpdk0' }, addresses: 1 },
  'server-in-a-pod': { port: { ...server, bridge: 'br-dpdk0' }, addresses: 1 },
  'two-keys-of-a-tutorial': { port: { ...server, bridge: 'br0' } },
  'host-path-with-a-slash': { port: { ...client, bridge: 'br0' }, volume: 'hostPath' },
  'shared-directory-alone': { port: { ...server, bridge: 'br0' } },
  'group-by-number': { port: client, volume: 'none' },
  'bridge-by-id': { port: { ...client, bridge: 'br4' }, warnings: ['bridgeId'] },
  'list-of-one': { port: client, addresses: 1 },
  'engine-vpp-memif': { code: 2, words: ['host.engine', 'vpp', 'ovs-dpdk', 'host.iftype', 'memif'] },
  'engine-vpp-vhostuser': { code: 2, words: ['host.engine', 'vpp'] },
  'memif-on-ovs': { code: 2, words: ['host.iftype', 'memif', 'vhostuser'] },
  'container-of-another-engine': { port: client, addresses: 1 },
  'vlan-access': { port: { ...client, bridge: 'br-vlan', tag: 100 } },
  'vlan-trunk': { port: { ...client, trunks: [10, 20, 30], vlanMode: 'trunk' } },
  'vlan-native-untagged': { port: { ...client, tag: 5, trunks: [5, 10], vlanMode: 'native-untagged' } },
  'jumbo-frames': { port: { ...client, mtuRequest: 9000 } },
  'mtu-beyond-the-switch': { code: 7, words: ['65000', 'mtu'] },
  policing: { port: { ...client, policingRate: 100_000, policingBurst: 8_000 } },
  'ovn-port': { port: { ...client, bridge: 'br-int' }, bridge: 'br-int' },
  'tuning-of-vpp': { port: client, warnings: ['enableGso', 'enablePacked', 'enableEventIdx'] },
  'mac-by-capability': { port: client },
  kubevirt: { port: { ...client, bridge: 'br-dpdk0' }, bracketed: true },
  'device-information': { port: client },
  'network-attachment-definition': { port: { ...client, bridge: 'br-dpdk0' }, addresses: 1 },
  'kube-ovn': { port: { ...client, bridge: 'br-dpdk0' } },
  whereabouts: { port: client },
  static: { port: client },
  'dual-stack': { port: client, addresses: 2 },
  'ipam-without-type': { code: 7, words: ['ipam', 'type'] },
  'keys-in-any-case': { port: { ...client, bridge: 'br-cased', tag: 7 } },
  nulls: { port: { ...client, bridge: 'br0' } },
  'empty-texts': { port: { ...server, bridge: 'br0' } },
  'odd-log-level': { port: client, warnings: ['trace'] },
  'what-runtimes-add': { port: client, warnings: ['myOwnKey'] },
  'no-version': { port: client, addresses: 1 },
  'misspelt-key': { code: 2, words: ['host.vhost.mod'] },
  'vlan-as-text': { code: 7, words: ['host.bridge.vlanId', '"100"'] },
  'both-sides-clients': { code: 7, words: ['host.vhost.mode', 'container.vhost.mode', 'client'] },
  'unknown-engine': { code: 2, words: ['host.engine', 'bess'] },
};

/** Answers every ADD with one address, as the plugins do that keep theirs in a cluster. */
const stranger = `
cat >/dev/null
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.10.0.7/16"}]}'`;

/** The part of a file that a runtime hands on: a list's only plugin with the list's name and version, a definition's configuration. */
function network(name: string): Json {
  const file: Json = JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8'));
  if (file.kind === 'NetworkAttachmentDefinition') {
    return { name: file.metadata.name, ...JSON.parse(file.spec.config) };
  }
  if (!file.plugins) return file;
  return { ...file.plugins[0], name: file.name, cniVersion: file.cniVersion };
}

/** The machine's own places, under the file's own spelling of each key. */
function placed(file: Json, node: TestNode, kube: KubeNode): Json {
  const places: { readonly [key: string]: (value: string) => string } = {
    kubeconfig: () => kube.kubeconfig,
    shareddir: (value) => `${node.sharedDir}${value.endsWith('/') ? '/' : ''}`,
    logfile: () => join(node.directory, 'log'),
  };
  const own = Object.entries(file).map(([key, value]) => {
    const place = typeof value === 'string' && value !== '' && places[key.toLowerCase()];
    return [key, place ? place(value) : value];
  });
  const { kubeletRootDir, shortDir } = kube;
  const config: Json = { ...Object.fromEntries(own), dataDir: node.dataDir, ovsdb: node.theSwitch.ovsdb };
  Object.assign(config, { kubeletRootDir, shortDir });
  const isShared = own.some(([key, value]) => String(key).toLowerCase() === 'shareddir' && value);
  if (!isShared) config.sharedDir = node.sharedDir;
  if (config.ipam?.type === 'host-local') config.ipam = { ...config.ipam, dataDir: node.ipamDir };
  if (config.runtimeConfig?.CNIDeviceInfoFile) {
    config.runtimeConfig = { ...config.runtimeConfig, CNIDeviceInfoFile: join(node.sharedDir, 'devinfo') };
  }
  return config;
}

test('every network of test/golden/networks has its line here', () => {
  const files = readdirSync(directory).map((file) => file.replace(/\.json$/, ''));
  expect(Object.keys(expected).sort()).toEqual(files.sort());
});

onRealSwitch('networks as the field writes them', (theSwitch) => {
  const node = useNode(theSwitch);
  let api: StandInApi;
  beforeAll(async () => {
    api = await StandInApi.start();
  });
  afterAll(() => api.stop());

  const callOf = async (
    config: Json,
    kube: KubeNode,
    { volume = 'emptyDir', args }: Partial<Attached>,
  ): Promise<Call> => {
    const isOfPod = typeof config.kubeconfig === 'string' && config.kubeconfig !== '';
    const more = args ? `;${args}` : '';
    if (isOfPod) {
      const pod = await kube.pod(volume);
      return { ...pod.sandbox.call(), config, args: `${pod.args}${more}` };
    }
    const pod = await node().pod();
    return { ...pod.call(), config, ...(args && { args: `IgnoreUnknown=1${more}` }) };
  };

  const setUp = async (name: string, { bracketed, bridge }: Partial<Attached>) => {
    for (const program of ['kube-ovn', 'whereabouts']) await node().program(program, stranger);
    if (bridge) {
      await theSwitch().vsctl('add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=netdev');
      await node().takeBaseline();
    }
    const kube = new KubeNode(node(), api);
    if (bracketed) {
      const server = api.server.replace(/\/\/([^:/]+)/, '//[$1]');
      kube.kubeconfig = writeKubeconfig(
        join(node().directory, 'bracketed'),
        { ...api, server, ca: api.ca },
        {
          token: tokenOf('plugin'),
        },
      );
    }
    return { kube, config: placed(network(name), node(), kube) };
  };

  describe.each(Object.entries(expected))('%s', (name, wanted) => {
    if ('code' in wanted) {
      test(`is refused with code ${wanted.code}, each fault named, nothing touched; its DEL succeeds`, async () => {
        const { config, kube } = await setUp(name, {});
        const call = await callOf(config, kube, {});
        const { exitCode, json } = await cni('ADD', call);
        expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: wanted.code } });
        for (const word of wanted.words) expect(`${json.msg} ${json.details ?? ''}`).toContain(word);
        expectNothingLeft(await node().world());
        expect(await cni('DEL', call)).toMatchObject({ exitCode: 0, stdout: '' });
        expectNothingLeft(await node().world());
      });
      return;
    }
    test('is attached as it says, CHECKed, and removed', async () => {
      const { config, kube } = await setUp(name, wanted);
      const call = await callOf(config, kube, wanted);
      try {
        const added = await cni('ADD', call);
        expect(added).toMatchObject({ exitCode: 0 });
        for (const warning of wanted.warnings ?? []) expect(added.stderr).toContain(warning);
        if (!wanted.warnings) expect(added.stderr).toBe('');
        const mine = (await readSwitch(theSwitch())).ports.filter(
          ({ externalIds }) => externalIds['data-dir'] === node().dataDir,
        );
        expect(mine).toMatchObject([wanted.port]);
        expect((await node().world()).addresses).toHaveLength(wanted.addresses ?? 0);
        const version = String(config.cniVersion ?? config.CniVersion ?? '0.1.0');
        const checked = await cni('CHECK', { ...call, config: { ...config, prevResult: added.json } });
        // CHECK came with 0.4.0 (CNI SPEC).
        if (/^0\.[123]/.test(version)) expect(checked).toMatchObject({ exitCode: 1, json: { code: 1 } });
        else expect(checked).toMatchObject({ exitCode: 0, stdout: '' });
        expect(await cni('DEL', call)).toMatchObject({ exitCode: 0, stdout: '' });
        expectNothingLeft(await node().world());
        const { annotations, links } = await kube.world();
        expect({ annotations, links }).toEqual({ annotations: [], links: [] });
      } finally {
        await cni('DEL', call);
        if (wanted.bridge) await theSwitch().vsctl('--if-exists', 'del-br', wanted.bridge);
      }
    });
  });
});
