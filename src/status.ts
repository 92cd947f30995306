/**
 * STATUS: an error names what keeps the node from serving an ADD, and what to do about it.
 */
import { refuse } from './cni/error.ts';
import type { StatusRequest } from './cni/upkeep.ts';
import { now } from './deadlines.ts';
import { readiness } from './effects/readiness.ts';

export async function statusOf({ config, path, stdin, env }: StatusRequest): Promise<void> {
  const { ovsdb, dataDir, ipam, deadlines } = config;
  const address = ipam ? { program: ipam, path } : undefined;
  const asked = { ovsdb, dataDir, text: { stdin, env }, ...(address && { address }) };
  refuse(await readiness(asked, { instance: '', end: now() + deadlines.statusMs }, deadlines));
}
