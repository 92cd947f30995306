/**
 * The vocabulary of every room: what an attachment is and the names that follow from it.
 *
 * Owns: the key, every name derived from it, the limits of names, the VLAN modes, the log's levels, and the two shapes that cross
 * every layer: addresses and troubles with their codes. Does not own: where things live (plan/), what they do (effects/).
 * Imports nothing, reads nothing.
 *
 * Invariants
 *  AT1 Every name is a function of the key alone, so a removal needs no memory to know what to look for.
 *  AT2 Two different keys never share a journal name or a hash-derived name; they may share a port name, and that is refused
 *     where it is seen (code 7).
 */

/** One network interface of one sandbox on one network: the identity of everything we make. */
export interface AttachmentKey {
  /** `name` of the network configuration. */
  readonly network: string;
  /** CNI_CONTAINERID, whole. */
  readonly containerId: string;
  /** CNI_IFNAME. */
  readonly ifName: string;
}

/** A pod as the runtime names it. */
export interface PodRef {
  readonly namespace: string;
  readonly name: string;
  /** K8S_POD_UID. A static pod's differs from the API server's. Absent if the runtime does not give it. */
  readonly uid?: string;
}

/** The name that the predecessor's users give to the pod's volume for its sockets. */
export const sharedVolume = 'shared-dir';

/** One address in the shape of a CNI 1.0.0 result. */
export interface IpConfig {
  /** CIDR notation. */
  readonly address: string;
  readonly gateway?: string;
  readonly interface?: number;
}

export interface Route {
  readonly dst: string;
  readonly gw?: string;
  readonly [key: string]: unknown;
}

/** An IPAM plugin's answer, in the shape of CNI 1.0.0 whatever version it had. */
export interface Addresses {
  readonly ips: readonly IpConfig[];
  readonly routes: readonly Route[];
  readonly dns?: { readonly [key: string]: unknown };
}

/** CNI error codes (CNI SPEC section 5, "Error"; 8 and 999 are those of its Go library). */
export const code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  /** STATUS only: no ADD can be served. With 51, existing attachments may suffer too. */
  notAvailable: 50,
  limitedConnectivity: 51,
  /** Ours: CHECK found that the world is not as ADD left it. */
  drift: 100,
  internal: 999,
} as const;

/** An expected failure, in the words of the CNI error object. */
export interface Trouble {
  /** CNI error code. */
  readonly code: number;
  /** Names the thing and the remedy. */
  readonly message: string;
  readonly details?: string;
  /** The dotted path of the configuration's key, where it is about one. */
  readonly key?: string;
}

/** The message of anything thrown. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

export const bytesOf = (text: string): number => new TextEncoder().encode(text).length;

/** sockaddr_un.sun_path holds 108 bytes with the NUL (unix(7)); DPDK truncates a longer one in silence. */
export const socketPathBytesMax = 107;

/** IFNAMSIZ less the NUL: a bridge's local port is a network device. */
export const deviceNameBytesMax = 15;

/** NAME_MAX of ext4 and XFS, less the suffix of a corrupt journal's copy. */
const fileNameBytesMax = 255 - '.corrupt'.length;

/** A port's VLAN modes (ovs-vswitchd.conf.db(5), Port, vlan_mode). */
export const vlanModes = ['access', 'native-tagged', 'native-untagged', 'trunk', 'dot1q-tunnel'] as const;
export type VlanMode = (typeof vlanModes)[number];

/** The predecessor's levels, from the most to the least important. */
export const logLevels = ['panic', 'error', 'warning', 'info', 'debug', 'verbose'] as const;
export type LogLevel = (typeof logLevels)[number];

/** The value of external_ids:owner on every row we insert. */
export const owner = 'userspace-cni';

export const journalSuffix = '.journal';

/** Whether a path is that of one of our files in the data directory: a log line appended to a journal would damage it. */
export function isOwnFile(path: string, dataDir: string): boolean {
  const [file, directory] = [path, `${dataDir}/`].map((one) => one.replace(/\/(\.?\/)+/g, '/'));
  const name = file?.startsWith(directory ?? '') ? file.slice(directory?.length) : '';
  return /^instance$|^recover\.[a-z]+$|^[^/]*\.journal(\.corrupt)?$/.test(name);
}

/** 64 bits of FNV-1a as 16 hex digits: it names things and protects nothing (node:crypto costs 3.5 ms of start-up). */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
  }
  return value.toString(16).padStart(16, '0');
}

/** `network:container:interface`. None of the three may contain a colon (CNI SPEC, parameters), so it reads back. */
export function keyText(key: AttachmentKey): string {
  return `${key.network}:${key.containerId}:${key.ifName}`;
}

export function keyHash(key: AttachmentKey): string {
  return hash(keyText(key));
}

/**
 * The first 12 characters of the container id, as consumers of the predecessor's data compute it (bug B26: an id may be shorter).
 */
export function shortId(key: AttachmentKey): string {
  return key.containerId.slice(0, 12);
}

/** Name of the OVS port and of the socket, unless `vhost.socketfile` gives one. */
export function portName(key: AttachmentKey): string {
  return `${shortId(key)}-${key.ifName}`;
}

/**
 * The journal's file name: the full key where it fits into NAME_MAX, else its hash and the parts that a person would look for.
 * Two colons tell the two apart, because no key has them.
 */
export function journalName(key: AttachmentKey): string {
  const whole = `${keyText(key)}${journalSuffix}`;
  return bytesOf(whole) <= fileNameBytesMax ? whole : `${keyHash(key)}::${shortId(key)}:${key.ifName}${journalSuffix}`;
}

/** Reads the text that `keyText` wrote. @returns undefined if it is not a key */
export function keyOfText(text: string): AttachmentKey | undefined {
  const [network, containerId, ifName, ...rest] = text.split(':');
  return network && containerId && ifName && rest.length === 0 ? { network, containerId, ifName } : undefined;
}

/** The key that a journal's name spells out; undefined if it holds only the key's hash. */
export function keyOfJournalName(name: string): AttachmentKey | undefined {
  const key = keyOfText(name.slice(0, -journalSuffix.length));
  return key && journalName(key) === name ? key : undefined;
}

/** The file that keeps a sibling from removing a shared directory under us. */
export function holdFileName(key: AttachmentKey): string {
  return `.${keyHash(key)}`;
}

/** The symlink below `shortDir` that leads to the socket's directory. */
export function linkName(key: AttachmentKey): string {
  return keyHash(key);
}

/** Where consumers find the interface's configuration when there is no Kubernetes. */
export function configDataName(key: AttachmentKey): string {
  return `configData-${shortId(key)}-${key.ifName}.json`;
}

/**
 * RFC 7047 4.1.8 lock id; Open vSwitch wants `[a-zA-Z_][a-zA-Z0-9_]*`. It has the instance in it: instances share a switch, not
 * keys.
 */
export function fenceName(key: AttachmentKey, instance: string): string {
  return `userspace_cni_${instance}_${keyHash(key)}`;
}
