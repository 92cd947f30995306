/**
 * What the application reads to find its interface: the predecessor's configuration data, here as a file beside the socket
 * (contracts 2.3). Written whole or not at all; a stale one of the same interface is replaced.
 */
import { type Addresses, type AttachmentKey, code, keyHash } from '../../attachment.ts';
import { formatResult } from '../../cni/result.ts';
import type { Moment } from '../../deadlines.ts';
import type { FilePlan, Outcome } from '../../machines/protocol.ts';

import { makingNothing } from '../outcome.ts';
import { Directory } from './directory.ts';
import type { FindHolder } from './holder.ts';

/** Consumers read addresses in the shape of 0.4.0 only (contracts 2.4). */
const publishedVersion = '0.4.0';

const temporaryName = (key: AttachmentKey): string => `.${keyHash(key)}.tmp`;

/** What is said of one interface, whether in a file or in an annotation, its keys in the predecessor's order. */
export function published(data: FilePlan['data'], addresses: Addresses | undefined): FilePlan['data'] {
  return { ...data, ipResult: formatResult({ interfaces: [], ips: [], routes: [], ...addresses }, publishedVersion) };
}

const contents = ({ data }: FilePlan, addresses: Addresses | undefined): string =>
  `${JSON.stringify(published(data, addresses), null, 4)}\n`;

/** Of which attachment, and what its address is known to be. */
interface Publisher {
  readonly key: AttachmentKey;
  readonly addresses: Addresses | undefined;
}

export async function ensurePublication(
  { key, addresses }: Publisher,
  plan: FilePlan,
  holder: FindHolder,
  end: Moment,
): Promise<Outcome> {
  const directory = await makingNothing(Directory.open(plan.directory, end));
  try {
    const message = await makingNothing(refusalOf(key, plan, directory, holder));
    if (message) return { kind: 'failed', trouble: { code: code.invalidConfig, message }, made: 'nothing' };
    const bytes = new TextEncoder().encode(contents(plan, addresses));
    await directory.replace(plan.file, temporaryName(key), bytes, 0o644);
    return { kind: 'ok' };
  } finally {
    await directory.close();
  }
}

/** @returns why what is there must not be replaced: it is of another attachment, and the port that it names stands */
async function refusalOf(key: AttachmentKey, plan: FilePlan, directory: Directory, holder: FindHolder) {
  const data = read(await directory.read(plan.file));
  const port = isAnothers(key, data) ? data.config?.vhost?.socketfile : undefined;
  const whose = typeof port === 'string' ? await holder(port) : undefined;
  return (
    whose &&
    `"${plan.directory}/${plan.file}" belongs to ${whose}: two containers share a directory and a short id, give one of them another "sharedDir"`
  );
}

export async function removePublication(key: AttachmentKey, plan: FilePlan, end: Moment): Promise<Outcome> {
  const directory = await Directory.find(plan.directory, end);
  if (!directory) return { kind: 'ok' };
  try {
    const names = isAnothers(key, read(await directory.read(plan.file))) ? [] : [plan.file];
    for (const name of [...names, temporaryName(key)]) await directory.remove(name, 'file');
    return { kind: 'ok' };
  } finally {
    await directory.close();
  }
}

/** What a file says that a pod may have written: anything. */
interface Said {
  readonly containerId?: unknown;
  readonly name?: unknown;
  readonly config?: { readonly vhost?: { readonly socketfile?: unknown } | null } | null;
}

function read(text: string | undefined): Said {
  try {
    const said: unknown = JSON.parse(text ?? '{}');
    return typeof said === 'object' && said !== null ? said : {};
  } catch {
    return {};
  }
}

/** The file's name has 12 characters of the container id, its text the whole: two ids can begin alike (B27). */
const isAnothers = ({ containerId, network }: AttachmentKey, said: Said): boolean =>
  (said.containerId ?? containerId) !== containerId || (said.name ?? network) !== network;

export async function findPublication(plan: FilePlan, addresses: Addresses | undefined, end: Moment): Promise<Outcome> {
  const directory = await Directory.find(plan.directory, end);
  try {
    const text = await directory?.read(plan.file);
    if (text === contents(plan, addresses)) return { kind: 'ok' };
    const message = `"${plan.directory}/${plan.file}" ${text === undefined ? 'is gone' : 'is not as it was written'}`;
    return { kind: 'failed', trouble: { code: code.drift, message } };
  } finally {
    await directory?.close();
  }
}
