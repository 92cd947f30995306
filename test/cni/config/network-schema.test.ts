/** The published JSON Schema: it takes every network of the documents, and refuses each fault that an ADD refuses. */
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { documentsOf } from '../../../src/cli/documents.ts';
import { readAdd } from '../../../src/cni/request.ts';
import { blocksOf } from '../../support/blocks.ts';
import { environment, type Json, network } from '../../support/cni-requests.ts';
import { schemaFaults } from '../../support/network-validator.ts';

const pages = ['README.md', ...globSync('docs/**/*.md')];

/** The networks and lists in a text of JSON or YAML, those inside NetworkAttachmentDefinitions too. */
const networksIn = (text: string): Json[] =>
  documentsOf(text)
    .map((document) => {
      const { kind, metadata, spec } = document as { kind?: string; metadata?: { name?: string }; spec?: Json };
      if (kind !== 'NetworkAttachmentDefinition') return document;
      return { name: metadata?.name, ...JSON.parse(String(spec?.config ?? '{}')) };
    })
    .filter(({ type, plugins }) => type === 'userspace' || Array.isArray(plugins));

const documented = [
  ...pages.flatMap((page) =>
    ['json', 'yaml'].flatMap((language) =>
      blocksOf(page, language).flatMap((text, index) =>
        networksIn(text).map((one) => [`${page}, ${language} ${index}`, one] as const),
      ),
    ),
  ),
  ...globSync('deploy/**/*.yaml').flatMap((file) =>
    networksIn(readFileSync(file, 'utf8')).map((one) => [file, one] as const),
  ),
];

describe('a network of the documents is valid', () => {
  it.each(documented)('%s', (_, document) => {
    expect(schemaFaults(document)).toEqual([]);
  });

  it('and README, the page on Kubernetes and the examples to deploy have one', () => {
    const places = documented.map(([place]) => place).join(' ');
    for (const place of ['README.md', 'docs/kubernetes.md', 'deploy/kubernetes/examples/network.yaml'])
      expect(places).toContain(place);
  });
});

const half = { engine: 'ovs-dpdk', iftype: 'vhostuser' };
const host = (more: Json): Json => ({ host: { ...half, ...more } });
const bridge = (more: Json): Json => host({ bridge: more });
const ipam = { type: 'host-local' };

/** Pairs of changes to the smallest network: one that is taken, and a mutation of it that is not. */
const rules: readonly (readonly [name: string, good: Json, bad: Json])[] = [
  ['a name', { name: 'net' }, { name: 'a/b' }],
  ['a name at all', { name: 'net' }, { name: undefined }],
  ['an engine that is built in', host({}), host({ engine: 'vpp' })],
  ['an engine at all', host({}), host({ engine: undefined })],
  ['a type of interface', host({}), host({ iftype: 'memif' })],
  ['a type of network', host({ netType: 'bridge' }), host({ netType: 'interface' })],
  ["the container's type", { container: { iftype: 'vhostuser' } }, { container: { iftype: 'memif' } }],
  ['a known key of host', host({ mtu: 1500 }), host({ mtv: 1500 })],
  ['a known key of vhost', host({ vhost: { group: 'a' } }), host({ vhost: { grp: 'a' } })],
  ['a known key of bridge', bridge({ vlanId: 1 }), bridge({ vlan: 1 })],
  ['a known deadline', { deadlines: { delMs: 1 } }, { deadlines: { dellMs: 1 } }],
  ['a limit below', host({ mtu: 68 }), host({ mtu: 67 })],
  ['a limit above', bridge({ vlanId: 4094 }), bridge({ vlanId: 4095 })],
  ['a whole number', bridge({ vlanId: 10 }), bridge({ vlanId: 1.5 })],
  ['a number', bridge({ vlanId: 10 }), bridge({ vlanId: '10' })],
  ['a list', bridge({ trunks: [1] }), bridge({ trunks: 1 })],
  ['an absolute path', { sharedDir: '/a' }, { sharedDir: 'a' }],
  ['a path without ".."', { dataDir: '/a/..b' }, { dataDir: '/a/../b' }],
  ['a printable path', { shortDir: '/a' }, { shortDir: '/a\n' }],
  ['an address of the database', { ovsdb: 'unix:/a' }, { ovsdb: 'tcp:127.0.0.1:6640' }],
  ['a MAC address', host({ mac: '02:00:00:00:00:01' }), host({ mac: '02:00:00:00:00' })],
  ['a file name', host({ vhost: { socketfile: 'a' } }), host({ vhost: { socketfile: 'a/b' } })],
  [
    'a short file name',
    host({ vhost: { socketfile: 'a'.repeat(100) } }),
    host({ vhost: { socketfile: 'a'.repeat(101) } }),
  ],
  [
    "no published file's name",
    host({ vhost: { socketfile: 'config' } }),
    host({ vhost: { socketfile: 'configData-a' } }),
  ],
  ['a bridge that the kernel can have', bridge({ bridgeName: 'b'.repeat(15) }), bridge({ bridgeName: 'b'.repeat(16) })],
  ['a program name', { ipam: { type: 'pool' } }, { ipam: { type: '../pool' } }],
  ['a type of what is in ipam', { ipam: { type: 'pool', a: 1 } }, { ipam: { a: 1 } }],
  [
    'two ends of a socket',
    { ...host({ vhost: { mode: 'client' } }), container: { vhost: { mode: 'server' } } },
    { ...host({ vhost: { mode: 'client' } }), container: { vhost: { mode: 'client' } } },
  ],
  [
    'two ends, of which one is not said',
    { container: { vhost: { mode: 'client' } } },
    { container: { vhost: { mode: 'server' } } },
  ],
  ['a tag of an access port', bridge({ vlanMode: 'access', vlanId: 1 }), bridge({ vlanMode: 'access' })],
  [
    'a tag of a tunnel',
    bridge({ vlanMode: 'dot1q-tunnel', vlanId: 1 }),
    bridge({ vlanMode: 'dot1q-tunnel', vlanId: 0 }),
  ],
  ['a native tag', bridge({ vlanMode: 'native-tagged', vlanId: 1 }), bridge({ vlanMode: 'native-tagged' })],
  ['no tag of a trunk', bridge({ vlanMode: 'trunk' }), bridge({ vlanMode: 'trunk', vlanId: 1 })],
  [
    'no trunks of an access port',
    bridge({ vlanMode: 'access', vlanId: 1, trunks: [] }),
    bridge({ vlanMode: 'access', vlanId: 1, trunks: [2] }),
  ],
  [
    'a mode of tag and trunks',
    bridge({ vlanMode: 'native-tagged', vlanId: 1, trunks: [2] }),
    bridge({ vlanId: 1, trunks: [2] }),
  ],
  [
    'a rate of a burst',
    host({ vhost: { ingressPolicingBurst: 1, ingressPolicingRate: 1 } }),
    host({ vhost: { ingressPolicingBurst: 1, ingressPolicingRate: 0 } }),
  ],
  ['more time than its rollback', { deadlines: { addMs: 20_001 } }, { deadlines: { addMs: 20_000 } }],
  ['a rollback within the time', { deadlines: { rollbackMs: 59_999 } }, { deadlines: { rollbackMs: 60_000 } }],
  ['a known version', { cniVersion: '1.1.0' }, { cniVersion: '2.0.0' }],
  ['an address of an old version', { cniVersion: '0.2.0', ipam }, { cniVersion: '0.2.0' }],
  ['an address of no version', { cniVersion: undefined, ipam }, { cniVersion: undefined }],
  ['results of a chain', { prevResult: { cniVersion: '1.0.0' } }, { prevResult: [] }],
  ['an object of arguments', { args: { cni: { mac: '' } } }, { args: { cni: { mac: 'x' } } }],
  ['a printable port', { args: { cni: { OvnPort: 'a' } } }, { args: { cni: { OvnPort: '\u0000' } } }],
  [
    'a file of the runtime',
    { runtimeConfig: { CNIDeviceInfoFile: '/a' } },
    { runtimeConfig: { CNIDeviceInfoFile: 'a' } },
  ],
];

/** Without members that are undefined, which JSON does not have. */
const changed = (changes: Json): Json => JSON.parse(JSON.stringify(network(changes)));

const faultsOf = (document: Json) => readAdd(environment(), JSON.stringify(document)).troubles;

describe('a rule of ADD', () => {
  test.each(rules)('%s: schema and plugin take the one and refuse the other', (_, good, bad) => {
    expect(faultsOf(changed(good))).toEqual([]);
    expect(schemaFaults(changed(good))).toEqual([]);
    expect(faultsOf(changed(bad))).not.toEqual([]);
    expect(schemaFaults(changed(bad))).not.toEqual([]);
  });
});

describe('the schema is stricter than ADD, as it says', () => {
  test.each([
    ['a key in another case', { SharedDir: '/a' }],
    ['a null', { ipam: null }],
    ['an unknown key', { colour: 'blue' }],
    ['an unknown log level', { logLevel: 'trace' }],
    ['a log level in another case', { logLevel: 'INFO' }],
    ['the type of another plugin', { type: 'bridge' }],
  ])('about %s', (_, changes) => {
    expect(faultsOf(changed(changes))).toEqual([]);
    expect(schemaFaults(changed(changes))).not.toEqual([]);
  });
});

test.each([
  ['a deadline and its rollback', { deadlines: { addMs: 5, rollbackMs: 5 } }],
  ['two MTUs', { ...host({ mtu: 1500 }), mtu: 9000 }],
  ['the name of a journal as a log', { logFile: '/var/lib/cni/userspace/a.journal' }],
  ['a result that is none', { prevResult: { ips: 'x' } }],
])('the schema cannot know of %s, as it says', (_, changes) => {
  expect(faultsOf(changed(changes))).not.toEqual([]);
  expect(schemaFaults(changed(changes))).toEqual([]);
});

describe('a list', () => {
  const { name: _, cniVersion: __, ...plugin } = network();
  const list = (more: Json): Json => ({ cniVersion: '1.0.0', name: 'net', plugins: [plugin], ...more });

  test('with one of our plugins, among others, is valid', () => {
    expect(schemaFaults(list({}))).toEqual([]);
    expect(schemaFaults(list({ plugins: [{ type: 'tuning', sysctl: {} }, plugin], disableGC: true }))).toEqual([]);
  });

  test.each([
    ['no plugin of ours', { plugins: [{ type: 'bridge' }] }],
    ['a plugin of ours with a fault', { plugins: [{ ...plugin, mtu: 1 }] }],
    ['no name', { name: undefined }],
    ['an old version and no address', { cniVersion: '0.2.0' }],
    ['no list of plugins', { plugins: {} }],
  ])('with %s is not', (_, changes) => {
    expect(schemaFaults(JSON.parse(JSON.stringify(list(changes))))).not.toEqual([]);
  });
});
