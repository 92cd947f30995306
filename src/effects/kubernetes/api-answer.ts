/**
 * What an answer of the API server means. A number alone proves nothing: a proxy, a wrong path and an admission webhook answer with any
 * of them. What counts is the Status object that the API server itself makes (API conventions, "Response Status Kind").
 */
import type { PodRef } from '../../attachment.ts';

export interface Answer {
  readonly status: number;
  readonly retryAfterMs: number;
  readonly body: string;
}

interface Cause {
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

/** A Status of kind Failure. */
interface Refusal {
  readonly reason: string;
  readonly message: string;
  /** Of what: `pods` where the storage speaks, `Pod` where the validation does; none of an admission. */
  readonly kind: string;
  readonly name: string;
  readonly causes: readonly Cause[];
}

/** @returns undefined if the answer is no Status: something on the way to the API server gave it. */
export function refusalOf({ body }: Answer): Refusal | undefined {
  const parsed = objectOf(parse(body));
  if (parsed.kind !== 'Status' || parsed.status !== 'Failure') return undefined;
  const details = objectOf(parsed.details);
  const causes = Array.isArray(details.causes) ? details.causes : [];
  return {
    reason: textOf(parsed.reason),
    message: textOf(parsed.message),
    kind: textOf(details.kind),
    name: textOf(details.name),
    causes: causes.map(objectOf).map(({ field, reason, message }) => ({
      field: textOf(field),
      reason: textOf(reason),
      message: textOf(message),
    })),
  };
}

/** The answer is this very pod, read or written: a login page and a cache answer 200 as well. */
export function isPod({ status, body }: Answer, { namespace, name }: PodRef): boolean {
  if (status < 200 || status > 299) return false;
  const pod = objectOf(parse(body));
  const metadata = objectOf(pod.metadata);
  const isMeant = pod.kind === 'Pod' && metadata.name === name && metadata.namespace === namespace;
  const { uid, resourceVersion } = metadata;
  return isMeant && typeof uid === 'string' && typeof resourceVersion === 'string' && Boolean(pod.spec);
}

/**
 * Whether an answer that asks to come again says too that nothing was done: too many requests are turned away unread, and an admission
 * webhook, which may answer with any number, speaks before anything is stored. Of any other 5xx nothing is known.
 */
export function isUndone(answer: Answer): boolean {
  return isTurnedAway(answer) || /(failed calling|admission) webhook "/.test(refusalOf(answer)?.message ?? '');
}

/** By the API server's filter of too many requests, which knows no Status and says it in plain text, or by what it has behind that. */
export const isTurnedAway = (answer: Answer): boolean =>
  answer.status === 429 &&
  (refusalOf(answer)?.reason === 'TooManyRequests' ||
    answer.body.startsWith('Too many requests, please try again later'));

/** The API server is there, and could not serve this request: other requests are worth a try. */
export const isAtWork = (answer: Answer): boolean =>
  isUndone(answer) || (answer.status === 500 && refusalOf(answer) !== undefined);

/** The API server does not know whose credentials they are. */
export const isUnauthorized = (answer: Answer): boolean =>
  answer.status === 401 && refusalOf(answer)?.reason === 'Unauthorized';

/** There is no pod of that name: said by the API server's own storage, of this very pod. */
export function isNoPod(answer: Answer, { name }: PodRef): boolean {
  const refusal = answer.status === 404 ? refusalOf(answer) : undefined;
  return refusal?.reason === 'NotFound' && refusal.kind === 'pods' && refusal.name === name;
}

/** The pod is not any more what was read: gone, written by another client, or another one of that name. */
export function isOvertaken(answer: Answer, ref: PodRef): boolean {
  if (isNoPod(answer, ref)) return true;
  const refusal = refusalOf(answer);
  if (answer.status === 409) return refusal?.reason === 'Conflict' && refusal.kind === 'pods';
  const isOfUid = refusal?.causes.some(({ field }) => field === 'metadata.uid') === true;
  return answer.status === 422 && isOfUid && refusal?.reason === 'Invalid' && refusal.kind === 'Pod';
}

/** The account has not the right, whichever authorizer says so: an admission's 403 says something of this write alone. */
export function lacksRight(answer: Answer, verb: string, resource: string): boolean {
  const refusal = answer.status === 403 ? refusalOf(answer) : undefined;
  return refusal?.reason === 'Forbidden' && refusal.message.includes(` cannot ${verb} resource "${resource}" `);
}

/** All annotations together have more than 256 KiB (validation of ObjectMeta). */
export function isTooLong(answer: Answer): boolean {
  const refusal = answer.status === 422 ? refusalOf(answer) : undefined;
  if (refusal?.reason !== 'Invalid' || refusal.kind !== 'Pod') return false;
  return refusal.causes.some(
    ({ field, reason, message }) =>
      field === 'metadata.annotations' && (reason === 'FieldValueTooLong' || message.startsWith('Too long')),
  );
}

/** For people: the message of a Status, else how the answer begins. */
export function describeAnswer(answer: Answer): string {
  const said = textOf(objectOf(parse(answer.body)).message);
  return said.slice(0, 300) || answer.body.trim().slice(0, 100) || 'nothing';
}

export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Members = { readonly [name: string]: unknown };

export const objectOf = (value: unknown): Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
