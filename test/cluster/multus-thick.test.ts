/**
 * Run as Multus thick runs a plugin: chrooted to the host's root, in a mount namespace of its own that is a slave of the host's.
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { onCluster, useKubeNode } from '../support/cluster-suite.ts';
import { type Answer, start } from '../support/cni.ts';
import { emptyKubeWorld, type KubePod, type Volume } from '../support/kube-node.ts';

const ok = { exitCode: 0 };
const kills = 40;

/** What a test starts the executable by. */
const chrooted = (root: string): string[] => [
  ...['unshare', '--mount', '--propagation', 'slave'],
  ...['sh', '-c', 'mount --rbind / "$0" && exec chroot "$0" "$@"', root],
];

onCluster('chrooted, with mounts of its own', (parts) => {
  const home = useKubeNode(parts);

  const under = async (): Promise<{ under: string[] }> => {
    const root = join(home().node.directory, 'hostroot');
    await mkdir(root, { recursive: true });
    return { under: chrooted(root) };
  };
  const nothingLeft = async () => expect(await home().world()).toEqual(emptyKubeWorld);

  test.each<Volume>(['emptyDir', 'hostPath'])(
    'A2 ADD, CHECK and DEL of a pod with %s are as ever, and nothing is mounted',
    async (volume) => {
      const options = await under();
      const pod = await home().pod(volume);
      const before = readFileSync('/proc/mounts', 'utf8');
      const added = await pod.add('net1', {}, options);
      expect(added).toMatchObject(ok);
      expect(readFileSync('/proc/mounts', 'utf8')).toBe(before);
      // Whoever comes without the chroot sees the same.
      expect(await pod.check(added.json)).toMatchObject(ok);
      expect(await pod.add('net1', {}, options)).toMatchObject({ ...ok, json: added.json });
      expect(await pod.del('net1', {}, options)).toMatchObject({ ...ok, stdout: '' });
      expect(readFileSync('/proc/mounts', 'utf8')).toBe(before);
      await nothingLeft();
    },
  );

  describe.each(['ADD', 'DEL'])('%s', (command) => {
    test(`I4 killed at ${kills} moments leaves nothing after a DEL that is chrooted too`, async () => {
      const options = await under();
      const durationOf = async (run: () => Promise<Answer>) => {
        const began = performance.now();
        expect(await run()).toMatchObject(ok);
        return performance.now() - began;
      };
      const first = await home().pod();
      const adding = await durationOf(() => first.add('net1', {}, options));
      const removing = await durationOf(() => first.del('net1', {}, options));
      const whole = command === 'ADD' ? adding : removing;
      let killed = 0;
      for (let moment = 0; killed < kills; moment = hitOr(moment, killed)) {
        const pod = await home().pod();
        if (command === 'DEL') expect(await pod.add()).toMatchObject(ok);
        killed += Number(await isKilled(command, pod, moment, options));
        expect(await pod.del('net1', {}, options)).toMatchObject({ ...ok, stdout: '' });
        await nothingLeft();
        await home().forget(pod);
      }

      function hitOr(moment: number, count: number): number {
        return Math.max(moment * 0.95, (whole * count) / kills);
      }
    });
  });
});

async function isKilled(command: string, pod: KubePod, ms: number, options: { under: string[] }): Promise<boolean> {
  const child = start(command, pod.call(), options);
  await delay(ms);
  child.kill('SIGKILL');
  return (await child).signal === 'SIGKILL';
}
