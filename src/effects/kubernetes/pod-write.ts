/**
 * Writing annotations of a pod. Each write is decided upon the pod as it was seen, and it changes that pod or nothing (KU1). After
 * each write, taken or overtaken, the decision is repeated, until it is to leave the pod as it is.
 */
import { code, type PodRef, type Trouble } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import { type Answer, isOvertaken, isPod, isTurnedAway, refusalOf } from './api-answer.ts';
import { ApiError } from './api-error.ts';
import { type Annotations, type Kubernetes, type Patience, type Pod, pauseBeforeTry, podName } from './api-server.ts';

/** The fate of the writes of one attempt. */
export class Sent {
  /** A write was taken, or may have been, so it has to be removed. */
  wasTaken = false;
  /** The resourceVersion that guards a write without an answer: while the pod has it, that write may still be taken. */
  open: string | undefined;

  /** @param answer undefined: none came, or one that does not tell the fate of the write */
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
      // A proxy on the way answered. It may have let the write through and held back only the answer.
      this.wasTaken = true;
    }
  }
}

/** The number of tries for a write that is taken but altered. */
const alterationsMax = 3;

/** A removal needs two: one makes late writes stale, and one removes that annotation again. */
const writesMax = 8;

/** The basis of a decision. */
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
  /** The reason why the wanted annotations cannot be written. Absent: the pod has them. */
  readonly trouble?: Trouble;
}

export type Decision = Write | Leave;

/** A write to decide and send: its pod, its patience and its decision. */
interface Order {
  readonly ref: PodRef;
  readonly patience: Patience;
  readonly decide: (sight: Sight) => Promise<Decision> | Decision;
}

/**
 * left: the last decision was to leave the pod as it is. failed: an error of the API server, or the end of the time, came first.
 */
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
  /** The last decision. */
  decision: Decision | undefined;
  readonly #api: Kubernetes;
  readonly #order: Order;
  /** Until when a write is tried again after conflicts. */
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
    // A pod that an earlier question saw suffices for a write, since a stale one is refused, but not for the decision to leave it.
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

/** The annotations that differ from the taken write, because an admission changed them. */
function alteredNames(written: Annotations, { metadata }: Pod): string[] {
  return Object.keys(written).filter((name) => (metadata.annotations?.[name] ?? null) !== written[name]);
}
