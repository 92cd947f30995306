/**
 * The file beside the socket by which the application finds its interface: the predecessor's configuration data (contract C2.3). It
 * is written whole or not at all. A stale file of the same interface is replaced.
 */
import { type Addresses, type AttachmentKey, code, keyHash } from '../../attachment.ts';
import { formatResult } from '../../cni/result.ts';
import type { Moment } from '../../deadlines.ts';
import type { FilePlan, Outcome } from '../../machines/protocol.ts';
import { failed, markNothingMade, ok } from '../outcome.ts';
import { Directory } from './directory.ts';
import type { FindHolder } from './holder.ts';

/** Consumers read addresses in the shape of 0.4.0 only (contract C2.4). */
const publishedVersion = '0.4.0';

const temporaryName = (key: AttachmentKey): string => `.${keyHash(key)}.tmp`;

/** The data of one interface, for a file or an annotation. The keys are in the predecessor's order. */
export function completeData(data: FilePlan['data'], addresses: Addresses | undefined): FilePlan['data'] {
  return { ...data, ipResult: formatResult({ interfaces: [], ips: [], routes: [], ...addresses }, publishedVersion) };
}

const formatContents = ({ data }: FilePlan, addresses: Addresses | undefined): string =>
  `${JSON.stringify(completeData(data, addresses), null, 4)}\n`;

/** The attachment, its addresses, and the means to write its file. */
interface Publisher {
  readonly key: AttachmentKey;
  readonly addresses: Addresses | undefined;
  readonly findHolder: FindHolder;
  readonly end: Moment;
}

export async function ensurePublication(plan: FilePlan, publisher: Publisher): Promise<Outcome> {
  const { key, addresses, end } = publisher;
  const directory = await markNothingMade(Directory.open(plan.directory, end));
  try {
    const message = await markNothingMade(findRefusal(directory, plan, publisher));
    if (message) return { ...failed(code.invalidConfig, message), made: 'nothing' };
    const bytes = new TextEncoder().encode(formatContents(plan, addresses));
    await directory.replace(plan.file, { temporary: temporaryName(key), bytes, mode: 0o644 });
    return ok;
  } finally {
    await directory.close();
  }
}

/** @returns why the existing file must not be replaced: it is another attachment's, and the port that it names exists */
async function findRefusal(directory: Directory, plan: FilePlan, { key, findHolder }: Publisher) {
  const data = parsePublished(await directory.read(plan.file));
  const port = isOfAnother(key, data) ? data.config?.vhost?.socketfile : undefined;
  const whose = typeof port === 'string' ? await findHolder(port) : undefined;
  return (
    whose &&
    `"${plan.directory}/${plan.file}" belongs to ${whose}: two containers share a directory and a short id, give one of them another "sharedDir"`
  );
}

export async function removePublication(plan: FilePlan, key: AttachmentKey, end: Moment): Promise<Outcome> {
  const directory = await Directory.find(plan.directory, end);
  if (!directory) return ok;
  try {
    const names = isOfAnother(key, parsePublished(await directory.read(plan.file))) ? [] : [plan.file];
    for (const name of [...names, temporaryName(key)]) await directory.remove(name, 'file');
    return ok;
  } finally {
    await directory.close();
  }
}

/** The members of a file that a pod may have written, so each may hold anything. */
interface Published {
  readonly containerId?: unknown;
  readonly name?: unknown;
  readonly config?: { readonly vhost?: { readonly socketfile?: unknown } | null } | null;
}

function parsePublished(text: string | undefined): Published {
  try {
    const parsed: unknown = JSON.parse(text ?? '{}');
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

/**
 * The file's name has 12 characters of the container id, its text has all. Both are needed, because two ids can begin alike (bug
 * B27).
 */
const isOfAnother = ({ containerId, network }: AttachmentKey, parsed: Published): boolean =>
  (parsed.containerId ?? containerId) !== containerId || (parsed.name ?? network) !== network;

export async function findPublication(plan: FilePlan, addresses: Addresses | undefined, end: Moment): Promise<Outcome> {
  const directory = await Directory.find(plan.directory, end);
  try {
    const text = await directory?.read(plan.file);
    if (text === formatContents(plan, addresses)) return ok;
    const message = `"${plan.directory}/${plan.file}" ${text === undefined ? 'is gone' : 'is not as it was written'}`;
    return failed(code.drift, message);
  } finally {
    await directory?.close();
  }
}
