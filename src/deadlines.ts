/**
 * Every wait of the plugin, in one place, each with its reason. The configuration key `deadlines` overrides them.
 */

export interface Deadlines {
  /** An ADD, its rollback included. Below CRI-O's and containerd's limits for a sandbox (4 min of the kubelet). */
  readonly addMs: number;
  /** The part of an ADD's time that is kept for its rollback. */
  readonly rollbackMs: number;
  /** A DEL. CRI-O and containerd's clean-up allow 60 s and do not call again. */
  readonly delMs: number;
  /** A STATUS: a runtime asks often and waits for the answer. */
  readonly statusMs: number;
  /** How long a call waits for the attachment's lock: a live holder sees the going mark well within it. */
  readonly lockMs: number;
  /** One run of an IPAM program: a DHCP or API-backed one is slow, a hung one must not eat the rollback. */
  readonly ipamMs: number;
  /** Until ovs-vswitchd has applied a change: 20 ms on a busy node, seconds while it loads flows. */
  readonly switchMs: number;
  /** How long a removal retries a refused connection: a restart of the database takes about a second. */
  readonly reconnectMs: number;
  /** One request to the API server: a busy one takes a second, a hung one must leave time for the rollback. */
  readonly apiMs: number;
  /** How long an ADD retries at an API server that is busy, away or in conflict. A removal retries for `reconnectMs`. */
  readonly apiRetryMs: number;
  /** One call into a pod's directory: a FIFO or a dead mount there must not hold us. */
  readonly directoryMs: number;
}

export const defaultDeadlines: Deadlines = {
  addMs: 60_000,
  rollbackMs: 20_000,
  delMs: 30_000,
  statusMs: 900,
  lockMs: 20_000,
  ipamMs: 20_000,
  switchMs: 10_000,
  reconnectMs: 2_000,
  apiMs: 5_000,
  apiRetryMs: 10_000,
  directoryMs: 5_000,
};

/** Standard input to its end, before the configuration is known: a runtime has written it when it starts us, or does so at once. */
export const stdinMs = 10_000;

/** How long the answer waits for a reader that does not read: no lock is held then, and the runtime may only be slow. */
export const answerMs = 10_000;

/** How long a call waits for its log file at its end: a disk takes a line in a millisecond, and a dead one takes none. */
export const logMs = 500;

/** A moment on the monotonic clock (performance.now), in milliseconds. */
export type Moment = number;

export const now = (): Moment => performance.now();

/** The earlier of a moment and `ms` from now: a step's own limit inside the call's. */
export const within = (end: Moment, ms: number): Moment => Math.min(end, now() + ms);

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const remainingMs = (end: Moment): number => Math.max(0, end - now());

/** Pauses between looks at something that gives no event: short at first, because another call is usually done in a moment. */
const pollMs = [1, 1, 2, 4, 8, 15, 25] as const;

/** @returns whether it held before the end */
export async function polled(holds: () => boolean, end: Moment): Promise<boolean> {
  for (let attempt = 0; !holds(); attempt++) {
    if (now() >= end) return false;
    await sleep(Math.min(pollMs[attempt] ?? 25, remainingMs(end)));
  }
  return true;
}

/**
 * The variable in the environment of every program that we start and of all its descendants. It says when the program has to end,
 * in milliseconds since boot, and for which purpose it acts. A call that finds it in its own environment was started by such a
 * program.
 */
export const leaseVariable = 'USERSPACE_CNI_CALL';
