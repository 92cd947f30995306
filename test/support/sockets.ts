/** Connections of one process with itself, by the product's own sockets. They are closed with the test. */
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { now } from '../../src/deadlines.ts';
import { acceptFrom, connectTo, listenAt, receive, sendAll, socketPair } from '../../src/os/unix-sockets.ts';
import { temporaryDirectory } from './temporary.ts';

/** Closes a descriptor at the end of the test, if the test has not done so. */
function kept(fd: number): number {
  onTestFinished(() => close(fd));
  return fd;
}

export function close(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The test has closed it.
  }
}

/** A listening socket, and its path. */
export function listening(queue = 8): { readonly fd: number; readonly path: string } {
  const path = join(temporaryDirectory(), 's');
  return { fd: kept(listenAt(path, queue)), path };
}

/** Both ends of a stream: the one that connected, and the one that was accepted. */
export function connection(): readonly [number, number] {
  const { fd: listener, path } = listening();
  const [from, to] = [connectTo(path), acceptFrom(listener)];
  if (from === undefined || to === undefined) throw new Error('no connection');
  return [kept(from), kept(to)];
}

export const pair = (): readonly [number, number] => {
  const [one, other] = socketPair();
  return [kept(one), kept(other)];
};

export const sendText = (fd: number, text: string): boolean => sendAll(fd, new TextEncoder().encode(text), now() + 100);

/** The bytes that have come so far; undefined if the other end has closed and nothing is left. */
export function receivedText(fd: number): string | undefined {
  const bytes = new Uint8Array(1024 * 1024);
  const count = receive(fd, bytes, now());
  return count === 0 ? undefined : new TextDecoder().decode(bytes.subarray(0, count ?? 0));
}
