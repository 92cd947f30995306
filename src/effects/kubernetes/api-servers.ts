/**
 * The API servers that kubeconfigs name, reached when they are first needed. The modules that speak to one, and their packages, are
 * loaded from here. So a call without a kubeconfig does not load them.
 */
import { code, type PodRef } from '../../attachment.ts';
import { type Deadlines, type Moment, within } from '../../deadlines.ts';
import type { AnnotationPlan, Call, Outcome, PodLookup, Request } from '../../machines/protocol.ts';
import { type Away, askedBefore } from '../away.ts';
import type { IsLater, Scene } from './annotation.ts';
import { ApiError } from './api-error.ts';
import type { EventFate, Kubernetes, Patience } from './api-server.ts';
import type { PodEvent } from './event.ts';
import type { CredentialCache } from './exec-credential.ts';

const rightsRetryMs = 1_000;

interface ApiServersOptions {
  readonly deadlines: Deadlines;
  readonly away: Away;
  /** The caller's kubeconfig, used if the journal's no longer reaches the server. */
  readonly kubeconfig?: string | undefined;
}

export class ApiServers {
  readonly #deadlines: Deadlines;
  readonly #away: Away;
  /** The caller's kubeconfig, if there is one. */
  readonly #elsewhere: readonly string[];
  readonly #opened = new Map<string, Promise<Kubernetes>>();
  readonly #credentials: CredentialCache = new Map();

  constructor({ deadlines, away, kubeconfig }: ApiServersOptions) {
    this.#deadlines = deadlines;
    this.#away = away;
    this.#elsewhere = kubeconfig === undefined ? [] : [kubeconfig];
  }

  async lookUp(kubeconfig: string, ref: PodRef, end: Moment): Promise<PodLookup> {
    const { lookUpPod } = await import('./pod.ts');
    try {
      const patience = this.#patience(end, this.#deadlines.apiRetryMs);
      return await this.#ask(kubeconfig, end, (api) => lookUpPod(api, ref, patience));
    } catch (error) {
      if (error instanceof ApiError)
        return { kind: 'refused', troubles: [{ code: error.code, message: error.message }] };
      throw error;
    }
  }

  /** Asks which rights, such as `patch pods/status`, an account lacks in a namespace or in all of them. @throws ApiError */
  async missingRights(kubeconfig: string, namespace: string | undefined, end: Moment): Promise<readonly string[]> {
    // At most one retry, because a person is waiting.
    const patience = this.#patience(end, rightsRetryMs);
    return await this.#ask(kubeconfig, end, (api) => api.missingRights(namespace, patience));
  }

  /**
   * The publication's three verbs, if it is an annotation. Between an ADD and the removal a kubeconfig may move, or its account may
   * lose its rights. So if the journal's kubeconfig fails, the caller's is tried. One proof that the pod is gone is enough.
   */
  async annotate(question: AnnotationQuestion): Promise<Outcome> {
    const { annotation, request, call } = question;
    const elsewhere = request.verb === 'ensure' ? [] : this.#elsewhere;
    try {
      return await this.#askAny([annotation.kubeconfig, ...elsewhere], call.end, (api) => this.#perform(api, question));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const trouble = { code: error.code, message: error.message };
      return { kind: 'failed', trouble, ...unwritten(request), ...(request.verb === 'find' && { unjudged: true }) };
    }
  }

  /**
   * Tells a person of a pod, by the kubeconfig of its journal, else by the caller's. Each is asked once: what is not told now is told by the
   * next recovery.
   * @returns undefined if there is no kubeconfig. @throws ApiError
   */
  async tell(kubeconfig: string | undefined, event: PodEvent, end: Moment): Promise<EventFate | undefined> {
    const places = [...(kubeconfig === undefined ? [] : [kubeconfig]), ...this.#elsewhere];
    if (places.length === 0) return undefined;
    const { sendEvent } = await import('./event.ts');
    return await this.#askAny(places, end, (api) => sendEvent(api, event, this.#patience(end, 0)));
  }

  async #perform(api: Kubernetes, { annotation, request, call, isLater }: AnnotationQuestion): Promise<Outcome> {
    const { ensureAnnotation, findAnnotation, removeAnnotation } = await import('./annotation.ts');
    const { verb, plan, facts } = request;
    const { apiRetryMs, reconnectMs } = this.#deadlines;
    const isContended = this.#away.findError(contentionKey(annotation.kubeconfig)) !== undefined;
    const patience = {
      ...this.#patience(call.end, verb === 'remove' ? reconnectMs : apiRetryMs),
      ...(isContended && { againstOthers: 0 }),
    };
    const scene: Scene = { api, key: plan.key, plan: annotation, patience };
    if (verb === 'remove') return await removeAnnotation(scene, facts.publication);
    if (verb === 'find') return await findAnnotation(scene, facts.address);
    return await ensureAnnotation(scene, facts.address, isLater);
  }

  forget(): void {
    this.#opened.clear();
  }

  #patience(end: Moment, retryMs: number): Patience {
    return { end, until: within(end, retryMs) };
  }

  /** Asks by one kubeconfig after the other, until one can be used. @throws ApiError of the first one, which tells of all */
  async #askAny<T>(places: readonly string[], end: Moment, ask: (api: Kubernetes) => Promise<T>): Promise<T> {
    const errors: ApiError[] = [];
    for (const kubeconfig of new Set(places)) {
      try {
        return await this.#ask(kubeconfig, end, ask);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        errors.push(error);
      }
    }
    const [first] = errors;
    throw new ApiError(first?.code ?? code.internal, errors.map(({ message }) => message).join('; '), first?.why);
  }

  /** @throws ApiError */
  async #ask<T>(kubeconfig: string, end: Moment, ask: (api: Kubernetes) => Promise<T>): Promise<T> {
    const asking = async () => await ask(await this.#open(kubeconfig, end));
    try {
      return await this.#away.ask(kubeconfig, asking, judgeSilence);
    } catch (error) {
      // If a credential is no longer accepted, the next question asks for a new one.
      if (error instanceof ApiError && error.why === 'unauthorized') this.#credentials.clear();
      // If conflicts exhausted one write's tries, each later write to this server has a single try.
      if (error instanceof ApiError && error.why === 'conflict') this.#away.note(contentionKey(kubeconfig), error);
      throw error;
    }
  }

  /** @throws ApiError */
  async #open(kubeconfig: string, end: Moment): Promise<Kubernetes> {
    const known = this.#opened.get(kubeconfig);
    if (known !== undefined) return await known;
    const { Kubernetes } = await import('./api-server.ts');
    const opened = Kubernetes.open(kubeconfig, { deadlines: this.#deadlines, end, credentials: this.#credentials });
    this.#opened.set(kubeconfig, opened);
    return await opened;
  }
}

const contentionKey = (kubeconfig: string): string => `writes by ${kubeconfig}`;

/** One request for an annotation. */
interface AnnotationQuestion {
  readonly annotation: AnnotationPlan;
  readonly request: Request;
  readonly call: Call;
  readonly isLater: IsLater;
}

/** With an unusable kubeconfig nothing was written. */
const unwritten = ({ verb }: Request) => verb === 'ensure' && ({ made: 'nothing', facts: { settled: true } } as const);

function judgeSilence(error: unknown) {
  if (!(error instanceof ApiError && (error.why === 'away' || error.why === 'silent'))) return undefined;
  return { error: new ApiError(error.code, askedBefore(error.message), error.why), isSilence: error.why === 'silent' };
}
