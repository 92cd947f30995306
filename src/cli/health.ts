/** The findings about this node, for `userspace status` and for the agent's /healthz: one way to look, whatever asks. */
import { readAttachments } from './attachments.ts';
import type { CliNode } from './command-line.ts';
import type { HealthFinding } from './findings.ts';
import { installedNetworks, namedNetworks } from './networks.ts';
import { type NodeView, statusOfNode } from './status.ts';

interface Looked extends Pick<NodeView, 'ovsdb' | 'dataDir'> {
  /** Files with networks, if a person named some. */
  readonly files: readonly string[] | undefined;
}

export async function lookAtNode(machine: CliNode, { files, ...places }: Looked): Promise<HealthFinding[]> {
  const { networkDir, hugepagesDir, path, disk, clock, uid } = machine;
  const found = files ? namedNetworks(files) : installedNetworks(networkDir);
  const host = machine.host();
  try {
    return await statusOfNode({
      ...found,
      ...places,
      networkDir,
      hugepagesDir,
      path,
      host,
      uid,
      attachments: (dataDir) => readAttachments(disk, dataDir, clock()).map(({ attachment }) => attachment),
      now: clock(),
    });
  } finally {
    host.close();
  }
}
