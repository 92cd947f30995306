/**
 * The API server, as far as we need it: one pod read, its annotations patched. Every request has a deadline, every wait an end.
 *
 * Owns: requests, their repetition, what an answer means. Does not own: what the annotations say (annotation.ts).
 *
 * Invariants
 *  K1 A write is guarded by the uid and the resourceVersion of what was read: it changes that or nothing.
 *  K2 Rights that suffice: `get` of pods, `patch` of pods/status.
 */
import { code, type PodRef } from '../attachment.ts';
import { type Deadlines, type Moment, now, remainingMs, sleep, within } from '../deadlines.ts';
import { fetchBy } from '../native.ts';
import { ApiError } from './api-error.ts';
import { codeOf } from './directory.ts';
import { type Access, readKubeconfig } from './kubeconfig.ts';

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

/** null takes an annotation away (RFC 7386). */
export type Annotations = { readonly [key: string]: string | null };

/** How long something may take, and until when it may be begun again. */
export interface Patience {
  readonly end: Moment;
  readonly until: Moment;
}

interface Answer {
  readonly status: number;
  readonly retryAfterMs: number;
  readonly body: string;
}

/** Of one request, and of one write in conflict with others' writes. */
const triesMax = 40;
const pauseMs = 20;
const pauseMsMax = 500;

/** The pod is not any more what was read: gone, written by somebody else, or another one of that name. */
const isOvertaken = ({ status, body }: Answer): boolean =>
  status === 404 || status === 409 || (status === 422 && body.includes('metadata.uid'));

/** etcd takes no object over 1.5 MiB. */
const bodyBytesMax = 4 * 1024 * 1024;

export class Kubernetes {
  readonly #access: Access;
  readonly #kubeconfig: string;
  readonly #deadlines: Deadlines;
  /** What the last answer said of a pod: good enough to write upon, since a stale one is refused (K1); not to leave it at that. */
  readonly #seen = new Map<string, Pod>();

  private constructor(access: Access, kubeconfig: string, deadlines: Deadlines) {
    this.#access = access;
    this.#kubeconfig = kubeconfig;
    this.#deadlines = deadlines;
  }

  /** @throws ApiError */
  static async open(kubeconfig: string, deadlines: Deadlines): Promise<Kubernetes> {
    const access = await readKubeconfig(kubeconfig, now() + deadlines.apiMs);
    return new Kubernetes(access, kubeconfig, deadlines);
  }

  /** @returns undefined if there is no such pod. @throws ApiError */
  async pod(ref: PodRef, patience: Patience): Promise<Pod | undefined> {
    const path = pathOf(ref);
    const answer = await this.#request('GET', path, undefined, patience);
    if (answer.status === 404) return undefined;
    return this.#keep(path, answer, 'get pods', ref);
  }

  /** The next write reads first. */
  forget(ref: PodRef): void {
    this.#seen.delete(pathOf(ref));
  }

  /**
   * Writes what `change` makes of the pod, again from the start after a conflict.
   * @param change of the pod as it was last seen (undefined: there is none) -> what to write; undefined if nothing is to be written,
   * which counts of a pod read by this call. Asked once more after every write, so that it can add to it.
   * @throws ApiError, and what `change` throws
   */
  async write(
    ref: PodRef,
    patience: Patience,
    change: (pod: Pod | undefined) => Promise<Annotations | undefined> | Annotations | undefined,
  ): Promise<void> {
    const path = pathOf(ref);
    // A server that refuses for a conflict is there: that is worth more patience than one that is away.
    const conflicts = { end: patience.end, until: within(patience.end, this.#deadlines.apiRetryMs) };
    let isNews = !this.#seen.has(path);
    for (let attempt = 1; ; attempt++) {
      const pod = this.#seen.get(path) ?? (await this.pod(ref, patience));
      const annotations = await change(pod);
      if (isNews && !(pod && annotations)) return;
      isNews = true;
      this.#seen.delete(path);
      if (!pod || !annotations) continue;
      const { uid, resourceVersion } = pod.metadata;
      const body = JSON.stringify({ metadata: { uid, resourceVersion, annotations } });
      const answer = await this.#request('PATCH', `${path}/status`, body, patience);
      if (isOvertaken(answer)) {
        await this.#pause(attempt, 0, conflicts, `refused to write pod ${nameOf(ref)}: ${reasonOf(answer.body)}`);
        continue;
      }
      this.#keep(path, answer, 'patch pods/status', ref);
    }
  }

  #keep(path: string, { status, body }: Answer, right: string, ref: PodRef): Pod {
    if (status === 401) {
      throw this.#error(code.tryAgainLater, 'does not accept the credentials (401): have they expired?');
    }
    if (status === 403) {
      const what = `forbids to ${right} in namespace "${ref.namespace}" (403): RBAC needs it`;
      throw this.#error(code.invalidConfig, what, true);
    }
    if (status < 200 || status > 299) throw this.#error(code.tryAgainLater, `answered ${status}: ${reasonOf(body)}`);
    const pod = parsePod(body);
    if (!pod) throw this.#error(code.tryAgainLater, `answered ${status} with something that is no pod`);
    this.#seen.set(path, pod);
    return pod;
  }

  /** Until an answer that says something of the pod: others mean that the server is busy or away. */
  async #request(method: string, path: string, body: string | undefined, patience: Patience): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      let trouble: string;
      let retryAfterMs = 0;
      try {
        const end = within(patience.end, this.#deadlines.apiMs);
        const answer = await send(this.#access, method, path, body, end);
        if (answer.status !== 429 && answer.status < 500) return answer;
        trouble = `answered ${answer.status}: ${reasonOf(answer.body)}`;
        retryAfterMs = answer.retryAfterMs;
      } catch (error) {
        trouble = transportTrouble(error);
        if (isDistrust(error)) throw this.#error(code.invalidConfig, `cannot be trusted: ${trouble}`);
      }
      await this.#pause(attempt, retryAfterMs, patience, trouble);
    }
  }

  /** @throws ApiError if there is no time for another try. */
  async #pause(attempt: number, leastMs: number, { until }: Patience, trouble: string): Promise<void> {
    const most = Math.min(pauseMs * 2 ** (attempt - 1), pauseMsMax);
    const pause = Math.max(leastMs, most * (0.5 + Math.random() / 2));
    if (attempt >= triesMax || now() + pause >= until) throw this.#error(code.tryAgainLater, trouble);
    await sleep(pause);
  }

  #error(number: number, what: string, forbidden = false): ApiError {
    return new ApiError(number, `API server ${this.#access.server.origin} of "${this.#kubeconfig}" ${what}`, forbidden);
  }
}

const pathOf = ({ namespace, name }: PodRef): string => `api/v1/namespaces/${namespace}/pods/${name}`;
export const nameOf = ({ namespace, name }: PodRef): string => `${namespace}/${name}`;

async function send(
  { server, tls, headers, proxy }: Access,
  method: string,
  path: string,
  body: string | undefined,
  end: Moment,
): Promise<Answer> {
  // A server behind a proxy may have a path of its own.
  const url = new URL(path, `${server.origin}${server.pathname.replace(/\/*$/, '/')}`);
  const given = { Accept: 'application/json', 'User-Agent': 'userspace-cni', ...headers };
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error('did not answer in time')), remainingMs(end));
  try {
    const response = await fetchBy(url, {
      method,
      headers: body === undefined ? given : { ...given, 'Content-Type': 'application/merge-patch+json' },
      ...(body !== undefined && { body }),
      tls,
      ...(proxy && { proxy }),
      signal: abort.signal,
    });
    const seconds = Number(response.headers.get('retry-after') ?? 0);
    return {
      status: response.status,
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : 0,
      body: await textOf(response),
    };
  } finally {
    clearTimeout(timer);
  }
}

async function textOf(response: Response): Promise<string> {
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

const transportTrouble = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error);
  const number = codeOf(error);
  return number ? `cannot be reached: ${number}: ${reasons[number] ?? message}` : message;
};

/** TLS says that it is somebody else, or that we are nobody: no time makes that better. */
const isDistrust = (error: unknown): boolean =>
  /CERT|SELF_SIGNED|VERIFY|ERR_TLS|ERR_SSL|FailedToOpenSocket/.test(codeOf(error));

/** The message of a Status object (API conventions, "Response Status Kind"). */
function reasonOf(body: string): string {
  try {
    return String(JSON.parse(body).message).slice(0, 300);
  } catch {
    return body.trim().slice(0, 100) || 'nothing';
  }
}

function parsePod(body: string): Pod | undefined {
  try {
    const pod = JSON.parse(body);
    const { uid, resourceVersion } = pod.metadata;
    return typeof uid === 'string' && typeof resourceVersion === 'string' && pod.spec ? pod : undefined;
  } catch {
    return undefined;
  }
}
