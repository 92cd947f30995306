/**
 * The network configuration: the predecessor's, unchanged, and our optional keys (docs/configuration.md).
 *
 * Shape and limits of every key are in keys.ts, their combinations in rules.ts. There are two readings of the object that `lenient`
 * gives: `parseConfig` for ADD and CHECK refuses and names every fault; `salvageConfig` for DEL takes the keys that it can use and
 * refuses nothing, because a pod must be able to go.
 */
import * as v from 'valibot';
import { isOwnFile, type LogLevel, type Trouble, type VlanMode } from '../../attachment.ts';
import { type Deadlines, defaultDeadlines } from '../../deadlines.ts';
import type { Args } from '../args.ts';
import { asGoReads, type Json, type Lenient, type Remark } from '../leniency.ts';
import {
  defaultBridge,
  defaultDataDir,
  defaultKubeletRootDir,
  defaultLogLevel,
  defaultOvsdb,
  defaultPredecessorDir,
  defaultSharedDir,
  defaultShortDir,
  integrationBridge,
} from './defaults.ts';
import { Bridge, isSet, logLevelOf, Network, path, type Raw, type Side, type Unset, Vhost } from './keys.ts';
import { at, contradictionsOf, findUnsupported, remarksOn, shapeTrouble, skippedKeys } from './rules.ts';

/** The object that both readings read. */
export const lenient = (raw: Json): Lenient => asGoReads(raw, Network);

/** The published half: the predecessor's `container` with its defaults filled in. */
type ContainerSide = v.InferOutput<typeof Side>;

/** The keys that every verb uses. Each has a default, because a DEL may be given a stripped configuration. */
export interface Basics {
  readonly dataDir: string;
  readonly ovsdb: string;
  readonly deadlines: Deadlines;
  readonly logFile?: string;
  readonly logLevel: LogLevel;
  readonly sharedDir: string;
  /** For the API server, where pods are looked up and annotated with their interfaces. */
  readonly kubeconfig?: string;
  readonly kubeletRootDir: string;
  /** The directory of symlinks to directories whose own path is too long for a socket. */
  readonly shortDir: string;
  /** The switch's side of the socket. */
  readonly mode: 'client' | 'server';
  /** Whether a switch that does not run as root is given access through the kubelet's directories and ours. */
  readonly grantAccess: boolean;
  /** The directory of the predecessor's state files: the DEL of its attachments is ours. */
  readonly predecessorDir: string;
  readonly bridge: string;
  /** `ipam.type`; undefined if the interface gets no address. */
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
  /** The interface's logical port in OVN. */
  readonly ovnPort?: string;
  readonly dns?: { readonly [key: string]: unknown };
  readonly prevResult?: { readonly [key: string]: unknown };
  readonly container: ContainerSide;
  /** For the log: keys that are accepted for the predecessor's sake and have no effect. */
  readonly warnings: readonly string[];
}

interface Parsed {
  /** Only if there is no fault. */
  readonly config?: NetworkConfig;
  readonly troubles: readonly Trouble[];
  readonly remarks: readonly Remark[];
}

/** Finds every fault of shape, of value and of combination. */
export function parseConfig({ raw, remarks: ofReading }: Lenient, args: Args): Parsed {
  const shape = v.safeParse(Network, raw);
  const faults = (shape.issues ?? []).map((issue) => v.getDotPath(issue) ?? '');
  const troubles = [
    ...(shape.issues ?? []).map(shapeTrouble),
    ...skippedKeys(raw),
    ...findUnsupported(raw),
    // Rules over keys of the right shape can be checked, whatever else is wrong.
    ...contradictionsOf(shape.output as Raw, faults),
  ];
  const remarks = [...ofReading, ...remarksOn(raw)];
  return shape.success && troubles.length === 0
    ? { config: digest(shape.output, args, remarks), troubles, remarks }
    : { troubles, remarks };
}

/** The keys that an ADD has beside the basics, if the configuration or the arguments give them. */
type OptionalKey = Exclude<keyof NetworkConfig, keyof Basics | 'cniVersion' | 'container' | 'warnings'>;

/** Every optional key under its own name, so that a forgotten or misspelt one does not compile. */
export type Optional = { readonly [K in OptionalKey]-?: NetworkConfig[K] | Unset };

function digest(network: Raw, said: Args, remarks: readonly Remark[]): NetworkConfig {
  const { host = {}, runtimeConfig, args, dns, prevResult } = network;
  const { vhost = {}, bridge = {} } = host;
  const mac = runtimeConfig?.mac || args?.cni?.mac || said.get('MAC') || host.mac;
  const ovnPort = args?.cni?.OvnPort || said.get('OvnPort');
  const basics = salvageConfig(network);
  const optional: Optional = {
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
    ...withoutUnset(optional),
    container: containerSide(network, basics.mode),
    warnings: remarks.map(({ message }) => message),
  };
}

/** The members that are set. */
function withoutUnset<T extends object>(all: T): { [K in keyof T]?: Exclude<T[K], Unset> } {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => isSet(value))) as {
    [K in keyof T]?: Exclude<T[K], Unset>;
  };
}

/** The predecessor's defaults of the published half: the host's values, and the other end of the host's mode. */
function containerSide({ host, container = {} }: Raw, mode: 'client' | 'server'): ContainerSide {
  const { socketfile: _, ...vhost } = container.vhost ?? {};
  return {
    ...container,
    iftype: container.iftype || host?.iftype,
    netType: container.netType || 'interface',
    vhost: { ...vhost, mode: vhost.mode || (mode === 'client' ? 'server' : 'client') },
  };
}

function take<T>(schema: v.GenericSchema<unknown, T>, value: unknown): T | undefined {
  const parsed = v.safeParse(schema, value);
  return parsed.success ? parsed.output : undefined;
}

/** The deadlines of a configuration; the usual ones if what is said has any fault. */
export const salvageDeadlines = ({ deadlines }: Json): Deadlines => ({
  ...defaultDeadlines,
  ...(take(Network.entries.deadlines, deadlines) as Partial<Deadlines> | undefined),
});

/** Takes what DEL can use of a configuration, whatever state it is in. */
export function salvageConfig(raw: Json): Basics {
  const entries = Network.entries;
  const bridge = take(Bridge.entries.bridgeName, at(at(raw.host, 'bridge'), 'bridgeName'));
  const ipam = take(entries.ipam, raw.ipam)?.type;
  const logFile = take(entries.logFile, raw.logFile);
  const kubeconfig = take(entries.kubeconfig, raw.kubeconfig);
  const deviceInfoFile = take(path, at(raw.runtimeConfig, 'CNIDeviceInfoFile'));
  const socketfile = take(Vhost.entries.socketfile, at(at(raw.host, 'vhost'), 'socketfile'));
  const dataDir = take(entries.dataDir, raw.dataDir) ?? defaultDataDir;
  return {
    dataDir,
    ovsdb: take(entries.ovsdb, raw.ovsdb) ?? defaultOvsdb,
    deadlines: salvageDeadlines(raw),
    ...(logFile && !isOwnFile(logFile, dataDir) && { logFile }),
    logLevel: logLevelOf(raw.logLevel) ?? defaultLogLevel,
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
