/** The findings about this node, for `userspace status` and for the agent's /healthz: one way to look, whatever asks. */
import { journalSuffix } from '../attachment.ts';
import { listJournals } from '../journal/store.ts';
import { readAttachments } from './attachments.ts';
import type { CliNode } from './command-line.ts';
import type { HealthFinding } from './findings.ts';
import { installedNetworks, namedNetworks } from './networks.ts';
import { type NodeView, statusOfNode } from './status.ts';

interface Looked extends Pick<NodeView, 'ovsdb' | 'dataDir'> {
  /** Files with networks, if a person named some. */
  readonly files: readonly string[] | undefined;
  /** Without debts the journals are listed, and not read: no debt keeps an ADD from being served. */
  readonly debts: 'told' | 'untold';
}

export async function lookAtNode(machine: CliNode, { files, debts, ...places }: Looked): Promise<HealthFinding[]> {
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
      attachments: (dataDir) =>
        debts === 'told'
          ? readAttachments(disk, dataDir, clock()).map(({ attachment }) => attachment)
          : listJournals(disk, dataDir, journalSuffix).flatMap(() => []),
      now: clock(),
    });
  } finally {
    host.close();
  }
}
