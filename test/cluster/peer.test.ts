/** A real vhost-user application in a pod: it has the emptyDir mounted at a short path, the switch comes in by the symlink. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld } from '../support/cluster/kube-node.ts';
import { startPeer } from '../support/real/peer.ts';

onCluster('an application in a pod', (parts) => {
  const home = useKubeNode(parts);
  const { theSwitch } = parts;

  test('has its link up in an emptyDir whose path is too long for a socket; DEL leaves nothing (case A5)', async () => {
    const pod = await home().pod('emptyDir');
    const added = await pod.add();
    expect(added).toMatchObject({ exitCode: 0 });
    expect(Buffer.byteLength(pod.socket())).toBeGreaterThan(107);
    const inside = join(home().node.directory, 'app');
    mkdirSync(inside);
    const container = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount --bind "$0" "$1" && shift && exec "$@"',
      pod.directory,
      inside,
    ];
    const peer = await startPeer(join(inside, pod.sandbox.portName()), 'server', container);
    try {
      await theSwitch().vsctl('wait-until', 'Interface', pod.sandbox.portName(), 'link_state=up');
      expect(await pod.check(added.json)).toMatchObject({ exitCode: 0 });
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
    } finally {
      await peer.stop();
    }
    expect(await home().world()).toEqual(emptyKubeWorld);
  });
});
