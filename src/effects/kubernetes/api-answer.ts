/**
 * The meaning of an answer of the API server. A status number alone proves nothing, because a proxy, a wrong path or an admission
 * webhook can answer with any of them. The Status object that the API server itself makes decides (API conventions, "Response
 * Status Kind").
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
  /** The refused kind: `pods` from the storage, `Pod` from the validation, empty from an admission. */
  readonly kind: string;
  readonly name: string;
  readonly causes: readonly Cause[];
}

/** @returns undefined if the answer is not a Status: then something on the way to the API server gave it. */
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

/**
 * Whether the answer is this very pod, read or written. The status is not enough, because a login page and a cache answer 200 too.
 */
export function isPod({ status, body }: Answer, { namespace, name }: PodRef): boolean {
  if (status < 200 || status > 299) return false;
  const pod = objectOf(parse(body));
  const metadata = objectOf(pod.metadata);
  const isMeant = pod.kind === 'Pod' && metadata.name === name && metadata.namespace === namespace;
  const { uid, resourceVersion } = metadata;
  return isMeant && typeof uid === 'string' && typeof resourceVersion === 'string' && Boolean(pod.spec);
}

/**
 * Whether an answer that asks to try again also proves that nothing was done. Too many requests are turned away unread. An
 * admission webhook may answer with any number, but it speaks before anything is stored. After any other 5xx nothing is known.
 */
export function isUndone(answer: Answer): boolean {
  return isTurnedAway(answer) || /(failed calling|admission) webhook "/.test(refusalOf(answer)?.message ?? '');
}

/** Whether the API server turned the request away: its first filter answers in plain text, the parts behind it with a Status. */
export const isTurnedAway = (answer: Answer): boolean =>
  answer.status === 429 &&
  (refusalOf(answer)?.reason === 'TooManyRequests' ||
    answer.body.startsWith('Too many requests, please try again later'));

/** Whether the API server runs and could not serve this request alone: other requests are worth a try. */
export const isAtWork = (answer: Answer): boolean =>
  isUndone(answer) || (answer.status === 500 && refusalOf(answer) !== undefined);

/** Whether the API server does not accept the credentials. */
export const isUnauthorized = (answer: Answer): boolean =>
  answer.status === 401 && refusalOf(answer)?.reason === 'Unauthorized';

/** Whether the API server's own storage tells that this very pod does not exist. */
export function isNoPod(answer: Answer, { name }: PodRef): boolean {
  const refusal = answer.status === 404 ? refusalOf(answer) : undefined;
  return refusal?.reason === 'NotFound' && refusal.kind === 'pods' && refusal.name === name;
}

/** Whether an object of this name is there already. */
export const isThere = (answer: Answer): boolean =>
  answer.status === 409 && refusalOf(answer)?.reason === 'AlreadyExists';

/** Whether the namespace is gone, or being deleted: nothing can be made in it. */
export function isGoneNamespace(answer: Answer): boolean {
  const refusal = refusalOf(answer);
  if (answer.status === 404) return refusal?.reason === 'NotFound' && refusal.kind === 'namespaces';
  return answer.status === 403 && refusal?.causes.some(({ reason }) => reason === 'NamespaceTerminating') === true;
}

/** Whether the pod is no longer as it was read: gone, written by another client, or replaced by one of the same name. */
export function isOvertaken(answer: Answer, ref: PodRef): boolean {
  if (isNoPod(answer, ref)) return true;
  const refusal = refusalOf(answer);
  if (answer.status === 409) return refusal?.reason === 'Conflict' && refusal.kind === 'pods';
  const isOfUid = refusal?.causes.some(({ field }) => field === 'metadata.uid') === true;
  return answer.status === 422 && isOfUid && refusal?.reason === 'Invalid' && refusal.kind === 'Pod';
}

/** Whether an authorizer denies the right. An admission's 403 does not count, because it concerns this write alone. */
export function lacksRight(answer: Answer, verb: string, resource: string): boolean {
  const refusal = answer.status === 403 ? refusalOf(answer) : undefined;
  return refusal?.reason === 'Forbidden' && refusal.message.includes(` cannot ${verb} resource "${resource}" `);
}

/** Whether all annotations together have more than 256 KiB (validation of ObjectMeta). */
export function isTooLong(answer: Answer): boolean {
  const refusal = answer.status === 422 ? refusalOf(answer) : undefined;
  if (refusal?.reason !== 'Invalid' || refusal.kind !== 'Pod') return false;
  return refusal.causes.some(
    ({ field, reason, message }) =>
      field === 'metadata.annotations' && (reason === 'FieldValueTooLong' || message.startsWith('Too long')),
  );
}

type Headers = { readonly [name: string]: string };

/**
 * For people: the message of a Status, else how the answer begins. A proxy, or whatever else answers, may repeat what the request had.
 * @param headers of the request: credentials in them are left out of the text
 */
export function describeAnswer({ body }: Answer, headers: Headers): string {
  const quoted = (text: string, most: number): string =>
    withoutSecrets(text, headers)
      .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
      .trim()
      .slice(0, most);
  return quoted(textOf(objectOf(parse(body)).message), 300) || quoted(body, 100) || 'nothing';
}

/** A shorter text is in too many words, and keeps nothing secret. */
const secretLengthMin = 4;

/** The credentials of RFC 6750 (Bearer) and RFC 7617 (Basic), as they are sent and as they are meant. */
function withoutSecrets(text: string, headers: Headers): string {
  const sent = Object.entries(headers).filter(([name]) => name.toLowerCase() === 'authorization');
  const values = sent.map(([, value]) => value.replace(/^\S+ +/, ''));
  const meant = values.map((value) =>
    Buffer.from(value, 'base64')
      .toString()
      .replace(/^[^:]*:/, ''),
  );
  const secrets = [...values, ...meant].filter(({ length }) => length >= secretLengthMin);
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '(hidden)'), text);
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
