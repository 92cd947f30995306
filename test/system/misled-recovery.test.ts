/** Recovery beside other nodes on the same switch, and after a dead recovery. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { newId, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };
const sh = (command: string) => execFileSync('sh', ['-c', command], { encoding: 'utf8' });

onRealSwitch('recovery where it could be misled', (theSwitch) => {
  const node = useNode(theSwitch);

  test('kind 2: another node whose data directory has the same path (nodes in containers, each with /var/lib/cni/userspace) keeps its ports', async () => {
    const other = await TestNode.create(theSwitch());
    try {
      const theirs = await node().pod();
      expect(await theirs.add()).toMatchObject(ok);
      const ours = await other.pod();
      const asOurs = { dataDir: node().dataDir, host: { bridge: { bridgeName: other.bridge } } };
      mkdirSync(other.dataDir);
      // Its own mounts: what it calls by that path is its own directory.
      const within = [
        'unshare',
        '--mount',
        'sh',
        '-c',
        `mount --bind ${other.dataDir} ${node().dataDir} && exec "$0" "$@"`,
      ];
      expect(await ours.add('net1', asOurs, { under: within })).toMatchObject(ok);
      expect((await node().world()).ports.sort()).toEqual([ours.portName(), theirs.portName()].sort());
      await node().recoverUnder(within);
      expect((await node().world()).ports.sort()).toEqual([ours.portName(), theirs.portName()].sort());
    } finally {
      await other.end();
    }
  });

  describe('kind 7: a lease that a killed recovery left, while the clock was ahead, does not stop a later recovery', () => {
    test.each([
      ['its number is another process’s now', JSON.stringify({ pid: 1, since: '', command: 'userspace recover' })],
      ['it was killed before it wrote its number', undefined],
      ['its file was cut off', '{"pid":'],
    ])('%s', async (_, told) => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      await pod.removeNetns();
      const lease = join(node().dataDir, 'recover.lock');
      mkdirSync(lease);
      const tomorrow = new Date(Date.now() + 86_400_000);
      utimesSync(lease, tomorrow, tomorrow);
      if (told !== undefined) writeFileSync(join(node().dataDir, 'recover.holder'), told);
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1 } });
      expectNothingLeft(await node().world());
    });
  });

  test('kind 2: a namespace whose file is a symlink below /proc cannot be judged from another pid namespace (recover in a container)', async () => {
    const holder = execa('unshare', ['--net', 'sleep', '60'], { reject: false });
    try {
      await delay(300);
      const link = join(node().directory, 'netns', 'link');
      mkdirSync(join(node().directory, 'netns'), { recursive: true });
      symlinkSync(`/proc/${holder.pid}/ns/net`, link);
      const pod = await node().pod(newId(), link);
      expect(await pod.add()).toMatchObject(ok);
      await node().recoverUnder(['unshare', '--pid', '--fork', '--mount-proc']);
      expect((await node().world()).ports).toEqual([pod.portName()]);
      expect(await pod.del()).toMatchObject(ok);
      sh(`rm ${link}`);
    } finally {
      holder.kill('SIGKILL');
      await holder;
    }
  });

  test('a time for ADD that leaves none beside that of its rollback is refused with code 7, and not by each ADD with "try again later"', async () => {
    const pod = await node().pod();
    const { exitCode, json } = await pod.add('net1', { deadlines: { addMs: 20_000 } });
    expect({ exitCode, code: json.code }).not.toEqual({ exitCode: 1, code: 11 });
  });

  test('kind 5: DEL on a full disk whose data directory was lost succeeds', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    sh(`rm -r ${node().dataDir}; mkdir ${node().dataDir}; mount -t tmpfs -o size=64k tmpfs ${node().dataDir}`);
    try {
      sh(`dd if=/dev/zero of=${node().dataDir}/fill bs=4k 2>/dev/null || true`);
      expect(await pod.del()).toMatchObject({ ...ok, stdout: '' });
    } finally {
      sh(`umount -l ${node().dataDir}`);
    }
  });
});
