/**
 * The API server, as far as we need it: one pod read, its annotations patched. Every request has a deadline, every wait an end.
 *
 * Owns: requests and their repetition. Does not own: the repetition of a write (pod-write.ts), the content of the annotations
 * (annotation.ts).
 *
 * Invariants
 *  KU1 A write is guarded by the uid and the resourceVersion of the pod that was read: it changes that pod or nothing.
 *  KU2 Rights that suffice: `get` of pods, `patch` of pods/status; for `recover --events` also `create` of events.
 *  KU3 Every loop ends by a count of each of its causes, and pauses between two turns.
 *  KU4 A write that was refused by an answer is told from one whose answer never came (pod-write.ts, Sent).
 */
import { code, messageOf, type PodRef } from '../../attachment.ts';
import { type Deadlines, type Moment, now, remainingMs, sleep, within } from '../../deadlines.ts';
import { fetchBy } from '../../os/https.ts';
import { codeOf } from '../outcome.ts';
import { isAllowed, reviewOf, reviewPath, rights } from './access-review.ts';
import {
  type Answer,
  describeAnswer,
  isAtWork,
  isGoneNamespace,
  isNoPod,
  isOvertaken,
  isPod,
  isThere,
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

/** The parts of a v1 Pod that are used. */
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

/** How long a question may take, and until when it may be asked again. */
export interface Patience {
  readonly end: Moment;
  readonly until: Moment;
  /**
   * Until when a write may be tried again after conflicts. Absent: `apiRetryMs`, because a server that reports a conflict is
   * running.
   */
  readonly againstOthers?: Moment;
}

/** For one request, and for one write in conflict with other clients' writes. */
const triesMax = 40;
const pauseMs = 20;
const pauseMsMax = 500;

/** Enough, because etcd takes no object over 1.5 MiB. */
const bodyBytesMax = 4 * 1024 * 1024;

const mediaTypes = { PATCH: 'application/merge-patch+json', POST: 'application/json' } as const;

/** null removes an annotation (RFC 7386). */
export type Annotations = { readonly [key: string]: string | null };

interface Patch {
  readonly ref: PodRef;
  /** The pod upon which the write was decided. */
  readonly pod: Pod;
  readonly annotations: Annotations;
  readonly heard: NonNullable<Question['heard']>;
}

/** overtaken: the pod has changed since the write was decided, so nothing was written. */
export type Patched =
  | { readonly kind: 'taken'; readonly pod: Pod }
  | { readonly kind: 'overtaken'; readonly trouble: ApiError };

/** The fate of an event. known: it was told before. no pod: its pod, or the pod's namespace, is gone or going. */
export type EventFate = 'sent' | 'known' | 'no pod';

/** One request. */
interface Question {
  readonly method: 'GET' | keyof typeof mediaTypes;
  readonly path: string;
  readonly body?: string;
  /** Receives the fate of a write. @param answer undefined: the fate is unknown */
  readonly heard?: (answer: Answer | undefined) => void;
}

export interface Opening {
  readonly deadlines: Deadlines;
  readonly end: Moment;
  /** Credentials that programs have given: each program runs once for all requests that need it. */
  readonly credentials: CredentialCache;
}

export class Kubernetes {
  readonly #endpoint: Endpoint;
  readonly #kubeconfig: string;
  readonly #deadlines: Deadlines;
  /** Each pod as the last answer showed it. That suffices for a write, since a stale one is refused (KU1), but not to end with. */
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
   * Asks which of the sufficient rights the account lacks.
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
        const what = `answered ${answer.status} to a question for the account's own rights: ${this.#quoted(answer)}`;
        throw this.error(code.tryAgainLater, what, answer.status === 401 ? 'unauthorized' : undefined);
      }
      if (!allowed) missing.push(words);
    }
    return missing;
  }

  /** Makes the next write read the pod first. */
  forget(ref: PodRef): void {
    this.#seen.delete(pathTo(ref));
  }

  /** Whether an earlier answer has shown the pod. */
  hasSeen(ref: PodRef): boolean {
    return this.#seen.has(pathTo(ref));
  }

  /** The pod as the last answer showed it, else as it is now. @returns undefined if there is no such pod. @throws ApiError */
  async lastSeen(ref: PodRef, patience: Patience): Promise<Pod | undefined> {
    return this.#seen.get(pathTo(ref)) ?? (await this.pod(ref, patience));
  }

  /** Sends one write, guarded by the uid and the resourceVersion of the pod it was decided upon (KU1). @throws ApiError */
  async patch({ ref, pod, annotations, heard }: Patch, patience: Patience): Promise<Patched> {
    const { uid, resourceVersion } = pod.metadata;
    const body = JSON.stringify({ metadata: { uid, resourceVersion, annotations } });
    const answer = await this.#request({ method: 'PATCH', path: `${pathTo(ref)}/status`, body, heard }, patience);
    if (!isOvertaken(answer, ref)) return { kind: 'taken', pod: this.#readPod(answer, 'patch pods/status', ref) };
    const what = `refused to write pod ${podName(ref)}: ${this.#quoted(answer)}`;
    return { kind: 'overtaken', trouble: this.error(code.tryAgainLater, what, 'conflict') };
  }

  /** Stores an event of a pod, whose name is the same each time that it is told. @throws ApiError */
  async createEvent(namespace: string, body: string, patience: Patience): Promise<EventFate> {
    const answer = await this.#request(
      { method: 'POST', path: `api/v1/namespaces/${namespace}/events`, body },
      patience,
    );
    if (answer.status === 201) return 'sent';
    if (isThere(answer)) return 'known';
    if (isGoneNamespace(answer)) return 'no pod';
    this.#refuseAccount(answer, 'create events', namespace);
    const what = `answered ${answer.status} to an event in namespace "${namespace}": ${this.#quoted(answer)}`;
    throw this.error(code.tryAgainLater, what);
  }

  /** Until when a write is tried again that other clients' writes overtook. */
  overtakenUntil({ end, againstOthers = within(end, this.#deadlines.apiRetryMs) }: Patience): Moment {
    return againstOthers;
  }

  #readPod(answer: Answer, right: `${'get' | 'patch'} ${string}`, ref: PodRef): Pod {
    const [verb = ''] = right.split(' ');
    this.#refuseAccount(answer, right, ref.namespace);
    if (isTooLong(answer)) {
      const what = `takes no more annotations of pod ${podName(ref)}: ${this.#quoted(answer)}: remove some of others`;
      throw this.error(code.tryAgainLater, what, 'too long');
    }
    if (!isPod(answer, ref)) throw this.error(code.tryAgainLater, this.#describeRefusal(answer, verb, ref));
    const pod = parse(answer.body) as Pod;
    this.#seen.set(pathTo(ref), pod);
    return pod;
  }

  /** @throws ApiError if the answer says that the account is not known, or lacks the right, such as `get pods` */
  #refuseAccount(answer: Answer, right: string, namespace: string): void {
    const [verb = '', resource = ''] = right.split(' ');
    if (isUnauthorized(answer)) {
      throw this.error(code.tryAgainLater, 'does not accept the credentials (401): have they expired?', 'unauthorized');
    }
    if (lacksRight(answer, verb, resource)) {
      const what = `forbids to ${right} in namespace "${namespace}" (403): RBAC needs it`;
      throw this.error(code.invalidConfig, what, verb === 'get' ? undefined : 'forbidden');
    }
  }

  /** Tells a refusal of the API server itself from one of a proxy before it. */
  #describeRefusal(answer: Answer, verb: string, ref: PodRef): string {
    const { status } = answer;
    if (status >= 200 && status <= 299) return `answered ${status} with something that is no pod ${podName(ref)}`;
    const said = `answered ${status} to "${verb}" of pod ${podName(ref)}: ${this.#quoted(answer)}`;
    return refusalOf(answer)
      ? said
      : `${said} (no API server says it like this: is it the server that the file means?)`;
  }

  /** Asks until an answer concerns the pod. Other answers mean that the server is busy or away. */
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
          `answered ${answer.status}: ${this.#quoted(answer)}`,
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

  /** For people. */
  #quoted(answer: Answer): string {
    return describeAnswer(answer, this.#endpoint.headers);
  }

  error(number: number, what: string, why?: ApiError['why']): ApiError {
    return new ApiError(number, `API server ${this.#endpoint.server.origin} of "${this.#kubeconfig}" ${what}`, why);
  }
}

/** The number of tries so far, the shortest pause, and the moment after which there is no further try. */
interface Tries {
  readonly tries: number;
  readonly leastMs?: number;
  readonly until: Moment;
}

/** @throws the trouble if no time or no try is left. */
export async function pauseBeforeTry(trouble: ApiError, { tries, leastMs = 0, until }: Tries): Promise<void> {
  const most = Math.min(pauseMs * 2 ** (tries - 1), pauseMsMax);
  const pause = Math.max(leastMs, most * (0.5 + Math.random() / 2));
  if (tries >= triesMax || now() + pause >= until) throw trouble;
  await sleep(pause);
}

const pathTo = ({ namespace, name }: PodRef): string => `api/v1/namespaces/${namespace}/pods/${name}`;
export const podName = ({ namespace, name }: PodRef): string => `${namespace}/${name}`;

const late = 'did not answer in time';

export async function send(
  { server, tls, headers, proxy }: Endpoint,
  { method, path, body }: Question,
  end: Moment,
): Promise<Answer> {
  // The server's URL may have a path, for instance behind a proxy.
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

/** Texts for operators, because Bun's own are for programmers. */
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

/** Whether TLS rejects the server's certificate or ours: waiting does not help. */
const isDistrust = (error: unknown): boolean =>
  /CERT|SELF_SIGNED|VERIFY|ERR_TLS|ERR_SSL|FailedToOpenSocket/.test(codeOf(error));
