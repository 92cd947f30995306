/**
 * A stand-in for a Kubernetes API server: it reads one pod and patches its status, over TLS on loopback, in this process. It agrees
 * with the real one (api-cases.ts runs on both), and makes rare faults on demand.
 *
 * Owns: rights, the record of requests, faults, requests that are delivered late. A test's work as the administrator (createPod and
 * so on) is done directly: no fault meets it, and it is not among the requests.
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Account,
  Api,
  accounts,
  adminToken,
  type Json,
  manifest,
  namespace,
  type PodOptions,
  tokenOf,
} from './api.ts';
import { type Fault, type FaultOptions, Faults, type Injection } from './api-faults.ts';
import { type Authority, authority, type Pair } from './certificates.ts';
import { StandInEvents } from './stand-in-events.ts';
import { type Connection, type HttpRequest, type Listener, listen } from './stand-in-http.ts';
import { type Annotations, conflict, type Reply, StandInPods, status } from './stand-in-pods.ts';

export interface SeenRequest extends HttpRequest {
  /** undefined: an unknown client. */
  readonly user: string | undefined;
  /** The code of the result, even if the client never received it; undefined: not applied (yet). */
  status?: number;
}

/** A PATCH that was received and is not applied before the test says so. */
export interface Held {
  readonly received: Promise<SeenRequest>;
  /**
   * Applies it now and answers the client, if that still listens. A dead client does not, so a test that plays one must not receive
   * the answer. @returns the answer's code
   */
  deliver(heard?: boolean): Promise<number>;
  /** If none came, no other PATCH is held instead. */
  cancel(): void;
}

interface Holding {
  /** The number of PATCHes that go through before it. */
  passing: number;
  readonly receive: (request: SeenRequest) => void;
  /** Whether the client is to receive the answer. */
  readonly delivered: Promise<boolean>;
  readonly answered: (code: number) => void;
}

/** The real one's value. */
const bodyBytesMax = 3 * 1024 * 1024;

export class StandInApi extends Api {
  /** Everything that was asked, in the order of arrival. */
  readonly requests: SeenRequest[] = [];
  /** The number of connections so far. */
  connections = 0;
  /** The rights of each account, e.g. "pods/get"; a test may change them. */
  readonly rights: Record<string, readonly string[]> = { ...accounts };
  readonly #directory: string;
  readonly #authority: Authority;
  readonly #pods = new StandInPods();
  readonly #events = new StandInEvents();
  readonly #faults = new Faults();
  readonly #holdings: Holding[] = [];
  readonly #own: Pair;
  readonly #other: Pair;
  #listener: Listener | undefined;
  #running = Promise.resolve();
  #resume: () => void = () => undefined;

  private constructor(port: number, directory: string, own: Authority) {
    super(`https://127.0.0.1:${port}`, own.ca);
    this.#directory = directory;
    this.#authority = own;
    this.#own = own.server();
    this.#other = authority(join(directory, 'other')).server();
  }

  static async start(): Promise<StandInApi> {
    const directory = mkdtempSync(join(tmpdir(), 'usw-api-'));
    try {
      const own = authority(join(directory, 'own'));
      // A port is chosen first and kept, because clients know the server's address from now on.
      const probe = await listen(0, own.ca, { greet: () => undefined, handle: async () => undefined });
      await probe.close();
      const api = new StandInApi(probe.port, directory, own);
      await api.startServer();
      return api;
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  inject(fault: Fault, options: FaultOptions = {}): Injection {
    return this.#faults.inject(fault, options);
  }

  /** Holds back the next PATCH, or the one after this many others; those after it are not held. */
  hold(passing = 0): Held {
    const arrival = Promise.withResolvers<SeenRequest>();
    const delivery = Promise.withResolvers<boolean>();
    const answer = Promise.withResolvers<number>();
    const holding: Holding = {
      passing,
      receive: arrival.resolve,
      delivered: delivery.promise,
      answered: answer.resolve,
    };
    this.#holdings.push(holding);
    const deliver = async (heard = true): Promise<number> => {
      await arrival.promise;
      delivery.resolve(heard);
      return await answer.promise;
    };
    const cancel = (): void => {
      this.#holdings.splice(0, Number.POSITIVE_INFINITY, ...this.#holdings.filter((one) => one !== holding));
    };
    return { received: arrival.promise, deliver, cancel };
  }

  override async createPod(options: PodOptions): Promise<Json> {
    return this.#pods.create(manifest(options));
  }

  override async pod(name: string): Promise<Json | undefined> {
    return this.#pods.get(namespace, name);
  }

  override async deletePod(name: string): Promise<void> {
    if (!this.#pods.delete(namespace, name)) throw new Error(`pods "${name}" not found`);
  }

  override async patchStatus(name: string, patch: object): Promise<Json> {
    const { status: code, body } = this.#pods.patchStatus(namespace, name, JSON.stringify(patch));
    if (code > 299) throw new Error(`PATCH ${name}: ${code} ${JSON.stringify(body)}`);
    return body;
  }

  /** A mutating admission: it changes the annotations of every PATCH before they are stored. */
  admit(change: (annotations: Annotations) => Annotations): void {
    this.#pods.admission = change;
  }

  /** The events that were created. */
  get events(): readonly Json[] {
    return this.#events.all;
  }

  /** A client certificate of an account. */
  certificate(account: Account): Pair {
    return this.#authority.client(account);
  }

  async startServer(): Promise<void> {
    this.#listener = await listen(Number(new URL(this.server).port), this.ca, {
      greet: () => this.#greet(),
      handle: (request, connection) => this.#handle(request, connection),
    });
  }

  /** The port refuses connections, and open ones are reset. Pods stay. */
  async stopServer(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
  }

  /** Connections are accepted, and their requests wait. */
  pauseServer(): void {
    this.#resume();
    const { promise, resolve } = Promise.withResolvers<void>();
    [this.#running, this.#resume] = [promise, resolve];
  }

  resumeServer(): void {
    this.#resume();
  }

  async stop(): Promise<void> {
    await this.stopServer();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #greet(): Pair | undefined {
    this.connections++;
    const fault = this.#faults.ofConnection();
    if (fault?.kind === 'reset') return undefined;
    return fault ? this.#other : this.#own;
  }

  async #handle(request: HttpRequest, connection: Connection): Promise<void> {
    await this.#running;
    const user = userOf(request, connection);
    const seen: SeenRequest = { ...request, user };
    this.requests.push(seen);
    const apply = (): Reply => {
      const reply = this.#apply(seen);
      seen.status = reply.status;
      return reply;
    };
    const holding = request.method === 'PATCH' ? this.#nextHolding() : undefined;
    if (holding) {
      holding.receive(seen);
      const heard = await holding.delivered;
      const reply = apply();
      if (heard) send(connection, reply);
      holding.answered(reply.status);
      return;
    }
    const fault = this.#faults.ofRequest(request.method);
    if (fault) await misbehave(fault, seen, connection, apply);
    else send(connection, apply());
  }

  #nextHolding(): Holding | undefined {
    const [next] = this.#holdings;
    if (next && next.passing-- > 0) return undefined;
    return this.#holdings.shift();
  }

  /** Accounts have their rights in every namespace, as by a ClusterRoleBinding. */
  #review(user: string, review: Json): Reply {
    const { verb, resource, subresource } = review.spec.resourceAttributes;
    const right = [resource, subresource, verb].filter(Boolean).join('/');
    const allowed = user === 'admin' || this.rights[user]?.includes(right) === true;
    return { status: 201, body: { ...review, status: { allowed } } };
  }

  #apply({ method, path, headers, body, user }: SeenRequest): Reply {
    if (user === undefined) return unauthorized;
    if (method === 'POST' && path === reviewPath) return this.#review(user, JSON.parse(body));
    const [, eventsOf] = /^\/api\/v1\/namespaces\/([^/]+)\/events$/.exec(path) ?? [];
    if (method === 'POST' && eventsOf) {
      const allowed = user === 'admin' || this.rights[user]?.includes('events/create');
      return allowed
        ? this.#events.create(eventsOf, body, [namespace])
        : forbidden(user, 'create', 'events', '', eventsOf);
    }
    const [, where = '', name = '', sub] =
      /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)(\/status)?$/.exec(path) ?? [];
    if (!name) return { status: 404, body: '404 page not found\n' };
    const resource = sub ? 'pods/status' : 'pods';
    const verb = method.toLowerCase();
    if (user !== 'admin' && !this.rights[user]?.includes(`${resource}/${verb}`)) {
      return forbidden(user, verb, resource, name, where);
    }
    if (method === 'GET' && !sub) return this.#pods.read(where, name);
    if (method !== 'PATCH' || !sub)
      return { status: 501, body: 'the stand-in knows GET of a pod and PATCH of its status\n' };
    // The real one knows three more kinds of patches.
    if (!/^application\/merge-patch\+json\s*(;|$)/.test(headers['content-type'] ?? '')) return unsupported;
    if (Buffer.byteLength(body) > bodyBytesMax) return tooLarge;
    return this.#pods.patchStatus(where, name, body);
  }
}

const reviewPath = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/**
 * As at the real one, a certificate counts before a token. A certificate of another authority and an unknown token name no account.
 */
function userOf({ headers }: HttpRequest, { clientName }: Connection): string | undefined {
  if (clientName !== undefined && clientName !== '?') return clientName;
  const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
  if (token === undefined) return clientName === '?' ? undefined : 'system:anonymous';
  if (token === adminToken) return 'admin';
  return Object.keys(accounts).find((account) => tokenOf(account) === token);
}

const unauthorized = status(401, 'Unauthorized', 'Unauthorized');
const unsupported = status(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
const tooLarge = status(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bodyBytesMax}`);

const forbidden = (user: string, verb: string, resource: string, name: string, where: string): Reply =>
  status(
    403,
    'Forbidden',
    `${name ? `pods "${name}"` : resource} is forbidden: User "${user}" cannot ${verb} resource "${resource}" in API group "" in the namespace "${where}"`,
    { name, kind: name ? 'pods' : resource },
  );

async function misbehave(fault: Fault, seen: SeenRequest, connection: Connection, apply: () => Reply): Promise<void> {
  switch (fault.kind) {
    case 'answer':
      if (fault.applied) apply();
      return send(connection, answerOf(fault, seen));
    case 'reset': {
      const bytes = fault.when === 'received' ? Buffer.alloc(0) : bytesOf(apply());
      if (fault.when === 'answering') {
        connection.write(bytes.subarray(0, -10));
        // Long enough for the client to read it, because a reset overtakes unread bytes.
        await delay(20);
      }
      return connection.reset();
    }
    case 'slow': {
      const reply = apply();
      await delay(fault.ms);
      return send(connection, reply);
    }
    case 'late':
      await delay(fault.ms());
      return send(connection, apply());
    case 'bytewise':
      for (const byte of bytesOf(apply())) {
        if (!connection.isOpen) return;
        connection.write(Buffer.of(byte));
        await delay(fault.ms);
      }
      return;
    case 'hang':
      if (fault.applied) apply();
      return await new Promise(() => undefined);
    case 'garbage':
      return send(connection, { status: apply().status, body: '<html>welcome to the wireless network</html>' });
    case 'other-authority':
      throw new Error('a fault of a connection met a request');
  }
}

/** The real one answers 429 in plain text, because its filter comes before the code that makes a Status. */
function answerOf({ code, retryAfter, body }: Extract<Fault, { kind: 'answer' }>, { path }: SeenRequest): Reply {
  const reply = (): Reply => {
    if (body !== undefined) return { status: code, body };
    if (code === 401) return unauthorized;
    if (code === 409) return conflict(path.split('/')[6] ?? '');
    if (code === 429) return { status: code, body: 'Too many requests, please try again later.\n' };
    if (code === 503) return status(code, 'ServiceUnavailable', 'the server is currently unable to handle the request');
    return status(code, 'InternalError', 'Internal error occurred: a fault of the test');
  };
  return { ...reply(), retryAfter };
}

const send = (connection: Connection, reply: Reply): void => connection.write(bytesOf(reply));

function bytesOf({ status: code, body, retryAfter }: Reply): Buffer {
  const isText = typeof body === 'string';
  const text = isText ? body : JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${code} ${code < 300 ? 'OK' : 'Not so'}`,
    'Cache-Control: no-cache, private',
    `Content-Type: ${isText ? 'text/plain; charset=utf-8' : 'application/json'}`,
    ...(retryAfter === undefined ? [] : [`Retry-After: ${retryAfter}`]),
    `Content-Length: ${Buffer.byteLength(text)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${text}`);
}
