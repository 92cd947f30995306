/**
 * The effects of a real node, put together once: the engine, API servers, IPAM plugins and files behind what the verbs and recovery ask.
 */

import type { PodRef, Trouble } from '../attachment.ts';
import { type Deadlines, type Moment, within } from '../deadlines.ts';
import type {
  AddressPlan,
  Call,
  CallText,
  Database,
  Elsewhere,
  IdleBridges,
  KnownPort,
  Perform,
  Plan,
  PodLookup,
  Recalled,
  Request,
} from '../machines/protocol.ts';
import { Away } from './away.ts';
import type { LivePort } from './engine.ts';
import { EngineFailure } from './engine.ts';
import { roomTroubles } from './files/room.ts';
import { hasLink } from './files/socket-dir.ts';
import { collectAddresses } from './ipam/plugin.ts';
import { ApiServers } from './kubernetes/api-servers.ts';
import { bootId, judgeNetns, momentOfBoot, type Netns, netnsTroubles, readNetns } from './netns.ts';
import { openVswitch } from './ovs/engine.ts';
import { type Means, perform } from './perform.ts';
import { preflight } from './preflight.ts';
import { findProgram } from './program.ts';

/** A node, as the handlers of the verbs are handed it. */
export interface Host {
  readonly perform: Perform;
  /** What a plan has to know of its pod, asked once. */
  lookUpPod(kubeconfig: string, ref: PodRef, call: Pick<Call, 'end'>): Promise<PodLookup>;
  /** Everything that forbids this plan, known without an effect. */
  preflight(plan: Plan, dataDir: string, call: Call): Promise<Trouble[]>;
  /** Why the data directory takes no journal. */
  roomTroubles(dataDir: string): Trouble[];
  /** What there is to remove of an attachment that no journal tells of: what is known of it, corrected by the world. */
  recall(known: Plan, call: Call): Promise<Recalled>;
  /** Hands a GC on to an IPAM program that knows it, with what it is to be told when no ADD is under way. */
  collectAddresses(
    plan: AddressPlan & { readonly network: string },
    text: CallText,
    toldOf: (stdin: string) => string,
    call: Call,
  ): Promise<Trouble[]>;
  readNetns(path: string): Netns | undefined;
  judgeNetns(netns: Netns): 'alive' | 'gone' | 'unknown';
  /** Whether the switch lost a port, or its socket. @throws where it cannot be asked */
  isPortLost(sought: Pick<Request, 'plan' | 'facts'>, call: Call): Promise<boolean>;
  /** Why a port that the switch lost cannot be put back just now; nothing is changed by the question. */
  restoreTrouble(sought: Pick<Request, 'plan' | 'facts'>, call: Call): Promise<Trouble | undefined>;
  /** Every port of this plugin on a switch. @throws where it cannot be asked */
  listPorts(database: Database, end: Moment): Promise<KnownPort[]>;
  /** Bridges of ours that no port uses go. @returns their names. @throws where the switch cannot be asked */
  removeIdleBridges(sought: IdleBridges, call: Call): Promise<string[]>;
  /** Which ports a switch has, asked in one transaction and without a fence: for people. @throws where it cannot be asked */
  portsThere(database: Database, ports: readonly LivePort[], end: Moment): Promise<readonly boolean[]>;
  /** Which rights a kubeconfig's account lacks in a namespace (undefined: in all), in words. @throws ApiError */
  missingRights(kubeconfig: string, namespace: string | undefined, end: Moment): Promise<readonly string[]>;
  netnsTroubles(path: string, env: { readonly [name: string]: string }): Trouble[];
  bootId(): string;
  /** What tells the database that a pre-flight looked at (Plan.database). */
  databaseAt(ovsdb: string): string | undefined;
  /** What could not be reached is asked again from now on. @returns whether there was anything */
  forgetAway(): boolean;
  /** Of this boot: which of two sandboxes is the later one. */
  moment(): string;
  close(): void;
}

interface HostOptions {
  /** What did not answer once is not asked again, until `forgetAway`. */
  readonly remembersAway?: boolean;
  /** Of what cannot be known, and need not. */
  readonly warn?: (message: string) => void;
}

/** @param elsewhere where to look too, when the place that a plan names has a thing no more */
export function createHost(deadlines: Deadlines, elsewhere: Elsewhere = {}, options: HostOptions = {}): Host {
  const away = new Away({ remembers: options.remembersAway === true });
  const engine = openVswitch({ deadlines, away, elsewhere: elsewhere.ovsdb, warn: options.warn });
  const api = new ApiServers({ deadlines, away, kubeconfig: elsewhere.kubeconfig });
  const means: Means = { engine, api, deadlines, elsewhere, away };
  return {
    perform: (request, call) => perform(means, request, call),
    lookUpPod: (kubeconfig, ref, call) => api.lookUp(kubeconfig, ref, call.end),
    preflight: (plan, dataDir, call) => preflight(engine, { plan, dataDir }, call, deadlines),
    roomTroubles,
    recall: (known, call) => recall(means, known, call),
    collectAddresses: (plan, text, toldOf, call) =>
      collectAddresses({ plan, text, call, deadlines, network: plan.network, elsewhere: elsewhere.path ?? [] }, toldOf),
    readNetns,
    judgeNetns,
    isPortLost: async (recorded, call) => {
      if (await engine.isPortLost(recorded, call)) return true;
      const { socketDir } = recorded.plan;
      if (!socketDir) return false;
      const end = within(call.end, deadlines.directoryMs);
      // The switch's way to the socket, when the application has made that anew.
      return !(await hasLink(socketDir, end)) || (await engine.way.isLost(recorded.plan, end));
    },
    restoreTrouble: engine.restoreTrouble,
    listPorts: engine.listPorts,
    removeIdleBridges: engine.removeIdleBridges,
    portsThere: engine.portsThere,
    missingRights: (...asked) => api.missingRights(...asked),
    netnsTroubles,
    bootId,
    databaseAt: engine.databaseAt,
    moment: momentOfBoot,
    forgetAway: () => away.forget(),
    close: () => {
      engine.close();
      api.forget();
    },
  };
}

/** No address was given by a program that is not there. */
async function recall({ engine, elsewhere }: Means, known: Plan, call: Call): Promise<Recalled> {
  const { address, predecessor, ...rest } = known;
  const program = address && findProgram(address, elsewhere.path);
  try {
    const port = await engine.recall(known, call);
    if (port.kind === 'elsewhere') return port;
    const isOld = predecessor !== undefined && engine.isPredecessors(predecessor);
    const plan = {
      ...rest,
      ...(address && program && { address }),
      ...(isOld && { predecessor }),
      ...(port.kind === 'own' && port.plan),
    };
    const instance = port.kind === 'own' ? port.instance : call.instance;
    return { kind: 'known', plan, instance, isProved: isOld || port.kind === 'own' };
  } catch (error) {
    if (!(error instanceof EngineFailure)) throw error;
    return { kind: 'unsettled', trouble: error.trouble };
  }
}
