/**
 * GC (CNI SPEC 1.1.0): what of a network its runtime does not know any more is removed, by the same steps as ever.
 */

import { type AttachmentKey, code, keyOfText, messageOf, type Trouble } from '../attachment.ts';
import { refuse } from '../cni/error.ts';
import { type GcRequest, withValid } from '../cni/upkeep.ts';
import { now, within } from '../deadlines.ts';
import { ensureIdentity } from '../drive/identity.ts';
import type { AddressPlan, Call, KnownPort } from '../machines/protocol.ts';
import { removalPlan } from '../plan/plans.ts';
import { collect, keysOf } from '../recovery/collect.ts';
import type { Recovered } from '../recovery/options.ts';
import type { Node } from './node.ts';

/** As its own DEL would say it. */
const namesOf = ({ containerId, ifName }: AttachmentKey) => ({ CNI_CONTAINERID: containerId, CNI_IFNAME: ifName });

/** What the runtime does not list is removed; errors are collected, and what is owed is one. */
export async function gc(request: GcRequest, node: Node): Promise<void> {
  const { config, network, path, env } = request;
  const { dataDir, ovsdb, ipam, deadlines } = config;
  const instance = await ensureIdentity(node.disk, dataDir, node.random, now() + deadlines.lockMs);
  const progress = ({ key, found, result }: Recovered) => node.log.info(`GC ${key}: ${found}, ${result}`);
  const planOf = (key: AttachmentKey) => removalPlan({ ...request, key, netns: '', env: { ...env, ...namesOf(key) } });
  const { disk, host, clock } = node;
  const task = { disk, host, clock, dataDir, ovsdb, instance, removeMs: deadlines.delMs };
  const isStale = (key: AttachmentKey) => key.network === network && !request.isValid(key.containerId, key.ifName);
  const collected = await collect(task, { calledAt: node.called(), isStale, planOf, progress });
  const owing = collected.flatMap(({ key, owed }) => owed.map(({ step, message }) => `${key}: ${step}: ${message}`));
  const call = { instance, dataDir, end: now() + deadlines.delMs };
  refuse([
    ...owing.map((message) => ({ code: code.tryAgainLater, message })),
    ...(ipam ? await collectAddresses({ program: ipam, path, network }, { request, node, call }) : []),
  ]);
}

interface GcCall {
  readonly request: GcRequest;
  readonly node: Node;
  readonly call: Call;
}

/**
 * The IPAM plugin keeps what it is told of. What began meanwhile has an address that the runtime did not know of, what is owed keeps its
 * own, and a port of another data directory has one too: as long as one of these cannot be told, the plugin is not asked.
 */
async function collectAddresses(
  plan: AddressPlan & { readonly network: string },
  { request, node, call }: GcCall,
): Promise<Trouble[]> {
  const { config, stdin, env } = request;
  const { dataDir, ovsdb, deadlines } = config;
  const later = (why: string): Trouble[] => [
    { code: code.tryAgainLater, message: `the IPAM plugin was not asked to collect: ${why}` },
  ];
  let ports: readonly KnownPort[];
  try {
    ports = await node.host.listPorts({ ovsdb }, within(call.end, deadlines.switchMs));
  } catch (error) {
    return later(messageOf(error));
  }
  const { untold } = keysOf({ disk: node.disk, dataDir });
  if (untold.length > 0) return later(`the journal "${untold[0]}" does not tell whose it is: DEL or recover first`);
  const others = ports.flatMap(({ key }) => keyOfText(key) ?? []);
  const toldOf = (text: string) =>
    withValid(
      text,
      [...keysOf({ disk: node.disk, dataDir }).keys, ...others].filter((key) => key.network === plan.network),
    );
  return await node.host.collectAddresses(plan, { stdin, env }, toldOf, call);
}
