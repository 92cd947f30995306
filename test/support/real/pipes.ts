/** Pipes whose reader has gone, or stands; closed with the test. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryDirectory } from '../temporary.ts';

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

export interface Pipe {
  /** Its writing end, which waits as any pipe of a runtime does. */
  readonly fd: number;
  /** The bytes in it now. */
  read(): string;
  /** The reader goes. */
  close(): void;
}

export function pipe(): Pipe {
  const path = join(temporaryDirectory(), 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, O_RDONLY | O_NONBLOCK);
  const fd = openSync(path, O_WRONLY);
  let isOpen = true;
  const close = (): void => {
    if (isOpen) closeSync(reader);
    isOpen = false;
  };
  onTestFinished(() => {
    close();
    closeSync(fd);
  });
  return { fd, read: () => drain(reader), close };
}

/** A pipe whose reader has gone. */
export function brokenPipe(): Pipe {
  const broken = pipe();
  broken.close();
  return broken;
}

/** A pipe whose reader does not read. */
export function fullPipe(): Pipe {
  const full = pipe();
  const writer = openSync(`/proc/self/fd/${full.fd}`, O_WRONLY | O_NONBLOCK);
  try {
    // Filled to the last page: a pipe takes a small write whole or not at all.
    for (;;) writeSync(writer, '.'.repeat(4096));
  } catch {
    closeSync(writer);
  }
  return full;
}

/** A pipe that has nothing now may have more in a moment. */
function drain(fd: number): string {
  const bytes = new Uint8Array(1_048_576);
  try {
    return new TextDecoder().decode(bytes.subarray(0, readSync(fd, bytes)));
  } catch {
    return '';
  }
}
