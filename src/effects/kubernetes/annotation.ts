/**
 * What the application reads to find its interface, as annotations of its pod (contracts 2.3, 2.4): an array with one entry for
 * each interface, and the directory in which containers see the sockets. Byte for byte as the predecessor's readers take them.
 *
 * Other writers' annotations and entries stay as they are; an unreadable array is nobody's we know, and is not touched.
 */
import { type Addresses, type AttachmentKey, bytesOf, code, keyHash } from '../../attachment.ts';
import { type Element, elementsOf, isSameValue } from '../../json-text.ts';
import type { AnnotationPlan, Facts, Outcome } from '../../machines/protocol.ts';
import { published } from '../files/published-file.ts';
import { failed } from '../outcome.ts';
import { ApiError } from './api-error.ts';
import { type Annotations, type Kubernetes, nameOf, type Patience, type Pod, Sent } from './api-server.ts';
import { isMeant } from './pod.ts';

const dataName = 'userspace/configuration-data';
const directoryName = 'userspace/mapped-dir';

/** Written and taken away by a removal that cannot know whether a write of its dead predecessor is still to come. */
const fenceName = (key: AttachmentKey): string => `userspace/removing-${keyHash(key)}`;

interface Entry extends Element {
  readonly containerId: unknown;
  readonly ifName: unknown;
}

type Failure = ReturnType<typeof failed>;

/** Whose annotation, of which pod, and how long the API server may be asked for it. */
export interface Scene {
  readonly api: Kubernetes;
  readonly key: AttachmentKey;
  readonly plan: AnnotationPlan;
  readonly patience: Patience;
}

/** Whether another sandbox of the same pod, by its container id, began after ours and lives. */
export type IsLater = (containerId: string) => Promise<boolean>;

/** What a failure has made, its answers say: one that was refused by an answer has nothing on its way (api-server.ts, Sent). */
export async function ensureAnnotation(
  { api, key, plan, patience }: Scene,
  addresses: Addresses | undefined,
  isLater: IsLater,
): Promise<Outcome> {
  const own = textOf(published(plan.data, addresses));
  const sent = new Sent();
  let refusal: Failure | undefined;
  const change = async (pod: Pod | undefined): Promise<Annotations | undefined> => {
    refusal = pod && isMeant(plan.pod, pod) ? undefined : gone(plan);
    if (!pod || refusal) return undefined;
    const entries = readEntries(pod);
    if (!entries) {
      refusal = failed(
        code.invalidConfig,
        `annotation "${dataName}" of pod ${nameOf(plan.pod)} is no JSON array of objects: remove it`,
      );
      return undefined;
    }
    const stale = entries.filter(({ ifName }) => ifName === key.ifName);
    for (const { containerId } of stale) {
      if (containerId === key.containerId || !(await isLater(String(containerId)))) continue;
      refusal = failed(
        code.tryAgainLater,
        `sandbox ${containerId} of pod ${nameOf(plan.pod)} has "${key.ifName}" by now`,
      );
      return undefined;
    }
    const isThere = stale.length === 1 && isSameValue(stale[0]?.value, JSON.parse(own));
    const others = entries.filter((entry) => !stale.includes(entry));
    return changes(pod, {
      ...(!isThere && { [dataName]: arrayOf([...others, { text: own }]) }),
      [directoryName]: plan.mappedDir,
    });
  };
  try {
    await api.write(plan.pod, patience, change, sent);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    refusal = failed(error.code, error.message);
  }
  const settled = sent.open === undefined && ({ facts: { settled: true } } as const);
  return refusal ? { ...refusal, ...settled, ...(!sent.wasTaken && { made: 'nothing' }) } : { kind: 'ok', ...settled };
}

/** Pod gone, or another by that name: done. @throws ApiError */
export async function removeAnnotation(
  { api, key, plan, patience }: Scene,
  facts: Facts['publication'],
): Promise<Outcome> {
  // Seen before the lock, it would not show what has come since, nor make stale what a predecessor sent who died since.
  api.forget(plan.pod);
  let first: string | undefined;
  let fenced: Pod | undefined;
  const change = (pod: Pod | undefined): Annotations | undefined => {
    fenced = undefined;
    if (!pod || !isMeant(plan.pod, pod)) return undefined;
    first ??= pod.metadata.resourceVersion;
    // With the next resourceVersion a write that was on its way is either seen or refused: it is guarded by an older one.
    const settled = facts?.settled || pod.metadata.resourceVersion !== first;
    const own = changes(pod, withoutOwn(pod, key, plan));
    if (own !== undefined || settled) return own;
    fenced = pod;
    return { [fenceName(key)]: 'true' };
  };
  try {
    await api.write(plan.pod, patience, change);
  } catch (error) {
    if (!(fenced && error instanceof ApiError && isRefusedToo(error, fenced, key, plan))) throw error;
  }
  return { kind: 'ok' };
}

/** Whether an answer that refuses the fence would refuse the late write as well, which both are guarded by one resourceVersion. */
function isRefusedToo({ why }: ApiError, pod: Pod, key: AttachmentKey, plan: AnnotationPlan): boolean {
  // An account that may not write has nothing on its way that will be taken.
  if (why === 'forbidden') return true;
  if (why !== 'too long') return false;
  // The write adds an entry, which is longer than the fence, unless it takes something away in exchange.
  const isReplaced = readEntries(pod)?.some(({ ifName }) => ifName === key.ifName) ?? false;
  return !isReplaced && bytesOf(pod.metadata.annotations?.[directoryName] ?? '') <= bytesOf(plan.mappedDir);
}

export async function findAnnotation(
  { api, key, plan, patience }: Scene,
  addresses: Addresses | undefined,
): Promise<Outcome> {
  const pod = await api.pod(plan.pod, patience);
  if (!pod || !isMeant(plan.pod, pod)) return failed(code.drift, `pod ${nameOf(plan.pod)} is gone`);
  const own = readEntries(pod)?.filter(({ ifName }) => ifName === key.ifName) ?? [];
  const wanted = JSON.parse(textOf(published(plan.data, addresses)));
  if (own.length !== 1 || !isSameValue(own[0]?.value, wanted)) {
    return failed(
      code.drift,
      `annotation "${dataName}" of pod ${nameOf(plan.pod)} has not just our entry for "${key.ifName}"`,
    );
  }
  if (pod.metadata.annotations?.[directoryName] === plan.mappedDir) return { kind: 'ok' };
  return failed(code.drift, `annotation "${directoryName}" of pod ${nameOf(plan.pod)} is not "${plan.mappedDir}"`);
}

const gone = ({ pod }: AnnotationPlan): Failure =>
  failed(code.tryAgainLater, `pod ${nameOf(pod)} is gone, or another by that name`);

/** With the last entry go both annotations. */
function withoutOwn(pod: Pod, key: AttachmentKey, plan: AnnotationPlan): Annotations {
  const entries = readEntries(pod);
  const isOwn = ({ containerId, ifName }: Entry) => containerId === key.containerId && ifName === key.ifName;
  const others = entries?.filter((entry) => !isOwn(entry));
  const fence = { [fenceName(key)]: null };
  // What an admission dropped of our write is gone; the rest of that write is ours.
  const isOursAlone = plan.mappedDir !== '' && pod.metadata.annotations?.[directoryName] === plan.mappedDir;
  // Data that cannot be read may be another's and is left; the directory is of no use without it.
  if (others === undefined) return { ...fence, ...(isOursAlone && { [directoryName]: null }) };
  const both = { [dataName]: null, [directoryName]: null };
  if (entries?.length === 0) return { ...fence, ...(isOursAlone && both) };
  if (others.length === entries?.length) return fence;
  if (others.length === 0) return { ...fence, ...both };
  return { ...fence, [dataName]: arrayOf(others) };
}

/** Only what is not so already: a write that changes nothing is none. */
function changes({ metadata }: Pod, wanted: Annotations): Annotations | undefined {
  const differing = Object.entries(wanted).filter(([name, value]) => (metadata.annotations?.[name] ?? null) !== value);
  return differing.length > 0 ? Object.fromEntries(differing) : undefined;
}

/** @returns undefined if the annotation is no array of objects. */
function readEntries({ metadata }: Pod): readonly Entry[] | undefined {
  const text = metadata.annotations?.[dataName];
  if (!text) return [];
  const elements = elementsOf(text);
  const isEntry = ({ value }: Element) => typeof value === 'object' && value !== null && !Array.isArray(value);
  return elements?.every(isEntry) ? elements.map((one) => ({ ...one, ...idsOf(one.value as object) })) : undefined;
}

function idsOf(entry: { readonly containerId?: unknown; readonly ifName?: unknown }) {
  const { containerId, ifName } = entry;
  return { containerId, ifName };
}

/** Others' entries byte for byte as they were. */
const arrayOf = (entries: readonly Pick<Element, 'text'>[]): string => `[${entries.map(({ text }) => text).join(',')}]`;

/** Readers split the downward API's lines on "=", and drop a line that has two. */
const textOf = (entry: object): string => JSON.stringify(entry, null, 4).replaceAll('=', '\\u003d');
