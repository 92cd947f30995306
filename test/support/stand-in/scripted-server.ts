/** A server that sends a test's script in the test's pieces, for behaviour that a real database never shows. */
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryDirectory } from '../temporary.ts';

export interface Asked {
  readonly method?: string;
  readonly params: unknown[];
  readonly id: number;
}

/** Called with each request, and with the connection to answer on. */
export type Script = (asked: Asked, socket: Socket) => unknown;

interface ScriptedServer {
  /** As in the configuration's key. */
  readonly address: string;
  /** Everything that was received, as JSON values. */
  readonly received: unknown[];
}

/** @param greet runs for each new connection */
export async function scriptedServer(script: Script, greet: (socket: Socket) => unknown = () => undefined) {
  const path = join(temporaryDirectory(), 'db.sock');
  const received: unknown[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      text += chunk;
      // The client sends one request after the other; JSON.parse finds where each ends.
      for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}', end + 1)) {
        const message = parsed(text.slice(0, end + 1));
        if (message === undefined) continue;
        text = text.slice(end + 1);
        end = -1;
        received.push(message);
        script(message as Asked, socket);
      }
    });
    greet(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { address: `unix:${path}`, received } satisfies ScriptedServer;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const reply = (id: unknown, result: unknown, error: unknown = null): string =>
  JSON.stringify({ id, result, error });
