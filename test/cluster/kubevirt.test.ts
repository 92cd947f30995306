/** QEMU runs as uid 107: it must be able to create its socket, or to open the switch's. */
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld } from '../support/cluster/kube-node.ts';

const qemu = 107;
const group = { host: { vhost: { group: String(qemu) } } };
const serverMode = {
  host: { vhost: { mode: 'server', group: String(qemu) } },
  container: { vhost: { mode: undefined } },
};

/** As user 107 alone, by the one interpreter that every Debian has. */
const asQemu = (script: string, path: string) =>
  execa(
    'setpriv',
    [`--reuid=${qemu}`, `--regid=${qemu}`, '--clear-groups', 'perl', '-MIO::Socket::UNIX', '-e', script, path],
    {
      reject: false,
    },
  );
const listens = async (path: string): Promise<boolean> =>
  (await asQemu('IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die $!', path)).exitCode === 0;
const connects = async (path: string): Promise<boolean> =>
  (await asQemu('IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!', path)).exitCode === 0;

onCluster('a virtual machine’s user', (parts) => {
  const home = useKubeNode(parts);

  /** The test's own directory is root's; a node's is not. */
  const open = () => chmodSync(home().node.directory, 0o711);
  const nothingLeft = async () =>
    expect(await home().node.world()).toMatchObject({ ports: [], addresses: [], journals: [] });

  describe('with the switch as the client', () => {
    test('creates its socket in an emptyDir, whose owner and mode stay the kubelet’s (case A2)', async () => {
      open();
      const pod = await home().pod('emptyDir');
      chmodSync(pod.directory, 0o777);
      expect(await pod.add('net1', group)).toMatchObject({ exitCode: 0 });
      const { mode, gid } = statSync(pod.directory);
      expect({ mode: mode & 0o7777, gid }).toEqual({ mode: 0o777, gid: 0 });
      // The container has it mounted at a short path; from outside only the symlink is short enough to listen at.
      const port = await home().node.port(pod.sandbox.portName());
      expect(await listens(port?.options['vhost-server-path'] ?? '')).toBe(true);
      expect(statSync(pod.socket()).uid).toBe(qemu);
      expect(await pod.del('net1', group)).toMatchObject({ exitCode: 0 });
      expect(await home().world()).toEqual(emptyKubeWorld);
    });

    test('creates it in a hostPath that is given to its group, and could not without (case A2, bug B33)', async () => {
      open();
      const [without, pod] = [await home().pod('hostPath'), await home().pod('hostPath')];
      for (const { directory } of [without, pod]) mkdirSync(directory, { recursive: true, mode: 0o755 });
      expect(await without.add()).toMatchObject({ exitCode: 0 });
      expect(await listens(without.socket())).toBe(false);
      expect(await pod.add('net1', group)).toMatchObject({ exitCode: 0 });
      expect(await listens(pod.socket())).toBe(true);
      for (const one of [without, pod]) expect(await one.del()).toMatchObject({ exitCode: 0 });
      await nothingLeft();
    });
  });

  test('with the switch as the server opens the switch’s socket (case A2)', async () => {
    open();
    const pod = await home().pod('hostPath');
    expect(await pod.add('net1', serverMode)).toMatchObject({ exitCode: 0 });
    expect(await connects(pod.socket())).toBe(true);
    expect(await pod.del('net1', serverMode)).toMatchObject({ exitCode: 0 });
    await nothingLeft();
  });
});
