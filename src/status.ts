/**
 * STATUS: an error names what keeps the node from serving an ADD, and what to do about it.
 */
import { dirname, join } from 'node:path';
import { refuse } from './cni/error.ts';
import type { StatusRequest } from './cni/upkeep.ts';
import { now } from './deadlines.ts';
import { readiness } from './effects/readiness.ts';

export async function statusOf({ config, path, stdin, env }: StatusRequest): Promise<void> {
  const { ovsdb, dataDir, ipam, deadlines, sharedDir, shortDir, kubeconfig } = config;
  const address = ipam ? { program: ipam, path } : undefined;
  const places = kubeconfig ? [sharedDir, shortDir, ...kubeletDirectories(config)] : [sharedDir];
  const searched = config.mode === 'client' ? places : [];
  const asked = { ovsdb, dataDir, searched, text: { stdin, env }, ...(address && { address }) };
  refuse(await readiness(asked, { instance: '', end: now() + deadlines.statusMs }, deadlines));
}

/** What is opened to the switch need not be open. */
const kubeletDirectories = ({ kubeletRootDir, grantAccess }: StatusRequest['config']): string[] =>
  grantAccess ? [dirname(kubeletRootDir)] : [join(kubeletRootDir, 'pods')];
