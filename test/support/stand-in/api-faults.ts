/** The faults of the stand-in of an API server: which fault meets which request, and how often. */

export type Verb = 'GET' | 'PATCH' | 'POST';

export type Fault =
  /** An answer of this code. The request is not applied unless `applied` says so, as when a proxy times out. */
  | {
      readonly kind: 'answer';
      readonly code: number;
      readonly retryAfter?: number;
      readonly applied?: boolean;
      /** Replaces the real server's body for this code. A text is sent as it is. */
      readonly body?: string | object;
    }
  /**
   * The connection is reset. connected: before a byte is read; received: with the request read and not applied; applied: with the
   * request applied and no byte answered; answering: applied, in the middle of the answer's body.
   */
  | { readonly kind: 'reset'; readonly when: 'connected' | 'received' | 'applied' | 'answering' }
  /** Applied at once, answered later. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Applied and answered this late, even if the client is dead. */
  | { readonly kind: 'late'; readonly ms: () => number }
  /** Applied at once, answered a byte at a time, with this many ms between two. */
  | { readonly kind: 'bytewise'; readonly ms: number }
  /** Never answered, and not applied unless `applied` says so. */
  | { readonly kind: 'hang'; readonly applied?: boolean }
  /** Applied, and answered with 200 and a body that is not JSON. */
  | { readonly kind: 'garbage' }
  /** The server's certificate is another authority's. */
  | { readonly kind: 'other-authority' };

export interface FaultOptions {
  /** Both unless given. Faults of a connection (reset when connected, other-authority) know no verb. */
  readonly verb?: Verb;
  /** Once unless given; Infinity is for ever. */
  readonly times?: number;
}

export interface Injection {
  /** The number of times that it happened. */
  readonly count: number;
  /** Resolves when it has happened for the first time. */
  readonly happened: Promise<void>;
  /** Ends the fault. */
  end(): void;
}

export class Faults {
  readonly #pending: { fault: Fault; verb: Verb | undefined; left: number; hit: () => void }[] = [];

  inject(fault: Fault, { verb, times = 1 }: FaultOptions = {}): Injection {
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => {
      entry.left = 0;
    };
    const injection = { count: 0, happened: promise, end };
    const hit = (): void => {
      injection.count++;
      resolve();
    };
    const entry = { fault, verb, left: times, hit };
    this.#pending.push(entry);
    return injection;
  }

  /** The fault that meets a new connection, if any. */
  ofConnection(): Fault | undefined {
    return this.#take((entry) => isOfConnection(entry.fault));
  }

  /** The fault that meets a request, if any: the oldest one with turns left. */
  ofRequest(method: string): Fault | undefined {
    return this.#take(({ fault, verb }) => !isOfConnection(fault) && (verb ?? method) === method);
  }

  #take(matches: (entry: { fault: Fault; verb: Verb | undefined }) => boolean): Fault | undefined {
    const found = this.#pending.find((entry) => entry.left > 0 && matches(entry));
    if (!found) return undefined;
    found.left--;
    found.hit();
    return found.fault;
  }
}

const isOfConnection = (fault: Fault): boolean =>
  fault.kind === 'other-authority' || (fault.kind === 'reset' && fault.when === 'connected');
