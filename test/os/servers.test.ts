/** The HTTP server of an agent's figures, and requests of any client: each is answered or ended, and the server goes on. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { serveHttp } from '../../src/os/servers.ts';
import { temporaryDirectory } from '../support/temporary.ts';

function served() {
  const unix = join(temporaryDirectory(), 'http');
  const asked: string[] = [];
  const server = serveHttp({ unix }, 5, async (method, path) => {
    asked.push(`${method} ${path}`);
    return { status: 200, type: 'text/plain', body: 'figures\n' };
  });
  onTestFinished(() => server.stop());
  const send = async (text: string): Promise<string> => {
    const socket = connect(unix);
    let said = '';
    socket.setEncoding('latin1').on('data', (piece) => {
      said += piece;
    });
    socket.write(text, 'latin1');
    await once(socket, 'close');
    return said;
  };
  return { asked, send };
}

it.each([
  ['is no HTTP', '\0\xff garbage\r\n\r\n', 400],
  ['has a host that is none', 'GET /metrics HTTP/1.1\r\nHost: [bad\r\n\r\n', 400],
  ['has neither a host nor a path that a URL can have', 'GET //[ HTTP/1.0\r\n\r\n', 400],
  ['has a long path', `GET /${'a'.repeat(200_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ['has a large body', `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n${'x'.repeat(2000)}`, 413],
])('a request that %s is answered, prints nothing, and the next one is answered', async (_, text, status) => {
  const printed = vi.spyOn(console, 'error');
  const { asked, send } = served();
  expect(await send(text)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(asked).toEqual([]);
  expect(await send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')).toContain('figures');
  expect(asked).toEqual(['GET /metrics']);
  expect(printed).not.toHaveBeenCalled();
});

it('a probe of HTTP/1.0, which names no host, is answered', async () => {
  const { asked, send } = served();
  expect(await send('GET /healthz?probe HTTP/1.0\r\n\r\n')).toContain('figures');
  expect(asked).toEqual(['GET /healthz']);
});
