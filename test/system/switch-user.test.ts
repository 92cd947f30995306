/**
 * An ovs-vswitchd that is not root, as distributions of Red Hat run it (`openvswitch:hugetlbfs`): it comes to the sockets of pods whose
 * directories root, and the kubelet, keep to themselves. A closed place that is not ours to open is named.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { bytesOfList, hasRights, listOfMode, readList, withUser } from '../../src/effects/files/acl.ts';
import { accessList, setAccessList } from '../../src/os/native.ts';
import { KubeNode, type KubePod } from '../support/cluster/kube-node.ts';
import { type Answer, cni } from '../support/real/cni.ts';
import { killedAt, pointsOf } from '../support/real/kill-at-syscall.ts';
import type { Changes, Pod, TestNode } from '../support/real/node.ts';
import { startPeer } from '../support/real/peer.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { StandInApi } from '../support/stand-in/stand-in-api.ts';

/** No entry of /etc/passwd is needed. */
const user = 65532;

interface Application {
  readonly umask: string;
  /** Its user and group. */
  readonly as?: number;
}

/** testpmd as a container runs it: with the socket's directory mounted at a short path, and root's capabilities only if it is root. */
async function startApplication(pod: Pod | KubePod, { umask, as = 0 }: Application) {
  const inside = join('/mnt', 'app');
  const script = `mount -t tmpfs none /mnt; mkdir ${inside}; mount --bind "$0" ${inside}; umask ${umask}; exec "$@"`;
  const identity = ['setpriv', '--reuid', `${as}`, '--regid', `${as}`, '--clear-groups', '--pdeathsig', 'KILL'];
  const socket = join(inside, basename(pod.socket()));
  return await startPeer(socket, 'server', [
    'unshare',
    '--mount',
    'sh',
    '-ec',
    script,
    dirname(pod.socket()),
    ...identity,
  ]);
}

/** The rights of its entry for the switch's user, if it has one. */
function entryOf(path: string): number | undefined {
  const bytes = accessList(path, 'access');
  const own = bytes && readList(bytes)?.find(({ id }) => id === user);
  return own?.rights;
}

onRealSwitch(
  'a switch that is not root',
  (theSwitch) => {
    const current = useNode(theSwitch);

    /** The test's own directory is root's alone. */
    function node(): TestNode {
      chmodSync(current().directory, 0o755);
      return current();
    }

    async function kubelet(): Promise<KubeNode> {
      const api = await StandInApi.start();
      onTestFinished(() => api.stop());
      return new KubeNode(node(), api);
    }

    /** As the kubelet leaves it: its own directories are root's, and the volume is open to every user that can reach it. */
    async function kubePod(home: KubeNode): Promise<KubePod> {
      const pod = await home.pod('emptyDir');
      for (const [path, mode] of [
        [pod.directory, 0o777],
        [dirname(pod.directory), 0o750],
        [join(pod.directory, '../..'), 0o750],
        [join(pod.directory, '../../..'), 0o750],
        [join(home.kubeletRootDir, 'pods'), 0o750],
        [home.kubeletRootDir, 0o750],
      ] as const) {
        chmodSync(path, mode);
      }
      return pod;
    }

    async function expectLink(pod: Pod | KubePod): Promise<void> {
      const name = 'sandbox' in pod ? pod.sandbox.portName() : pod.portName();
      await theSwitch().vsctl('--timeout=20', 'wait-until', 'Interface', name, 'link_state=up');
    }

    async function expectLinkTo(pod: Pod | KubePod, application: Application): Promise<void> {
      const peer = await startApplication(pod, application);
      try {
        await expectLink(pod);
      } finally {
        await peer.stop();
        rmSync(pod.socket(), { force: true });
      }
    }

    const refused = (answer: Answer, ...words: string[]): void => {
      expect(answer).toMatchObject({ exitCode: 1, json: { code: 7 } });
      for (const word of words) expect(answer.json.msg).toContain(word);
    };

    const forbidden: Changes = { grantAccess: false };

    test('reaches an emptyDir below a kubelet’s directories that are 0750: the link of an application with umask 0002 comes up (need N2)', async () => {
      const home = await kubelet();
      const pod = await kubePod(home);
      const answer = await pod.add();
      expect(answer).toMatchObject({ exitCode: 0 });
      await expectLinkTo(pod, { umask: '0002' });
      expect(await pod.check(answer.json)).toMatchObject({ exitCode: 0 });
      expect(statSync(join(home.kubeletRootDir, 'pods')).mode & 0o777).toBe(0o750);
      expect(entryOf(home.kubeletRootDir)).toBe(1);
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
    });

    test('connects to the socket of an application that is another user, and restarts (need N2)', async () => {
      const pod = await kubePod(await kubelet());
      expect(await pod.add()).toMatchObject({ exitCode: 0 });
      for (const umask of ['0002', '0007']) await expectLinkTo(pod, { umask, as: 1234 });
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
    });

    test.each([0, 1234])(
      'cannot use a socket of umask 0022 (of uid %i): CHECK says so, and recover gives it the right (need N2)',
      async (as) => {
        const pod = await kubePod(await kubelet());
        const { json } = await pod.add();
        const peer = await startApplication(pod, { umask: '0022', as });
        try {
          await expect.poll(() => existsSync(pod.socket()), { timeout: 20_000 }).toBe(true);
          const drift = await pod.check(json);
          expect(drift).toMatchObject({ exitCode: 1, json: { code: 100 } });
          for (const word of [pod.socket(), `uid ${user}`, 'umask 0002']) expect(drift.json.msg).toContain(word);
          expect((await node().recover()).json).toMatchObject({ attachments: [{ result: 'restored' }] });
          await expectLink(pod);
          expect(await pod.check(json)).toMatchObject({ exitCode: 0 });
          expect((await node().recover()).json).toMatchObject({ attachments: [{ result: 'kept' }] });
        } finally {
          await peer.stop();
        }
        expect(await pod.del()).toMatchObject({ exitCode: 0 });
      },
    );

    test('reaches a directory of ours below "sharedDir" without a "group", which goes with its attachment (need N2)', async () => {
      const pod = await node().pod();
      const answer = await pod.add();
      expect(answer).toMatchObject({ exitCode: 0 });
      const own = dirname(pod.socket());
      expect(statSync(own)).toMatchObject({ uid: 0, gid: user });
      expect(statSync(own).mode & 0o777).toBe(0o750);
      await expectLinkTo(pod, { umask: '0002' });
      expect(await pod.check(answer.json)).toMatchObject({ exitCode: 0 });
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('reaches a directory that is owned by a "group" to which it does not belong (need N2)', async () => {
      const pod = await node().pod();
      const changes = { host: { vhost: { group: '4242' } } };
      expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
      const own = dirname(pod.socket());
      expect(statSync(own)).toMatchObject({ gid: 4242 });
      expect(entryOf(own)).toBe(1);
      await expectLinkTo(pod, { umask: '0002' });
      expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0 });
    });

    test('that "grantAccess": false keeps out is refused by name, user and remedy, and nothing is touched (need N2)', async () => {
      const home = await kubelet();
      const pod = await kubePod(home);
      refused(await pod.add('net1', forbidden), `"${home.kubeletRootDir}"`, `uid ${user}`, `setfacl -m u:${user}:x`);
      expect(entryOf(home.kubeletRootDir)).toBeUndefined();
      const other = await node().pod();
      refused(await other.add('net1', forbidden), `"${dirname(other.socket())}"`, '"host.vhost.group"');
      expectNothingLeft(await node().world());
      const grouped = { ...forbidden, host: { vhost: { group: String(user) } } };
      expect(await other.add('net1', grouped)).toMatchObject({ exitCode: 0 });
      await expectLinkTo(other, { umask: '0002', as: user });
      expect(await other.del('net1', grouped)).toMatchObject({ exitCode: 0 });
    });

    test('that a directory of the administrator’s keeps out is refused by ADD and STATUS, and found by CHECK (need N2)', async () => {
      const closed = join(node().directory, 'closed');
      mkdirSync(closed, { mode: 0o750 });
      const changes = { sharedDir: join(closed, 'pods') };
      const pod = await node().pod();
      refused(await pod.add('net1', changes), `"${closed}"`, `uid ${user}`, `setfacl -m u:${user}:x '${closed}'`);
      const status = { config: { ...node().config(changes), cniVersion: '1.1.0', ipam: undefined }, path: node().path };
      const sick = await cni('STATUS', status);
      expect(sick).toMatchObject({ exitCode: 1, json: { code: 50 } });
      expect(sick.json.msg).toContain(`"${closed}"`);
      chmodSync(closed, 0o751);
      expect(await cni('STATUS', status)).toMatchObject({ exitCode: 0 });
      const answer = await pod.add('net1', changes);
      expect(answer).toMatchObject({ exitCode: 0 });
      expect(await pod.check(answer.json, 'net1', changes)).toMatchObject({ exitCode: 0 });
      chmodSync(closed, 0o750);
      const drift = await pod.check(answer.json, 'net1', changes);
      expect(drift).toMatchObject({ exitCode: 1, json: { code: 100 } });
      expect(drift.json.msg).toContain(`"${closed}"`);
      expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0 });
    });

    test('killed at any point between a grant and its record: DEL leaves what all pods share, and nothing else (need N2)', async () => {
      const home = await kubelet();
      const shared = [home.kubeletRootDir, join(home.kubeletRootDir, 'pods')];
      const calls = 'lsetxattr,fsync';
      const first = await kubePod(home);
      const points = await pointsOf('ADD', first.call(), calls);
      expect(points.filter(({ call }) => call === 'lsetxattr').length).toBeGreaterThanOrEqual(6);
      expect(await first.del()).toMatchObject({ exitCode: 0 });
      for (const point of points) {
        const pod = await kubePod(home);
        for (const path of shared) setAccessList(path, 'access', bytesOfList(listOfMode(0o750)));
        await killedAt('ADD', pod.call(), point);
        expect(await pod.del(), JSON.stringify(point)).toMatchObject({ exitCode: 0 });
        for (const path of shared) expect([undefined, 1]).toContain(entryOf(path));
        rmSync(join(shared[1] ?? '', pod.uid), { recursive: true });
        await home.forget(pod);
      }
      expect(await home.world()).toMatchObject({ volumes: [], links: [], annotations: [] });
      const other = await node().pod();
      for (const point of await pointsOf('ADD', other.call(), calls)) {
        expect(await other.del()).toMatchObject({ exitCode: 0 });
        await killedAt('ADD', other.call(), point);
      }
      expect(await other.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('makes its own sockets in server mode, in which nothing is opened to it (need N2)', async () => {
      const server = { host: { vhost: { mode: 'server' } }, container: { vhost: { mode: 'client' } }, ...forbidden };
      mkdirSync(node().sharedDir);
      const pod = await node().pod();
      expect(await pod.add('net1', server)).toMatchObject({ exitCode: 0 });
      expect(statSync(dirname(pod.socket()))).toMatchObject({ uid: 0, gid: 0 });
      const peer = await startPeer(pod.socket(), 'client');
      try {
        await expectLink(pod);
      } finally {
        await peer.stop();
      }
      expect(await pod.del('net1', server)).toMatchObject({ exitCode: 0 });
    });

    const run = () => theSwitch().rundir;
    const pidfile = () => join(run(), 'ovs-vswitchd-dpdk.pid');

    /** For one test. */
    function withoutPidfile(): string {
      const pid = readFileSync(pidfile(), 'utf8');
      rmSync(pidfile());
      onTestFinished(() => writeFileSync(pidfile(), pid));
      return pid;
    }

    async function expectKnown(): Promise<void> {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject({ exitCode: 0 });
      expect(statSync(dirname(pod.socket()))).toMatchObject({ gid: user });
      expect(await pod.check((await pod.add()).json)).toMatchObject({ exitCode: 0 });
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
    }

    test('is known by its pid file in the run directory that the database tells, under either name (need N2)', async () => {
      const elsewhere = join(node().directory, 'run');
      mkdirSync(elsewhere);
      writeFileSync(join(elsewhere, 'ovs-vswitchd.pid'), withoutPidfile());
      // Then the database tells nothing.
      chownSync(join(run(), 'db.sock'), 0, 0);
      onTestFinished(() => chownSync(join(run(), 'db.sock'), user, user));
      await theSwitch().vsctl('set', 'Open_vSwitch', '.', `external_ids:rundir=${elsewhere}`);
      onTestFinished(() =>
        theSwitch()
          .vsctl('remove', 'Open_vSwitch', '.', 'external_ids', 'rundir')
          .then(() => undefined),
      );
      await expectKnown();
    });

    test('whose process cannot be found is known by its database’s owner (need N2)', async () => {
      withoutPidfile();
      await expectKnown();
    });

    test('is judged as the kernel judges it (need N2)', () => {
      const uids = fc.constantFrom(0, 7, user);
      const some = fc.record({
        uid: uids,
        gid: uids,
        mode: fc.nat(0o777),
        let: fc.array(fc.tuple(uids, fc.nat(7)), { maxLength: 2 }),
      });
      const path = join(node().directory, 'judged');
      mkdirSync(path);
      fc.assert(
        fc.property(some, fc.subarray([7, 8]), ({ uid, gid, mode, let: entries }, more) => {
          const list = entries.reduce((one, [id, rights]) => withUser(one, id, rights), listOfMode(mode));
          chownSync(path, uid, gid);
          setAccessList(path, 'access', bytesOfList(list));
          const groups = [user, ...more];
          const identity = ['--reuid', `${user}`, '--regid', `${user}`, '--groups', groups.join(',')];
          const asked = spawnSync('setpriv', [...identity, 'test', '-x', path]);
          expect(hasRights({ uid: user, groups }, { uid, gid, mode }, list, 1)).toBe(asked.status === 0);
        }),
      );
    });
  },
  { user, parts: ['peer', 'strace'] },
);
