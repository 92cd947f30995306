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
import { EngineFailure, type EngineRows, type LivePort } from './engine.ts';
import { roomTroubles } from './files/room.ts';
import { hasLink } from './files/socket-dir.ts';
import { collectAddresses } from './ipam/plugin.ts';
import type { EventFate } from './kubernetes/api-server.ts';
import { ApiServers } from './kubernetes/api-servers.ts';
import type { PodEvent } from './kubernetes/event.ts';
import { bootId, judgeNetns, momentOfBoot, type Netns, netnsTroubles, readNetns } from './netns.ts';
import { openVswitch } from './ovs/engine.ts';
import { type Means, perform } from './perform.ts';
import { preflight } from './preflight.ts';
import { findProgram } from './program.ts';

/** The effects and questions that the handlers of the verbs use. */
export interface Host {
  readonly perform: Perform;
  /** Looks up the pod's part of a plan, once. */
  lookUpPod(kubeconfig: string, ref: PodRef, call: Pick<Call, 'end'>): Promise<PodLookup>;
  /** Finds everything that forbids this plan, without an effect. */
  preflight(plan: Plan, dataDir: string, call: Call): Promise<Trouble[]>;
  /** The reasons why the data directory takes no journal. */
  roomTroubles(dataDir: string): Trouble[];
  /** Rebuilds the plan of an attachment without a journal: the known plan, corrected by the world. */
  recall(known: Plan, call: Call): Promise<Recalled>;
  /** Passes a GC on to an IPAM program that knows GC. `toldOf` makes its stdin while no ADD is under way. */
  collectAddresses(
    plan: AddressPlan & { readonly network: string },
    text: CallText,
    toldOf: (stdin: string) => string,
    call: Call,
  ): Promise<Trouble[]>;
  readNetns(path: string): Netns | undefined;
  judgeNetns(netns: Netns): 'alive' | 'gone' | 'unknown';
  /** Whether the switch lost a port, or its socket. @throws if it cannot be asked */
  isPortLost(sought: Pick<Request, 'plan' | 'facts'>, call: Call): Promise<boolean>;
  /** Why a port that the switch lost cannot be put back just now. Changes nothing but next_cfg. */
  restoreTrouble(sought: Pick<Request, 'plan' | 'facts'>, call: Call): Promise<Trouble | undefined>;
  /** Every port of this plugin on a switch. @throws if it cannot be asked */
  listPorts(database: Database, end: Moment): Promise<KnownPort[]>;
  /** Removes bridges of ours that no port uses. @returns their names. @throws if the switch cannot be asked */
  removeIdleBridges(sought: IdleBridges, call: Call): Promise<string[]>;
  /** Which ports a switch has, in one transaction without a fence, for people. @throws if it cannot be asked */
  portsThere(database: Database, ports: readonly LivePort[], end: Moment): Promise<readonly boolean[]>;
  /** The rows of this plugin on a switch, and the switch's own settings, for people. @throws if it cannot be asked */
  ownRows(database: Database, end: Moment): Promise<EngineRows>;
  /** The rights that a kubeconfig's account lacks in a namespace (undefined: in all), in words. @throws ApiError */
  missingRights(kubeconfig: string, namespace: string | undefined, end: Moment): Promise<readonly string[]>;
  /** Tells a person of a pod, by this kubeconfig or by the caller's. @returns undefined without one. @throws ApiError */
  tell(kubeconfig: string | undefined, event: PodEvent, end: Moment): Promise<EventFate | undefined>;
  netnsTroubles(path: string, env: { readonly [name: string]: string }): Trouble[];
  bootId(): string;
  /** The id of the database that a pre-flight looked at (Plan.database). */
  databaseAt(ovsdb: string): string | undefined;
  /** Forgets which servers and programs did not answer, so that they are asked again. @returns whether there were any */
  forgetAway(): boolean;
  /** A moment of this boot, which tells the later of two sandboxes. */
  moment(): string;
  close(): void;
}

interface HostOptions {
  /** A server or program that did not answer is not asked again, until `forgetAway`. */
  readonly remembersAway?: boolean;
  /** Receives warnings about facts that cannot be found out and are not needed. */
  readonly warn?: (message: string) => void;
}

/** @param elsewhere other places to look in, if the plan's place no longer has a thing */
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
      // The switch may also lack its way to a socket that the application has made again.
      return !(await hasLink(socketDir, end)) || (await engine.way.isLost(recorded.plan, end));
    },
    restoreTrouble: engine.restoreTrouble,
    listPorts: engine.listPorts,
    removeIdleBridges: engine.removeIdleBridges,
    portsThere: engine.portsThere,
    ownRows: engine.ownRows,
    missingRights: (...asked) => api.missingRights(...asked),
    tell: (...asked) => api.tell(...asked),
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

/** If the IPAM program does not exist, it has given no address, so the plan has none. */
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
