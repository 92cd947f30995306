/** One HTTPS request on its own connection, with a token, a client's certificate, or neither. */
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import type { ApiClient, Json } from './api.ts';
import type { Pair } from './certificates.ts';

/** Reached only by a server that hangs. */
const hangMs = 30_000;

interface CallOptions {
  readonly token?: string;
  readonly certificate?: Pair;
  /** A string is sent as it is. */
  readonly body?: unknown;
  /** Content-Type; a merge patch unless given. */
  readonly type?: string;
  readonly signal?: AbortSignal;
}

export interface FullAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Json;
}

/** @throws the transport's error */
export function call(
  { server, ca }: ApiClient,
  method: string,
  path: string,
  { token, certificate, body, type, signal }: CallOptions = {},
): Promise<FullAnswer> {
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
  const headers = {
    Accept: 'application/json',
    ...(token && { Authorization: `Bearer ${token}` }),
    ...(text !== undefined && { 'Content-Type': type ?? 'application/merge-patch+json' }),
  };
  const { promise, resolve, reject } = Promise.withResolvers<FullAnswer>();
  const options = { method, ca, headers, agent: false, ...certificate, ...(signal && { signal }) };
  const sent = request(`${server}${path}`, options, (response) => {
    let read = '';
    response.setEncoding('utf8');
    response.on('data', (chunk) => {
      read += chunk;
    });
    response.on('error', reject);
    response.on('end', () => {
      const { statusCode = 0, headers: answered } = response;
      resolve({
        status: statusCode,
        headers: answered,
        text: read,
        get json() {
          return JSON.parse(read);
        },
      });
    });
  });
  sent.setTimeout(hangMs, () => sent.destroy(new Error(`${method} ${path} hung for ${hangMs} ms`)));
  sent.on('error', reject);
  sent.end(text);
  return promise;
}
