/**
 * The network configuration: the predecessor's, unchanged, and our optional keys (design: small decisions).
 *
 * Owns: shape, defaults, limits of every key. Two readings of what `lenient` made of the same bytes: `parseConfig` for ADD and CHECK
 * refuses with every fault named; `salvageConfig` for DEL takes what it can use and refuses nothing, because a pod must be able to go.
 */
import * as v from 'valibot';
import { code, deviceNameBytesMax, isOwnFile, type Trouble } from '../attachment.ts';
import { type Deadlines, defaultDeadlines } from '../deadlines.ts';
import type { Args } from './args.ts';
import { asGoReads, isObject, type Json, type Lenient } from './leniency.ts';
import { at, shown, unsupported } from './unsupported.ts';

export const defaultDataDir = '/var/lib/cni/userspace';
export const defaultOvsdb = 'unix:/var/run/openvswitch/db.sock';
/** The predecessor's, where neither the configuration nor the pod names a directory. */
const defaultSharedDir = '/usr/local/var/run/openvswitch';
const defaultBridge = 'br0';
/** OVN's integration bridge (ovn-controller(8)): the bridge of an OVN port, unless one is named. */
export const integrationBridge = 'br-int';
const defaultKubeletRootDir = '/var/lib/kubelet';
/** The predecessor's directory for paths that are too long; ours holds symlinks. */
const defaultShortDir = '/var/lib/vhost_sockets';
/** Where the predecessor kept what it needed for a DEL. */
const defaultPredecessorDir = '/var/lib/cni/usrspcni/data';

/** No separators, no spaces, no `=` (consumers split on it), nothing an option parser could take for its own. */
const fileName = /^[A-Za-z0-9_][A-Za-z0-9_.:@+-]*$/;
const bridgeName = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
/** A NUL ends a path for the kernel, a newline a log line. */
const printable = /^[^\p{Cc}]*$/u;
const fileNameBytesMax = 100;
const deadlineMsMax = 600_000;

const zeroOr = (least: number, most: number) =>
  v.optional(v.union([v.literal(0), v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most))]));
const text = v.optional(v.string());
const oneOf = <const T extends string[]>(...words: T) => v.optional(v.picklist(['', ...words]));
const path = v.pipe(
  v.string(),
  v.regex(/^\//, 'an absolute path'),
  v.regex(/^(?!.*\/\.\.(\/|$))/s, 'a path without ".."'),
  v.regex(printable, 'a printable path'),
);

const macSample = 'a MAC address such as "02:00:00:00:00:01"';

const Mac = v.pipe(v.string(), v.regex(/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/, macSample));

const macOrNone = v.union([v.literal(''), Mac]);

/** To valibot a list is an object too. */
const object = v.custom<Json>(isObject, 'an object');

const Vhost = v.strictObject({
  mode: oneOf('client', 'server'),
  group: text,
  socketfile: v.optional(
    v.union([
      v.literal(''),
      v.pipe(v.string(), v.regex(fileName, 'a file name of letters, digits, "_.:@+-"'), v.maxBytes(fileNameBytesMax)),
    ]),
  ),
  ingressPolicingRate: zeroOr(1, 0xffffffff),
  ingressPolicingBurst: zeroOr(1, 0xffffffff),
  enableGso: v.optional(v.boolean()),
  enablePacked: v.optional(v.boolean()),
  enableEventIdx: v.optional(v.boolean()),
});

const Bridge = v.strictObject({
  bridgeName: v.optional(
    v.union([
      v.literal(''),
      v.pipe(
        v.string(),
        v.regex(bridgeName, 'a bridge name of letters, digits, "_.-"'),
        v.maxBytes(deviceNameBytesMax, `at most ${deviceNameBytesMax} bytes`),
      ),
    ]),
  ),
  bridgeId: v.optional(v.pipe(v.number(), v.integer())),
  vlanId: zeroOr(1, 4094),
  trunks: v.optional(v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(4095)))),
  vlanMode: oneOf('access', 'native-tagged', 'native-untagged', 'trunk', 'dot1q-tunnel'),
});

const Memif = v.record(v.string(), v.unknown());

const Side = v.strictObject({
  engine: text,
  iftype: text,
  netType: text,
  mtu: zeroOr(68, 65535),
  mac: v.optional(macOrNone),
  memif: v.optional(v.pipe(object, Memif)),
  vhost: v.optional(v.pipe(object, Vhost)),
  bridge: v.optional(v.pipe(object, Bridge)),
});

const milliseconds = v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(deadlineMsMax)));

const DeadlineKeys = v.strictObject(
  Object.fromEntries(Object.keys(defaultDeadlines).map((key) => [key, milliseconds])) as {
    [K in keyof Deadlines]: typeof milliseconds;
  },
);

const Ipam = v.looseObject({ type: v.optional(v.pipe(v.string(), v.regex(/^[^/]*$/, 'a program name without "/"'))) });

/** Accepted whatever it is: another part of the protocol reads it, or it is no business of ours. */
const anything = v.optional(v.unknown());

/** Runtimes and Multus hand these to every plugin, or read them in its configuration. */
const forOthers = {
  capabilities: anything,
  deviceID: anything,
  disableCheck: anything,
  disableGC: anything,
  ipMasq: anything,
  loadOnlyInlinedPlugins: anything,
  pciBusID: anything,
};

const defaultLevel = 'warning';
const levels = ['panic', 'error', 'warning', 'info', 'debug', 'verbose'] as const;

const Network = v.looseObject({
  ...forOthers,
  cniVersion: text,
  name: anything,
  type: text,
  kubeconfig: v.optional(v.union([v.literal(''), path])),
  kubeletRootDir: v.optional(path),
  shortDir: v.optional(path),
  grantAccess: v.optional(v.boolean()),
  predecessorDir: v.optional(path),
  sharedDir: v.optional(v.union([v.literal(''), path])),
  logFile: text,
  logLevel: anything,
  dataDir: v.optional(path),
  ovsdb: v.optional(v.pipe(v.string(), v.regex(/^unix:\/[^\p{Cc}]*$/u, '"unix:" and an absolute path'))),
  deadlines: v.optional(v.pipe(object, DeadlineKeys)),
  mtu: zeroOr(68, 65535),
  host: v.optional(v.pipe(object, Side)),
  container: v.optional(v.pipe(object, Side)),
  ipam: v.optional(v.pipe(object, Ipam)),
  dns: v.optional(object),
  prevResult: v.optional(object),
  runtimeConfig: v.optional(
    v.pipe(object, v.looseObject({ mac: v.optional(macOrNone), CNIDeviceInfoFile: v.optional(path) })),
  ),
  args: v.optional(
    v.pipe(
      object,
      v.looseObject({
        cni: v.optional(
          v.pipe(
            object,
            v.looseObject({
              mac: v.optional(macOrNone),
              OvnPort: v.optional(v.pipe(v.string(), v.regex(printable, 'a printable name'))),
            }),
          ),
        ),
      }),
    ),
  ),
});

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
  if (!shape.success) return { troubles: [...shape.issues.map(shapeTrouble), ...unsupported(raw)] };
  const network = shape.output;
  const troubles = [...unsupported(raw), ...contradictions(network)];
  return troubles.length > 0 ? { troubles } : { config: digest(network, args, warnings), troubles };
}

/** The first leaf of a union's branches says more than "one of them". */
function shapeTrouble(issue: v.BaseIssue<unknown>): Trouble {
  const name = v.getDotPath(issue) ?? 'configuration';
  if (issue.type === 'strict_object') {
    const value = shown(issue.path?.at(-1)?.value ?? issue.input);
    return { code: code.unsupportedField, message: `unsupported key "${name}" with value ${value}` };
  }
  const leaf = issue.issues?.at(-1) ?? issue;
  const wanted = leaf.type === 'regex' || leaf.type === 'custom' ? leaf.message : (leaf.expected ?? leaf.message);
  return { code: code.invalidConfig, message: `"${name}" is ${shown(issue.input)}: expected ${wanted}` };
}

function contradictions({ host, container, mtu, ipam, deadlines, logFile, dataDir }: Raw): Trouble[] {
  const bad = (message: string): Trouble => ({ code: code.invalidConfig, message });
  const found: Trouble[] = [];
  const mode = host?.vhost?.mode || 'server';
  if (container?.vhost?.mode === mode) {
    found.push(bad(`"host.vhost.mode" and "container.vhost.mode" are both "${mode}": one of them must be the other`));
  }
  found.push(...vlanContradictions(host?.bridge ?? {}).map(bad));
  if (host?.vhost?.socketfile?.startsWith('configData-')) {
    found.push(
      bad(`"host.vhost.socketfile" is "${host.vhost.socketfile}": "configData-" begins the name of a published file`),
    );
  }
  if (host?.vhost?.ingressPolicingBurst && !host.vhost.ingressPolicingRate) {
    found.push(bad('"host.vhost.ingressPolicingBurst" needs "host.vhost.ingressPolicingRate"'));
  }
  const content = Object.keys(ipam ?? {}).filter((key) => key !== 'type' && ipam?.[key] !== null);
  if (content.length > 0 && !ipam?.type) {
    const keys = content.map((key) => `"${key}"`).join(', ');
    found.push(bad(`"ipam" has ${keys} and no "type": name the IPAM plugin, or leave "ipam" out for no address`));
  }
  const { addMs = defaultDeadlines.addMs, rollbackMs = defaultDeadlines.rollbackMs } = deadlines ?? {};
  if (addMs <= rollbackMs) {
    found.push(bad(`"deadlines.rollbackMs" is ${rollbackMs}: an ADD of "addMs" ${addMs} has no time to make anything`));
  }
  if (logFile && isOwnFile(logFile, dataDir ?? defaultDataDir)) {
    found.push(bad(`"logFile" is "${logFile}": that is the name of a journal or another file of "dataDir"`));
  }
  if (host?.mtu && mtu && host.mtu !== mtu) found.push(bad(`"mtu" is ${mtu} and "host.mtu" is ${host.mtu}`));
  return found;
}

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
