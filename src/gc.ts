/**
 * GC (CNI SPEC 1.1.0): what of a network its runtime does not know any more is removed, by the same steps as ever.
 */
import { asChecked } from './answer.ts';
import { type AttachmentKey, code } from './attachment.ts';
import { refuse } from './cni/error.ts';
import { type GcRequest, withValid } from './cni/upkeep.ts';
import { now } from './deadlines.ts';
import type { Node } from './node.ts';
import { removalPlan } from './plan.ts';
import { collect, keysOf } from './recovery/collect.ts';
import { identityOf } from './recovery/identity.ts';
import type { Recovered } from './recovery/options.ts';

/** As its own DEL would say it. */
const namesOf = ({ containerId, ifName }: AttachmentKey) => ({ CNI_CONTAINERID: containerId, CNI_IFNAME: ifName });

/** What the runtime does not list is removed; errors are collected, and what is owed is one. */
export async function gc(request: GcRequest, node: Node): Promise<void> {
  const { config, network, path, stdin, env } = request;
  const { dataDir, ovsdb, ipam, deadlines } = config;
  const instance = await identityOf(node.disk, dataDir, node.random, now() + deadlines.lockMs);
  const progress = ({ key, found, result }: Recovered) => node.log.info(`GC ${key}: ${found}, ${result}`);
  const known = (key: AttachmentKey) => removalPlan({ ...request, key, netns: '', env: { ...env, ...namesOf(key) } });
  const options = { ...node, dataDir, ovsdb, removeMs: deadlines.delMs, known, asChecked, progress };
  const isStale = (key: AttachmentKey) => key.network === network && !request.isValid(key.containerId, key.ifName);
  const collected = await collect(options, instance, node.called(), isStale);
  const owing = collected.flatMap(({ key, owed }) => owed.map(({ step, message }) => `${key}: ${step}: ${message}`));
  // What began meanwhile has an address that the runtime did not know of, and what is owed keeps its own.
  const toldOf = (text: string) =>
    withValid(
      text,
      keysOf({ disk: node.disk, dataDir }).filter((key) => key.network === network),
    );
  const call = { instance, dataDir, end: now() + deadlines.delMs };
  refuse([
    ...owing.map((message) => ({ code: code.tryAgainLater, message })),
    ...(ipam ? await node.host.collectAddresses({ program: ipam, path, network }, { stdin, env }, toldOf, call) : []),
  ]);
}
