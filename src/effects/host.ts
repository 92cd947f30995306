/**
 * The effects of a real node behind one function: request -> outcome. The only place where an exception becomes an outcome.
 */

import type { PodRef, Trouble } from '../attachment.ts';
import { type Deadlines, type Moment, within } from '../deadlines.ts';
import type {
  AddressPlan,
  Call,
  CallText,
  Database,
  Elsewhere,
  FilePlan,
  IdleBridges,
  KnownPort,
  Outcome,
  Perform,
  Plan,
  PodLookup,
  Recalled,
  Request,
  Verb,
} from '../machines/protocol.ts';
import { isAnnotation } from '../machines/protocol.ts';
import { FailedAttempt } from './attempt.ts';
import { Away } from './away.ts';
import type { Engine, LivePort } from './engine.ts';
import { EngineFailure } from './engine.ts';
import { ensureDeviceInfo, findDeviceInfo, removeDeviceInfo } from './files/device-info.ts';
import { ensurePublication, findPublication, removePublication } from './files/published-file.ts';
import { roomTroubles } from './files/room.ts';
import { ensureSocketDir, findSocketDir, hasLink, removeSocketDir } from './files/socket-dir.ts';
import { checkAddress, collectAddresses, ensureAddress, removeAddress } from './ipam/plugin.ts';
import { ApiServers } from './kubernetes/api-servers.ts';
import { bootId, judgeNetns, momentOfBoot, type Netns, netnsTroubles, readNetns } from './netns.ts';
import { Mismatch, NothingMade, ok, troubleOf } from './outcome.ts';
import { openVswitch } from './ovs/engine.ts';
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
    perform: (request, call) => outcomeOf(request, () => act(means, request, call)),
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

/** What effects are made with. */
interface Means {
  readonly engine: Engine;
  readonly api: ApiServers;
  readonly deadlines: Deadlines;
  readonly elsewhere: Elsewhere;
  readonly away: Away;
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

/** What every step knows. */
type Plain = Exclude<Verb, 'restore' | 'withdraw'>;

const plain: Record<Verb, Plain> = {
  ensure: 'ensure',
  restore: 'ensure',
  remove: 'remove',
  withdraw: 'remove',
  find: 'find',
};

async function act(means: Means, request: Request, call: Call): Promise<Outcome> {
  const { verb, plan, facts } = request;
  const { engine, api, deadlines } = means;
  const { address, socketDir, publication, deviceInfo } = plan;
  const nearby = within(call.end, deadlines.directoryMs);
  const elsewhere = means.elsewhere.path ?? [];
  const { away } = means;
  const owner = { key: plan.key, findHolder: engine.otherHolder(plan, call), end: nearby };
  const asked = (part: AddressPlan) => ({
    plan: part,
    text: plan.request,
    key: plan.key,
    call,
    deadlines,
    elsewhere,
    away,
  });
  const one = <T>(part: T | undefined, ways: Record<Plain, (part: T) => Promise<Outcome>>): Promise<Outcome> =>
    part === undefined ? Promise.resolve(ok) : ways[plain[verb]](part);
  switch (request.step) {
    case 'address':
      return await one(address, {
        ensure: (part) => ensureAddress(asked(part)),
        remove: async (part) => {
          const released = await engine.released(plan, facts.port, call.end);
          if (released.kind !== 'ok') return released;
          const isDoubtful = request.doubtful?.includes('address') === true;
          return await removeAddress(asked(part), { isGiven: facts.address !== undefined, isDoubtful });
        },
        find: (part) => checkAddress(asked(part)),
      });
    case 'socketDir':
      return await one(socketDir, {
        ensure: async (part) => {
          const made = await ensureSocketDir(part, nearby);
          return made.kind === 'ok' ? await engine.way.open(plan, nearby) : made;
        },
        remove: (part) => removeSocketDir(part, nearby),
        find: async (part) => {
          const found = await findSocketDir(part, nearby);
          return found.kind === 'ok' ? await engine.way.find(plan, nearby) : found;
        },
      });
    case 'bridge':
    case 'port':
      return await engine.perform({ ...request, step: request.step }, call);
    case 'publication':
      if (isAnnotation(publication)) {
        const { begun } = call;
        const isLater = async (containerId: string) =>
          begun !== undefined && (await engine.isLaterSandbox(plan, { containerId, moment: begun }, call));
        return await api.annotate({ annotation: publication, request, call, isLater });
      }
      return await one(publication, {
        ensure: (part: FilePlan) => ensurePublication(part, { ...owner, addresses: facts.address }),
        remove: (part: FilePlan) => removePublication(part, plan.key, nearby),
        find: (part: FilePlan) => findPublication(part, facts.address, nearby),
      });
    case 'deviceInfo':
      return await one(deviceInfo, {
        ensure: (part) => ensureDeviceInfo(part, owner.findHolder, nearby),
        remove: (part) => removeDeviceInfo(part, owner),
        find: (part) => findDeviceInfo(part, nearby),
      });
  }
}

/** A bug becomes an outcome too: what was begun is then taken back like after any other failure. */
async function outcomeOf({ step, verb }: Request, action: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await action();
  } catch (error) {
    const attempt = error instanceof FailedAttempt ? error : undefined;
    const madeNothing = error instanceof NothingMade;
    const why = attempt ? attempt.cause : madeNothing ? error.why : error;
    const trouble = why instanceof EngineFailure ? why.trouble : troubleOf(why);
    return {
      kind: 'failed',
      trouble: { ...trouble, message: `cannot ${verb} ${step}: ${trouble.message}` },
      ...(attempt && { facts: attempt.facts }),
      ...(madeNothing && { made: 'nothing' }),
      // What was looked at and is not right is said, not thrown; a mismatch was seen.
      ...(verb === 'find' && !(error instanceof Mismatch) && { unjudged: true }),
    };
  }
}
