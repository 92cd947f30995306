/**
 * HTTP/1.1 on TLS, down to the socket, so that a test can choose after which byte a connection ends, and how.
 *
 * Owns: connections, their TLS, cutting requests out of bytes. Does not know the meaning of a request.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Pair } from './certificates.ts';

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A TLS client's name: a common name, "?" for a certificate of another authority, undefined for none. */
type ClientName = string | undefined;

export interface Connection {
  readonly clientName: ClientName;
  readonly isOpen: boolean;
  write(bytes: string | Uint8Array): void;
  /** Sends RST, so that bytes on their way are lost. */
  reset(): void;
}

export interface Listener {
  readonly port: number;
  /** The port refuses connections, and open ones are reset. */
  close(): Promise<void>;
}

interface Callbacks {
  /** Called for every connection: the certificate it meets; undefined: none, the connection is reset. */
  greet(): Pair | undefined;
  /** One at a time for each connection. */
  handle(request: HttpRequest, connection: Connection): Promise<void>;
}

/** @param clientCa PEM of the authority of clients' certificates @param port 0: any */
export async function listen(port: number, clientCa: string, callbacks: Callbacks): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((raw) => {
    sockets.add(raw);
    raw.on('error', () => raw.destroy());
    raw.on('close', () => sockets.delete(raw));
    const pair = callbacks.greet();
    if (pair) speak(raw, pair, clientCa, callbacks);
    else raw.resetAndDestroy();
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(port, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : port,
    close: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      for (const socket of sockets) socket.resetAndDestroy();
      await closed;
    },
  };
}

function speak(raw: Socket, pair: Pair, clientCa: string, callbacks: Callbacks): void {
  const options = { isServer: true, requestCert: true, rejectUnauthorized: false, ca: clientCa, ...pair };
  const socket = new TLSSocket(raw, options);
  socket.on('error', () => raw.destroy());
  const connection: Connection = {
    get clientName() {
      const name = socket.getPeerCertificate()?.subject?.CN;
      return name === undefined || socket.authorized ? name?.toString() : '?';
    },
    get isOpen() {
      return !raw.destroyed && !socket.destroyed;
    },
    write: (bytes) => void (connection.isOpen && socket.write(bytes)),
    reset: () => void raw.resetAndDestroy(),
  };
  const reader = new Reader();
  let turn = Promise.resolve();
  socket.on('data', (chunk: Buffer) => {
    for (const request of reader.push(chunk)) turn = turn.then(() => callbacks.handle(request, connection));
  });
}

/** Cuts requests out of bytes. Bodies need a Content-Length, because our clients always send one. */
class Reader {
  #bytes = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<HttpRequest> {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const headEnd = this.#bytes.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const [first = '', ...lines] = this.#bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
      const headers = Object.fromEntries(lines.map(readHeader));
      const bodyStart = headEnd + 4;
      const bodyEnd = bodyStart + Number(headers['content-length'] ?? 0);
      if (this.#bytes.length < bodyEnd) return;
      const body = this.#bytes.subarray(bodyStart, bodyEnd).toString();
      this.#bytes = this.#bytes.subarray(bodyEnd);
      const [method = '', path = ''] = first.split(' ');
      yield { method, path, headers, body };
    }
  }
}

function readHeader(line: string): [string, string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}
