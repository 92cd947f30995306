/**
 * CNI_ARGS: `K=V;K2=V2` (CONVENTIONS.md) -> the pairs, and every fault in them. Values that only an IPAM plugin reads are not
 * judged: Multus joins addresses with commas (bug B37).
 */
import { code, type PodRef, type Trouble } from '../attachment.ts';

export const knownArgs: ReadonlySet<string> = new Set(
  ['IgnoreUnknown', 'MAC', 'IP', 'OvnPort'].concat(
    ['NAMESPACE', 'NAME', 'UID', 'INFRA_CONTAINER_ID'].map((n) => `K8S_POD_${n}`),
  ),
);

/** RFC 1123 names, and uids of any shape that cannot be a path or a query. */
const podPart = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;

export type Args = ReadonlyMap<string, string>;

export function parseArgs(text: string | undefined): { args: Args; troubles: Trouble[] } {
  const pairs = (text ?? '').split(';').filter((pair) => pair !== '');
  const malformed = pairs.filter((pair) => pair.split('=').length !== 2);
  const args = new Map(pairs.map((pair) => pair.split('=') as [string, string]));
  const lenient = ['1', 'true'].includes(args.get('IgnoreUnknown')?.toLowerCase() ?? '');
  const unknown = lenient ? [] : [...args.keys()].filter((name) => !knownArgs.has(name) && !malformed.includes(name));
  const mac = args.get('MAC');
  return {
    args,
    troubles: [
      ...malformed.map((pair) => bad(`CNI_ARGS: invalid pair "${pair}"`)),
      ...(unknown.length > 0 ? [bad(`CNI_ARGS: unknown args ${JSON.stringify(unknown)}`)] : []),
      ...(mac && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac) ? [bad(`CNI_ARGS: MAC "${mac}" is no MAC address`)] : []),
    ],
  };
}

const bad = (message: string): Trouble => ({ code: code.invalidEnvironment, message });

/** @returns undefined unless the runtime names a pod by a name that an API server can have. */
export function podOf(args: Args): PodRef | undefined {
  const [namespace, name, uid] = podParts(args).map(([, value]) => value);
  if (!namespace || !name || podTroubles(args).length > 0) return undefined;
  return { namespace, name, ...(uid && { uid }) };
}

/** The reasons why a call with a kubeconfig cannot know its pod. */
export function podTroubles(args: Args): Trouble[] {
  const parts = podParts(args);
  const absent = parts.filter(([key, value]) => !value && key !== 'K8S_POD_UID').map(([key]) => key);
  const wrong = parts.filter(([, value]) => value && !podPart.test(value));
  return [
    ...wrong.map(([key, value]) => bad(`CNI_ARGS: ${key} "${value}" is no name of a pod`)),
    ...(absent.length > 0
      ? [{ code: code.invalidConfig, message: `"kubeconfig" needs ${absent.join(' and ')} in CNI_ARGS: is it a pod?` }]
      : []),
  ];
}

const podParts = (args: Args): [key: string, value: string | undefined][] =>
  ['K8S_POD_NAMESPACE', 'K8S_POD_NAME', 'K8S_POD_UID'].map((key) => [key, args.get(key)]);
