/**
 * GC and STATUS (CNI SPEC 1.1.0, section 2): requests that speak of a node and a network, not of one interface.
 */
import { type AttachmentKey, code, type Trouble } from '../attachment.ts';
import type { Basics } from './config/config.ts';
import { refuse } from './error.ts';
import type { Json } from './leniency.ts';
import { type Environment, forIpam, parseBody } from './request.ts';

interface Upkeep {
  readonly config: Basics;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
  readonly stdin: string;
  /** CNI_* without CNI_COMMAND, as an IPAM plugin gets them. */
  readonly env: { readonly [name: string]: string };
}

export type StatusRequest = Upkeep;

export interface GcRequest extends Upkeep {
  /** `name` of the network configuration: nothing of another network is looked at. */
  readonly network: string;
  isValid(containerId: string, ifName: string): boolean;
}

/** The two names of the list of valid attachments: the specification's tag had the second one; libcni sends both. */
const listNames = ['cni.dev/valid-attachments', 'cni.dev/attachments'];

/** @throws CniError 6, 7, 1 for a version without STATUS, 4 without CNI_PATH. */
export const parseStatus = (env: Environment, stdin: string): StatusRequest => parseUpkeep(env, stdin, 'STATUS').upkeep;

/** @throws CniError as parseStatus, and 7 without a list of valid attachments, because nothing may be removed without it. */
export function parseGc(env: Environment, stdin: string): GcRequest {
  const { raw, upkeep } = parseUpkeep(env, stdin, 'GC');
  const listed = raw[listNames.find((name) => name in raw) ?? ''];
  const bad = (message: string): Trouble => ({ code: code.invalidConfig, message });
  if (listed === undefined) refuse([bad('"cni.dev/valid-attachments" is missing: nothing is removed without it')]);
  // Go sends an empty list as null.
  const list: unknown = listed ?? [];
  if (!Array.isArray(list) || !list.every(isAttachment)) {
    refuse([bad('"cni.dev/valid-attachments" is no list of objects with "containerID" and "ifname"')]);
  }
  const valid = new Set(
    (list as readonly ValidAttachment[]).map(({ containerID, ifname }) => `${containerID}:${ifname}`),
  );
  return {
    ...upkeep,
    network: String(raw.name),
    isValid: (containerId, ifName) => valid.has(`${containerId}:${ifName}`),
  };
}

/** The same GC for an IPAM plugin, with more valid attachments. @param stdin as parseGc took it */
export function withValid(stdin: string, more: readonly AttachmentKey[]): string {
  const raw = JSON.parse(stdin);
  const names = listNames.filter((name) => name in raw);
  const listed: readonly ValidAttachment[] = raw[names[0] ?? ''] ?? [];
  const others = more
    .map((key) => ({ containerID: key.containerId, ifname: key.ifName }))
    .filter(
      (one) => !listed.some(({ containerID, ifname }) => containerID === one.containerID && ifname === one.ifname),
    );
  for (const name of names) raw[name] = [...listed, ...others];
  return JSON.stringify(raw);
}

interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

const isAttachment = (one: unknown): one is ValidAttachment =>
  typeof one === 'object' &&
  one !== null &&
  'containerID' in one &&
  typeof one.containerID === 'string' &&
  'ifname' in one &&
  typeof one.ifname === 'string';

function parseUpkeep(env: Environment, stdin: string, verb: string): { raw: Json; upkeep: Upkeep } {
  const { body, troubles } = parseBody(stdin);
  const raw = body?.raw;
  if (raw && raw.cniVersion !== '1.1.0') {
    const message = `cniVersion ${JSON.stringify(raw.cniVersion ?? '0.1.0')} does not allow ${verb}: it came with 1.1.0`;
    troubles.push({ code: code.incompatibleVersion, message });
  }
  if (!env.CNI_PATH) {
    troubles.push({ code: code.invalidEnvironment, message: 'required env variables [CNI_PATH] missing' });
  }
  refuse(troubles);
  if (!raw) throw new Error('a configuration without a fault was not read');
  return { raw, upkeep: forIpam(env, stdin, raw) };
}
