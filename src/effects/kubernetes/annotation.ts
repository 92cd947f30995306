/**
 * What the application reads to find its interface, as annotations of its pod (contract C2.3, contract C2.4): an array with one entry for
 * each interface, and the directory in which containers see the sockets. Byte for byte as the predecessor's readers take them.
 *
 * Other writers' annotations and entries stay as they are; an unreadable array is nobody's we know, and is not touched.
 */
import { type Addresses, type AttachmentKey, bytesOf, code, keyHash, type Trouble } from '../../attachment.ts';
import { type Element, elementsOf, isSameValue } from '../../json-text.ts';
import type { AnnotationPlan, Facts, Outcome } from '../../machines/protocol.ts';
import { completeData } from '../files/published-file.ts';
import { failed, ok } from '../outcome.ts';
import type { ApiError } from './api-error.ts';
import { type Annotations, type Kubernetes, type Patience, type Pod, podName } from './api-server.ts';
import { isMeant } from './pod.ts';
import { type Decision, type Sight, writeAnnotations } from './pod-write.ts';

const dataName = 'userspace/configuration-data';
const directoryName = 'userspace/mapped-dir';

/** Written and taken away by a removal that cannot know whether a write of its dead predecessor is still to come. */
const fenceName = (key: AttachmentKey): string => `userspace/removing-${keyHash(key)}`;

interface Entry extends Element {
  readonly containerId: unknown;
  readonly ifName: unknown;
}

/** Whose annotation, of which pod, and how long the API server may be asked for it. */
export interface Scene {
  readonly api: Kubernetes;
  readonly key: AttachmentKey;
  readonly plan: AnnotationPlan;
  readonly patience: Patience;
}

/** Whether another sandbox of the same pod, by its container id, began after ours and lives. */
export type IsLater = (containerId: string) => Promise<boolean>;

/** What a failure has made, its answers say: one that was refused by an answer has nothing on its way (pod-write.ts, Sent). */
export async function ensureAnnotation(
  scene: Scene,
  addresses: Addresses | undefined,
  isLater: IsLater,
): Promise<Outcome> {
  const { api, plan, patience } = scene;
  const own = formatEntry(completeData(plan.data, addresses));
  const decide = ({ pod }: Sight): Promise<Decision> => decideEntry(scene, own, { pod, isLater });
  const written = await writeAnnotations(api, { ref: plan.pod, patience, decide });
  const { sent } = written;
  const settled = sent.open === undefined && ({ facts: { settled: true } } as const);
  const trouble = written.kind === 'left' ? written.trouble : troubleOf(written.error);
  if (!trouble) return { kind: 'ok', ...settled };
  return { kind: 'failed', trouble, ...settled, ...(!sent.wasTaken && { made: 'nothing' }) };
}

const troubleOf = ({ code, message }: ApiError): Trouble => ({ code, message });

const refuse = (number: number, message: string): Decision => ({
  kind: 'leave',
  trouble: { code: number, message },
});

interface EntrySight {
  readonly pod: Pod | undefined;
  readonly isLater: IsLater;
}

/** @param own the text of our entry */
async function decideEntry({ key, plan }: Scene, own: string, { pod, isLater }: EntrySight): Promise<Decision> {
  if (!pod || !isMeant(plan.pod, pod)) {
    return refuse(code.tryAgainLater, `pod ${podName(plan.pod)} is gone, or another by that name`);
  }
  const entries = readEntries(pod);
  if (!entries) {
    const message = `annotation "${dataName}" of pod ${podName(plan.pod)} is no JSON array of objects: remove it`;
    return refuse(code.invalidConfig, message);
  }
  const stale = entries.filter(({ ifName }) => ifName === key.ifName);
  for (const { containerId } of stale) {
    if (containerId === key.containerId || !(await isLater(String(containerId)))) continue;
    return refuse(code.tryAgainLater, `sandbox ${containerId} of pod ${podName(plan.pod)} has "${key.ifName}" by now`);
  }
  const isThere = stale.length === 1 && isSameValue(stale[0]?.value, JSON.parse(own));
  const others = entries.filter((entry) => !stale.includes(entry));
  return decideToWrite(pod, {
    ...(!isThere && { [dataName]: formatArray([...others, { text: own }]) }),
    [directoryName]: plan.mappedDir,
  });
}

/** Pod gone, or another by that name: done. @throws ApiError */
export async function removeAnnotation(scene: Scene, facts: Facts['publication']): Promise<Outcome> {
  const { api, key, plan, patience } = scene;
  // Seen before the lock, it would not show what has come since, nor make stale what a predecessor sent who died since.
  api.forget(plan.pod);
  const decide = (sight: Sight): Decision => decideRemoval(scene, facts, sight);
  const written = await writeAnnotations(api, { ref: plan.pod, patience, decide });
  if (written.kind === 'left') return ok;
  const { error, decision } = written;
  const fenced = decision?.kind === 'write' && isFence(key, decision.annotations) ? decision.pod : undefined;
  if (fenced && isRefusedToo(error, fenced, { key, plan })) return ok;
  throw error;
}

function decideRemoval({ key, plan }: Scene, facts: Facts['publication'], { pod, firstVersion }: Sight): Decision {
  if (!pod || !isMeant(plan.pod, pod)) return { kind: 'leave' };
  const removal = decideToWrite(pod, removeOwnEntry(pod, key, plan));
  // With the next resourceVersion a write that was on its way is either seen or refused: it is guarded by an older one.
  const isSettled = facts?.settled || pod.metadata.resourceVersion !== firstVersion;
  if (removal.kind === 'write' || isSettled) return removal;
  return { kind: 'write', pod, annotations: { [fenceName(key)]: 'true' } };
}

const isFence = (key: AttachmentKey, annotations: Annotations): boolean => annotations[fenceName(key)] === 'true';

/** Whether an answer that refuses the fence would refuse the late write as well, which both are guarded by one resourceVersion. */
function isRefusedToo({ why }: ApiError, pod: Pod, { key, plan }: Pick<Scene, 'key' | 'plan'>): boolean {
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
  if (!pod || !isMeant(plan.pod, pod)) return failed(code.drift, `pod ${podName(plan.pod)} is gone`);
  const own = readEntries(pod)?.filter(({ ifName }) => ifName === key.ifName) ?? [];
  const wanted = JSON.parse(formatEntry(completeData(plan.data, addresses)));
  if (own.length !== 1 || !isSameValue(own[0]?.value, wanted)) {
    return failed(
      code.drift,
      `annotation "${dataName}" of pod ${podName(plan.pod)} has not just our entry for "${key.ifName}"`,
    );
  }
  if (pod.metadata.annotations?.[directoryName] === plan.mappedDir) return ok;
  return failed(code.drift, `annotation "${directoryName}" of pod ${podName(plan.pod)} is not "${plan.mappedDir}"`);
}

/** With the last entry go both annotations. */
function removeOwnEntry(pod: Pod, key: AttachmentKey, plan: AnnotationPlan): Annotations {
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
  return { ...fence, [dataName]: formatArray(others) };
}

/** Only what is not so already is written. */
function decideToWrite(pod: Pod, wanted: Annotations): Decision {
  const there = pod.metadata.annotations;
  const differing = Object.entries(wanted).filter(([name, value]) => (there?.[name] ?? null) !== value);
  if (differing.length === 0) return { kind: 'leave' };
  return { kind: 'write', pod, annotations: Object.fromEntries(differing) };
}

/** @returns undefined if the annotation is no array of objects. */
function readEntries({ metadata }: Pod): readonly Entry[] | undefined {
  const text = metadata.annotations?.[dataName];
  if (!text) return [];
  const elements = elementsOf(text);
  const isEntry = ({ value }: Element) => typeof value === 'object' && value !== null && !Array.isArray(value);
  return elements?.every(isEntry) ? elements.map((one) => ({ ...one, ...readIds(one.value as object) })) : undefined;
}

function readIds(entry: { readonly containerId?: unknown; readonly ifName?: unknown }) {
  const { containerId, ifName } = entry;
  return { containerId, ifName };
}

/** Others' entries byte for byte as they were. */
const formatArray = (entries: readonly Pick<Element, 'text'>[]): string =>
  `[${entries.map(({ text }) => text).join(',')}]`;

/** Readers split the downward API's lines on "=", and drop a line that has two. */
const formatEntry = (entry: object): string => JSON.stringify(entry, null, 4).replaceAll('=', '\\u003d');
