/**
 * Bad input: one JSON error with the right code, every fault named, exit 1, and nothing touched.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Call, type CallOptions, cni } from '../support/real/cni.ts';
import type { Pod, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

type Spoil = (call: Call, node: TestNode, pod: Pod) => Call | Promise<Call>;
type Case = readonly [title: string, spoil: Spoil, code: number, words: readonly string[]];

const config =
  (changes: object): Spoil =>
  (call, node) => ({ ...call, config: node.config({ ...changes }) });

const environment: Case[] = [
  [
    'no container id and no interface name: both are named',
    (call) => ({ ...call, containerId: undefined, ifName: undefined }),
    4,
    ['CNI_CONTAINERID', 'CNI_IFNAME'],
  ],
  ['no network namespace', (call) => ({ ...call, netns: undefined }), 4, ['CNI_NETNS']],
  ['a container id with a slash', (call) => ({ ...call, containerId: '../../etc' }), 4, ['CNI_CONTAINERID']],
  ['a container id with a leading minus', (call) => ({ ...call, containerId: '-rf' }), 4, ['CNI_CONTAINERID']],
  ['an interface name with a slash', (call) => ({ ...call, ifName: 'a/b' }), 4, ['CNI_IFNAME']],
  ['an interface name that is a directory', (call) => ({ ...call, ifName: '..' }), 4, ['CNI_IFNAME']],
  ['an interface name with a leading minus', (call) => ({ ...call, ifName: '--help' }), 4, ['CNI_IFNAME']],
  ['an interface name of 16 bytes', (call) => ({ ...call, ifName: 'x'.repeat(16) }), 4, ['CNI_IFNAME']],
  ['CNI_ARGS that are not pairs', (call) => ({ ...call, args: 'IgnoreUnknown' }), 4, ['CNI_ARGS', 'IgnoreUnknown']],
  ['an unknown argument', (call) => ({ ...call, args: 'COLOUR=red' }), 4, ['COLOUR']],
];

const stdin: Case[] = [
  ['text that is not JSON', (call) => ({ ...call, config: '{"cniVersion":' }), 6, ['JSON']],
  ['nothing at all', (call) => ({ ...call, config: '' }), 6, ['JSON']],
  ['a JSON list', (call) => ({ ...call, config: '[]' }), 6, ['object']],
  ['no name', config({ name: undefined }), 7, ['name']],
  ['a name that is a path', config({ name: '../x' }), 7, ['../x']],
  ['an unknown version', config({ cniVersion: '4.0.0' }), 1, ['4.0.0', '1.0.0']],
  ['an unknown engine', config({ host: { engine: 'bess' } }), 2, ['host.engine', 'bess']],
  ['the engine that is not built in', config({ host: { engine: 'vpp' } }), 2, ['host.engine', 'vpp']],
  ['memif on Open vSwitch', config({ host: { iftype: 'memif' } }), 2, ['host.iftype', 'memif']],
  [
    'a kubeconfig without a pod',
    config({ kubeconfig: '/etc/kubeconfig' }),
    7,
    ['kubeconfig', 'K8S_POD_NAMESPACE', 'K8S_POD_NAME'],
  ],
  ['an unknown key of the host', config({ host: { vhost: { queues: 8 } } }), 2, ['host.vhost.queues', 'a number']],
  ['an unknown key of the container', config({ container: { speed: 'fast' } }), 2, ['container.speed', 'a text of 4']],
  ['text where a number belongs', config({ host: { bridge: { vlanId: '100' } } }), 7, ['host.bridge.vlanId', '100']],
  ['a list where an object belongs', config({ host: [] }), 7, ['host']],
  ['a bridge name with a leading minus', config({ host: { bridge: { bridgeName: '-br' } } }), 7, ['bridgeName', '-br']],
  ['a bridge name over 15 bytes', config({ host: { bridge: { bridgeName: 'b'.repeat(16) } } }), 7, ['bridgeName']],
  [
    'a socket file that is a path (bug B28)',
    config({ host: { vhost: { socketfile: '../../x' } } }),
    7,
    ['socketfile', '../../x'],
  ],
  [
    'a socket file with a leading minus (bug B28)',
    config({ host: { vhost: { socketfile: '-x' } } }),
    7,
    ['socketfile', '-x'],
  ],
  ['a shared directory that is not an absolute path', config({ sharedDir: 'pods' }), 7, ['sharedDir', 'pods']],
  [
    'one mode on both sides',
    config({ container: { vhost: { mode: 'client' } } }),
    7,
    ['host.vhost.mode', 'container.vhost.mode'],
  ],
  [
    'a group that the node does not know',
    config({ host: { vhost: { group: 'nobodys-group' } } }),
    7,
    ['nobodys-group'],
  ],
  [
    'three faults: each is named',
    config({ host: { engine: 'bess', bridge: { vlanId: 5000 } }, sharedDir: 'pods' }),
    7,
    ['bess', '5000', 'pods'],
  ],
];

const surroundings: Case[] = [
  [
    'a socket path over 107 bytes (case A5)',
    (call, node) => ({
      ...call,
      config: node.config({ sharedDir: `/tmp/${'p'.repeat(100)}`, shortDir: `/tmp/${'s'.repeat(100)}` }),
    }),
    7,
    ['107'],
  ],
  [
    'an IPAM program that is not there',
    config({ ipam: { type: 'no-such-ipam' } }),
    7,
    ['no-such-ipam', '/usr/lib/cni'],
  ],
  ['an IPAM type that is a path', config({ ipam: { type: '../../bin/true' } }), 7, ['../../bin/true']],
  ['a data directory that is not an absolute path', config({ dataDir: 'relative' }), 7, ['dataDir', 'relative']],
  ['a database socket that is not there', config({ ovsdb: 'unix:/nowhere/db.sock' }), 11, ['/nowhere/db.sock']],
  [
    'a network namespace that is not there',
    (call, node) => ({ ...call, netns: join(node.directory, 'no-netns') }),
    8,
    ['no-netns'],
  ],
  [
    'a network namespace that is a plain file',
    async (call, node) => {
      const netns = join(node.directory, 'plain');
      await writeFile(netns, '');
      return { ...call, netns };
    },
    8,
    ['plain'],
  ],
];

onRealSwitch('bad input', (theSwitch) => {
  const node = useNode(theSwitch);

  const refuse = async ([, spoil, code, words]: Case, options: CallOptions = {}) => {
    const pod = await node().pod();
    const answered = await cni('ADD', await spoil(pod.call(), node(), pod), options);
    expect(answered).toMatchObject({ exitCode: 1, json: { code } });
    for (const word of words) expect(answered.json.msg).toContain(word);
    expectNothingLeft(await node().world());
  };

  test.each(environment)('in the environment: %s', (...one) => refuse(one));
  test.each(stdin)('in the configuration: %s', (...one) => refuse(one));
  test.each(surroundings)('around it: %s', (...one) => refuse(one));

  test('server mode across file systems is refused with the remedy: a socket cannot be renamed there (bug B9, case A4)', async () => {
    const other = '/dev/shm';
    const sharedDir = join(other, node().bridge);
    const changes = { sharedDir, host: { vhost: { mode: 'server' } }, container: { vhost: { mode: 'client' } } };
    const { exitCode, json } = await (await node().pod()).add('net1', changes);
    expect(exitCode).toBe(1);
    expect(json.code).toBe(7);
    expect(json.msg).toContain(other);
    expect(json.msg).toMatch(/client/);
    expectNothingLeft(await node().world());
  });

  test('an unknown verb', async () => {
    const pod = await node().pod();
    for (const command of ['JUMP', 'gc']) {
      const { exitCode, json } = await cni(command, pod.call());
      expect({ exitCode, code: json.code, msg: json.msg }).toMatchObject({
        exitCode: 1,
        code: 4,
        msg: expect.stringContaining(command),
      });
    }
    expectNothingLeft(await node().world());
  });

  test('an environment without CNI_PATH, where addresses are asked for', async () => {
    await refuse(['', (call) => call, 4, ['CNI_PATH']], { env: { CNI_PATH: undefined } });
  });

  describe('at DEL', () => {
    test('a configuration that ADD refuses can be deleted (bug B22)', async () => {
      const pod = await node().pod();
      for (const changes of [{ host: { engine: 'bess' } }, { host: { netType: 'typo' } }, { host: 7 }]) {
        expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0, stdout: '' });
      }
      expectNothingLeft(await node().world());
    });

    test('an IPAM program that is not there, so that ADD was refused, leaves no debt behind', async () => {
      const pod = await node().pod();
      const changes = { ipam: { type: 'no-such-ipam' } };
      expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 1 });
      expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0, stdout: '' });
      expectNothingLeft(await node().world());
    });

    test('a key that cannot be is refused', async () => {
      const pod = await node().pod();
      const { exitCode, json } = await cni('DEL', { ...pod.call(), containerId: '../x' });
      expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 4 });
      expectNothingLeft(await node().world());
    });
  });
});
