/**
 * The pod's annotations by which the application finds its interface (contract C2.3, contract C2.4): an array with one entry for
 * each interface, and the directory in which containers see the sockets. The bytes are those that the predecessor's readers take.
 *
 * Other writers' annotations and entries stay as they are. An unreadable array is not touched, because its writer is unknown.
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

/** A removal writes this annotation and removes it again, because a write of a dead call may still be on its way. */
const fenceName = (key: AttachmentKey): string => `userspace/removing-${keyHash(key)}`;

interface Entry extends Element {
  readonly containerId: unknown;
  readonly ifName: unknown;
}

/** The attachment and the pod of an annotation, and how long the API server may be asked. */
export interface Scene {
  readonly api: Kubernetes;
  readonly key: AttachmentKey;
  readonly plan: AnnotationPlan;
  readonly patience: Patience;
}

/** Whether another sandbox of the same pod, by its container id, began after ours and lives. */
export type IsLater = (containerId: string) => Promise<boolean>;

/** The answers tell what a failed try has made: if an answer refused it, no write is on its way (pod-write.ts, Sent). */
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

/** If the pod is gone, or another has its name, the removal is done. @throws ApiError */
export async function removeAnnotation(scene: Scene, facts: Facts['publication']): Promise<Outcome> {
  const { api, key, plan, patience } = scene;
  // A pod seen before the lock would lack later writes, and a write upon it would not make a dead call's write stale.
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
  // A late write is guarded by an older resourceVersion. So after a new one it is either seen or refused.
  const isSettled = facts?.settled || pod.metadata.resourceVersion !== firstVersion;
  if (removal.kind === 'write' || isSettled) return removal;
  return { kind: 'write', pod, annotations: { [fenceName(key)]: 'true' } };
}

const isFence = (key: AttachmentKey, annotations: Annotations): boolean => annotations[fenceName(key)] === 'true';

/** Whether the API server would refuse the late write for the same reason as the fence. One resourceVersion guards both. */
function isRefusedToo({ why }: ApiError, pod: Pod, { key, plan }: Pick<Scene, 'key' | 'plan'>): boolean {
  // If the account may not write, the API server will refuse the late write too.
  if (why === 'forbidden') return true;
  if (why !== 'too long') return false;
  // The late write adds an entry, which is longer than the fence, unless it also removes something.
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

/** With the last entry both annotations are removed. */
function removeOwnEntry(pod: Pod, key: AttachmentKey, plan: AnnotationPlan): Annotations {
  const entries = readEntries(pod);
  const isOwn = ({ containerId, ifName }: Entry) => containerId === key.containerId && ifName === key.ifName;
  const others = entries?.filter((entry) => !isOwn(entry));
  const fence = { [fenceName(key)]: null };
  // An admission may have dropped a part of our write; the rest of it is ours.
  const isOursAlone = plan.mappedDir !== '' && pod.metadata.annotations?.[directoryName] === plan.mappedDir;
  // Unreadable data may be another writer's and stays. The directory is useless without it.
  if (others === undefined) return { ...fence, ...(isOursAlone && { [directoryName]: null }) };
  const both = { [dataName]: null, [directoryName]: null };
  if (entries?.length === 0) return { ...fence, ...(isOursAlone && both) };
  if (others.length === entries?.length) return fence;
  if (others.length === 0) return { ...fence, ...both };
  return { ...fence, [dataName]: formatArray(others) };
}

/** Only differing annotations are written. */
function decideToWrite(pod: Pod, wanted: Annotations): Decision {
  const there = pod.metadata.annotations;
  const differing = Object.entries(wanted).filter(([name, value]) => (there?.[name] ?? null) !== value);
  if (differing.length === 0) return { kind: 'leave' };
  return { kind: 'write', pod, annotations: Object.fromEntries(differing) };
}

/** @returns undefined if the annotation is not an array of objects. */
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

/** Keeps other writers' entries byte for byte. */
const formatArray = (entries: readonly Pick<Element, 'text'>[]): string =>
  `[${entries.map(({ text }) => text).join(',')}]`;

/** Readers split the downward API's lines on "=", and drop a line that has two. */
const formatEntry = (entry: object): string => JSON.stringify(entry, null, 4).replaceAll('=', '\\u003d');
