/** DEL of attachments that the predecessor made, as it left them: no marks, its state file, its names, its bind mount. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { cni } from '../support/cni.ts';
import type { Changes, Pod } from '../support/node.ts';
import { cniPath } from '../support/requirements.ts';
import { onRealSwitch, useNode } from '../support/suite.ts';

const ok = { exitCode: 0, stdout: '' };
const uid = '5b0d9e2a-6d5c-4c40-9d0e-0123456789ab';

onRealSwitch('moving over from the predecessor', (theSwitch) => {
  const node = useNode(theSwitch);
  const stateDir = () => join(node().directory, 'usrspcni');
  const shortDir = () => join(node().directory, 'short');
  const changes = (): Changes => ({ predecessorDir: stateDir(), shortDir: shortDir() });

  async function listenAt(path: string): Promise<void> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    onTestFinished(() => void server.close());
  }

  /** What its ADD left, in the order in which it did. @param inside the same directory as the application sees it */
  async function madeByPredecessor(
    pod: Pod,
    ifName: string,
    mode: 'client' | 'server',
    directory: string,
    inside = directory,
  ): Promise<void> {
    const name = pod.portName(ifName);
    mkdirSync(directory, { recursive: true });
    const settings =
      mode === 'client'
        ? ['type=dpdkvhostuserclient', `options:vhost-server-path=${join(directory, name)}`]
        : ['type=dpdkvhostuser'];
    await theSwitch().vsctl(
      '--may-exist',
      'add-br',
      node().bridge,
      '--',
      'set',
      'Bridge',
      node().bridge,
      'datapath_type=netdev',
    );
    await theSwitch().vsctl('add-port', node().bridge, name, '--', 'set', 'Interface', name, ...settings);
    if (mode === 'server') await rename(join(theSwitch().rundir, name), join(directory, name));
    else await listenAt(join(inside, name));
    mkdirSync(stateDir(), { recursive: true });
    const state = { vhostname: name, vhostmac: '', ifmac: '' };
    writeFileSync(join(stateDir(), `local-${pod.shortId}-${ifName}.json`), JSON.stringify(state));
    const call = pod.call(ifName);
    const env = {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: ifName,
      CNI_PATH: cniPath,
    };
    await execa(join(cniPath, 'host-local'), [], { env, input: JSON.stringify(call.config) });
  }

  /** The bridge is the predecessor's: nobody's that we know, so it stays. */
  const nothingLeft = async () => {
    const world = await node().world();
    expect(world).toMatchObject({ ports: [], addresses: [], files: [], journals: [], sockets: [] });
    expect(await execa('ls', [stateDir()])).toMatchObject({ stdout: '' });
    await theSwitch().vsctl('--if-exists', 'del-br', node().bridge);
  };

  test.each(['client', 'server'] as const)(
    'a port in %s mode goes with socket, address and state file; twice as once',
    async (mode) => {
      const pod = await node().pod();
      await madeByPredecessor(pod, 'net1', mode, join(node().sharedDir, pod.shortId));
      for (let round = 0; round < 2; round++) expect(await pod.del('net1', changes())).toMatchObject(ok);
      await execa('rm', ['-rf', join(node().sharedDir, pod.shortId)]);
      await nothingLeft();
    },
  );

  test('a bind mount stays for the other interface of the pod, and goes with the last', async () => {
    const pod = await node().pod();
    const [real, mount] = [join(node().directory, 'volume'), join(shortDir(), uid)];
    for (const directory of [real, mount]) mkdirSync(directory, { recursive: true });
    await execa('mount', ['--bind', real, mount]);
    onTestFinished(async () => void (await execa('umount', [mount], { reject: false })));
    for (const ifName of ['net1', 'net2']) await madeByPredecessor(pod, ifName, 'client', mount, real);
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=blue;K8S_POD_NAME=app;K8S_POD_UID=${uid}`;
    const del = (ifName: string) => cni('DEL', { ...pod.call(ifName, changes()), args });
    const isMounted = () => readFileSync('/proc/mounts', 'utf8').includes(mount);
    expect(await del('net1')).toMatchObject(ok);
    expect(isMounted()).toBe(true);
    expect((await node().world()).ports).toEqual([pod.portName('net2')]);
    expect(await del('net2')).toMatchObject(ok);
    expect(isMounted()).toBe(false);
    await nothingLeft();
  });

  test('with the switch away it is owed, and recover knows all that the DEL knew', async () => {
    const pod = await node().pod();
    await madeByPredecessor(pod, 'net1', 'client', join(node().sharedDir, pod.shortId));
    const socket = join(theSwitch().rundir, 'db.sock');
    await rename(socket, `${socket}.away`);
    try {
      const impatient = { deadlines: { delMs: 1_000, reconnectMs: 100 } };
      expect(await pod.del('net1', { ...changes(), ...impatient })).toMatchObject(ok);
      expect((await node().list())[0]).toMatchObject({ state: 'owed' });
    } finally {
      await rename(`${socket}.away`, socket);
    }
    expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 1, owed: 0 } });
    await execa('rm', ['-rf', join(node().sharedDir, pod.shortId)]);
    await nothingLeft();
  });

  test('I6 a port of such a name without a state file is somebody’s', async () => {
    const pod = await node().pod();
    await madeByPredecessor(pod, 'net1', 'client', join(node().sharedDir, pod.shortId));
    await execa('rm', [join(stateDir(), `local-${pod.shortId}-net1.json`)]);
    expect(await pod.del('net1', changes())).toMatchObject(ok);
    expect((await node().world()).ports).toEqual([pod.portName()]);
    await theSwitch().vsctl('del-br', node().bridge);
  });
});
