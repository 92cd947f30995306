/** An application of a client-mode pod as the switch sees it: a process that listens on its socket. */
import { lstatSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { onTestFinished } from 'vitest';

/** DPDK tries once a second; a busy machine gets more. */
const connectMs = 15_000;

export class Application {
  readonly #server: Server;
  readonly #inode: number;
  #arrived: () => void = () => undefined;

  private constructor(
    readonly path: string,
    server: Server,
  ) {
    this.#server = server;
    this.#inode = lstatSync(path).ino;
    server.on('connection', (connection) => {
      connection.on('error', () => undefined);
      connection.destroy();
      this.#arrived();
    });
  }

  /** Until the end of the test. */
  static async listen(path: string): Promise<Application> {
    const server = createServer();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    server.listen(path, resolve);
    await promise;
    onTestFinished(() => void server.close());
    return new Application(path, server);
  }

  /** Whether the file that it listens on still is at its path. */
  get isReachable(): boolean {
    return lstatSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode;
  }

  /** Whether the switch comes, from now on. */
  isConnected(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), connectMs);
      this.#arrived = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  /** Takes its socket away, as an application that ends does. */
  close(): void {
    this.#server.close();
  }
}
