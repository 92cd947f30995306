/**
 * Calls in unusual places: processes of other namespaces, programs that cannot be run or are slow, dependencies that
 * are away for all at once. Each was seen to fail.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { KubeNode } from '../support/cluster/kube-node.ts';
import { type Answer, type Call, cni, start } from '../support/real/cni.ts';
import { gcConfig } from '../support/real/gc-among-living.ts';
import type { Changes } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';
import { StandInApi } from '../support/stand-in/stand-in-api.ts';

const ok = { exitCode: 0, stdout: '' };
const hostLocal = '/usr/lib/cni/host-local';
const newest = { cniVersion: '1.1.0' };
/** Killed with its children, where it does not end by itself. */
const killedAfter = (seconds: number) => ['timeout', '-s', 'KILL', `${seconds}`];
const lives = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));

async function timed<T>(action: () => Promise<T>): Promise<[T, ms: number]> {
  const began = performance.now();
  return [await action(), performance.now() - began];
}

onRealSwitch('calls in odd places', (theSwitch) => {
  const node = useNode(theSwitch);
  const own = (name: string) => join(node().directory, name);
  const pidTo = (name: string) => `echo $$ > ${own(name)}.new; mv ${own(name)}.new ${own(name)}`;
  const pidOf = async (name: string): Promise<number> => {
    for (let tries = 0; tries < 500 && !existsSync(own(name)); tries++) await Bun.sleep(10);
    const pid = Number(readFileSync(own(name), 'utf8'));
    onTestFinished(() => void (lives(pid) && process.kill(pid, 'SIGKILL')));
    return pid;
  };
  /** Kills a call with its process group, as a runtime does. */
  const killed = async (command: string, call: Call, when: () => Promise<unknown>) => {
    const child = start(command, call, { under: ['setsid'] });
    await when();
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await child;
  };

  // ---- kind 3

  test('kind 3: no process of another pid namespace is ended instead of an orphan, where /proc is the host’s', async () => {
    await node().program(
      'stuck',
      `[ "$CNI_COMMAND" = ADD ] && { ${hostLocal} > /dev/null; ${pidTo('pid')}; exec sleep 300; }\nexec ${hostLocal}`,
    );
    const pod = await node().pod();
    const changes = { ipam: { type: 'stuck' }, deadlines: { ipamMs: 300, lockMs: 4_000, delMs: 8_000 } };
    await killed('ADD', pod.call('net1', changes), () => pidOf('pid'));
    const pid = await pidOf('pid');
    await Bun.sleep(1_500);
    const { containerId = '', netns = '', path = '', config } = pod.call('net1', changes);
    writeFileSync(own('config'), JSON.stringify(config));
    // An innocent process that bears the orphan's number in its own pid namespace (clone3 with set_tid), and the DEL beside it.
    writeFileSync(
      own('inner.py'),
      `import ctypes, os, sys, time
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
ids = (ctypes.c_int * 1)(pid)
args = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(ids), 1, 0)
innocent = libc.syscall(435, ctypes.byref(args), ctypes.sizeof(args))
if innocent == 0:
    time.sleep(60)
    os._exit(0)
assert innocent == pid, ctypes.get_errno()
child = os.fork()
if child == 0:
    os.dup2(os.open(sys.argv[2], 0), 0)
    os.execv(sys.argv[3], [sys.argv[3]])
os.waitpid(child, 0)
ended, _ = os.waitpid(pid, os.WNOHANG)
print('killed' if ended else 'lives')
`,
    );
    const env = {
      CNI_COMMAND: 'DEL',
      CNI_CONTAINERID: containerId,
      CNI_IFNAME: 'net1',
      CNI_NETNS: netns,
      CNI_PATH: path,
    };
    const inner = ['--pid', '--fork', 'python3', own('inner.py'), String(pid), own('config'), executable];
    expect(execFileSync('unshare', inner, { encoding: 'utf8', env: { ...env, PATH: process.env.PATH } })).toBe(
      'lives\n',
    );
  });

  // ---- kind 5

  test('kind 5: a debt whose IPAM program takes 0.8 s for a DEL is paid by the DELs of other pods, and is not killed in the middle each time', async () => {
    await node().program(
      'slow',
      `[ "$CNI_COMMAND" = DEL ] && { [ -e ${own('well')} ] || exit 1; sleep 0.8; }\nexec ${hostLocal}`,
    );
    const ipam = { ipam: { type: 'slow' } };
    const pod = await node().pod();
    expect(await pod.add('net1', ipam)).toMatchObject({ exitCode: 0 });
    expect(await pod.del('net1', ipam)).toMatchObject(ok);
    writeFileSync(own('well'), '');
    for (const pause of [0, 1_500, 3_000]) {
      await Bun.sleep(pause);
      const other = await node().pod();
      await other.add();
      await other.del();
    }
    expect(await node().list()).toEqual([]);
  });

  test('kind 5: a debt that fails each time does not grow its journal each time', async () => {
    await node().program('no', `[ "$CNI_COMMAND" = DEL ] && exit 1\nexec ${hostLocal}`);
    const pod = await node().pod();
    await pod.add('net1', { ipam: { type: 'no' } });
    await pod.del('net1', { ipam: { type: 'no' } });
    for (let tries = 0; tries < 14; tries++) await node().recover();
    const before = statSync(pod.journal()).size;
    for (let tries = 0; tries < 6; tries++) await node().recover();
    expect(statSync(pod.journal()).size - before).toBeLessThan(1_000);
  });

  test('kind 5: started by a program that ignores SIGCHLD, an ADD attaches and a DEL owes nothing', async () => {
    const script =
      'import os,signal,sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nos.execv(sys.argv[1], sys.argv[1:])';
    const ignoring = { under: ['python3', '-c', script] };
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject({ exitCode: 0 });
    expect(await pod.del('net1', {}, ignoring)).toMatchObject(ok);
    expect(await node().list()).toEqual([]);
    expect(await pod.add('net1', {}, ignoring)).toMatchObject({ exitCode: 0 });
    expect(await pod.del()).toMatchObject(ok);
  });

  test('kind 5: a DEL in an environment that still has the lease of a program whose time was up long ago works as any DEL', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject({ exitCode: 0 });
    // A daemon that an IPAM program started, and that starts us: 1 ms after the machine's boot.
    const stale = { env: { USERSPACE_CNI_CALL: '1 net-a:0123456789ab:net1' } };
    expect(await pod.del('net1', {}, stale)).toMatchObject(ok);
  });

  // ---- kind 6

  test('kind 6: an ADD ends although "kubeconfig" is a FIFO', async () => {
    execFileSync('mkfifo', [own('fifo')]);
    const pod = await node().pod();
    const call = { ...pod.call('net1', { kubeconfig: own('fifo') }), args: 'K8S_POD_NAMESPACE=blue;K8S_POD_NAME=app' };
    const { signal, exitCode } = await cni('ADD', call, { under: killedAfter(12) });
    expect({ signal, exitCode }).toEqual({ signal: undefined, exitCode: 1 });
  });

  test('kind 6: a FIFO under a journal’s name does not stop list and recover', async () => {
    const [pod, odd] = [await node().pod(), await node().pod()];
    expect(await pod.add()).toMatchObject({ exitCode: 0 });
    await pod.removeNetns();
    execFileSync('mkfifo', [odd.journal()]);
    expect((await node().recoverUnder(killedAfter(12))).signal).toBe(undefined);
    expectNothingLeft({ ...(await node().world()), journals: [] });
  });

  test.each([
    ['without an end', 'exec cat /dev/zero'],
    ['that drips', "while printf ' '; do sleep 0.05; done"],
  ])('kind 6: stdin %s costs an ADD 10 s at most', async (_, writer) => {
    const pod = await node().pod();
    const { containerId = '', netns = '', path = '' } = pod.call();
    const env = {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: containerId,
      CNI_IFNAME: 'net1',
      CNI_NETNS: netns,
      CNI_PATH: path,
    };
    const piped = `(${writer}) 2> /dev/null | timeout -s KILL 14 ${executable}`;
    const child = spawn('bash', ['-c', `${piped}; exit \${PIPESTATUS[1]}`], { env: { ...env, PATH: '/usr/bin:/bin' } });
    child.stdout.resume();
    child.stderr.resume();
    const [exitCode] = await once(child, 'close');
    expect(exitCode).toBe(1);
  });

  test.each([
    ['has no interpreter', '#!/no/such/interpreter\n'],
    ['is not a program', 'echo hello\n'],
  ])('kind 2: STATUS fails where the IPAM program %s, because no ADD could be served', async (_, text) => {
    await node().program('strange', '');
    writeFileSync(join(node().binDir, 'strange'), text);
    const changes = { ipam: { type: 'strange' } };
    const pod = await node().pod();
    const added = await pod.add('net1', changes);
    expect(added).toMatchObject({ exitCode: 1 });
    const status = await cni('STATUS', { config: node().config({ ...newest, ...changes }), path: node().path });
    expect(status).toMatchObject({ exitCode: 1, json: { code: 50 } });
    // It is there.
    expect(added.json.msg).not.toContain('is in none of');
  });

  test.each([
    ['is a symlink that leads nowhere', (dataDir: string) => symlinkSync('/nowhere/data', dataDir)],
    ['is a symlink to itself', (dataDir: string) => symlinkSync(dataDir, dataDir)],
    [
      'has a directory at the place of its id',
      (dataDir: string) => mkdirSync(join(dataDir, 'instance'), { recursive: true }),
    ],
  ])('kind 2: STATUS fails where the data directory %s, because no ADD could be served', async (_, make) => {
    const dataDir = own('strange-data');
    make(dataDir);
    const pod = await node().pod();
    expect(await pod.add('net1', { dataDir })).toMatchObject({ exitCode: 1, json: { code: 5 } });
    const status = await cni('STATUS', { config: node().config({ ...newest, dataDir }), path: node().path });
    expect(status).toMatchObject({ exitCode: 1, json: { code: 50, msg: expect.stringContaining(dataDir) } });
  });

  // ---- kind 7

  /** A number of attachments whose sandboxes are gone. */
  const abandoned = async (count: number, changes: Changes = {}) => {
    for (let made = 0; made < count; made++) {
      const pod = await node().pod();
      expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
      await pod.removeNetns();
    }
  };

  test('kind 7: an IPAM program that hangs is waited for once by a recovery, not once by each attachment', async () => {
    await node().program(
      'stuck',
      `[ "$CNI_COMMAND" = DEL ] && [ ! -e ${own('well')} ] && exec sleep 60\nexec ${hostLocal}`,
    );
    await abandoned(3, { ipam: { type: 'stuck' } });
    const [, ms] = await timed(() => node().recover());
    writeFileSync(own('well'), '');
    await node().recover();
    expectNothingLeft(await node().world());
    // Once, and once more at the end.
    expect(ms).toBeLessThan(45_000);
  });

  test('kind 7: an IPAM program that hangs is waited for once by a GC', async () => {
    await node().program(
      'stuck',
      `[ "$CNI_COMMAND" = DEL ] && [ ! -e ${own('well')} ] && exec sleep 60\nexec ${hostLocal}`,
    );
    const changes = { ipam: { type: 'stuck' }, deadlines: { ipamMs: 2_000 } };
    await abandoned(6, changes);
    const config = node().config(gcConfig([], { ...newest, ...changes }));
    const [, ms] = await timed(() => cni('GC', { config, path: node().path }));
    writeFileSync(own('well'), '');
    await node().recover();
    expect(ms).toBeLessThan(8_000);
  });

  test('kind 7: ovs-vswitchd that is not there yet (the order of every boot) is waited for once by a recovery', async () => {
    await abandoned(3);
    await theSwitch().stopVswitchd();
    let ms = 0;
    try {
      [, ms] = await timed(() => node().recover());
    } finally {
      await theSwitch().startVswitchd();
    }
    expect((await node().recover()).exitCode).toBe(0);
    expectNothingLeft(await node().world());
    // Once, and once more at the end.
    expect(ms).toBeLessThan(22_000);
  });

  test('kind 7: on a boot ovs-vswitchd that comes after 15 s is waited for: recover --boot ends with nothing owed', async () => {
    await abandoned(1);
    await theSwitch().stopVswitchd();
    const booting: Promise<Answer> = node().recover('--boot');
    await Bun.sleep(15_000);
    await theSwitch().startVswitchd();
    expect(await booting).toMatchObject({ exitCode: 0 });
    expectNothingLeft(await node().world());
  });
});

onRealSwitch('calls in odd places, in a pod', (theSwitch) => {
  const node = useNode(theSwitch);
  let api: StandInApi;
  beforeAll(async () => {
    api = await StandInApi.start();
  });
  afterAll(() => api.stop());

  test.each(['garbage', '[{"containerId":"ffff","ifName":"net1"},5]'])(
    'kind 5: the annotation of the directory goes with its DEL, or is owed, although that of the data was spoilt (%s)',
    async (spoilt) => {
      const kube = new KubeNode(node(), api);
      const pod = await kube.pod();
      expect(await pod.add()).toMatchObject({ exitCode: 0 });
      await api.patchStatus(pod.name, { metadata: { annotations: { 'userspace/configuration-data': spoilt } } });
      expect(await pod.del()).toMatchObject(ok);
      const isOwed = (await node().list()).length > 0;
      expect(isOwed || !('userspace/mapped-dir' in (await pod.annotations()))).toBe(true);
    },
  );
});
