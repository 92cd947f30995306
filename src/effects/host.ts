/**
 * The effects of a real node behind one function: request -> outcome. The only place where an exception becomes an outcome.
 */

import { code, type PodRef, type Trouble } from '../attachment.ts';
import { type Deadlines, type Moment, within } from '../deadlines.ts';
import type {
  AddressPlan,
  Call,
  CallText,
  Elsewhere,
  FilePlan,
  Outcome,
  Perform,
  Plan,
  PodPlace,
  Request,
  Verb,
} from '../machines/protocol.ts';
import { ApiServers } from './api-servers.ts';
import { ensureBridge, findBridge, removeBridge } from './bridge.ts';
import { ensureDeviceInfo, findDeviceInfo, removeDeviceInfo } from './device-info.ts';
import { codeOf, DirectoryTimeout, Mismatch, NothingMade } from './directory.ts';
import { checkAddress, collectAddresses, ensureAddress, findProgram, removeAddress } from './ipam.ts';
import { bootId, judgeNetns, momentOfBoot, type Netns, netnsTroubles, readNetns } from './netns.ts';
import { TransactionError, Unreachable } from './ovsdb.ts';
import { ensurePort, restorePort } from './port.ts';
import { otherHolder } from './port-holder.ts';
import { removePort } from './port-removal.ts';
import { findPort, isPortLost, type KnownPort, listPorts, recallPort } from './port-view.ts';
import { isPredecessors, removePredecessors } from './predecessor.ts';
import { preflight } from './preflight.ts';
import { ensurePublication, findPublication, removePublication } from './publication.ts';
import { ensureSocketDir, findSocketDir, removeSocketDir } from './socket-dir.ts';
import { letGo, Switch } from './switch.ts';

/** A node, as the handlers of the verbs are handed it. */
export interface Host {
  readonly perform: Perform;
  /** What a plan has to know of its pod, asked once. @returns the troubles if it cannot be attached. */
  lookUpPod(kubeconfig: string, ref: PodRef, call: Pick<Call, 'end'>): Promise<PodPlace | Trouble[]>;
  /** Everything that forbids this plan, known without an effect. */
  preflight(plan: Plan, dataDir: string, call: Call): Promise<Trouble[]>;
  /** What there is to remove of an attachment that no journal tells of: what is known of it, corrected by the world. */
  recall(known: Plan, call: Call): Promise<Plan>;
  /** Hands a GC on to an IPAM program that knows it, with what it is to be told when no ADD is under way. */
  collectAddresses(
    plan: AddressPlan,
    text: CallText,
    toldOf: (stdin: string) => string,
    call: Call,
  ): Promise<Trouble[]>;
  readNetns(path: string): Netns | undefined;
  judgeNetns(netns: Netns): 'alive' | 'gone' | 'unknown';
  /** Whether the switch lost a port, or its socket, that nobody took away. @throws where it cannot be asked */
  isPortLost(plan: Plan, call: Call): Promise<boolean>;
  /** Every port of this plugin on a switch. @throws where it cannot be asked */
  listPorts(ovsdb: string, end: Moment): Promise<KnownPort[]>;
  netnsTroubles(path: string, env: { readonly [name: string]: string }): Trouble[];
  bootId(): string;
  /** Of this boot: which of two sandboxes is the later one. */
  moment(): string;
  close(): void;
}

/** @param elsewhere where to look too, when the place that a plan names has a thing no more */
export function createHost(deadlines: Deadlines, elsewhere: Elsewhere = {}): Host {
  const ovs = new Switch(deadlines);
  const api = new ApiServers(deadlines);
  return {
    perform: (request, call) => outcomeOf(request, () => act({ ovs, api, deadlines, elsewhere }, request, call)),
    lookUpPod: (kubeconfig, ref, call) => api.lookUp(kubeconfig, ref, call.end),
    preflight: (plan, dataDir, call) => preflight(ovs, { plan, dataDir }, call, deadlines),
    recall: (known, call) => recall(ovs, known, { ...call, end: within(call.end, deadlines.switchMs) }),
    collectAddresses: (plan, text, toldOf, call) => collectAddresses(plan, text, toldOf, call, deadlines),
    readNetns,
    judgeNetns,
    isPortLost: async (plan, call) => plan.port !== undefined && (await isPortLost(ovs, plan, plan.port, call)),
    listPorts: (ovsdb, end) => listPorts(ovs, ovsdb, end),
    netnsTroubles,
    bootId,
    moment: momentOfBoot,
    close: () => {
      ovs.close();
      api.forget();
    },
  };
}

/** What effects are made with. */
interface Means {
  readonly ovs: Switch;
  readonly api: ApiServers;
  readonly deadlines: Deadlines;
  readonly elsewhere: Elsewhere;
}

/** Nobody was given an address by a program that is not there; a switch that can not be asked corrects nothing. */
async function recall(ovs: Switch, known: Plan, call: Call): Promise<Plan> {
  const { address, predecessor, ...rest } = known;
  const marks = await recallPort(ovs, known, call).catch(() => undefined);
  return {
    ...rest,
    ...(address && findProgram(address) && { address }),
    ...(predecessor && (await isPredecessors(predecessor, call.end)) && { predecessor }),
    ...marks,
  };
}

/** What every step knows. */
type Plain = Exclude<Verb, 'restore'>;

const nothingToDo: Outcome = { kind: 'ok' };

async function act(means: Means, request: Request, call: Call): Promise<Outcome> {
  const { step, verb, plan, facts } = request;
  const { ovs, api, deadlines } = means;
  const { address, socketDir, bridge, port, publication, deviceInfo } = plan;
  const nearby = within(call.end, deadlines.directoryMs);
  const one = <T>(part: T | undefined, ways: Record<Plain, (part: T) => Promise<Outcome>>): Promise<Outcome> =>
    part === undefined ? Promise.resolve(nothingToDo) : ways[verb === 'restore' ? 'ensure' : verb](part);
  switch (step) {
    case 'address':
      return await one(address, {
        ensure: (part) => ensureAddress(part, plan.request, call, deadlines),
        remove: async (part) => {
          const goneAt = facts.port && 'goneAt' in facts.port ? facts.port.goneAt : 0;
          const gone = await letGo(ovs, plan, goneAt, within(call.end, deadlines.switchMs));
          return gone.kind === 'ok' ? await removeAddress(part, plan.request, call, deadlines) : gone;
        },
        find: (part) => checkAddress(part, plan.request, call, deadlines),
      });
    case 'socketDir':
      return await one(socketDir, {
        ensure: (part) => ensureSocketDir(part, nearby),
        remove: (part) => removeSocketDir(part, nearby),
        find: (part) => findSocketDir(part, nearby),
      });
    case 'bridge':
      return await one(bridge, {
        ensure: (part) => ensureBridge(ovs, plan, part, call),
        remove: (part) => removeBridge(ovs, plan, part, call),
        find: (part) => findBridge(ovs, plan, part, call),
      });
    case 'port':
      // Marks say what there is to remove: no plan is needed.
      if (verb === 'remove') {
        const before = plan.predecessor && (await removePredecessors(ovs, plan, plan.predecessor, call));
        return await removePort(ovs, plan, call, before);
      }
      if (!port) return nothingToDo;
      if (verb === 'restore') return await restorePort(ovs, plan, port, call, deadlines);
      return verb === 'ensure'
        ? await ensurePort(ovs, plan, port, call, deadlines)
        : await findPort(ovs, plan, port, call);
    case 'publication':
      if (publication && 'pod' in publication) return await api.annotate(ovs, publication, request, call);
      return await one(publication, {
        ensure: (part: FilePlan) =>
          ensurePublication({ key: plan.key, addresses: facts.address }, part, otherHolder(ovs, plan, call), nearby),
        remove: (part: FilePlan) => removePublication(plan.key, part, nearby),
        find: (part: FilePlan) => findPublication(part, facts.address, nearby),
      });
    case 'deviceInfo':
      return await one(deviceInfo, {
        ensure: (part) => ensureDeviceInfo(part, otherHolder(ovs, plan, call), nearby),
        remove: (part) => removeDeviceInfo(plan.key, part, otherHolder(ovs, plan, call), nearby),
        find: (part) => findDeviceInfo(part, nearby),
      });
  }
}

/** A bug becomes an outcome too: what was begun is then taken back like after any other failure. */
async function outcomeOf({ step, verb }: Request, action: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await action();
  } catch (error) {
    const madeNothing = error instanceof NothingMade;
    const trouble = troubleOf(madeNothing ? error.why : error);
    return {
      kind: 'failed',
      trouble: { ...trouble, message: `cannot ${verb} ${step}: ${trouble.message}` },
      ...(madeNothing && { made: 'nothing' }),
    };
  }
}

function troubleOf(error: unknown): Trouble {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Unreachable || error instanceof DirectoryTimeout) return { code: code.tryAgainLater, message };
  if (error instanceof TransactionError) {
    return { code: code.tryAgainLater, message: `Open vSwitch refused the change: ${message}` };
  }
  if (error instanceof Mismatch || codeOf(error)) return { code: code.io, message };
  return { code: code.internal, message, details: (error instanceof Error && error.stack) || '' };
}
