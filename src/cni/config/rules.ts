/**
 * The rules beyond the shape of a key: values that this engine cannot serve, contradictions, keys without effect, and the messages
 * for them. Pure.
 */
import * as v from 'valibot';
import { code, isOwnFile, logLevels, type Trouble } from '../../attachment.ts';
import { defaultDeadlines } from '../../deadlines.ts';
import { isObject, type Json, type Remark } from '../leniency.ts';
import { defaultDataDir, defaultLogLevel } from './defaults.ts';
import { type Bridge, isSet, logLevelOf, Network, type Raw, type Side, type Vhost } from './keys.ts';

/** Known keys with values of a person's choice or of other programs: one of a wrong shape may be a secret, such as a token. */
const neverQuoted = /^(kubeconfig|ipam|dns|args|args\.cni|runtimeConfig|prevResult|(host|container)\.memif)$/;

/**
 * The value of a known key as a message shows it, never longer than a line. A message ends up in logs and in events of pods, so (I12) it
 * does not quote a list, an object, or a value that may be a secret.
 */
export function shown(name: string, value: unknown): string {
  if (typeof value === 'number' && !Number.isFinite(value)) return '(a number that is too large)';
  const isQuoted = !neverQuoted.test(name) && (typeof value !== 'object' || value === null);
  return isQuoted ? (JSON.stringify(value) ?? 'nothing').slice(0, 120) : described(value);
}

/** The kind and the length of a value. */
function described(value: unknown): string {
  if (typeof value === 'string') return `(a text of ${value.length} characters)`;
  if (Array.isArray(value)) return `(a list of ${value.length})`;
  if (isObject(value)) return `(an object of ${Object.keys(value).length} keys)`;
  return value === null ? '(null)' : `(a ${typeof value})`;
}

/** A member of a value that may not be an object. */
export const at = (raw: unknown, key: string): unknown =>
  typeof raw === 'object' && raw !== null ? (raw as { [key: string]: unknown })[key] : undefined;

/** The values of a key of which an engine serves only some. */
interface ServedValue {
  /** Dotted path. */
  readonly key: string;
  readonly value: string;
  /** Whether the key may be left out. */
  readonly isOptional: boolean;
  readonly remedy: string;
}

export const served: readonly ServedValue[] = [
  { key: 'host.engine', value: 'ovs-dpdk', isOptional: false, remedy: 'only "ovs-dpdk" is built in' },
  { key: 'host.iftype', value: 'vhostuser', isOptional: false, remedy: 'only "vhostuser" is built in' },
  { key: 'host.netType', value: 'bridge', isOptional: true, remedy: 'only "bridge" is built in' },
  { key: 'container.iftype', value: 'vhostuser', isOptional: true, remedy: 'the host side is "vhostuser"' },
];

/** @returns troubles of CNI code 2, with the key, and its value as far as it can be shown */
export function findUnsupported(raw: Json): Trouble[] {
  const isList = raw.host === undefined && Array.isArray(raw.plugins);
  const ofList = '; "plugins" makes this a list: a runtime hands over one plugin of it, with the name of the list';
  return served.flatMap(({ key, value: good, isOptional, remedy }) => {
    const value = memberAt(raw, key);
    if (value === good || (isOptional && (value === undefined || value === ''))) return [];
    const said =
      value === undefined ? `"${key}" is missing and needed` : `unsupported "${key}" with value ${shown(key, value)}`;
    const message = `${said}: ${remedy}${isList && key === 'host.engine' ? ofList : ''}`;
    return [{ code: code.unsupportedField, key, message }];
  });
}

/** The last leaf of a union's branches says more than "one of them". */
export function shapeTrouble(issue: v.BaseIssue<unknown>): Trouble {
  const name = v.getDotPath(issue) ?? 'configuration';
  if (issue.type === 'never') return unsupportedKey(name, issue.input);
  const leaf = issue.issues?.at(-1) ?? issue;
  const hasOwnWords = ['regex', 'custom', 'max_bytes'].includes(leaf.type);
  const wanted = hasOwnWords
    ? leaf.message
    : leaf.type === 'integer'
      ? 'a whole number'
      : (leaf.expected ?? leaf.message);
  return {
    code: code.invalidConfig,
    key: name,
    message: `"${name}" is ${shown(name, issue.input)}: expected ${wanted}`,
  };
}

/** The objects that take no other keys. */
const closedObjects = [
  'host',
  'host.vhost',
  'host.bridge',
  'container',
  'container.vhost',
  'container.bridge',
  'deadlines',
];

/** The schema's library skips these names, for fear of prototypes. */
const skippedNames = ['__proto__', 'prototype', 'constructor'];

export const skippedKeys = (raw: Json): Trouble[] =>
  closedObjects.flatMap((path) => {
    const value = memberAt(raw, path);
    const names = isObject(value) ? skippedNames.filter((name) => Object.hasOwn(value, name)) : [];
    return names.map((name) => unsupportedKey(`${path}.${name}`, at(value, name)));
  });

/** CNI SPEC section 5 wants the value too. But nothing tells what the value of an unknown key is: a password, if the key is misplaced. */
function unsupportedKey(name: string, value: unknown): Trouble {
  const message = `unsupported key "${name}" with value ${described(value)}`;
  return { code: code.unsupportedField, key: name, message };
}

/** @param faults dotted paths of values that do not have their shape: rules over one of them are left out */
export function contradictionsOf(raw: Raw, faults: readonly string[]): Trouble[] {
  const isIn = (inner: string, outer: string) => `${inner}.`.startsWith(`${outer}.`);
  const isReadable = (part: string) => !faults.some((fault) => isIn(fault, part) || isIn(part, fault));
  return contradictions
    .filter(({ of }) => of.every(isReadable))
    .flatMap(({ of: [key = ''], found }) => found(raw).map((message) => ({ code: code.invalidConfig, key, message })));
}

/** A rule: the keys that it reads, and the messages for those that contradict each other. */
interface Contradiction {
  readonly of: readonly string[];
  readonly found: (raw: Raw) => readonly string[];
}

/** chown(2) takes the next one for "leave it". */
const gidMax = 0xfffffffe;

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
    of: ['host.vhost.group'],
    found: ({ host: { vhost: { group = '' } = {} } = {} }) =>
      /^\d+$/.test(group) && Number(group) > gidMax
        ? [`"host.vhost.group" is "${group}": ${gidMax} is the greatest number of a group`]
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

/** ovs-vswitchd ignores contradicting keys in silence (ovs-vswitchd.conf.db(5), Port, vlan_mode). */
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

/** The halves (`host`, `container`) in which a key has an effect; all keys of the container's half are published. */
type Use = 'each' | 'host, for both' | 'container' | 'host' | 'none';

/** The halves in which a key has no effect. */
const uselessIn: { readonly [U in Use]: readonly ('host' | 'container')[] } = {
  each: [],
  container: ['host'],
  'host, for both': ['container'],
  none: ['host', 'container'],
  host: ['container'],
};

/** Every key of a schema has its use here, so a new key without one does not compile and cannot be ignored in silence. */
type Uses<S extends { readonly entries: object }> = { readonly [K in keyof S['entries']]: Use };

const bridgeUses: Uses<typeof Bridge> = {
  bridgeName: 'each',
  bridgeId: 'container',
  vlanId: 'each',
  trunks: 'each',
  vlanMode: 'each',
};

const sideUses: Uses<typeof Side> = {
  engine: 'each',
  iftype: 'each',
  netType: 'each',
  mtu: 'each',
  mac: 'each',
  memif: 'container',
  vhost: 'each',
  bridge: 'each',
};

const vhostUses: Uses<typeof Vhost> = {
  mode: 'each',
  group: 'each',
  socketfile: 'host, for both',
  enableGso: 'none',
  enablePacked: 'none',
  enableEventIdx: 'none',
  ingressPolicingRate: 'host',
  ingressPolicingBurst: 'host',
};

/** The places of the keys below each half. */
const places: readonly { readonly below: string; readonly uses: { readonly [key: string]: Use } }[] = [
  { below: '.bridge', uses: bridgeUses },
  { below: '', uses: sideUses },
  { below: '.vhost', uses: vhostUses },
];

/** Dotted paths of the keys that have no effect in their half. */
export const uselessPaths = (): string[] =>
  places.flatMap(({ below, uses }) =>
    Object.entries(uselessIn).flatMap(([use, halves]) =>
      halves.flatMap((half) =>
        Object.keys(uses)
          .filter((key) => uses[key] === use)
          .map((key) => `${half}${below}.${key}`),
      ),
    ),
  );

const isUseless = (network: Json, path: string): boolean =>
  isSaid(path.slice(path.lastIndexOf('.') + 1), memberAt(network, path));

const memberAt = (raw: unknown, dotted: string): unknown => dotted.split('.').reduce(at, raw);

function isSaid(key: string, value: unknown): boolean {
  // 0 is a valid id.
  if (key === 'bridgeId') return value !== undefined;
  return isObject(value) ? Object.keys(value).length > 0 : isSet(value) && value !== false;
}

/** Remarks on keys that are accepted, and do not do what they say. They are made of a configuration in any state. */
export function remarksOn(network: Json): Remark[] {
  const isForeign = (key: string) =>
    !Object.hasOwn(Network.entries, key) && !key.startsWith('cni.dev/') && network[key] !== null;
  const foreign = Object.keys(network).filter(isForeign);
  const { logLevel = '' } = network;
  const isOdd = logLevel !== '' && logLevelOf(logLevel) === undefined;
  const levels = logLevels.join(', ');
  const oddLevel = `"logLevel" is ${shown('logLevel', logLevel)}, none of ${levels}: "${defaultLogLevel}" is taken`;
  return [
    ...(isOdd ? [{ key: 'logLevel', message: oddLevel }] : []),
    ...uselessPaths()
      .filter((path) => isUseless(network, path))
      .map((key) => ({ key, message: `"${key}" has no effect with engine "ovs-dpdk"` })),
    ...foreign.map((key) => ({ key, message: `unknown key "${key}" is ignored` })),
  ];
}
