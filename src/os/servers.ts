/** Servers by Bun's own event loop, for a process that does nothing else. A call, and the supervisor of an agent, never load this. */

export interface Server {
  /** Stops listening. Connections that are there are closed. */
  stop(): void;
}

/** The end of a connection that was inherited. */
export interface Line {
  /** Sends a text as one message, if the other end takes it now. */
  say(text: string): void;
}

export interface LineEvents {
  readonly heard: (text: string) => void;
  readonly closed: () => void;
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** @param fd of a connected socket */
export async function takeLine(fd: number, { heard, closed }: LineEvents): Promise<Line> {
  const socket = { data: (_: unknown, bytes: Uint8Array) => heard(textOf(bytes)), close: closed, error: closed };
  const line = await Bun.connect({ fd, socket } as unknown as Bun.UnixSocketOptions<undefined>);
  return { say: (text) => void line.write(text) };
}

/** Seconds for which a connection may be silent. Bun looks every four seconds. */
const silentSeconds = 5;

interface Texts {
  readonly path: string;
  readonly bytesMax: number;
  /** Receives all that one connection has said, when it ends; undefined: that was more than `bytesMax`. */
  readonly heard: (text: string | undefined) => void;
}

/** Listens at a path where nothing is. @throws an Error */
export function listenForTexts({ path, bytesMax, heard }: Texts): Server {
  const server = Bun.listen<{ pieces: Uint8Array[]; bytes: number }>({
    unix: path,
    socket: {
      open: (socket) => {
        socket.data = { pieces: [], bytes: 0 };
        socket.timeout(silentSeconds);
      },
      data: ({ data }, piece) => {
        data.bytes += piece.length;
        if (data.bytes <= bytesMax) data.pieces.push(Uint8Array.from(piece));
      },
      close: ({ data: { pieces, bytes } }) => heard(bytes > bytesMax ? undefined : textOf(Buffer.concat(pieces))),
      timeout: (socket) => void socket.end(),
      error: () => undefined,
    },
  });
  return { stop: () => server.stop(true) };
}

/** A loopback address, or the path of a socket. */
export type HttpPlace = { readonly hostname: string; readonly port: number } | { readonly unix: string };

export interface HttpAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Requests have no body. */
const bodyBytesMax = 1024;

/** Bun takes any Host, and makes the URL of it. A request of HTTP/1.0 may have none. @returns undefined if there is no URL */
function pathOf({ url, headers }: Request): string | undefined {
  const base = headers.get('host') === null ? 'http://localhost' : undefined;
  return URL.canParse(url, base) ? new URL(url, base).pathname : undefined;
}

/**
 * Serves HTTP. Bun itself refuses what is no request, and what is too long.
 * @param answer never throws
 * @param answerSeconds how long it may take
 * @throws an Error if it cannot listen
 */
export function serveHttp(
  place: HttpPlace,
  answerSeconds: number,
  answer: (method: string, path: string) => Promise<HttpAnswer>,
): Server {
  const server = Bun.serve({
    ...place,
    development: false,
    idleTimeout: silentSeconds,
    maxRequestBodySize: bodyBytesMax,
    fetch: async (request, self) => {
      self.timeout(request, answerSeconds);
      const path = pathOf(request);
      if (path === undefined) return new Response('not a URL\n', { status: 400, headers: { connection: 'close' } });
      const { status, type, body } = await answer(request.method, path);
      return new Response(body, { status, headers: { 'content-type': type, connection: 'close' } });
    },
  } as Bun.Serve.Options<undefined>);
  return { stop: () => void server.stop(true) };
}
