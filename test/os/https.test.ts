/** Requests over connections that are kept. The server answers nothing on a connection that has rested. */
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fetchBy } from '../../src/os/https.ts';
import { authority } from '../support/stand-in/certificates.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** Longer than a connection is trusted without a look. */
const restMs = 200;

async function forgetfulServer() {
  const seen: string[] = [];
  const answered = new Map<Socket, number>();
  const sockets = new Set<Socket>();
  const server = createServer(authority(temporaryDirectory()).server(), (request, response) => {
    const { socket, method = '' } = request;
    seen.push(method);
    const last = answered.get(socket);
    if (last !== undefined && performance.now() - last > restMs / 2) return;
    response.end('{}');
    answered.set(socket, performance.now());
  });
  server.keepAliveTimeout = 60_000;
  server.on('secureConnection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const ask = async (method: string, ms = 20_000) => {
    const tls = { rejectUnauthorized: false };
    const response = await fetchBy(url, { method, headers: {}, tls, signal: AbortSignal.timeout(ms) });
    return await response.text();
  };
  return { seen, sockets, ask };
}

describe('a request over a connection that was kept, and whose other end has gone without a word', () => {
  it('is made once more on a new one, if it only reads', async () => {
    const { seen, sockets, ask } = await forgetfulServer();
    await ask('GET');
    await delay(restMs);
    expect(await ask('GET')).toBe('{}');
    expect(seen).toEqual(['GET', 'GET', 'GET']);
    expect(sockets.size).toBe(2);
  });

  it('is not made twice if it writes: its fate is unknown', async () => {
    const { seen, ask } = await forgetfulServer();
    await ask('GET');
    await delay(restMs);
    await expect(ask('PATCH', 2_000)).rejects.toThrow();
    expect(seen).toEqual(['GET', 'PATCH']);
  });

  it('has its caller’s time and no more', async () => {
    const { ask } = await forgetfulServer();
    await ask('GET');
    await delay(restMs);
    await expect(ask('GET', 300)).rejects.toThrow();
  });
});
