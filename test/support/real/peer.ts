/**
 * A real vhost-user application: DPDK's testpmd on a virtio-user port, as a pod would run it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

export interface Peer {
  stop(): Promise<void>;
}

/**
 * @param role of the application: `server` creates the socket and waits for the switch (which is then the client)
 * @param under the words before it, such as those for a container's mounts
 */
export async function startPeer(
  socket: string,
  role: 'client' | 'server',
  under: readonly string[] = [],
  forward: 'rxonly' | 'txonly' = 'rxonly',
): Promise<Peer> {
  const directory = await mkdtemp(join(tmpdir(), 'usw-p-'));
  const device = `net_virtio_user0,path=${socket}${role === 'server' ? ',server=1' : ''}`;
  const memory = [
    '--lcores',
    '0@0,1@0',
    '--in-memory',
    '--no-pci',
    '--no-telemetry',
    '--single-file-segments',
    '-m',
    '64',
  ];
  const options = [
    '--total-num-mbufs=2048',
    `--forward-mode=${forward}`,
    '--auto-start',
    '--stats-period=1',
    '--no-mlockall',
  ];
  const child = execa(
    'setpriv',
    ['--pdeathsig', 'KILL', ...under, 'dpdk-testpmd', ...memory, `--vdev=${device}`, '--', ...options],
    {
      // DPDK's files go where they can be removed.
      env: { RUNTIME_DIRECTORY: directory },
      reject: false,
      forceKillAfterDelay: 5_000,
      maxBuffer: 1_000_000,
    },
  );
  return {
    stop: async () => {
      child.kill('SIGTERM');
      await child;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
