/**
 * One attachment as a runtime sees it: the result in every version, the files a consumer reads, and nothing once it is gone.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cni } from '../support/real/cni.ts';
import type { Changes } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const staticIpam = {
  ipam: {
    type: 'static',
    addresses: [{ address: '10.57.0.7/24', gateway: '10.57.0.1' }],
    ranges: undefined,
    dataDir: undefined,
  },
};
const addressings: [string, Changes, string | undefined][] = [
  ['host-local', {}, '10.56.0.2/24'],
  ['static', staticIpam, '10.57.0.7/24'],
  ['no IPAM', { ipam: undefined }, undefined],
];

onRealSwitch('one attachment', (theSwitch) => {
  describe.each(['client', 'server'] as const)('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);

    test.each(addressings)('is added, checked and deleted with %s, and leaves nothing', async (_, changes, address) => {
      const pod = await node().pod();
      const added = await pod.add('net1', changes);
      expect(added).toMatchObject({ exitCode: 0 });
      expect(added.json.interfaces[0]).toMatchObject({ name: 'net1', sandbox: pod.netns });
      expect(added.json.ips?.[0].address).toBe(address);
      expect(await pod.check(added.json, 'net1', changes)).toMatchObject({ exitCode: 0, stdout: '' });
      expect(await node().port(pod.portName())).toMatchObject({
        bridge: node().bridge,
        type: mode === 'client' ? 'dpdkvhostuserclient' : 'dpdkvhostuser',
        error: undefined,
      });
      expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0, stdout: '' });
      expectNothingLeft(await node().world());
    });

    test('is journaled: each step has its intent before its outcome, in order (case A19)', async () => {
      const pod = await node().pod();
      await pod.add();
      const lines = (await readFile(pod.journal(), 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1));
      expect(lines[0]).toMatchObject({ kind: 'begin' });
      expect(lines.at(-1)).toMatchObject({ kind: 'attached' });
      const steps = lines.slice(1, -1).map(({ kind, step }) => `${kind} ${step}`);
      expect(steps).toEqual(
        ['address', 'socketDir', 'bridge', 'port', 'publication'].flatMap((step) => [
          `intent ${step}`,
          `outcome ${step}`,
        ]),
      );
      await pod.del();
    });

    test('needs no kubeconfig: the consumer reads a file beside the socket, which goes with it (case A1)', async () => {
      const pod = await node().pod();
      const added = await pod.add();
      const file = join(node().sharedDir, pod.shortId, `configData-${pod.shortId}-net1.json`);
      const text = await readFile(file, 'utf8');
      const published = JSON.parse(text);
      // Shell scripts take the first quoted value of the file.
      expect(Object.keys(published)[0]).toBe('containerId');
      expect(published).toMatchObject({
        containerId: pod.containerId,
        ifName: 'net1',
        name: 'net-a',
        config: {
          iftype: 'vhostuser',
          vhost: { mode: mode === 'client' ? 'server' : 'client', socketfile: pod.portName() },
        },
      });
      expect(published.ipResult.ips[0]).toMatchObject({ version: '4', address: added.json.ips[0].address });
      await pod.del();
      expectNothingLeft(await node().world());
    });

    test('gives the directory and its socket to the group that the configuration names', async () => {
      const pod = await node().pod();
      const changes = { host: { vhost: { group: 'daemon' } } };
      expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
      const daemon = 1;
      expect(await stat(join(node().sharedDir, pod.shortId))).toMatchObject({ gid: daemon });
      // The group makes sockets there (client mode) or opens ours (server mode): both need its write permission.
      expect((await stat(join(node().sharedDir, pod.shortId))).mode & 0o070).toBe(0o070);
      if (mode === 'server') expect(await stat(pod.socket())).toMatchObject({ gid: daemon });
      await pod.del('net1', changes);
      expectNothingLeft(await node().world());
    });

    test('writes the device information that the runtime asks for, and deletes it', async () => {
      const pod = await node().pod();
      const path = join(node().directory, 'devinfo', 'net-a-device.json');
      const changes = { runtimeConfig: { CNIDeviceInfoFile: path } };
      expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
      expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
        type: 'vhost-user',
        version: '1.1.0',
        'vhost-user': { mode: mode === 'client' ? 'server' : 'client', path: pod.socket() },
      });
      await pod.del('net1', changes);
      await expect(readFile(path)).rejects.toThrow('ENOENT');
    });
  });

  describe('whatever the version', () => {
    const node = useNode(theSwitch);

    test.each(['0.3.0', '0.3.1', '0.4.0', '1.0.0'])(
      'answers a configuration of %s in exactly its shape (bug B39)',
      async (cniVersion) => {
        const pod = await node().pod();
        const { exitCode, json } = await pod.add('net1', { cniVersion });
        expect(exitCode).toBe(0);
        const ip = { interface: 0, address: '10.56.0.2/24', gateway: '10.56.0.1' };
        expect(json).toEqual({
          cniVersion,
          interfaces: [{ name: 'net1', sandbox: pod.netns }],
          ips: [cniVersion === '1.0.0' ? ip : { version: '4', ...ip }],
        });
        await pod.del('net1', { cniVersion });
        expectNothingLeft(await node().world());
      },
    );

    test.each(['0.1.0', '0.2.0'])(
      'answers a configuration of %s with its one address, and refuses without',
      async (cniVersion) => {
        const pod = await node().pod();
        expect((await pod.add('net1', { cniVersion })).json).toEqual({
          cniVersion,
          ip4: { ip: '10.56.0.2/24', gateway: '10.56.0.1' },
        });
        await pod.del('net1', { cniVersion });
        const refused = await pod.add('net1', { cniVersion, ipam: undefined });
        expect(refused).toMatchObject({ exitCode: 1, json: { code: 1, msg: expect.stringContaining(cniVersion) } });
        expectNothingLeft(await node().world());
      },
    );

    test('tells its versions without a configuration', async () => {
      const env = { CNI_PATH: undefined };
      const { exitCode, json } = await cni('VERSION', { config: { cniVersion: '1.0.0' } }, { env });
      expect(exitCode).toBe(0);
      expect(json).toEqual({
        cniVersion: '1.0.0',
        supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
      });
    });

    test('passes the routes and the name servers of the IPAM plugin on', async () => {
      const pod = await node().pod();
      const ipam = {
        ...staticIpam.ipam,
        routes: [{ dst: '0.0.0.0/0', gw: '10.57.0.1' }],
        dns: { nameservers: ['10.57.0.53'] },
      };
      const { json } = await pod.add('net1', { ipam });
      expect(json).toMatchObject({
        routes: [{ dst: '0.0.0.0/0', gw: '10.57.0.1' }],
        dns: { nameservers: ['10.57.0.53'] },
      });
      await pod.del('net1', { ipam });
    });

    test.each(['a', 'x'.repeat(200)])('takes a container id of any length: %s (bug B26)', async (containerId) => {
      const pod = await node().pod(containerId);
      expect(await pod.add()).toMatchObject({ exitCode: 0 });
      expect(await node().port(`${containerId.slice(0, 12)}-net1`)).toBeDefined();
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('writes nothing but its one answer to stdout, at the most talkative log level (bug B45)', async () => {
      const pod = await node().pod();
      const changes = { logLevel: 'verbose', logFile: undefined };
      const added = await pod.add('net1', changes);
      expect(added.json.cniVersion).toBe('1.0.0');
      expect((await pod.del('net1', changes)).stdout).toBe('');
    });
  });
});
