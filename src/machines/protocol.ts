/**
 * The words between the machines, which decide, and the effects, which act.
 *
 * A plan is what one ADD intends, computed once from its request and written into the journal's header: whatever a later
 * version would derive from the same request, this attachment is removed by the plan it was made with. Everything here is
 * plain JSON data.
 */
import type { Addresses, AttachmentKey, PodRef, Trouble, VlanMode } from '../attachment.ts';

/** The steps of an attachment, in the order in which ADD makes them; a removal is the exact reverse. */
export const steps = ['address', 'socketDir', 'bridge', 'port', 'publication', 'deviceInfo'] as const;

export type Step = (typeof steps)[number];

/**
 * ensure, remove and find: each safe to repeat. find changes nothing. Of the port alone: restore makes again what is missing of it and
 * leaves what is there; withdraw takes back the row that a failed restore made, and nothing else.
 */
export type Verb = 'ensure' | 'remove' | 'find' | 'restore' | 'withdraw';

/** Making needs an intent; taking away is allowed by the going mark, or by the failure that it answers. */
export const isMaking = (verb: Verb): boolean => verb === 'ensure' || verb === 'restore';

/** The delegated IPAM plugin. */
export interface AddressPlan {
  /** `ipam.type`: the program's file name. */
  readonly program: string;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
}

/** The call that made the attachment, as an IPAM plugin is told it (CNI SPEC section 4). */
export interface CallText {
  /** The network configuration, byte for byte as we got it. */
  readonly stdin: string;
  /** CNI_* of the call, without CNI_COMMAND. */
  readonly env: { readonly [name: string]: string };
}

/** What the API server says of a pod: its volume "shared-dir", and where containers see it. */
export interface PodPlace {
  /** As the runtime names it, with a uid in any case. */
  readonly pod: PodRef & { readonly uid: string };
  /** Absent if the pod has no volume of that name. */
  readonly volume?: { readonly kind: 'emptyDir' } | { readonly kind: 'hostPath'; readonly path: string };
  /** Where the last container that mounts it has it; absent if none does. */
  readonly mountPath?: string;
}

/** Whether a pod can be attached, as far as its API server knows. */
export type PodLookup =
  | { readonly kind: 'found'; readonly place: PodPlace }
  | { readonly kind: 'refused'; readonly troubles: readonly Trouble[] };

export interface SocketDirPlan {
  /** The directory that the administrator, the pod or the kubelet named; never removed. Absolute. */
  readonly base: string;
  /** The kubelet makes `base` before the sandbox starts. If it is not there it is not made: the kubelet would find it orphaned. */
  readonly kubelet?: true;
  /** The directory below it that is ours by name, removed when empty. Absent where `base` itself holds the socket. */
  readonly own?: string;
  /** The file that keeps siblings from removing `own` while we live in it. */
  readonly hold: string;
  /** The symlink by which the switch reaches a directory whose own path is too long for a socket. */
  readonly link?: string;
  /** `vhost.group`: it may create sockets in the directory. */
  readonly group?: string;
  /** Nothing is opened to the user of a switch that is not root; absent: what is the kubelet's or ours is. */
  readonly grantAccess?: false;
}

/** What was opened to the switch's user: a directory for its search, a socket or those made in a directory for its connection. */
export interface Grant {
  readonly path: string;
  readonly right: 'search' | 'connect';
}

export interface BridgePlan {
  readonly name: string;
}

/** The VLAN columns of table Port (ovs-vswitchd.conf.db(5)). */
interface VlanPlan {
  readonly tag?: number;
  readonly trunks?: readonly number[];
  readonly mode?: VlanMode;
}

export interface PortPlan {
  readonly bridge: string;
  /** Port and Interface name. */
  readonly name: string;
  /** Of the switch: `client` connects to a socket that the application creates; `server` creates it. */
  readonly mode: 'client' | 'server';
  /** The socket as the application sees it on the host: directory and file name. */
  readonly directory: string;
  readonly file: string;
  /** Client mode: where the switch finds the directory, if its own path is too long for a socket. */
  readonly link?: string;
  readonly vlan: VlanPlan;
  readonly mtu?: number;
  /** kbps and kb, as in table Interface. */
  readonly policingRate?: number;
  readonly policingBurst?: number;
  /** `vhost.group`, for the socket of server mode. */
  readonly group?: string;
  /** `iface-id` among the external_ids of table Interface: by it ovn-controller knows the logical port that the interface is. */
  readonly ovnPort?: string;
  /** external_ids for people, beside those that removal needs. */
  readonly marks: { readonly [name: string]: string };
  /** Of a removal: no application ever heard of this port, so that a socket at its path in a shared directory is another's. */
  readonly socketStays?: true;
}

/** The predecessor's data, to be completed with the IPAM result. */
type PublishedData = { readonly [key: string]: unknown };

/** Without Kubernetes: a file beside the socket. */
export interface FilePlan {
  readonly directory: string;
  readonly file: string;
  readonly data: PublishedData;
}

/** With Kubernetes: two annotations of the pod. */
export interface AnnotationPlan {
  readonly kubeconfig: string;
  readonly pod: PodRef;
  /** The socket's directory as containers see it, with a slash at its end. */
  readonly mappedDir: string;
  readonly data: PublishedData;
}

/** Whether a publication is the pod's annotations, and no file. */
export const isAnnotation = (publication: Plan['publication']): publication is AnnotationPlan =>
  publication !== undefined && 'pod' in publication;

/** Device Information Specification 1.1.0. */
export interface DeviceInfoPlan {
  /** runtimeConfig.CNIDeviceInfoFile. */
  readonly path: string;
  /** Of the container: the inverse of the port's. */
  readonly mode: 'client' | 'server';
  readonly socket: string;
}

/** What the predecessor may have left under this key; its state file is the proof. Of a removal alone. */
export interface PredecessorPlan {
  readonly stateFile: string;
  /** Where a socket may lie that no row names. */
  readonly directories: readonly string[];
  /** Where it bound the pod's directory to, by the pod's uid, if it did; a row or the list of mounts knows better. */
  readonly mount?: string;
  /** Directories in which it made such places. */
  readonly bases?: readonly string[];
}

/** A switch's database: where it is, and what tells it where it moved to (Plan.database). */
export type Database = Pick<Plan, 'ovsdb' | 'database'>;

/** What one ADD intends. A step without a plan is not taken; a port without a bridge is on one that others make and keep. */
export interface Plan {
  readonly key: AttachmentKey;
  /** The OVSDB socket: `unix:` and an absolute path. */
  readonly ovsdb: string;
  /** Of what was made already: _uuid of the database's row Open_vSwitch, which tells the database where it moved to. */
  readonly database?: string;
  readonly request: CallText;
  readonly address?: AddressPlan;
  readonly socketDir?: SocketDirPlan;
  readonly bridge?: BridgePlan;
  readonly port?: PortPlan;
  readonly publication?: FilePlan | AnnotationPlan;
  readonly deviceInfo?: DeviceInfoPlan;
  readonly predecessor?: PredecessorPlan;
}

/** A port that was made. */
interface MadePort {
  /** _uuid of the Port's row: no other row ever has it. */
  readonly uuid: string;
  /** -1 if ovs-vswitchd did not take it. */
  readonly ofport: number;
  /** _uuid of the database's row Open_vSwitch: tells a database that moved from another one. */
  readonly database?: string;
  /** Server mode: where the switch created the socket before it was moved. */
  readonly switchSocket?: string;
}

/** A port that was taken away: ovs-vswitchd has let go of it when its cur_cfg has come to `goneAt` (ovs-vswitchd.conf.db(5)). */
interface GonePort {
  readonly goneAt: number;
}

/** What a step left behind and a later one, the result or a removal needs. */
export interface Facts {
  readonly address?: Addresses;
  /** Only where something was opened. It goes with the directory, or is shared by all pods and stays: nothing is to be undone. */
  readonly socketDir?: { readonly uid: number; readonly granted: readonly Grant[] };
  /**
   * Whether this ADD created it, and whether it bears our mark: if it is lost, such a one may be made again. Of one of this data directory the
   * _uuid of its row, by which it is known without marks too; absent in journals of earlier releases.
   */
  readonly bridge?: { readonly created: boolean; readonly ours?: boolean; readonly uuid?: string };
  readonly port?: MadePort | GonePort;
  /** Of an annotation: its last write was answered, so none is on its way to the API server. */
  readonly publication?: { readonly settled: true };
}

export const isMadePort = (port: Facts['port']): port is MadePort => port !== undefined && 'uuid' in port;

export const isGonePort = (facts: Facts[keyof Facts]): facts is GonePort => facts !== undefined && 'goneAt' in facts;

/**
 * Where the caller says that things are: looked at when the place that a journal names has them no more. A program, a database or a
 * kubeconfig can move between an ADD and its removal.
 */
export interface Elsewhere {
  /** OVSDB socket: `unix:` and an absolute path. */
  readonly ovsdb?: string;
  readonly kubeconfig?: string;
  /** Directories of IPAM programs (CNI_PATH, split). */
  readonly path?: readonly string[];
}

/** One effect asked for: plain data, nothing remembered elsewhere. */
export interface Request {
  readonly step: Step;
  readonly verb: Verb;
  readonly plan: Plan;
  readonly facts: Facts;
  /**
   * Of a removal: the steps of which nothing ever said that they made something. Each is removed as far as that goes, and what cannot
   * be is a warning and no debt: no retry could ever pay it.
   */
  readonly doubtful?: readonly Step[];
}

/**
 * What an effect answered. `displaced`: the port's bridge went away between the two steps, nothing was made.
 * Of find: `ok` means that the world is as the plan and the facts say; the troubles are the drift.
 */
export type Outcome =
  | {
      readonly kind: 'ok';
      readonly facts?: Facts[keyof Facts];
      /** Of a removal: what a person should know, and no retry could mend. */
      readonly warning?: string;
    }
  | { readonly kind: 'displaced'; readonly trouble: Trouble }
  | {
      readonly kind: 'failed';
      readonly trouble: Trouble;
      /** Of ensure, by the answer that refused it: nothing, so that there is nothing to undo; or it is doubtful (see Request). */
      readonly made?: 'nothing' | 'doubtful';
      /** Of find: no answer came, so that nothing is known of the world; the trouble says what was asked. */
      readonly unjudged?: true;
      /** Of ensure: what is known of this attempt although it failed. */
      readonly facts?: Facts[keyof Facts];
    };

/** What is known of an attachment without a journal. */
export type Recalled =
  | {
      readonly kind: 'known';
      readonly plan: Plan;
      /** The one that made it. */
      readonly instance: string;
      /** Something of it is there: what cannot be removed is a debt. */
      readonly isProved: boolean;
    }
  /** It was made through another data directory, and is there: nothing of it is this one's to remove. */
  | { readonly kind: 'elsewhere'; readonly trouble: Trouble }
  /** The switch, which would tell, cannot be asked. */
  | { readonly kind: 'unsettled'; readonly trouble: Trouble };

/** What an effect needs beside its request: on whose behalf it acts, and for how long. */
export interface Call {
  /** Instance id of the data directory: a part of every mark. */
  readonly instance: string;
  /** The locked journal, handed to every child process; absent where there could be none. */
  readonly lockFd?: number;
  /** The data directory: a part of each port's marks; and where the gate between ADDs and GC is (effects/ipam/gate.ts). */
  readonly dataDir?: string;
  /** Moment (deadlines.ts) at which the effect must have answered. */
  readonly end: number;
  /** A moment of this boot, of an ADD: which of two sandboxes of one pod is the later one. */
  readonly begun?: string;
  /** The sandbox's network namespace and its directory, dev:inode each: by them a port without a journal is judged. */
  readonly netns?: { readonly file: string; readonly directory: string };
  /** Whether the journal of another attachment, one that is not going, names this socket as its own. */
  readonly isAnothersSocket?: (socket: string) => boolean;
}

/** The effects, as the loop is handed them. Total: an expected failure is an outcome, a throw is a bug. */
export type Perform = (request: Request, call: Call) => Promise<Outcome>;

/** Where bridges of ours are looked for that no port uses. */
export interface IdleBridges {
  readonly database: Database;
  /** Every id that the data directory has had. */
  readonly ids: ReadonlySet<string>;
  /** Names that attachments have: a port may be on its way to them. */
  readonly used: ReadonlySet<string>;
  /** They are named, and stay. */
  readonly dryRun: boolean;
}

/** A port that bears a mark of ours or of another data directory's, as recovery sees it. */
export interface KnownPort {
  readonly name: string;
  /** `network:container:interface`. */
  readonly key: string;
  readonly instance: string;
  /** The network namespace of its sandbox, as its marks tell it; ports of earlier releases bear its path alone. */
  readonly netns?: {
    readonly path: string;
    readonly file?: string | undefined;
    readonly directory?: string | undefined;
  };
  /** When its ADD began (netns.ts), which tells of which boot it is. */
  readonly begun?: string;
}
