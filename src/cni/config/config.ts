/**
 * The network configuration: the predecessor's, unchanged, and our optional keys (design: small decisions).
 *
 * Owns: defaults, and what contradicts what; shape and limits of every key are in keys.ts. Two readings of what `lenient` made of
 * the same bytes: `parseConfig` for ADD and CHECK refuses with every fault named; `salvageConfig` for DEL takes what it can use and
 * refuses nothing, because a pod must be able to go.
 */
import * as v from 'valibot';
import { code, isOwnFile, type Trouble } from '../../attachment.ts';
import { type Deadlines, defaultDeadlines } from '../../deadlines.ts';
import type { Args } from '../args.ts';
import { asGoReads, type Json, type Lenient } from '../leniency.ts';
import { Bridge, Network, path, type Side, Vhost } from './keys.ts';
import { at, shown, unsupported } from './unsupported.ts';

export const defaultDataDir = '/var/lib/cni/userspace';
export const defaultOvsdb = 'unix:/var/run/openvswitch/db.sock';
/** The predecessor's, where neither the configuration nor the pod names a directory. */
const defaultSharedDir = '/usr/local/var/run/openvswitch';
const defaultBridge = 'br0';
/** OVN's integration bridge (ovn-controller(8)): the bridge of an OVN port, unless one is named. */
const integrationBridge = 'br-int';
const defaultKubeletRootDir = '/var/lib/kubelet';
/** The predecessor's directory for paths that are too long; ours holds symlinks. */
const defaultShortDir = '/var/lib/vhost_sockets';
/** Where the predecessor kept what it needed for a DEL. */
const defaultPredecessorDir = '/var/lib/cni/usrspcni/data';

const defaultLevel = 'warning';
const levels = ['panic', 'error', 'warning', 'info', 'debug', 'verbose'] as const;

/** What both readings are of. */
export const lenient = (raw: Json): Lenient => asGoReads(raw, Network);

type VlanMode = 'access' | 'native-tagged' | 'native-untagged' | 'trunk' | 'dot1q-tunnel';
type LogLevel = (typeof levels)[number];

/** The published half: the predecessor's `container` with its defaults filled in. */
type ContainerSide = v.InferOutput<typeof Side>;

/** What DEL can do without: every key here may come from a stripped configuration. */
export interface Basics {
  readonly dataDir: string;
  readonly ovsdb: string;
  readonly deadlines: Deadlines;
  readonly logFile?: string;
  readonly logLevel: LogLevel;
  readonly sharedDir: string;
  /** Pods are looked up by it, and hear of their interfaces through annotations. */
  readonly kubeconfig?: string;
  readonly kubeletRootDir: string;
  /** Of symlinks to directories whose own path is too long for a socket. */
  readonly shortDir: string;
  /** The switch's side of the socket. */
  readonly mode: 'client' | 'server';
  /** Whether a switch that is not root is let through the kubelet's directories and ours. */
  readonly grantAccess: boolean;
  /** State files of attachments that the predecessor made: their DEL is ours. */
  readonly predecessorDir: string;
  readonly bridge: string;
  /** `ipam.type`; undefined if addresses are nobody's business here. */
  readonly ipam?: string;
  readonly deviceInfoFile?: string;
  readonly socketfile?: string;
}

export interface NetworkConfig extends Basics {
  readonly cniVersion: string;
  readonly group?: string;
  readonly policingRate?: number;
  readonly policingBurst?: number;
  readonly tag?: number;
  readonly trunks?: readonly number[];
  readonly vlanMode?: VlanMode;
  readonly mtu?: number;
  readonly mac?: string;
  /** The logical port of OVN that the interface is. */
  readonly ovnPort?: string;
  readonly dns?: { readonly [key: string]: unknown };
  readonly prevResult?: { readonly [key: string]: unknown };
  readonly container: ContainerSide;
  /** Accepted for the predecessor's sake and without effect: for the log. */
  readonly warnings: readonly string[];
}

type Raw = v.InferOutput<typeof Network>;

/** Every fault of shape, of value and of combination; a configuration only if there is none. */
export function parseConfig({ raw, warnings }: Lenient, args: Args): { config?: NetworkConfig; troubles: Trouble[] } {
  const shape = v.safeParse(Network, raw);
  const faults = (shape.issues ?? []).map((issue) => v.getDotPath(issue) ?? '');
  const troubles = [
    ...(shape.issues ?? []).map(shapeTrouble),
    ...unsupported(raw),
    // What is of its right shape can be read, whatever else there is.
    ...contradictionsOf(shape.output as Raw, faults),
  ];
  return shape.success && troubles.length === 0
    ? { config: digest(shape.output, args, warnings), troubles }
    : { troubles };
}

/** The first leaf of a union's branches says more than "one of them". */
function shapeTrouble(issue: v.BaseIssue<unknown>): Trouble {
  const name = v.getDotPath(issue) ?? 'configuration';
  if (issue.type === 'never') {
    return { code: code.unsupportedField, message: `unsupported key "${name}" with value ${shown(issue.input)}` };
  }
  const leaf = issue.issues?.at(-1) ?? issue;
  const hasOwnWords = ['regex', 'custom', 'max_bytes'].includes(leaf.type);
  const wanted = hasOwnWords ? leaf.message : (leaf.expected ?? leaf.message);
  return { code: code.invalidConfig, message: `"${name}" is ${shown(issue.input)}: expected ${wanted}` };
}

/** @param faults dotted paths of values that are not of their shape: what speaks of one of them is not looked for */
function contradictionsOf(raw: Raw, faults: readonly string[]): Trouble[] {
  const isIn = (inner: string, outer: string) => `${inner}.`.startsWith(`${outer}.`);
  const isReadable = (part: string) => !faults.some((fault) => isIn(fault, part) || isIn(part, fault));
  return contradictions
    .filter(({ of }) => of.every(isReadable))
    .flatMap(({ found }) => found(raw))
    .map((message) => ({ code: code.invalidConfig, message }));
}

/** What does not go together: the keys that it speaks of, and what it says where it is so. */
interface Contradiction {
  readonly of: readonly string[];
  readonly found: (raw: Raw) => readonly string[];
}

const contradictions: readonly Contradiction[] = [
  {
    of: ['host.vhost.mode', 'container.vhost.mode'],
    found: ({ host, container }) => {
      const mode = host?.vhost?.mode || 'server';
      if (container?.vhost?.mode !== mode) return [];
      return [`"host.vhost.mode" and "container.vhost.mode" are both "${mode}": one of them must be the other`];
    },
  },
  {
    of: ['host.bridge.vlanId', 'host.bridge.trunks', 'host.bridge.vlanMode'],
    found: ({ host }) => vlanContradictions(host?.bridge ?? {}),
  },
  {
    of: ['host.vhost.socketfile'],
    found: ({ host: { vhost: { socketfile } = {} } = {} }) =>
      socketfile?.startsWith('configData-')
        ? [`"host.vhost.socketfile" is "${socketfile}": "configData-" begins the name of a published file`]
        : [],
  },
  {
    of: ['host.vhost.ingressPolicingBurst', 'host.vhost.ingressPolicingRate'],
    found: ({ host: { vhost } = {} }) =>
      vhost?.ingressPolicingBurst && !vhost.ingressPolicingRate
        ? ['"host.vhost.ingressPolicingBurst" needs "host.vhost.ingressPolicingRate"']
        : [],
  },
  {
    of: ['ipam'],
    found: ({ ipam }) => {
      const content = Object.keys(ipam ?? {}).filter((key) => key !== 'type' && ipam?.[key] !== null);
      if (content.length === 0 || ipam?.type) return [];
      const keys = content.map((key) => `"${key}"`).join(', ');
      return [`"ipam" has ${keys} and no "type": name the IPAM plugin, or leave "ipam" out for no address`];
    },
  },
  {
    of: ['deadlines.addMs', 'deadlines.rollbackMs'],
    found: ({ deadlines }) => {
      const { addMs = defaultDeadlines.addMs, rollbackMs = defaultDeadlines.rollbackMs } = deadlines ?? {};
      if (addMs > rollbackMs) return [];
      return [`"deadlines.rollbackMs" is ${rollbackMs}: an ADD of "addMs" ${addMs} has no time to make anything`];
    },
  },
  {
    of: ['logFile', 'dataDir'],
    found: ({ logFile, dataDir }) =>
      logFile && isOwnFile(logFile, dataDir ?? defaultDataDir)
        ? [`"logFile" is "${logFile}": that is the name of a journal or another file of "dataDir"`]
        : [],
  },
  {
    of: ['host.mtu', 'mtu'],
    found: ({ host, mtu }) =>
      host?.mtu && mtu && host.mtu !== mtu ? [`"mtu" is ${mtu} and "host.mtu" is ${host.mtu}`] : [],
  },
];

/** ovs-vswitchd ignores in silence what does not go together (ovs-vswitchd.conf.db(5), Port, vlan_mode). */
function vlanContradictions({ vlanId, trunks, vlanMode }: v.InferOutput<typeof Bridge>): string[] {
  const needsTag = vlanMode === 'access' || vlanMode === 'dot1q-tunnel' || vlanMode?.startsWith('native');
  const found: string[] = [];
  if (needsTag && !vlanId) found.push(`"host.bridge.vlanMode" is "${vlanMode}": it needs "host.bridge.vlanId"`);
  if (vlanMode === 'trunk' && vlanId) found.push('"host.bridge.vlanId" does not go with "vlanMode" "trunk"');
  if (vlanMode === 'access' && trunks?.length) found.push('"host.bridge.trunks" does not go with "vlanMode" "access"');
  if (!vlanMode && vlanId && trunks?.length) {
    found.push('"host.bridge.vlanId" with "trunks" needs a "vlanMode", such as "native-untagged"');
  }
  return found;
}

/** @returns undefined for a level that there is not; the predecessor's are read in any case. */
const levelOf = (value: unknown): LogLevel | undefined =>
  levels.find((level) => typeof value === 'string' && value.toLowerCase() === level);

const tuning = ['enableGso', 'enablePacked', 'enableEventIdx'] as const;
const policing = ['ingressPolicingRate', 'ingressPolicingBurst'] as const;

function warningsOf(network: Raw): string[] {
  const unused: [string, unknown][] = [
    ['host.bridge.bridgeId', network.host?.bridge?.bridgeId],
    ['host.memif', network.host?.memif && Object.keys(network.host.memif).length > 0 ? true : undefined],
    ['container.vhost.socketfile', network.container?.vhost?.socketfile || undefined],
    ...tuning.map((key): [string, unknown] => [`host.vhost.${key}`, network.host?.vhost?.[key] || undefined]),
    ...tuning.map((key): [string, unknown] => [`container.vhost.${key}`, network.container?.vhost?.[key] || undefined]),
    ...policing.map((key): [string, unknown] => [
      `container.vhost.${key}`,
      network.container?.vhost?.[key] || undefined,
    ]),
  ];
  const isForeign = (key: string) =>
    !Object.hasOwn(Network.entries, key) && !key.startsWith('cni.dev/') && network[key] !== null;
  const foreign = Object.keys(network).filter(isForeign);
  const { logLevel = '' } = network;
  const isOdd = logLevel !== '' && levelOf(logLevel) === undefined;
  return [
    ...(isOdd ? [`"logLevel" is ${shown(logLevel)}, none of ${levels.join(', ')}: "${defaultLevel}" is taken`] : []),
    ...unused
      .filter(([, value]) => value !== undefined)
      .map(([key]) => `"${key}" has no effect with engine "ovs-dpdk"`),
    ...foreign.map((key) => `unknown key "${key}" is ignored`),
  ];
}

function digest(network: Raw, said: Args, warnings: readonly string[]): NetworkConfig {
  const { host = {}, runtimeConfig, args, dns, prevResult } = network;
  const { vhost = {}, bridge = {} } = host;
  const mac = runtimeConfig?.mac || args?.cni?.mac || said.get('MAC') || host.mac;
  const ovnPort = args?.cni?.OvnPort || said.get('OvnPort');
  const basics = salvageConfig(network);
  const optional = {
    group: vhost.group,
    policingRate: vhost.ingressPolicingRate,
    policingBurst: vhost.ingressPolicingBurst,
    tag: bridge.vlanId,
    trunks: bridge.trunks?.length ? [...new Set(bridge.trunks)] : undefined,
    vlanMode: bridge.vlanMode,
    mtu: host.mtu || network.mtu,
    mac,
    ovnPort,
    dns: dns && Object.keys(dns).length > 0 ? dns : undefined,
    prevResult,
  };
  return {
    ...basics,
    ...(ovnPort && !bridge.bridgeName && { bridge: integrationBridge }),
    cniVersion: network.cniVersion || '0.1.0',
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value)) as Partial<NetworkConfig>),
    container: containerSide(network, basics.mode),
    warnings: [...warnings, ...warningsOf(network)],
  };
}

/** The predecessor's defaults of the published half: what is not said is taken from the host's side, turned around. */
function containerSide({ host, container = {} }: Raw, mode: 'client' | 'server'): ContainerSide {
  const { socketfile: _, ...vhost } = container.vhost ?? {};
  return {
    ...container,
    iftype: container.iftype || host?.iftype,
    netType: container.netType || 'interface',
    vhost: { ...vhost, mode: vhost.mode || (mode === 'client' ? 'server' : 'client') },
  };
}

/** What DEL can use of a configuration, whatever state it is in. */
export function salvageConfig(raw: Json): Basics {
  const take = <T>(schema: v.GenericSchema<unknown, T>, value: unknown): T | undefined => {
    const parsed = v.safeParse(schema, value);
    return parsed.success ? parsed.output : undefined;
  };
  const entries = Network.entries;
  const bridge = take(Bridge.entries.bridgeName, at(at(raw.host, 'bridge'), 'bridgeName'));
  const ipam = take(entries.ipam, raw.ipam)?.type;
  const logFile = take(entries.logFile, raw.logFile);
  const kubeconfig = take(entries.kubeconfig, raw.kubeconfig);
  const deviceInfoFile = take(path, at(raw.runtimeConfig, 'CNIDeviceInfoFile'));
  const socketfile = take(Vhost.entries.socketfile, at(at(raw.host, 'vhost'), 'socketfile'));
  const deadlines = take(entries.deadlines, raw.deadlines) ?? {};
  const dataDir = take(entries.dataDir, raw.dataDir) ?? defaultDataDir;
  return {
    dataDir,
    ovsdb: take(entries.ovsdb, raw.ovsdb) ?? defaultOvsdb,
    deadlines: { ...defaultDeadlines, ...(deadlines as Partial<Deadlines>) },
    ...(logFile && !isOwnFile(logFile, dataDir) && { logFile }),
    logLevel: levelOf(raw.logLevel) ?? defaultLevel,
    sharedDir: take(entries.sharedDir, raw.sharedDir) || defaultSharedDir,
    ...(kubeconfig && { kubeconfig }),
    kubeletRootDir: take(entries.kubeletRootDir, raw.kubeletRootDir) ?? defaultKubeletRootDir,
    shortDir: take(entries.shortDir, raw.shortDir) ?? defaultShortDir,
    mode: take(Vhost.entries.mode, at(at(raw.host, 'vhost'), 'mode')) || 'server',
    grantAccess: take(entries.grantAccess, raw.grantAccess) ?? true,
    predecessorDir: take(entries.predecessorDir, raw.predecessorDir) ?? defaultPredecessorDir,
    bridge: bridge || defaultBridge,
    ...(ipam && { ipam }),
    ...(deviceInfoFile && { deviceInfoFile }),
    ...(socketfile && { socketfile }),
  };
}
