/**
 * The API servers that kubeconfigs name, reached when they are first needed. Everything that speaks to one, and the packages behind
 * it, is loaded from here and by no call that has no kubeconfig.
 */
import type { PodRef, Trouble } from '../attachment.ts';
import { type Deadlines, type Moment, within } from '../deadlines.ts';
import type { AnnotationPlan, Call, Outcome, PodPlace, Request } from '../machines/protocol.ts';
import { ApiError } from './api-error.ts';
import type { Kubernetes, Patience } from './kubernetes.ts';
import { isLaterSandbox } from './port-view.ts';
import type { Switch } from './switch.ts';

export class ApiServers {
  readonly #deadlines: Deadlines;
  readonly #opened = new Map<string, Promise<Kubernetes>>();

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  /** @returns the troubles if the pod cannot be attached. */
  async lookUp(kubeconfig: string, ref: PodRef, end: Moment): Promise<PodPlace | Trouble[]> {
    const { lookUpPod } = await import('./pod.ts');
    try {
      return await lookUpPod(await this.#open(kubeconfig), ref, this.#patience(end, this.#deadlines.apiRetryMs));
    } catch (error) {
      if (error instanceof ApiError) return [{ code: error.code, message: error.message }];
      throw error;
    }
  }

  /** The publication's three verbs, where it is an annotation. */
  async annotate(ovs: Switch, annotation: AnnotationPlan, request: Request, call: Call): Promise<Outcome> {
    const { ensureAnnotation, findAnnotation, removeAnnotation } = await import('./annotation.ts');
    const { verb, plan, facts } = request;
    const { key } = plan;
    const { apiRetryMs, reconnectMs } = this.#deadlines;
    const patience = this.#patience(call.end, verb === 'remove' ? reconnectMs : apiRetryMs);
    try {
      const api = await this.#open(annotation.kubeconfig);
      switch (verb) {
        case 'ensure': {
          const { begun } = call;
          const isLater = async (id: string) =>
            begun !== undefined && (await isLaterSandbox(ovs, plan, id, begun, call));
          return await ensureAnnotation(api, key, annotation, facts.address, isLater, patience);
        }
        case 'remove':
          return await removeAnnotation(api, key, annotation, facts.publication, patience);
        default:
          return await findAnnotation(api, key, annotation, facts.address, patience);
      }
    } catch (error) {
      if (error instanceof ApiError) return { kind: 'failed', trouble: { code: error.code, message: error.message } };
      throw error;
    }
  }

  forget(): void {
    this.#opened.clear();
  }

  #patience(end: Moment, retryMs: number): Patience {
    return { end, until: within(end, retryMs) };
  }

  /** @throws ApiError */
  async #open(kubeconfig: string): Promise<Kubernetes> {
    const known = this.#opened.get(kubeconfig);
    if (known !== undefined) return await known;
    const { Kubernetes } = await import('./kubernetes.ts');
    const opened = Kubernetes.open(kubeconfig, this.#deadlines);
    this.#opened.set(kubeconfig, opened);
    return await opened;
  }
}
