/**
 * The API server, as far as we need it: one pod read, its annotations patched. Every request has a deadline, every wait an end.
 *
 * Owns: requests, their repetition, what an answer means. Does not own: the repetition of a write (pod-write.ts), what the annotations
 * say (annotation.ts).
 *
 * Invariants
 *  KU1 A write is guarded by the uid and the resourceVersion of what was read: it changes that or nothing.
 *  KU2 Rights that suffice: `get` of pods, `patch` of pods/status.
 *  KU3 Every loop ends by a count of each of its causes, and pauses between two turns.
 *  KU4 A write that was refused by an answer is told from one whose answer never came (pod-write.ts, Sent).
 */
import { code, messageOf, type PodRef } from '../../attachment.ts';
import { type Deadlines, type Moment, now, remainingMs, sleep, within } from '../../deadlines.ts';
import { fetchBy } from '../../os/native.ts';
import { codeOf } from '../outcome.ts';
import { isAllowed, reviewOf, reviewPath, rights } from './access-review.ts';
import {
  type Answer,
  describeAnswer,
  isAtWork,
  isNoPod,
  isOvertaken,
  isPod,
  isTooLong,
  isUnauthorized,
  isUndone,
  lacksRight,
  parse,
  refusalOf,
} from './api-answer.ts';
import { ApiError } from './api-error.ts';
import type { CredentialCache } from './exec-credential.ts';
import { type Endpoint, readKubeconfig } from './kubeconfig.ts';

/** As much of a v1 Pod as anything here looks at. */
export interface Pod {
  readonly metadata: {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly annotations?: { readonly [key: string]: string };
  };
  readonly spec: {
    readonly volumes?: readonly {
      readonly name: string;
      readonly hostPath?: { readonly path: string };
      readonly emptyDir?: object;
    }[];
    readonly containers?: readonly {
      readonly name: string;
      readonly volumeMounts?: readonly VolumeMount[];
    }[];
  };
}

interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly subPath?: string;
  readonly subPathExpr?: string;
}

/** How long something may take, and until when it may be begun again. */
export interface Patience {
  readonly end: Moment;
  readonly until: Moment;
  /** The same against the writes of others. Absent: `apiRetryMs`, for a server that refuses for a conflict is there. */
  readonly againstOthers?: Moment;
}

/** Of one request, and of one write in conflict with others' writes. */
const triesMax = 40;
const pauseMs = 20;
const pauseMsMax = 500;

/** etcd takes no object over 1.5 MiB. */
const bodyBytesMax = 4 * 1024 * 1024;

const mediaTypes = { PATCH: 'application/merge-patch+json', POST: 'application/json' } as const;

/** null takes an annotation away (RFC 7386). */
export type Annotations = { readonly [key: string]: string | null };

interface Patch {
  readonly ref: PodRef;
  /** As it was seen when the write was decided. */
  readonly pod: Pod;
  readonly annotations: Annotations;
  readonly heard: NonNullable<Question['heard']>;
}

/** overtaken: the pod is not any more what the write was decided upon, so that nothing was written. */
export type Patched =
  | { readonly kind: 'taken'; readonly pod: Pod }
  | { readonly kind: 'overtaken'; readonly trouble: ApiError };

/** One request; of a write, with what hears its fate. */
interface Question {
  readonly method: 'GET' | keyof typeof mediaTypes;
  readonly path: string;
  readonly body?: string;
  /** Of a write. @param answer undefined: nothing is known of it */
  readonly heard?: (answer: Answer | undefined) => void;
}

export interface Opening {
  readonly deadlines: Deadlines;
  readonly end: Moment;
  /** What programs have given: a program runs once for all that need it. */
  readonly credentials: CredentialCache;
}

export class Kubernetes {
  readonly #endpoint: Endpoint;
  readonly #kubeconfig: string;
  readonly #deadlines: Deadlines;
  /** What the last answer said of a pod: good enough to write upon, since a stale one is refused (KU1); not to leave it at that. */
  readonly #seen = new Map<string, Pod>();

  private constructor(endpoint: Endpoint, kubeconfig: string, deadlines: Deadlines) {
    this.#endpoint = endpoint;
    this.#kubeconfig = kubeconfig;
    this.#deadlines = deadlines;
  }

  /** @throws ApiError */
  static async open(kubeconfig: string, { deadlines, end, credentials }: Opening): Promise<Kubernetes> {
    const endpoint = await readKubeconfig(kubeconfig, within(end, deadlines.apiMs), credentials);
    return new Kubernetes(endpoint, kubeconfig, deadlines);
  }

  /** @returns undefined if there is no such pod. @throws ApiError */
  async pod(ref: PodRef, patience: Patience): Promise<Pod | undefined> {
    const answer = await this.#request({ method: 'GET', path: pathTo(ref) }, patience);
    return isNoPod(answer, ref) ? undefined : this.#readPod(answer, 'get pods', ref);
  }

  /**
   * Which of its rights the account lacks.
   * @param namespace undefined: in all of them
   * @returns such as `patch pods/status`. @throws ApiError
   */
  async missingRights(namespace: string | undefined, patience: Patience): Promise<string[]> {
    const missing: string[] = [];
    for (const [words, right] of Object.entries(rights)) {
      const question: Question = { method: 'POST', path: reviewPath, body: reviewOf(right, namespace) };
      const answer = await this.#request(question, patience);
      const allowed = isAllowed(answer);
      if (allowed === undefined) {
        const what = `answered ${answer.status} to a question for the account's own rights: ${describeAnswer(answer)}`;
        throw this.error(code.tryAgainLater, what, answer.status === 401 ? 'unauthorized' : undefined);
      }
      if (!allowed) missing.push(words);
    }
    return missing;
  }

  /** The next write reads first. */
  forget(ref: PodRef): void {
    this.#seen.delete(pathTo(ref));
  }

  /** Whether an earlier question has shown it. */
  hasSeen(ref: PodRef): boolean {
    return this.#seen.has(pathTo(ref));
  }

  /** As the last answer showed it, else as it is now. @returns undefined if there is no such pod. @throws ApiError */
  async lastSeen(ref: PodRef, patience: Patience): Promise<Pod | undefined> {
    return this.#seen.get(pathTo(ref)) ?? (await this.pod(ref, patience));
  }

  /** One write, guarded by the uid and the resourceVersion of what it was decided upon (KU1). @throws ApiError */
  async patch({ ref, pod, annotations, heard }: Patch, patience: Patience): Promise<Patched> {
    const { uid, resourceVersion } = pod.metadata;
    const body = JSON.stringify({ metadata: { uid, resourceVersion, annotations } });
    const answer = await this.#request({ method: 'PATCH', path: `${pathTo(ref)}/status`, body, heard }, patience);
    if (!isOvertaken(answer, ref)) return { kind: 'taken', pod: this.#readPod(answer, 'patch pods/status', ref) };
    const what = `refused to write pod ${podName(ref)}: ${describeAnswer(answer)}`;
    return { kind: 'overtaken', trouble: this.error(code.tryAgainLater, what, 'conflict') };
  }

  /** Until when a write is begun again that others' writes overtook. */
  overtakenUntil({ end, againstOthers = within(end, this.#deadlines.apiRetryMs) }: Patience): Moment {
    return againstOthers;
  }

  #readPod(answer: Answer, right: `${'get' | 'patch'} ${string}`, ref: PodRef): Pod {
    const [verb = '', resource = ''] = right.split(' ');
    if (isUnauthorized(answer)) {
      throw this.error(code.tryAgainLater, 'does not accept the credentials (401): have they expired?', 'unauthorized');
    }
    if (lacksRight(answer, verb, resource)) {
      const what = `forbids to ${right} in namespace "${ref.namespace}" (403): RBAC needs it`;
      throw this.error(code.invalidConfig, what, verb === 'patch' ? 'forbidden' : undefined);
    }
    if (isTooLong(answer)) {
      const what = `takes no more annotations of pod ${podName(ref)}: ${describeAnswer(answer)}: remove some of others`;
      throw this.error(code.tryAgainLater, what, 'too long');
    }
    if (!isPod(answer, ref)) throw this.error(code.tryAgainLater, this.#describeRefusal(answer, verb, ref));
    const pod = parse(answer.body) as Pod;
    this.#seen.set(pathTo(ref), pod);
    return pod;
  }

  /** Tells a refusal of the API server itself from one of something before it. */
  #describeRefusal(answer: Answer, verb: string, ref: PodRef): string {
    const { status } = answer;
    if (status >= 200 && status <= 299) return `answered ${status} with something that is no pod ${podName(ref)}`;
    const said = `answered ${status} to "${verb}" of pod ${podName(ref)}: ${describeAnswer(answer)}`;
    return refusalOf(answer)
      ? said
      : `${said} (no API server says it like this: is it the server that the file means?)`;
  }

  /** Until an answer that says something of the pod: others mean that the server is busy or away. */
  async #request(question: Question, patience: Patience): Promise<Answer> {
    const { heard } = question;
    for (let attempt = 1; ; attempt++) {
      let trouble: ApiError;
      let retryAfterMs = 0;
      try {
        const answer = await send(this.#endpoint, question, within(patience.end, this.#deadlines.apiMs));
        const isBusy = answer.status === 429 || answer.status === 408 || answer.status >= 500;
        heard?.(isBusy && !isUndone(answer) ? undefined : answer);
        if (!isBusy) return answer;
        trouble = this.error(
          code.tryAgainLater,
          `answered ${answer.status}: ${describeAnswer(answer)}`,
          isAtWork(answer) ? undefined : 'away',
        );
        retryAfterMs = answer.retryAfterMs;
      } catch (error) {
        const what = describeTransportError(error);
        if (isDistrust(error)) throw this.error(code.invalidConfig, `cannot be trusted: ${what}`);
        heard?.(undefined);
        trouble = this.error(code.tryAgainLater, what, what === late ? 'silent' : 'away');
      }
      await pauseBeforeTry(trouble, { tries: attempt, leastMs: retryAfterMs, until: patience.until });
    }
  }

  error(number: number, what: string, why?: ApiError['why']): ApiError {
    return new ApiError(number, `API server ${this.#endpoint.server.origin} of "${this.#kubeconfig}" ${what}`, why);
  }
}

/** How often something was tried, and how long until it may be tried again. */
interface Tries {
  readonly tries: number;
  readonly leastMs?: number;
  readonly until: Moment;
}

/** @throws the trouble if there is no time for another try, or there were enough. */
export async function pauseBeforeTry(trouble: ApiError, { tries, leastMs = 0, until }: Tries): Promise<void> {
  const most = Math.min(pauseMs * 2 ** (tries - 1), pauseMsMax);
  const pause = Math.max(leastMs, most * (0.5 + Math.random() / 2));
  if (tries >= triesMax || now() + pause >= until) throw trouble;
  await sleep(pause);
}

const pathTo = ({ namespace, name }: PodRef): string => `api/v1/namespaces/${namespace}/pods/${name}`;
export const podName = ({ namespace, name }: PodRef): string => `${namespace}/${name}`;

const late = 'did not answer in time';

async function send(
  { server, tls, headers, proxy }: Endpoint,
  { method, path, body }: Question,
  end: Moment,
): Promise<Answer> {
  // A server behind a proxy may have a path of its own.
  const url = new URL(path, `${server.origin}${server.pathname.replace(/\/*$/, '/')}`);
  const given = { Accept: 'application/json', 'User-Agent': 'userspace-cni', ...headers };
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error(late)), remainingMs(end));
  try {
    const response = await fetchBy(url, {
      method,
      headers: method === 'GET' ? given : { ...given, 'Content-Type': mediaTypes[method] },
      ...(body !== undefined && { body }),
      tls,
      ...(proxy && { proxy }),
      signal: abort.signal,
    });
    const seconds = Number(response.headers.get('retry-after') ?? 0);
    return {
      status: response.status,
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : 0,
      body: await readBody(response),
    };
  } finally {
    clearTimeout(timer);
  }
}

async function readBody(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > bodyBytesMax) throw new Error('answered without an end');
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Bun's texts are for who wrote the program. */
const reasons: { readonly [code: string]: string } = {
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'it closed the connection',
  ENETUNREACH: 'there is no way to it',
  FailedToOpenSocket: "the kubeconfig's certificates cannot be used",
};

const describeTransportError = (error: unknown): string => {
  const message = messageOf(error);
  const number = codeOf(error);
  return number ? `cannot be reached: ${number}: ${reasons[number] ?? message}` : message;
};

/** TLS says that it is somebody else, or that we are nobody: no time makes that better. */
const isDistrust = (error: unknown): boolean =>
  /CERT|SELF_SIGNED|VERIFY|ERR_TLS|ERR_SSL|FailedToOpenSocket/.test(codeOf(error));
