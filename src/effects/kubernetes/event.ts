/**
 * Events on a pod (core/v1 Event), for a person who looks at it. The name of an event is a function of what it tells, so an event that is
 * told again is found there already: the API server keeps it for an hour (kube-apiserver, --event-ttl).
 */
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { owner, type PodRef } from '../../attachment.ts';
import type { EventFate, Kubernetes, Patience } from './api-server.ts';
import { isMeant } from './pod.ts';

/** A thing to tell of a pod. */
export interface PodEvent {
  readonly pod: PodRef;
  readonly type: 'Normal' | 'Warning';
  /** One word, as `kubectl get events` shows it. */
  readonly reason: string;
  readonly message: string;
  /** The attachment, and since when: with the reason this makes the event one and the same. */
  readonly about: string;
  readonly at: Date;
  /** Only a pod that is still there is told. */
  readonly onlyLiving?: true;
}

/** @throws ApiError */
export async function sendEvent(api: Kubernetes, event: PodEvent, patience: Patience): Promise<EventFate> {
  const { pod } = event;
  if (event.onlyLiving) {
    const living = await api.pod(pod, patience);
    if (!living || !isMeant(pod, living)) return 'no pod';
  }
  return await api.createEvent(pod.namespace, JSON.stringify(bodyOf(event)), patience);
}

/** The API server takes no longer message (validation of Event). */
const messageBytesMax = 1024;

/** A name of an object has 253 characters at most (RFC 1123 subdomain). */
const podPartMax = 253 - '.'.length - 16;

export function eventName({ pod, reason, about }: Pick<PodEvent, 'pod' | 'reason' | 'about'>): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([pod.uid ?? '', reason, about]))
    .digest('hex');
  return `${pod.name.slice(0, podPartMax).replace(/[^a-z0-9]+$/, '')}.${hash.slice(0, 16)}`;
}

function bodyOf(event: PodEvent): object {
  const { namespace, name, uid } = event.pod;
  const at = event.at.toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: eventName(event), namespace },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, ...(uid && { uid }) },
    type: event.type,
    reason: event.reason,
    message: cutToBytes(event.message, messageBytesMax),
    source: { component: owner, host: hostname() },
    reportingComponent: owner,
    reportingInstance: hostname(),
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}

/** The text, without the characters that would be beyond so many bytes. */
function cutToBytes(text: string, most: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text;
  // A character that is cut in two is left out: stream-decoding keeps it back.
  return `${new TextDecoder().decode(bytes.subarray(0, most - 3), { stream: true })}…`;
}
