/**
 * DEL of attachments that the predecessor made, as it left them: no marks, its state file, its names, its bind mount of a pod's
 * emptyDir below a base that no setting of ours knows.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { cni } from '../support/real/cni.ts';
import type { Changes, Pod } from '../support/real/node.ts';
import { uid, usePredecessor } from '../support/real/predecessor.ts';
import { adminBridge, onRealSwitch, useNode } from '../support/real/suite.ts';

const ok = { exitCode: 0, stdout: '' };
onRealSwitch('moving over from the predecessor', (theSwitch) => {
  const node = useNode(theSwitch);
  const predecessor = usePredecessor(theSwitch, node);
  const { made, bound, mount, unmount, isMounted, writeState, stateFile, stateDir, base } = predecessor;
  const shortDir = () => join(node().directory, 'short');
  const changes = (): Changes => ({ predecessorDir: stateDir(), shortDir: shortDir() });

  beforeEach(() => adminBridge(node()));

  const withUid = (pod: Pod, ifName: string, more: Changes = {}) => {
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=blue;K8S_POD_NAME=app;K8S_POD_UID=${uid}`;
    return cni('DEL', { ...pod.call(ifName, { ...changes(), ...more }), args });
  };

  /** The bridge is the predecessor's and bears no mark of ours, so it stays. */
  const nothingLeft = async () => {
    const world = await node().world();
    expect(world).toMatchObject({ ports: [], addresses: [], files: [], journals: [], sockets: [] });
    expect(readdirSync(stateDir())).toEqual([]);
    expect(existsSync(base()) ? readdirSync(base()) : []).toEqual([]);
  };

  test.each(['client', 'server'] as const)(
    'a port in %s mode goes with socket, address and state file; twice as once',
    async (mode) => {
      const pod = await node().pod();
      await made(pod, 'net1', { mode, directory: join(node().sharedDir, pod.shortId) });
      for (let round = 0; round < 2; round++) expect(await pod.del('net1', changes())).toMatchObject(ok);
      await nothingLeft();
    },
  );

  test.each([
    ['without a pod uid in CNI_ARGS', (pod: Pod) => pod.del('net1', changes())],
    ['although shortDir is another', (pod: Pod) => withUid(pod, 'net1')],
  ])('kind 2: the bind mount that the row names goes, and its directory, %s', async (_, del) => {
    const pod = await node().pod();
    const { inside, directory } = await bound();
    await made(pod, 'net1', { directory, inside });
    expect(await del(pod)).toMatchObject(ok);
    expect(isMounted(directory)).toBe(false);
    expect(readdirSync(inside)).toEqual([]);
    await nothingLeft();
  });

  test.each([
    ['net1', 'net2'],
    ['net2', 'net1'],
  ])('a bind mount stays for the other interface of the pod, and goes with the last: %s, %s', async (first, last) => {
    const pod = await node().pod();
    const { inside, directory } = await bound();
    for (const ifName of ['net1', 'net2']) await made(pod, ifName, { directory, inside });
    expect(await pod.del(first, changes())).toMatchObject(ok);
    expect(isMounted(directory)).toBe(true);
    expect((await node().world()).ports).toEqual([pod.portName(last)]);
    expect(await pod.del(last, changes())).toMatchObject(ok);
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test('of two interfaces whose DELs come at once, one takes the bind mount away', async () => {
    const pod = await node().pod();
    const { inside, directory } = await bound();
    const names = ['net1', 'net2', 'net3', 'net4'];
    for (const ifName of names) await made(pod, ifName, { directory, inside });
    const answers = await Promise.all(names.map((ifName) => pod.del(ifName, changes())));
    for (const answer of answers) expect(answer).toMatchObject(ok);
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test('kind 1: DEL of a pod’s old sandbox leaves the bind mount to the new one', async () => {
    const [old, living] = [await node().pod(), await node().pod()];
    const { inside, directory } = await bound();
    for (const pod of [old, living]) await made(pod, 'net1', { directory, inside });
    expect(await old.del('net1', changes())).toMatchObject(ok);
    expect(isMounted(directory)).toBe(true);
    expect(await living.del('net1', changes())).toMatchObject(ok);
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test.each([
    ['goes', []],
    ['stays, since something lies in it', ['somebodys']],
  ])('kind 2: after a reboot the mount is gone and its directory %s', async (_, files) => {
    const pod = await node().pod();
    const { inside, directory } = await bound();
    await made(pod, 'net1', { directory, inside });
    await unmount(directory);
    for (const file of files) writeFileSync(join(directory, file), '');
    expect(await pod.del('net1', changes())).toMatchObject(ok);
    expect(existsSync(directory)).toBe(files.length > 0);
    rmSync(directory, { recursive: true, force: true });
    await nothingLeft();
  });

  test('kind 2: a mount in use is owed, and found again although its row is gone and no uid is known', async () => {
    const pod = await node().pod();
    const { inside, directory } = await bound();
    await made(pod, 'net1', { directory, inside });
    const user = execa('sleep', ['600'], { cwd: directory, reject: false });
    try {
      expect(await pod.del('net1', changes())).toMatchObject(ok);
      expect(isMounted(directory)).toBe(true);
      expect((await node().list())[0]).toMatchObject({ state: 'owed' });
      expect(await node().world()).toMatchObject({ ports: [], sockets: [] });
      expect(await node().recover()).toMatchObject({ exitCode: 3, json: { owed: 1 } });
    } finally {
      user.kill('SIGKILL');
      await user;
    }
    expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 1, owed: 0 } });
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test('kind 2: a mount with a foreign port below it is kept, and owed', async () => {
    const pod = await node().pod();
    const { inside, directory } = await bound();
    await made(pod, 'net1', { directory, inside });
    const path = `options:vhost-server-path=${directory}/other`;
    const settings = ['type=dpdkvhostuserclient', path];
    await theSwitch().vsctl('add-port', node().bridge, 'other', '--', 'set', 'Interface', 'other', ...settings);
    expect(await pod.del('net1', changes())).toMatchObject({ ...ok, stderr: expect.stringContaining('port "other"') });
    expect(isMounted(directory)).toBe(true);
    await theSwitch().vsctl('del-port', 'other');
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test('kind 2: a mount of the host is owed by a call in another mount namespace, and recover on the host pays', async () => {
    const pod = await node().pod();
    const { inside, directory } = await bound();
    await made(pod, 'net1', { directory, inside });
    const under = ['unshare', '--mount', '--propagation', 'private'];
    expect(await pod.del('net1', changes(), { under })).toMatchObject({
      ...ok,
      stderr: expect.stringContaining("host's mount namespace"),
    });
    expect(isMounted(directory)).toBe(true);
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test('a sandbox’s own directory that was bound to itself is unmounted, and goes', async () => {
    const pod = await node().pod();
    const directory = join(base(), pod.shortId);
    // The application listens by another mount, its container's.
    await made(pod, 'net1', { directory });
    await mount(directory, '--bind', directory);
    expect(await pod.del('net1', { ...changes(), sharedDir: base() })).toMatchObject(ok);
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test('kind 1: an administrator’s mount over the directory of a pod’s sockets stays', async () => {
    const pod = await node().pod();
    const directory = join(node().directory, 'volume');
    await mount(directory, '-t', 'tmpfs', 'admins');
    await made(pod, 'net1', { directory });
    expect(await pod.del('net1', changes())).toMatchObject(ok);
    expect(isMounted(directory)).toBe(true);
    expect(readdirSync(directory)).toEqual([]);
    await nothingLeft();
  });

  test('the row is gone: the socket tells which mount it was', async () => {
    const [pod, other] = [await node().pod(), await node().pod()];
    const mine = await bound();
    const others = await bound('6c0d9e2a-6d5c-4c40-9d0e-0123456789ab');
    await made(pod, 'net1', mine);
    await made(other, 'net1', others);
    await theSwitch().vsctl('del-port', pod.portName());
    expect(await pod.del('net1', changes())).toMatchObject(ok);
    expect([isMounted(mine.directory), isMounted(others.directory)]).toEqual([false, true]);
    expect(await other.del('net1', changes())).toMatchObject(ok);
    await nothingLeft();
  });

  test('kind 2: nothing tells which mount it was: owed until the pod’s volume is gone', async () => {
    const pod = await node().pod();
    const { inside, directory } = await bound();
    await made(pod, 'net1', { directory, inside });
    await theSwitch().vsctl('del-port', pod.portName());
    rmSync(join(inside, pod.portName()));
    expect(await pod.del('net1', changes())).toMatchObject({ ...ok, stderr: expect.stringContaining('cannot tell') });
    expect(isMounted(directory)).toBe(true);
    rmSync(dirname(inside), { recursive: true });
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test.each([
    ['empty', '', undefined],
    ['cut short', '{"vhostname":"v1","vho', 'v1'],
  ])(
    'a state file that is %s: the port is found by the name that the predecessor chose',
    async (_, text, socketfile) => {
      const pod = await node().pod();
      const { inside, directory } = await bound();
      await made(pod, 'net1', { directory, inside, ...(socketfile && { name: socketfile }) });
      writeState(pod, 'net1', text);
      const vhost = socketfile ? { host: { vhost: { socketfile } } } : {};
      expect(await pod.del('net1', { ...changes(), ...vhost })).toMatchObject(ok);
      expect(isMounted(directory)).toBe(false);
      await nothingLeft();
    },
  );

  test('kind 2: a garbled state file and no port of the likely name: owed while a port may be what it spoke of', async () => {
    const pod = await node().pod();
    await made(pod, 'net1', { directory: join(node().sharedDir, pod.shortId), name: 'v1' });
    writeState(pod, 'net1', '{"vhostn');
    expect(await pod.del('net1', changes())).toMatchObject({ ...ok, stderr: expect.stringContaining('v1') });
    expect(await node().world()).toMatchObject({ ports: ['v1'] });
    expect((await node().world()).addresses).toHaveLength(1);
    await theSwitch().vsctl('del-port', 'v1');
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    expect((await node().world()).addresses).toEqual([]);
    rmSync(join(node().sharedDir), { recursive: true });
    await nothingLeft();
  });

  test('kind 2: a state file of its other engine is owed, and stays', async () => {
    const pod = await node().pod();
    writeState(pod, 'net1', '{"swIfIndex":4,"memifSocketId":1}');
    expect(await pod.del('net1', changes())).toMatchObject({ ...ok, stderr: expect.stringContaining('"vpp"') });
    expect(existsSync(stateFile(pod))).toBe(true);
    rmSync(stateFile(pod));
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    await nothingLeft();
  });

  test('kind 1: a port of a fixed name on another bridge is perhaps another’s: owed', async () => {
    const pod = await node().pod();
    await made(pod, 'net1', { directory: join(node().sharedDir, pod.shortId), name: 'v1' });
    const elsewhere = { host: { bridge: { bridgeName: 'elsewhere' } } };
    expect(await pod.del('net1', { ...changes(), ...elsewhere })).toMatchObject({
      ...ok,
      stderr: expect.stringContaining('is on bridge'),
    });
    expect((await node().world()).ports).toEqual(['v1']);
    await theSwitch().vsctl('del-port', 'v1');
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    await nothingLeft();
  });

  test('kind 1: a port and its socket stay for the later sandbox that has made them again under a fixed name', async () => {
    const [old, living] = [await node().pod(), await node().pod()];
    const directory = join(node().directory, 'volume');
    writeState(old, 'net1', '{"vhostname":"v1","vhostmac":"","ifmac":""}');
    utimesSync(stateFile(old), 1, 1);
    await made(living, 'net1', { directory, name: 'v1' });
    expect(await old.del('net1', changes())).toMatchObject(ok);
    expect((await node().world()).ports).toEqual(['v1']);
    expect(readdirSync(directory)).toEqual(['v1']);
    expect(await living.del('net1', changes())).toMatchObject(ok);
    expect(readdirSync(directory)).toEqual([]);
    await nothingLeft();
  });

  test.each([
    ['goes where the fork’s marks say this sandbox', true],
    ['stays where the fork’s marks say another sandbox', false],
  ])('kind 1: a port of a fixed name %s', async (_, isIts) => {
    const [pod, other] = [await node().pod(), await node().pod()];
    const { containerId } = isIts ? pod : other;
    const marks = ['owner=userspace-cni', `container-id=${containerId}`, 'interface=net1'];
    await made(pod, 'net1', {
      directory: join(node().sharedDir, pod.shortId),
      name: 'v1',
      marks: marks.map((mark) => `external_ids:${mark}`),
    });
    expect(await pod.del('net1', changes())).toMatchObject(ok);
    expect((await node().world()).ports).toEqual(isIts ? [] : ['v1']);
    if (!isIts) await theSwitch().vsctl('del-port', 'v1');
    expect(readdirSync(stateDir())).toEqual([]);
  });

  test.each(['umount2', 'rmdir', 'rename', 'unlink,unlinkat'])(
    'a DEL that is killed at %s is completed by the next, which has to guess nothing',
    async (syscall) => {
      const pod = await node().pod();
      const { inside, directory } = await bound();
      const strangers = await bound('6c0d9e2a-6d5c-4c40-9d0e-0123456789ab');
      await made(pod, 'net1', { directory, inside });
      const temporary = join(stateDir(), `.local-${pod.shortId}-net1.json`);
      const paths = [directory, stateFile(pod), temporary].flatMap((path) => ['-P', path]);
      const under = ['strace', '-f', '-o', '/dev/null', ...paths, '-e', `inject=${syscall}:signal=SIGKILL`];
      expect(await pod.del('net1', changes(), { under })).toMatchObject({ signal: 'SIGKILL' });
      expect(existsSync(stateFile(pod))).toBe(true);
      expect(await pod.del('net1', changes())).toMatchObject(ok);
      expect([isMounted(directory), isMounted(strangers.directory)]).toEqual([false, true]);
      await unmount(strangers.directory);
      rmSync(strangers.directory, { recursive: true });
      await nothingLeft();
    },
  );

  test('I10 a mounted file system that does not answer holds up no DEL, and is gone once its server is', async () => {
    const pod = await node().pod();
    const directory = join(base(), uid);
    mkdirSync(directory, { recursive: true });
    await made(pod, 'net1', { directory });
    rmSync(join(directory, pod.portName()));
    // Its server holds the device open and answers nothing.
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
    const script = `exec 3<>/dev/fuse; mount -i -t fuse.stuck -o ${options} stuck "$0" && echo mounted; exec sleep 600`;
    const server = execa('sh', ['-c', script, directory], { reject: false });
    onTestFinished(() => void server.kill('SIGKILL'));
    predecessor.willUnmount(directory);
    await new Promise<void>((resolve) => server.stdout?.once('data', () => resolve()));
    expect(isMounted(directory)).toBe(true);
    const impatient = { shortDir: base(), deadlines: { directoryMs: 300 } };
    const began = performance.now();
    expect(await pod.del('net1', { ...changes(), ...impatient })).toMatchObject(ok);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect((await node().list())[0]).toMatchObject({ state: 'owed' });
    expect((await node().world()).ports).toEqual([]);
    server.kill('SIGKILL');
    await server;
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    expect(isMounted(directory)).toBe(false);
    await nothingLeft();
  });

  test('with the switch away a DEL is owed, and recover knows all that the DEL knew', async () => {
    const pod = await node().pod();
    await made(pod, 'net1', { directory: join(node().sharedDir, pod.shortId) });
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
    await nothingLeft();
  });

  test('I6 a port of such a name without a state file is foreign, and stays', async () => {
    const pod = await node().pod();
    await made(pod, 'net1', { directory: join(node().sharedDir, pod.shortId) });
    rmSync(stateFile(pod));
    expect(await pod.del('net1', changes())).toMatchObject(ok);
    expect((await node().world()).ports).toEqual([pod.portName()]);
    await theSwitch().vsctl('del-port', pod.portName());
  });
});
