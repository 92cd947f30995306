/**
 * Environment and standard input of one call -> a request, or every fault in them at once (CNI SPEC section 2).
 *
 * Owns: the rules for CNI_* variables and for the parts of a configuration that every verb needs. Touches nothing.
 */
import { type AttachmentKey, code, deviceNameBytesMax, messageOf, type PodRef, type Trouble } from '../attachment.ts';
import { type Args, parseArgs, podOf, podTroubles } from './args.ts';
import { type Basics, lenient, type NetworkConfig, parseConfig, salvageConfig } from './config/config.ts';
import { shown } from './config/rules.ts';
import { refuse } from './error.ts';
import { isObject, type Json, type Lenient, type Remark } from './leniency.ts';
import { cannotSay, parseResult, supportedVersions } from './result.ts';

export type Environment = { readonly [name: string]: string | undefined };

/** The parts that ADD, CHECK and DEL share. */
interface Common {
  readonly key: AttachmentKey;
  /** CNI_NETNS; empty on a DEL after a reboot. */
  readonly netns: string;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
  /** The configuration, byte for byte: an IPAM plugin must get the same. */
  readonly stdin: string;
  /** CNI_* without CNI_COMMAND, as an IPAM plugin gets them. */
  readonly env: { readonly [name: string]: string };
  /** K8S_POD_NAMESPACE, K8S_POD_NAME and K8S_POD_UID, as far as the runtime gave them. */
  readonly pod?: PodRef;
}

export interface AddRequest extends Common {
  readonly config: NetworkConfig;
}

export interface DelRequest extends Common {
  readonly config: Basics;
}

/** A configuration is at most this long; the journal keeps all of it. */
const stdinBytesMax = 1024 * 1024;

/** The shape of the container id and of the network's name (CNI SPEC section 2). */
export const identifier = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** @throws CniError 4, 6, 1, 2 or 7 naming every fault. */
export function parseAdd(env: Environment, stdin: string): AddRequest {
  const { request, troubles } = readAdd(env, stdin);
  refuse(troubles);
  if (!request) throw new Error('a configuration without a fault was not read');
  return request;
}

interface ReadAdd {
  /** Only if there is no fault. */
  readonly request?: AddRequest;
  readonly troubles: readonly Trouble[];
  readonly remarks: readonly Remark[];
}

/** Finds every fault and every remark, one by one. */
export function readAdd(env: Environment, stdin: string): ReadAdd {
  const { args, troubles: argTroubles } = parseArgs(env.CNI_ARGS);
  const { body, troubles: bodyTroubles } = parseBody(stdin);
  const raw = body?.raw;
  const { config, troubles: configTroubles, remarks } = body ? parseConfig(body, args) : { troubles: [], remarks: [] };
  const troubles = [
    ...environmentTroubles(env, ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME']),
    ...argTroubles,
    ...bodyTroubles,
    ...(raw ? versionTroubles(raw) : []),
    ...configTroubles,
  ];
  if (config?.prevResult && !parseResult(config.prevResult)) {
    troubles.push({ code: code.invalidConfig, key: 'prevResult', message: '"prevResult" is no CNI result' });
  }
  if (config?.kubeconfig) troubles.push(...podTroubles(args));
  if (config?.ipam && !env.CNI_PATH) troubles.push(missing(['CNI_PATH']));
  if (config && !config.ipam && isOld(config.cniVersion)) {
    troubles.push({ code: code.incompatibleVersion, key: 'cniVersion', message: cannotSay(config.cniVersion) });
  }
  if (troubles.length > 0 || !config || !raw) return { troubles, remarks };
  return { request: { ...common(env, stdin, raw, args), config }, troubles, remarks };
}

/** Strict only about the parts that tell which attachment is meant. @throws CniError 4, 6 or 7. */
export function parseDel(env: Environment, stdin: string): DelRequest {
  const { body, troubles } = parseBody(stdin);
  refuse([...environmentTroubles(env, ['CNI_CONTAINERID', 'CNI_IFNAME']), ...troubles]);
  if (!body) throw new Error('a configuration without a fault was not read');
  return common(env, stdin, body.raw, parseArgs(env.CNI_ARGS).args);
}

/** @throws CniError as parseAdd, and 1 for a version without CHECK. */
export function parseCheck(env: Environment, stdin: string): AddRequest {
  const request = parseAdd(env, stdin);
  const { cniVersion, prevResult } = request.config;
  if (isOld(cniVersion) || cniVersion.startsWith('0.3.')) {
    refuse([{ code: code.incompatibleVersion, message: `cniVersion "${cniVersion}" does not allow CHECK` }]);
  }
  if (!prevResult)
    refuse([{ code: code.invalidConfig, message: '"prevResult" is missing: CHECK needs what ADD answered' }]);
  return request;
}

const isOld = (version: string): boolean => version === '0.1.0' || version === '0.2.0';

/** Takes the input of an IPAM plugin's call, and the keys of the configuration that every verb can use. */
export function forIpam(env: Environment, stdin: string, raw: Json) {
  const cni = Object.entries(env).filter(([name]) => name.startsWith('CNI_') && name !== 'CNI_COMMAND');
  return {
    config: salvageConfig(raw),
    path: (env.CNI_PATH ?? '').split(':').filter((directory) => directory.startsWith('/')),
    stdin,
    env: Object.fromEntries(cni) as Common['env'],
  };
}

function common(env: Environment, stdin: string, raw: Json, args: Args): DelRequest {
  const pod = podOf(args);
  return {
    key: { network: String(raw.name), containerId: env.CNI_CONTAINERID ?? '', ifName: env.CNI_IFNAME ?? '' },
    netns: env.CNI_NETNS ?? '',
    ...forIpam(env, stdin, raw),
    ...(pod && { pod }),
  };
}

/** Reads the part of standard input that every verb needs: an object with the name of the network. */
export function parseBody(stdin: string): { body?: Lenient; troubles: Trouble[] } {
  const undecodable = (message: string) => ({ troubles: [{ code: code.decoding, message }] });
  if (stdin.length > stdinBytesMax) return undecodable(`the configuration is over ${stdinBytesMax} bytes`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(stdin);
  } catch (error) {
    // The parser quotes the word that it stumbles over, which may be a secret (I12).
    return undecodable(`the configuration on stdin is no JSON: ${messageOf(error).replace(/ ".*$/s, '')}`);
  }
  if (!isObject(parsed)) return undecodable('the configuration on stdin is no JSON object');
  const body = lenient(parsed);
  const { name } = body.raw;
  if (typeof name === 'string' && identifier.test(name)) return { body, troubles: [] };
  const message =
    name === undefined || name === ''
      ? 'missing network name: "name"'
      : `network name ${shown('name', name)}: it must be letters, digits, "_.-" and begin with a letter or digit`;
  return { body, troubles: [{ code: code.invalidConfig, key: 'name', message }] };
}

function versionTroubles({ cniVersion }: Json): Trouble[] {
  const supported: readonly unknown[] = supportedVersions;
  if (cniVersion === undefined || cniVersion === '' || supported.includes(cniVersion)) return [];
  const message = `incompatible CNI versions: config is ${shown('cniVersion', cniVersion)}, plugin supports ${JSON.stringify(supported)}`;
  return [{ code: code.incompatibleVersion, key: 'cniVersion', message }];
}

const missing = (names: string[]): Trouble => ({
  code: code.invalidEnvironment,
  message: `required env variables [${names.join(',')}] missing`,
});

function environmentTroubles(env: Environment, required: string[]): Trouble[] {
  const absent = required.filter((name) => !env[name]);
  const bad = (message: string, details: string): Trouble => ({ code: code.invalidEnvironment, message, details });
  const troubles = absent.length > 0 ? [missing(absent)] : [];
  const { CNI_CONTAINERID: id, CNI_IFNAME: ifName } = env;
  if (id && !identifier.test(id)) troubles.push(bad('invalid characters in CNI_CONTAINERID', id));
  const fault = ifName ? interfaceNameFault(ifName) : undefined;
  if (ifName && fault) troubles.push(bad(`CNI_IFNAME ${fault}`, ifName));
  if (env.CNI_NETNS?.includes('\0')) troubles.push(bad('CNI_NETNS is no path', env.CNI_NETNS));
  return troubles;
}

/** CNI SPEC section 2 and the kernel. A leading "-" is refused too: the name ends up in port names, which tools print and parse. */
function interfaceNameFault(name: string): string | undefined {
  if (new TextEncoder().encode(name).length > deviceNameBytesMax) return `is over ${deviceNameBytesMax} bytes`;
  if (name === '.' || name === '..') return 'is no name';
  if (name.startsWith('-')) return 'begins with "-"';
  return /[/:\s\p{Cc}="\\]/u.test(name) ? 'holds a character that no interface name may hold' : undefined;
}
