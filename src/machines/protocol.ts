/**
 * The words between the machines, which decide, and the effects, which act.
 *
 * A plan says what one ADD intends. It is computed once from the request and written into the journal's header. A later version
 * may derive another plan from the same request, so an attachment is removed by the plan it was made with. Plans, facts, requests
 * and outcomes are plain JSON data.
 */
import type { Addresses, AttachmentKey, PodRef, Trouble, VlanMode } from '../attachment.ts';

/** The steps of an attachment, in the order in which ADD makes them; a removal is the reverse (machines/removal.ts). */
export const steps = ['address', 'socketDir', 'bridge', 'port', 'publication', 'deviceInfo'] as const;

export type Step = (typeof steps)[number];

/**
 * Every step has ensure, remove and find. They are safe to repeat, but for the IPAM program's ADD; and find changes nothing. Two
 * verbs are the port's alone: restore makes its missing parts again; withdraw takes back only the row that a failed restore made.
 */
export type Verb = 'ensure' | 'remove' | 'find' | 'restore' | 'withdraw';

/** A verb that makes something needs a recorded intent. A removal needs the going mark, or a failed ADD that is rolled back. */
export const isMaking = (verb: Verb): boolean => verb === 'ensure' || verb === 'restore';

/** The delegated IPAM plugin. */
export interface AddressPlan {
  /** `ipam.type`: the program's file name. */
  readonly program: string;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
}

/** The call that made the attachment, as an IPAM plugin gets it (CNI SPEC section 4). */
export interface CallText {
  /** The network configuration, byte for byte as we got it. */
  readonly stdin: string;
  /** CNI_* of the call, without CNI_COMMAND. */
  readonly env: { readonly [name: string]: string };
}

/** The API server's answer on a pod: its volume "shared-dir", and where containers see it. */
export interface PodPlace {
  /** As the runtime names it, and always with a uid. */
  readonly pod: PodRef & { readonly uid: string };
  /** Absent if the pod has no volume of that name. */
  readonly volume?: { readonly kind: 'emptyDir' } | { readonly kind: 'hostPath'; readonly path: string };
  /** The mount path in the last container that mounts the volume; absent if none does. */
  readonly mountPath?: string;
}

/** Whether a pod can be attached, as far as its API server knows. */
export type PodLookup =
  | { readonly kind: 'found'; readonly place: PodPlace }
  | { readonly kind: 'refused'; readonly troubles: readonly Trouble[] };

export interface SocketDirPlan {
  /** The directory named by the administrator, the pod or the kubelet. Absolute; never removed. */
  readonly base: string;
  /** The kubelet makes `base` before the sandbox starts. We never make it: the kubelet would take it for an orphan's. */
  readonly kubelet?: true;
  /** The directory below `base` that is ours by name; removed when empty. Absent where the socket is in `base` itself. */
  readonly own?: string;
  /** The file that keeps siblings from removing `own` while this attachment uses it. */
  readonly hold: string;
  /** The symlink by which the switch reaches a directory whose own path is too long for a socket. */
  readonly link?: string;
  /** `vhost.group`: the group that may create sockets in the directory. */
  readonly group?: string;
  /** A switch that does not run as root gets no rights. Absent: it gets them on the kubelet's directories and on ours. */
  readonly grantAccess?: false;
}

/** A right given to the switch's user: to search a directory, or to connect to a socket, or to all sockets of a directory. */
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
  /** The switch's side: `client` connects to a socket that the application creates; `server` creates it. */
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
  /** `iface-id` among the external_ids of table Interface: ovn-controller finds the interface's logical port by it. */
  readonly ovnPort?: string;
  /** external_ids for people, beside those that removal needs. */
  readonly marks: { readonly [name: string]: string };
  /** Removal only: no application was ever told of this port, so a socket at its path in a shared directory is another's. */
  readonly socketStays?: true;
}

/** The application's configuration, in the predecessor's format. The IPAM result is added later. */
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
  !!publication && 'pod' in publication;

/** Device Information Specification 1.1.0. */
export interface DeviceInfoPlan {
  /** runtimeConfig.CNIDeviceInfoFile. */
  readonly path: string;
  /** The container's side: the inverse of the port's. */
  readonly mode: 'client' | 'server';
  readonly socket: string;
}

/** Things that the predecessor may have left under this key; its state file is the proof. Removal only. */
export interface PredecessorPlan {
  readonly stateFile: string;
  /** Directories that may hold a socket which no row names. */
  readonly directories: readonly string[];
  /** The mount point that it may have made for the pod, by the pod's uid. A row or the list of mounts is the better source. */
  readonly mount?: string;
  /** Directories in which it made such mount points. */
  readonly bases?: readonly string[];
}

/** A switch's database: its socket, and the id that identifies it after a move (Plan.database). */
export type Database = Pick<Plan, 'ovsdb' | 'database'>;

/** Everything that one ADD is to make. A step without a plan is not taken. Without `bridge`, others keep the port's bridge. */
export interface Plan {
  readonly key: AttachmentKey;
  /** The OVSDB socket: `unix:` and an absolute path. */
  readonly ovsdb: string;
  /** _uuid of the database's row Open_vSwitch, once something was made: it identifies the database after a move. */
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
  /** _uuid of the Port's row; it is never used again. */
  readonly uuid: string;
  /** -1 if ovs-vswitchd refused the port. */
  readonly ofport: number;
  /** _uuid of the database's row Open_vSwitch: it tells a moved database from another one. */
  readonly database?: string;
  /** Server mode: where the switch created the socket before it was moved. */
  readonly switchSocket?: string;
}

/** A port that was removed. ovs-vswitchd has released it once its cur_cfg reaches `goneAt` (ovs-vswitchd.conf.db(5)). */
interface GonePort {
  readonly goneAt: number;
}

/** Facts that a step leaves for a later step, the result or a removal. */
export interface Facts {
  readonly address?: Addresses;
  /** The rights that were given, if any. No removal takes them back: they go with the directory, or all pods share them. */
  readonly socketDir?: { readonly uid: number; readonly granted: readonly Grant[] };
  /**
   * `created`: this ADD created the bridge. `ours`: the bridge bears our mark, so it may be made again if it is lost. `uuid`: the
   * _uuid of a bridge of this data directory, which is found by it even without marks. Earlier releases wrote only `created`, or the
   * first two.
   */
  readonly bridge?: { readonly created: boolean; readonly ours?: boolean; readonly uuid?: string };
  readonly port?: MadePort | GonePort;
  /** For annotations: the last write was answered, so no write is on its way to the API server. */
  readonly publication?: { readonly settled: true };
}

export const isMadePort = (port: Facts['port']): port is MadePort => !!port && 'uuid' in port;

export const isGonePort = (facts: Facts[keyof Facts]): facts is GonePort => !!facts && 'goneAt' in facts;

/**
 * Places that the caller names, tried when the place in the journal no longer works. A program, a database or a kubeconfig can move
 * between an ADD and its removal.
 */
export interface Elsewhere {
  /** OVSDB socket: `unix:` and an absolute path. */
  readonly ovsdb?: string;
  readonly kubeconfig?: string;
  /** Directories of IPAM programs (CNI_PATH, split). */
  readonly path?: readonly string[];
}

/** A request for one effect: plain data that says all of it. */
export interface Request {
  readonly step: Step;
  readonly verb: Verb;
  readonly plan: Plan;
  readonly facts: Facts;
  /**
   * Removal only: steps that may have made nothing, because no record and no answer says that they did. The removal still tries
   * them. A failure is then a warning, not a debt, since no retry could ever pay it.
   */
  readonly doubtful?: readonly Step[];
}

/**
 * The answer of an effect. `displaced`: the port's bridge went away between the two steps, and nothing was made. For find, `ok`
 * means that the world is as the plan and the facts say; otherwise the trouble is the drift.
 */
export type Outcome<Fact = Facts[keyof Facts]> =
  | {
      readonly kind: 'ok';
      readonly facts?: Fact;
      /** Removal only: a fault that a person should know of, and that no retry could mend. */
      readonly warning?: string;
    }
  | { readonly kind: 'displaced'; readonly trouble: Trouble }
  | {
      readonly kind: 'failed';
      readonly trouble: Trouble;
      /** ensure only: the refusal proves that nothing was made, so nothing is undone; or it leaves doubt (Request.doubtful). */
      readonly made?: 'nothing' | 'doubtful';
      /** find only: no answer came, so nothing is known of the world. The trouble says what was asked. */
      readonly unjudged?: true;
      /** ensure only: the facts of this attempt that are known although it failed. */
      readonly facts?: Fact;
    };

/** The things that are known of an attachment without its journal. */
export type Recalled =
  | {
      readonly kind: 'known';
      readonly plan: Plan;
      /** Id of the data directory that made it. */
      readonly instance: string;
      /** A part of it was found, so a part that cannot be removed is a debt. */
      readonly isProved: boolean;
    }
  /** It exists and was made through another data directory, so this one may remove nothing of it. */
  | { readonly kind: 'elsewhere'; readonly trouble: Trouble }
  /** Only the switch could tell, and it cannot be asked. */
  | { readonly kind: 'unsettled'; readonly trouble: Trouble };

/** An effect's surroundings, beside its request: the data directory it acts for, its locks and its time. */
export interface Call {
  /** Instance id of the data directory: a part of every mark. */
  readonly instance: string;
  /** The locked journal, handed to every child process. Absent where no journal could be made. */
  readonly lockFd?: number;
  /** The data directory: a part of each port's marks; and where the gate between ADDs and GC is (effects/ipam/gate.ts). */
  readonly dataDir?: string;
  /** Moment (deadlines.ts) by which the effect must have answered. */
  readonly end: number;
  /** The moment of this boot at which the ADD began: it tells which of two sandboxes of one pod is the later one. */
  readonly begun?: string;
  /** The sandbox's network namespace and its directory, dev:inode each. A port without a journal is judged by them. */
  readonly netns?: { readonly file: string; readonly directory: string };
  /** Whether the journal of another attachment names this socket as its own. Attachments that are going do not count. */
  readonly isAnothersSocket?: (socket: string) => boolean;
}

/** The effects, as the loop gets them. Total: an expected failure is an outcome, and a throw is a bug. */
export type Perform = (request: Request, call: Call) => Promise<Outcome>;

/** Where to look for bridges of ours that no port uses. */
export interface IdleBridges {
  readonly database: Database;
  /** Every id that the data directory has had. */
  readonly ids: ReadonlySet<string>;
  /** Bridges of attachments, which stay: a port may be about to be made on them. */
  readonly used: ReadonlySet<string>;
  /** The idle bridges are only named, and stay. */
  readonly dryRun: boolean;
}

/** A port with this plugin's marks, of this data directory or another one, as recovery sees it. */
export interface KnownPort {
  readonly name: string;
  /** `network:container:interface`. */
  readonly key: string;
  readonly instance: string;
  /** The network namespace of the sandbox, from the port's marks. Ports of earlier releases bear only the path. */
  readonly netns?: {
    readonly path: string;
    readonly file?: string | undefined;
    readonly directory?: string | undefined;
  };
  /** When its ADD began (netns.ts), which tells the boot it belongs to. */
  readonly begun?: string;
}
