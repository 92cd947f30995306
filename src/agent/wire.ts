/**
 * The conversation of a call's process and the agent over one connection:
 *
 * - The process says `call`: its environment, standard input, working directory and start.
 * - The supervisor may say `queued`: no worker is free yet.
 * - A worker says `accepted`, and how long the answer may take. The worker has done nothing yet.
 * - The process says `go`. From now on it waits, and does nothing for the call.
 * - The worker says `answer`: exit code, stdout, stderr.
 *
 * Each message is its length in bytes (decimal), a newline and one JSON document. If the connection ends before the answer, the process
 * makes the call itself. If it stays open without an answer in time, the call ends with code 11 (ask.ts).
 */
import type { Environment } from '../cni/request.ts';
import { type Moment, now } from '../deadlines.ts';
import { receive, sendAll } from '../os/unix-sockets.ts';

/** A call as its process was given it. */
export interface CallRequest {
  readonly env: Environment;
  readonly stdin: string;
  /** The caller's working directory. */
  readonly cwd: string;
  /** The device and inode of that directory, because its path may lead to another one. */
  readonly cwdFile: string;
  /** The start of the call's process, in milliseconds since boot. The call's deadlines count from it, even if the worker was stopped. */
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

/** The length of the longest message: a GC's list of attachments, which JSON escapes once more here. */
const messageBytesMax = 32 * 1024 * 1024;
/** The eight digits of `messageBytesMax`, and the newline. */
const headBytesMax = 9;
const pieceBytes = 65_536;
const newline = 0x0a;

/** @returns whether the other end took all of it */
export function say(fd: number, message: AgentSays | CallSays, end: Moment): boolean {
  const body = new TextEncoder().encode(JSON.stringify(message));
  return sendAll(fd, Buffer.concat([new TextEncoder().encode(`${body.length}\n`), body]), end);
}

/** The end of a wait for a message. `garbled`: bytes came that are not an expected message. */
export type Incoming<T> =
  | { readonly kind: 'message'; readonly message: T }
  | { readonly kind: 'silence' | 'closed' | 'garbled' };

/** Reads messages from a connection, and trusts none of them: one that is too long or not expected is `garbled`. */
export class Listener<T extends AgentSays | CallSays> {
  readonly #fd: number;
  readonly #expected: readonly string[];
  #room = new Uint8Array(pieceBytes);
  #filled = 0;

  /** @param expected the `say` of each message that this end may hear */
  constructor(fd: number, expected: readonly T['say'][]) {
    this.#fd = fd;
    this.#expected = expected;
  }

  hear(end: Moment): Incoming<T> {
    for (let isLate = false; ; isLate = now() >= end) {
      const message = this.#cut();
      if (message) return message;
      // A sender of single bytes would otherwise renew the wait with each of them.
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
