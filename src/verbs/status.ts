/**
 * STATUS: an error names each reason why the node cannot serve an ADD, and what to do about it.
 */
import { dirname, join } from 'node:path';
import type { Basics } from '../cni/config/config.ts';
import { refuse } from '../cni/error.ts';
import type { StatusRequest } from '../cni/upkeep.ts';
import { now } from '../deadlines.ts';
import { readiness } from '../effects/readiness.ts';

export async function statusOf({ config, path, stdin, env }: StatusRequest): Promise<void> {
  const { ovsdb, dataDir, ipam, deadlines } = config;
  const address = ipam ? { program: ipam, path } : undefined;
  const asked = { ovsdb, dataDir, searched: searchedBy(config), text: { stdin, env }, ...(address && { address }) };
  refuse(await readiness(asked, { instance: '', end: now() + deadlines.statusMs }, deadlines));
}

/** The directories of a configuration that the switch searches on its way to sockets of applications. */
export function searchedBy(config: Basics): string[] {
  const { mode, sharedDir, shortDir, kubeconfig } = config;
  if (mode !== 'client') return [];
  return kubeconfig ? [sharedDir, shortDir, ...kubeletDirectories(config)] : [sharedDir];
}

/** The kubelet's directories that must be open already: the others get their rights from us. */
const kubeletDirectories = ({ kubeletRootDir, grantAccess }: Basics): string[] =>
  grantAccess ? [dirname(kubeletRootDir)] : [join(kubeletRootDir, 'pods')];
