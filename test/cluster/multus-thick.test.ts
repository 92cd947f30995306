/**
 * Run as Multus thick runs a plugin: chrooted to the host's root, in a mount namespace of its own that is a slave of the host's.
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld, podGround, type Volume } from '../support/cluster/kube-node.ts';
import { Tally } from '../support/real/fault-suite.ts';
import { killByTime } from '../support/real/kill-by-time.ts';

const ok = { exitCode: 0 };
const kills = 40;

/** The words before the executable. */
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
    'ADD, CHECK and DEL of a pod with %s work as elsewhere, and nothing is mounted (case A2)',
    async (volume) => {
      const options = await under();
      const pod = await home().pod(volume);
      const before = readFileSync('/proc/mounts', 'utf8');
      const added = await pod.add('net1', {}, options);
      expect(added).toMatchObject(ok);
      expect(readFileSync('/proc/mounts', 'utf8')).toBe(before);
      // A process without the chroot sees the same.
      expect(await pod.check(added.json)).toMatchObject(ok);
      expect(await pod.add('net1', {}, options)).toMatchObject({ ...ok, json: added.json });
      expect(await pod.del('net1', {}, options)).toMatchObject({ ...ok, stdout: '' });
      expect(readFileSync('/proc/mounts', 'utf8')).toBe(before);
      await nothingLeft();
    },
  );

  const tally = new Tally('kill-by-time, chrooted', 'complete');
  afterAll(() => tally.print());
  test.each(['ADD', 'DEL'] as const)(
    `I4 %s killed at ${kills} moments leaves nothing after a DEL that is chrooted too`,
    async (command) => await killByTime(podGround(home()), command, kills, tally, await under()),
  );
});
