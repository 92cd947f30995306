/** Requests by Bun's fetch: TLS settings, connections that are kept, and no proxy of the environment's choice. */

/** TLS settings, each text in PEM. */
export interface Tls {
  readonly rejectUnauthorized: boolean;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the server's certificate must have, if it is not the host's. */
  readonly serverName?: string;
}

interface FetchOptions {
  readonly method: string;
  readonly headers: { readonly [name: string]: string };
  readonly body?: string;
  readonly tls: Tls;
  readonly proxy?: string;
  readonly signal: AbortSignal;
}

/**
 * Bun keeps connections open for later requests by the same TLS settings. A process that has slept longer than this uses none of them
 * again: a load balancer may have forgotten it without a word, and a request would then wait for its whole time.
 */
const keptMs = 5_000;

/** How long an answer is waited for on a connection that was kept and rested: its other end may have gone without a word. */
const trustMs = 1_000;
/** A connection that was used so shortly ago is trusted. */
const restMs = 100;

let lastAskedMs: number | undefined;
let sleeps = 0;

const restedMs = (): number => (lastAskedMs === undefined ? Number.POSITIVE_INFINITY : performance.now() - lastAskedMs);

/** Settings that no connection from before the last sleep has. The key is not encrypted, so nothing asks for this passphrase. */
function settingsOf(tls: Tls): Tls & { readonly passphrase?: string } {
  const rested = restedMs();
  if (lastAskedMs !== undefined && rested > keptMs) sleeps++;
  lastAskedMs = performance.now();
  return sleeps === 0 ? tls : { ...tls, passphrase: String(sleeps) };
}

const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()]);

/**
 * fetch with Bun's own TLS settings; importing node:https costs 7 ms more. Only the caller chooses a proxy, not the environment.
 *
 * A GET that gets no answer on a connection which was kept for a while is asked once more on a new one.
 */
export async function fetchBy(url: URL, options: FetchOptions): Promise<Response> {
  const rested = restedMs();
  if (options.method !== 'GET' || rested < restMs || rested > keptMs) return await ask(url, options);
  const trial = new AbortController();
  const timer = setTimeout(() => trial.abort(), trustMs);
  try {
    return await ask(url, { ...options, signal: AbortSignal.any([options.signal, trial.signal]) });
  } catch (error) {
    if (!trial.signal.aborted || options.signal.aborted) throw error;
    sleeps++;
    return await ask(url, options);
  } finally {
    clearTimeout(timer);
  }
}

function ask(url: URL, { headers, tls, ...options }: FetchOptions): Promise<Response> {
  const aside = proxyVariables.flatMap((name) => (Bun.env[name] === undefined ? [] : [[name, Bun.env[name]] as const]));
  try {
    for (const [name] of aside) delete Bun.env[name];
    // Uncompressed, so that its size can be measured; without redirects, so that no other host is asked.
    const plain = { ...headers, 'Accept-Encoding': 'identity' };
    return fetch(url, { ...options, tls: settingsOf(tls), headers: plain, redirect: 'manual' });
  } finally {
    // A program that gives credentials may need the variables.
    for (const [name, value] of aside) Bun.env[name] = value;
  }
}
