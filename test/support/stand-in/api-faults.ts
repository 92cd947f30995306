/** What goes wrong at the stand-in of an API server: which fault meets which request, and how often. */

export type Verb = 'GET' | 'PATCH';

export type Fault =
  /** An answer of this code. Not applied, unless said: a proxy may time out over what went through. */
  | {
      readonly kind: 'answer';
      readonly code: number;
      readonly retryAfter?: number;
      readonly applied?: boolean;
      /** In place of what the real server says with this code; a text is sent as such. */
      readonly body?: string | object;
    }
  /**
   * The connection is reset. connected: before a byte is read; received: with the request read and not applied; applied: with the
   * request applied and no byte answered; answering: applied, in the middle of the answer's body.
   */
  | { readonly kind: 'reset'; readonly when: 'connected' | 'received' | 'applied' | 'answering' }
  /** Applied at once, answered later. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Applied and answered so late, whether or not the client still lives. */
  | { readonly kind: 'late'; readonly ms: () => number }
  /** Applied at once, answered a byte at a time, with so many ms between two. */
  | { readonly kind: 'bytewise'; readonly ms: number }
  /** Never answered. Not applied, unless said. */
  | { readonly kind: 'hang'; readonly applied?: boolean }
  /** Applied, and answered with 200 and a body that is no JSON. */
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
  /** How often it happened. */
  readonly count: number;
  /** Resolves when it has happened for the first time. */
  readonly happened: Promise<void>;
  /** No more of it. */
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

  /** What meets a new connection, if anything. */
  ofConnection(): Fault | undefined {
    return this.#take((entry) => isOfConnection(entry.fault));
  }

  /** What meets a request, if anything: the oldest fault that has turns left. */
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
