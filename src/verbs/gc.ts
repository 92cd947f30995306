/**
 * GC (CNI SPEC 1.1.0): removes the attachments of a network that its runtime no longer lists, by the same steps as a DEL.
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
import { expectCaller } from './locked.ts';
import type { Node } from './node.ts';

/** The variables that the attachment's own DEL would have. */
const namesOf = ({ containerId, ifName }: AttachmentKey) => ({ CNI_CONTAINERID: containerId, CNI_IFNAME: ifName });

/** Removes every attachment that the runtime does not list. Errors are collected, and a debt counts as one. */
export async function gc(request: GcRequest, node: Node): Promise<void> {
  const { config, network, path, env } = request;
  const { dataDir, ovsdb, ipam, deadlines } = config;
  const calledAt = node.called();
  // If the caller has ended, its number may be another process's, which was started later.
  expectCaller(node);
  const instance = await ensureIdentity(node.disk, dataDir, node.random, now() + deadlines.lockMs);
  const progress = ({ key, found, result }: Recovered) => node.log.info(`GC ${key}: ${found}, ${result}`);
  const planOf = (key: AttachmentKey) => removalPlan({ ...request, key, netns: '', env: { ...env, ...namesOf(key) } });
  const { disk, host, clock } = node;
  const task = { disk, host, clock, dataDir, ovsdb, instance, removeMs: deadlines.delMs };
  const isStale = (key: AttachmentKey) => key.network === network && !request.isValid(key.containerId, key.ifName);
  const collected = await collect(task, { calledAt, isStale, planOf, progress });
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
 * The IPAM plugin releases every address that is not listed. The list has to name attachments that the runtime does not know:
 * those that began meanwhile, those that are owed, and ports of another data directory. If one of these cannot be listed, the
 * plugin is not asked.
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
  const withAllValid = (text: string) =>
    withValid(
      text,
      [...keysOf({ disk: node.disk, dataDir }).keys, ...others].filter((key) => key.network === plan.network),
    );
  return await node.host.collectAddresses(plan, { stdin, env }, withAllValid, call);
}
