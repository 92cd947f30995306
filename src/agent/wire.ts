/**
 * The conversation of a call's process and the agent over one connection:
 *
 * - The call says `call`: its environment, its standard input, its start.
 * - The agent may say `queued`: every worker has a call.
 * - A worker says `accepted`, and how long the answer may take. It has done nothing yet.
 * - The call says `go`. From here on its process does nothing by itself.
 * - The worker says `answer`: exit code, stdout, stderr.
 *
 * Each message is one JSON document behind its length in bytes (decimal, and a newline). An end of the connection before the answer
 * means that the call is made by its own process.
 */
import type { Environment } from '../cni/request.ts';
import { type Moment, now } from '../deadlines.ts';
import { receive, sendAll } from '../os/unix-sockets.ts';

/** How a runtime has called. */
export interface CallRequest {
  readonly env: Environment;
  readonly stdin: string;
  /** The caller's working directory. */
  readonly cwd: string;
  /** When the caller was started, in milliseconds since boot: its deadlines count from there, also in a process that was stopped. */
  readonly startedMs: number;
}

export interface CallAnswer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type AgentSays =
  | { readonly say: 'queued' }
  | { readonly say: 'accepted'; readonly waitMs: number }
  | ({ readonly say: 'answer' } & CallAnswer);

export type CallSays = ({ readonly say: 'call' } & CallRequest) | { readonly say: 'go' };

/** A GC's list of attachments is the longest input (os/streams.ts has the same limit), and JSON escapes some of it. */
const messageBytesMax = 32 * 1024 * 1024;
/** A length, and its newline. */
const headBytesMax = 9;
const pieceBytes = 65_536;
const newline = 0x0a;

/** @returns whether the other end took all of it */
export function say(fd: number, message: AgentSays | CallSays, end: Moment): boolean {
  const body = new TextEncoder().encode(JSON.stringify(message));
  return sendAll(fd, Buffer.concat([new TextEncoder().encode(`${body.length}\n`), body]), end);
}

/** The end of a wait for a message. `garbled`: something came that is none. */
export type Incoming<T> =
  | { readonly kind: 'message'; readonly message: T }
  | { readonly kind: 'silence' | 'closed' | 'garbled' };

/** The messages that come in over a connection. Its words are not believed: a garbled or overlong message ends it. */
export class Listener<T extends AgentSays | CallSays> {
  readonly #fd: number;
  readonly #expected: readonly string[];
  #room = new Uint8Array(pieceBytes);
  #filled = 0;

  /** @param expected the kinds of messages that this end may hear */
  constructor(fd: number, expected: readonly T['say'][]) {
    this.#fd = fd;
    this.#expected = expected;
  }

  hear(end: Moment): Incoming<T> {
    for (let isLate = false; ; isLate = now() >= end) {
      const message = this.#cut();
      if (message) return message;
      // A sender by drops does not renew the wait.
      if (isLate) return { kind: 'silence' };
      if (this.#filled === this.#room.length) this.#grow();
      const count = receive(this.#fd, this.#room.subarray(this.#filled), end);
      if (count === undefined) return { kind: 'silence' };
      if (count === 0) return { kind: 'closed' };
      this.#filled += count;
    }
  }

  #grow(): void {
    const larger = new Uint8Array(this.#room.length * 2);
    larger.set(this.#room);
    this.#room = larger;
  }

  /** @returns undefined if the message is not whole yet */
  #cut(): Incoming<T> | undefined {
    const begin = this.#room.subarray(0, Math.min(this.#filled, headBytesMax)).indexOf(newline) + 1;
    if (begin === 0) return this.#filled < headBytesMax ? undefined : { kind: 'garbled' };
    const head = textOf(this.#room.subarray(0, begin - 1));
    const length = /^\d+$/.test(head) ? Number(head) : Number.POSITIVE_INFINITY;
    if (length > messageBytesMax) return { kind: 'garbled' };
    if (this.#filled < begin + length) return undefined;
    const text = textOf(this.#room.subarray(begin, begin + length));
    this.#room.copyWithin(0, begin + length, this.#filled);
    this.#filled -= begin + length;
    return this.#read(text);
  }

  #read(text: string): Incoming<T> {
    try {
      const message = JSON.parse(text) as T;
      return this.#expected.includes(message.say) ? { kind: 'message', message } : { kind: 'garbled' };
    } catch {
      return { kind: 'garbled' };
    }
  }
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
