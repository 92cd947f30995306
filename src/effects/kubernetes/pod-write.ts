/**
 * Writing annotations of a pod: what to write is decided upon the pod as it was seen, and the write changes that pod or nothing (KU1).
 * After each write, and after each that others' writes overtook, it is decided again, until a decision is to leave the pod as it is.
 */
import { code, type PodRef, type Trouble } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import { type Answer, isOvertaken, isPod, isTurnedAway, refusalOf } from './api-answer.ts';
import { ApiError } from './api-error.ts';
import { type Annotations, type Kubernetes, type Patience, type Pod, pauseBeforeTry, podName } from './api-server.ts';

/** What became of the writes of one attempt. */
export class Sent {
  /** One was taken, or may have been: what there is of it has to be removed. */
  wasTaken = false;
  /** The resourceVersion that guards a write whose answer never came: as long as the pod has it, that write may still be taken. */
  open: string | undefined;

  /** @param answer undefined: none came, or one that does not say what became of the write */
  note(resourceVersion: string, answer: Answer | undefined, ref: PodRef): void {
    if (answer === undefined) {
      this.wasTaken = true;
      this.open = resourceVersion;
    } else if (isPod(answer, ref)) {
      this.wasTaken = true;
      this.open = undefined;
    } else if (isOvertaken(answer, ref)) {
      // No pod gets a resourceVersion back.
      this.open = undefined;
    } else if (!refusalOf(answer) && !isTurnedAway(answer)) {
      // Something on the way answered: perhaps it kept back not the write, but the answer to it.
      this.wasTaken = true;
    }
  }
}

/** How often a write is tried that is taken and then is not what was sent. */
const alterationsMax = 3;

/** A removal needs two: one that makes late writes stale, and one that takes that away again. */
const writesMax = 8;

/** What is decided upon. */
export interface Sight {
  /** undefined: there is no such pod. */
  readonly pod: Pod | undefined;
  /** The resourceVersion of the first pod that this write was decided upon. */
  readonly firstVersion: string | undefined;
}

interface Write {
  readonly kind: 'write';
  readonly pod: Pod;
  readonly annotations: Annotations;
}

interface Leave {
  readonly kind: 'leave';
  /** Why what was wanted cannot be written; absent: the pod is as it is wanted. */
  readonly trouble?: Trouble;
}

export type Decision = Write | Leave;

/** What is written to which pod. */
interface Order {
  readonly ref: PodRef;
  readonly patience: Patience;
  readonly decide: (sight: Sight) => Promise<Decision> | Decision;
}

/** left: the last decision was to leave the pod as it is. failed: the API server, or the time, did not let it come to that. */
export type Written = { readonly sent: Sent } & (
  | { readonly kind: 'left'; readonly trouble: Trouble | undefined }
  | { readonly kind: 'failed'; readonly error: ApiError; readonly decision: Decision | undefined }
);

/** @throws what `decide` throws */
export async function writeAnnotations(api: Kubernetes, order: Order): Promise<Written> {
  const writing = new Writing(api, order);
  const { sent } = writing;
  try {
    const { trouble } = await writing.untilLeft();
    return { kind: 'left', trouble, sent };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { kind: 'failed', error, decision: writing.decision, sent };
  }
}

class Writing {
  readonly sent = new Sent();
  /** The last one. */
  decision: Decision | undefined;
  readonly #api: Kubernetes;
  readonly #order: Order;
  /** Until when it is tried again against the writes of others. */
  readonly #until: Moment;
  readonly #tries = { conflicts: 0, alterations: 0, writes: 0 };
  /** Annotations that the last write did not leave as it wrote them. */
  #altered: readonly string[] = [];

  constructor(api: Kubernetes, order: Order) {
    this.#api = api;
    this.#order = order;
    this.#until = api.overtakenUntil(order.patience);
  }

  /** @throws ApiError, and what `decide` throws */
  async untilLeft(): Promise<Leave> {
    const { ref, patience, decide } = this.#order;
    const api = this.#api;
    // A pod that was seen by an earlier question suffices to write upon, since a stale write is refused. It does not suffice to leave it.
    let isCurrent = !api.hasSeen(ref);
    let firstVersion: string | undefined;
    for (;;) {
      const pod = await api.lastSeen(ref, patience);
      firstVersion ??= pod?.metadata.resourceVersion;
      const decision = await decide({ pod, firstVersion });
      this.decision = decision;
      if (decision.kind === 'leave' && isCurrent) return decision;
      api.forget(ref);
      isCurrent = true;
      if (decision.kind === 'write') await this.#write(decision);
    }
  }

  async #write({ pod, annotations }: Write): Promise<void> {
    const { ref, patience } = this.#order;
    const tries = this.#tries;
    const lost = this.#altered.find((name) => name in annotations);
    if (lost !== undefined) await this.#pauseAltered(lost);
    if (++tries.writes > writesMax + tries.conflicts) {
      const what = `was written pod ${podName(ref)} ${writesMax} times, and it is not right`;
      throw this.#api.error(code.tryAgainLater, what);
    }
    const { resourceVersion } = pod.metadata;
    const heard = (answer: Answer | undefined): void => this.sent.note(resourceVersion, answer, ref);
    const patched = await this.#api.patch({ ref, pod, annotations, heard }, patience);
    this.#altered = patched.kind === 'taken' ? alteredNames(annotations, patched.pod) : [];
    if (patched.kind === 'taken') return;
    await pauseBeforeTry(patched.trouble, { tries: ++tries.conflicts, until: this.#until });
  }

  async #pauseAltered(name: string): Promise<void> {
    const { ref } = this.#order;
    const tries = ++this.#tries.alterations;
    const what = `took annotation "${name}" of pod ${podName(ref)} and did not keep it as it was written: an admission changes it`;
    const trouble = this.#api.error(code.invalidConfig, `${what}, and must let it be`);
    if (tries >= alterationsMax) throw trouble;
    await pauseBeforeTry(trouble, { tries, until: this.#until });
  }
}

/** What the API server made of a write that it took: an admission may have had another opinion. */
function alteredNames(written: Annotations, { metadata }: Pod): string[] {
  return Object.keys(written).filter((name) => (metadata.annotations?.[name] ?? null) !== written[name]);
}
