/**
 * What the application reads to find its interface, as annotations of its pod (contracts 2.3, 2.4): an array with one entry for
 * each interface, and the directory in which containers see the sockets. Byte for byte as the predecessor's readers take them.
 *
 * Other writers' annotations and entries stay as they are; an unreadable array is nobody's we know, and is not touched.
 */
import { type Addresses, type AttachmentKey, code, keyHash } from '../attachment.ts';
import type { AnnotationPlan, Facts, Outcome } from '../machines/protocol.ts';
import { ApiError } from './api-error.ts';
import { type Annotations, type Kubernetes, nameOf, type Patience, type Pod } from './kubernetes.ts';
import { isMeant } from './pod.ts';
import { published } from './publication.ts';
import { failed } from './switch.ts';

const dataName = 'userspace/configuration-data';
const directoryName = 'userspace/mapped-dir';

/** Written and taken away by a removal that cannot know whether a write of its dead predecessor is still to come. */
const fenceName = (key: AttachmentKey): string => `userspace/removing-${keyHash(key)}`;

interface Entry {
  readonly containerId?: unknown;
  readonly ifName?: unknown;
}

/** Whether another sandbox of the same pod, by its container id, began after ours and lives. */
export type IsLater = (containerId: string) => Promise<boolean>;

export async function ensureAnnotation(
  api: Kubernetes,
  key: AttachmentKey,
  plan: AnnotationPlan,
  addresses: Addresses | undefined,
  isLater: IsLater,
  patience: Patience,
): Promise<Outcome> {
  const own = textOf(published(plan.data, addresses));
  let refusal: Outcome | undefined;
  await api.write(plan.pod, patience, async (pod) => {
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
    const others = entries.filter((entry) => !stale.includes(entry)).map((entry) => textOf(entry));
    return changes(pod, { [dataName]: `[${[...others, own].join(',')}]`, [directoryName]: plan.mappedDir });
  });
  return refusal ?? { kind: 'ok', facts: { settled: true } };
}

/** Pod gone, or another by that name: done. */
export async function removeAnnotation(
  api: Kubernetes,
  key: AttachmentKey,
  plan: AnnotationPlan,
  facts: Facts['publication'],
  patience: Patience,
): Promise<Outcome> {
  // Seen before the lock, it would not show what has come since, nor make stale what a predecessor sent who died since.
  api.forget(plan.pod);
  let first: string | undefined;
  let isFence = false;
  const change = (pod: Pod | undefined): Annotations | undefined => {
    if (!pod || !isMeant(plan.pod, pod)) return undefined;
    first ??= pod.metadata.resourceVersion;
    // With the next resourceVersion a write that was on its way is either seen or refused: it is guarded by an older one.
    const settled = facts?.settled || pod.metadata.resourceVersion !== first;
    const own = changes(pod, withoutOwn(pod, key));
    isFence = own === undefined && !settled;
    return isFence ? { [fenceName(key)]: 'true' } : own;
  };
  try {
    await api.write(plan.pod, patience, change);
  } catch (error) {
    // Who may not write has nothing on its way that will be taken.
    if (!(isFence && error instanceof ApiError && error.forbidden)) throw error;
  }
  return { kind: 'ok' };
}

export async function findAnnotation(
  api: Kubernetes,
  key: AttachmentKey,
  plan: AnnotationPlan,
  addresses: Addresses | undefined,
  patience: Patience,
): Promise<Outcome> {
  const pod = await api.pod(plan.pod, patience);
  if (!pod || !isMeant(plan.pod, pod)) return failed(code.drift, `pod ${nameOf(plan.pod)} is gone`);
  const own = readEntries(pod)?.filter(({ ifName }) => ifName === key.ifName) ?? [];
  const wanted = JSON.stringify(published(plan.data, addresses));
  if (own.length !== 1 || JSON.stringify(own[0]) !== wanted) {
    return failed(
      code.drift,
      `annotation "${dataName}" of pod ${nameOf(plan.pod)} has not just our entry for "${key.ifName}"`,
    );
  }
  if (pod.metadata.annotations?.[directoryName] === plan.mappedDir) return { kind: 'ok' };
  return failed(code.drift, `annotation "${directoryName}" of pod ${nameOf(plan.pod)} is not "${plan.mappedDir}"`);
}

const gone = ({ pod }: AnnotationPlan): Outcome =>
  failed(code.tryAgainLater, `pod ${nameOf(pod)} is gone, or another by that name`);

/** With the last entry go both annotations. */
function withoutOwn(pod: Pod, key: AttachmentKey): Annotations {
  const entries = readEntries(pod) ?? [];
  const isOwn = ({ containerId, ifName }: Entry) => containerId === key.containerId && ifName === key.ifName;
  const others = entries.filter((entry) => !isOwn(entry));
  const fence = { [fenceName(key)]: null };
  if (others.length === entries.length) return fence;
  if (others.length === 0) return { ...fence, [dataName]: null, [directoryName]: null };
  return { ...fence, [dataName]: `[${others.map((entry) => textOf(entry)).join(',')}]` };
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
  try {
    const entries: unknown = JSON.parse(text);
    const isEntry = (entry: unknown) => typeof entry === 'object' && entry !== null && !Array.isArray(entry);
    return Array.isArray(entries) && entries.every(isEntry) ? entries : undefined;
  } catch {
    return undefined;
  }
}

/** Readers split the downward API's lines on "=", and drop a line that has two. */
const textOf = (entry: Entry): string => JSON.stringify(entry, null, 4).replaceAll('=', '\\u003d');
