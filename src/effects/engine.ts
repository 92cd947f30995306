/**
 * The interface of a switch: all questions and changes that the rest of the program needs, in words that fit any switch. Open
 * vSwitch implements it in ovs/engine.ts. The tests have a second one in memory, and one suite of cases for both.
 *
 * A method throws EngineFailure if the switch cannot be asked or refuses, unless its answer can say so. Any other error is a bug.
 * For a step, perform.ts makes an outcome of both.
 */
import { code, type Trouble } from '../attachment.ts';
import type { Moment } from '../deadlines.ts';
import type {
  Call,
  Database,
  Facts,
  IdleBridges,
  KnownPort,
  Outcome,
  Plan,
  PredecessorPlan,
  Request,
} from '../machines/protocol.ts';
import type { FindHolder } from './files/holder.ts';

/** The switch could not be asked, so nothing is known of the world; or it refused, and nothing was changed. */
export class EngineFailure extends Error {
  /** @param told the message for a step that fails by this, if it differs */
  constructor(
    message: string,
    readonly told = message,
  ) {
    super(message);
  }

  get trouble(): Trouble {
    return { code: code.tryAgainLater, message: this.told };
  }
}

/** An attachment as its journal describes it. */
export type Recorded = Pick<Request, 'plan' | 'facts'>;

/** An attachment in a list for people, with the data directory that it was made through. */
export interface LivePort extends Recorded {
  readonly call: Pick<Call, 'instance' | 'dataDir'>;
}

/** The switch's answer about an attachment without a journal. */
export type RecalledPort =
  | { readonly kind: 'none' }
  /** The port is ours; its marks tell the rest of the attachment. */
  | { readonly kind: 'own'; readonly instance: string; readonly plan: Partial<Plan> }
  /** It was made through another data directory. */
  | { readonly kind: 'elsewhere'; readonly trouble: Trouble };

/** Rows by table, as plain data: a map is an object, a set a list. */
export interface EngineRows {
  readonly [table: string]: readonly { readonly [column: string]: unknown }[];
}

/** The steps that are the switch's own. */
export type EngineRequest = Request & { readonly step: 'bridge' | 'port' };

/** Another sandbox of the same pod, and a moment of this boot (netns.ts). */
export interface OtherSandbox {
  readonly containerId: string;
  readonly moment: string;
}

/** The questions of an ADD's pre-flight. Each returns all troubles that it finds, and changes nothing. */
export interface EnginePreflight {
  /** Sockets whose paths this switch could not use. */
  pathTroubles(plan: Plan): Trouble[];
  /** Directories that this switch sees differently from us. @param soon gives the end of a look that begins now */
  viewTroubles(plan: Plan, soon: () => Moment): Promise<Trouble[]>;
  /** Bridges, ports and sockets that are in the way, by their state or their owner. */
  stateTroubles(plan: Plan, call: Call, soon: () => Moment): Promise<Trouble[]>;
  /** Places on the way to the socket that the switch may not pass and that we may not open. */
  wayTroubles(plan: Plan, end: Moment): Promise<Trouble[]>;
}

/** The switch's way to a socket that the application makes: a part of step socketDir. */
interface SocketWay {
  open(plan: Plan, end: Moment): Promise<Outcome>;
  find(plan: Plan, end: Moment): Promise<Outcome>;
  /** Whether `open` would change something. */
  isLost(plan: Plan, end: Moment): Promise<boolean>;
}

export interface Engine {
  readonly preflight: EnginePreflight;
  readonly way: SocketWay;
  perform(request: EngineRequest, call: Call): Promise<Outcome>;
  /** Waits until the switch no longer forwards for a removed port. Only then may another attachment have its address. */
  released(plan: Plan, port: Facts['port'], end: Moment): Promise<Outcome>;
  recall(known: Plan, call: Call): Promise<RecalledPort>;
  /** Whether the plugin's predecessor left an attachment on this switch; true if that cannot be found out. */
  isPredecessors(old: PredecessorPlan): boolean;
  /** Whether the switch lost a port, or the socket that it made. A port that only differs from its plan is not lost. */
  isPortLost(recorded: Recorded, call: Call): Promise<boolean>;
  /** Why a port that the switch lost cannot be put back just now. */
  restoreTrouble(recorded: Recorded, call: Call): Promise<Trouble | undefined>;
  /** Every port of this plugin, whichever data directory it belongs to. */
  listPorts(database: Database, end: Moment): Promise<KnownPort[]>;
  /** Whether each of the ports exists, in their order. One question without a fence, because only people read the answer. */
  portsThere(database: Database, ports: readonly LivePort[], end: Moment): Promise<readonly boolean[]>;
  /** The rows of this plugin as they are, with the switch's own settings. For people, like `portsThere`. */
  ownRows(database: Database, end: Moment): Promise<EngineRows>;
  /** Removes bridges of ours that no port uses. @returns their names */
  removeIdleBridges(sought: IdleBridges, call: Call): Promise<string[]>;
  /** Finds another holder of a port name, for the published files that name a port. */
  otherHolder(plan: Plan, call: Call): FindHolder;
  /** Whether a port of ours tells that the other sandbox began after the moment and its namespace lives. */
  isLaterSandbox(plan: Plan, other: OtherSandbox, call: Call): Promise<boolean>;
  /** The id of the database that a pre-flight looked at (Plan.database). */
  databaseAt(ovsdb: string): string | undefined;
  close(): void;
}
