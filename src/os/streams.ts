/**
 * The standard streams. Writing never fails a call and never delays its work: the reader may have gone, or may never read. Reading
 * has a time limit.
 *
 * The descriptors belong to the runtime too, so they are not made non-blocking. A pipe or a terminal is opened once more, without
 * blocking; for everything else poll(2) tells beforehand whether a call would wait.
 */
import { type Moment, now, polled, remainingMs, stdinMs } from '../deadlines.ts';
import { isReady, isSeekable, openFile, readInto, readLink, writeFrom } from './bare.ts';

/** The same numbers on x86-64 and arm64 (open(2)). */
const [O_RDONLY, O_WRONLY, O_NOCTTY, O_NONBLOCK] = [0, 1, 0o400, 0o4000];

/** PIPE_BUF: a descriptor that poll(2) calls writable takes this many bytes without waiting. */
const writeBytes = 4096;
const readBytes = 65_536;

/** A configuration has a few kilobytes, a GC's list of a thousand attachments a hundred. */
const stdinBytesMax = 16 * 1024 * 1024;

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

export class Outlet {
  readonly #fd: number;
  #channel: Channel | undefined;
  #waiting: Uint8Array = new Uint8Array(0);
  #isGone = false;
  #fault: string | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The error that a write ended with, if it was not that the reader has gone (EPIPE, or ENXIO of a pipe). */
  get fault(): string | undefined {
    return ['EPIPE', 'ENXIO'].includes(this.#fault ?? '') ? undefined : this.#fault;
  }

  /** Writes as much as the reader takes now, and drops the rest. */
  offer(text: string): void {
    this.queue(text);
    this.#waiting = new Uint8Array(0);
  }

  /** Writes as much as the reader takes now, and keeps the rest for the next text or the end. */
  queue(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#waiting = this.#waiting.length > 0 ? Buffer.concat([this.#waiting, bytes]) : bytes;
    this.#say();
  }

  /** Writes the rest. Waits for a reader that does not read, but not for one that has gone. @returns whether it has everything */
  async finish(end: Moment): Promise<boolean> {
    await polled(() => this.#say(), end);
    return this.#waiting.length === 0 && !this.#isGone;
  }

  /** @returns whether there is nothing more to wait for */
  #say(): boolean {
    while (this.#waiting.length > 0 && !this.#isGone) {
      const taken = this.#write(this.#waiting.subarray(0, writeBytes));
      if (taken === 0) return false;
      this.#waiting = this.#waiting.subarray(taken);
    }
    return true;
  }

  /** @returns how many bytes were taken; 0 if the write would have to wait */
  #write(piece: Uint8Array): number {
    try {
      this.#channel ??= channelOf(this.#fd, O_WRONLY);
      const { fd, mayWait } = this.#channel;
      return mayWait && !isReady(fd, 'write') ? 0 : writeFrom(fd, piece);
    } catch (error) {
      this.#isGone = codeOf(error) !== 'EAGAIN';
      if (this.#isGone) this.#fault = codeOf(error);
      return 0;
    }
  }
}

/** Reads everything to its end. @throws errno exceptions; an Error if it does not end in time */
export function readToEnd(standard: number): string {
  const end = now() + stdinMs;
  const { fd, mayWait } = channelOf(standard, O_RDONLY);
  const [decoder, piece] = [new TextDecoder(), new Uint8Array(readBytes)];
  let [text, bytes] = ['', 0];
  for (let isLate = mayWait; ; ) {
    if (isLate) isReady(fd, 'read', remainingMs(end));
    // A writer that never stops has the same limit.
    if (remainingMs(end) === 0) throw new Error(`it did not end in ${stdinMs / 1000} s: its writer must close it`);
    const count = readOnce(fd, piece);
    if (count === 0) return text + decoder.decode();
    bytes += count ?? 0;
    if (bytes > stdinBytesMax) throw new Error(`it is longer than ${stdinBytesMax} bytes`);
    if (count !== undefined) text += decoder.decode(piece.subarray(0, count), { stream: true });
    isLate = mayWait || count === undefined;
  }
}

/** @returns undefined if there is nothing yet */
function readOnce(fd: number, piece: Uint8Array): number | undefined {
  try {
    return readInto(fd, piece);
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return undefined;
    throw error;
  }
}

interface Channel {
  readonly fd: number;
  /** Whether poll(2) has to be asked before each call. */
  readonly mayWait: boolean;
}

/** @throws errno exceptions; ENXIO if a pipe no longer has a reader */
function channelOf(fd: number, access: number): Channel {
  if (isSeekable(fd)) return { fd, mayWait: false };
  const path = `/proc/self/fd/${fd}`;
  // Only a pipe and a terminal have a name by which they can be opened once more.
  if (!/^(pipe:|\/)/.test(readLink(path))) return { fd, mayWait: true };
  try {
    return { fd: openFile(path, access | O_NONBLOCK | O_NOCTTY), mayWait: false };
  } catch (error) {
    if (codeOf(error) === 'ENXIO') throw error;
    // Another user's: it cannot be opened again, so poll(2) has to do.
    return { fd, mayWait: true };
  }
}
