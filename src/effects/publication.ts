/**
 * What the application reads to find its interface: the predecessor's configuration data, here as a file beside the socket
 * (contracts 2.3). Written whole or not at all; a stale one of the same interface is replaced.
 */
import { type Addresses, type AttachmentKey, code, keyHash } from '../attachment.ts';
import { formatResult } from '../cni/result.ts';
import type { Moment } from '../deadlines.ts';
import type { FilePlan, Outcome } from '../machines/protocol.ts';
import { Directory } from './directory.ts';

/** Consumers read addresses in the shape of 0.4.0 only (contracts 2.4). */
const publishedVersion = '0.4.0';

const temporaryName = (key: AttachmentKey): string => `.${keyHash(key)}.tmp`;

/** What is said of one interface, whether in a file or in an annotation, its keys in the predecessor's order. */
export function published(data: FilePlan['data'], addresses: Addresses | undefined): FilePlan['data'] {
  return { ...data, ipResult: formatResult({ interfaces: [], ips: [], routes: [], ...addresses }, publishedVersion) };
}

const contents = ({ data }: FilePlan, addresses: Addresses | undefined): string =>
  `${JSON.stringify(published(data, addresses), null, 4)}\n`;

export async function ensurePublication(
  key: AttachmentKey,
  plan: FilePlan,
  addresses: Addresses | undefined,
  end: Moment,
): Promise<Outcome> {
  const directory = await Directory.open(plan.directory, end);
  try {
    const bytes = new TextEncoder().encode(contents(plan, addresses));
    await directory.replace(plan.file, temporaryName(key), bytes, 0o644);
    return { kind: 'ok' };
  } finally {
    await directory.close();
  }
}

export async function removePublication(key: AttachmentKey, plan: FilePlan, end: Moment): Promise<Outcome> {
  const directory = await Directory.find(plan.directory, end);
  if (!directory) return { kind: 'ok' };
  try {
    const names = isAnothers(key, await directory.read(plan.file)) ? [] : [plan.file];
    for (const name of [...names, temporaryName(key)]) await directory.remove(name, 'file');
    return { kind: 'ok' };
  } finally {
    await directory.close();
  }
}

/** The file's name has 12 characters of the container id, its text the whole: two ids can begin alike (B27). */
function isAnothers({ containerId, network }: AttachmentKey, text: string | undefined): boolean {
  try {
    const data = JSON.parse(text ?? '{}');
    return (data.containerId ?? containerId) !== containerId || (data.name ?? network) !== network;
  } catch {
    return false;
  }
}

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
