/** The health of an uninstallation, where else the agent tells its own: the same probe does for both. */
import { createServer } from 'node:http';
import type { DaemonsetWords } from './words.ts';

/** @param trouble what is left to do; undefined: it is done */
export function serveHealth({ host, port }: DaemonsetWords['health'], trouble: () => string | undefined) {
  const server = createServer((_, response) => {
    const text = trouble();
    response.writeHead(text === undefined ? 200 : 503, { 'Content-Type': 'text/plain; charset=utf-8' });
    response.end(`${text ?? 'removed'}\n`);
  });
  server.listen(port, host);
  return server;
}
