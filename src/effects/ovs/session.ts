/**
 * An OVSDB session: JSON-RPC 1.0 over a unix socket (RFC 7047), as much of it as one call needs.
 *
 * Owns: framing, replies, the fence. Does not own: the meaning of a transaction (bridge.ts, port.ts).
 *
 * Invariants
 *  OV1 Every transaction of `fenced` begins with `assert` of the attachment's lock. So a transaction that a killed process had sent
 *     cannot land after its successor holds the lock. The lock is never stolen.
 *  OV2 Every wait ends at its moment, or with the connection.
 */
import { closeSync, openSync } from 'node:fs';
import { messageOf } from '../../attachment.ts';
import { type Moment, remainingMs } from '../../deadlines.ts';
import { type Connection, connectUnix } from '../../os/native.ts';
import { EngineFailure } from '../engine.ts';
import { type Operation, type OperationResult, TransactionError } from './operations.ts';

/** The switch could not be asked, or did not answer. The fate of the last transaction is unknown. */
export class Unreachable extends EngineFailure {
  override readonly name = 'Unreachable';
  constructor(
    message: string,
    /** `refused`: the server was not there at all, and may be restarting. `silent`: no answer came in the time there was. */
    readonly why?: 'refused' | 'silent',
  ) {
    super(message);
  }
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** The largest reply that is read; usual ones have a few kilobytes. */
const messageBytesMax = 16 * 1024 * 1024;

export class Session {
  #connection: Connection | undefined;
  readonly #address: string;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  readonly #framer = new Framer((message) => this.#receive(message));
  #closed: Unreachable | undefined;
  #lock: { name: string; owned: boolean; waiters: (() => void)[] } | undefined;

  private constructor(address: string) {
    this.#address = address;
  }

  /** @param address `unix:` and an absolute path. @throws Unreachable */
  static async open(address: string, end: Moment): Promise<Session> {
    const session = new Session(address);
    const connecting = connectUnix(address.replace(/^unix:/, ''), {
      data: (chunk) => session.#feed(chunk),
      closed: (error) =>
        session.#end(new Unreachable(error ? `${address}: ${error.message}` : `${address} closed the connection`)),
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(noAnswer)), remainingMs(end));
    });
    try {
      session.#connection = await Promise.race([connecting, late]);
      return session;
    } catch (error) {
      connecting.then(
        (connection) => connection.close(),
        () => undefined,
      );
      throw unreachable(address, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #feed(chunk: Uint8Array): void {
    try {
      this.#framer.feed(chunk);
    } catch (error) {
      this.#end(new Unreachable(`${this.#address} does not speak OVSDB: ${messageOf(error)}`));
    }
  }

  get alive(): boolean {
    return this.#closed === undefined;
  }

  /** One atomic transaction. @throws Unreachable, TransactionError */
  async transact(operations: readonly Operation[], end: Moment): Promise<readonly OperationResult[]> {
    const reply = await this.#call('transact', ['Open_vSwitch', ...operations], end);
    if (!Array.isArray(reply)) throw new Unreachable(`${this.#address} answered a transaction with no list`);
    const results = reply as (OperationResult | null)[];
    const failing = results.findIndex((result) => result?.error !== undefined);
    if (failing >= 0) {
      const { error = '', details = '' } = results[failing] ?? {};
      throw new TransactionError(error, failing, details);
    }
    return results.map((result) => result ?? {});
  }

  /**
   * A transaction under the fence (OV1). The request for the lock travels ahead of it on the same connection. So the usual case, in
   * which the lock is free, costs no round trip.
   */
  async fenced(fence: string, operations: readonly Operation[], end: Moment): Promise<readonly OperationResult[]> {
    this.#request(fence, end);
    for (let lost = 0; ; ) {
      try {
        const results = await this.transact([{ op: 'assert', lock: fence }, ...operations], end);
        return results.slice(1);
      } catch (error) {
        if (!(error instanceof TransactionError)) throw error;
        if (error.operation !== 0) throw new TransactionError(error.error, error.operation - 1, error.details);
        // The grant may have crossed our transaction once. Twice means that another client stole the lock.
        if (this.#lock?.owned && lost++ > 0)
          throw new Unreachable(`the lock of this attachment at ${this.#address} was stolen`);
        await this.#owned(end);
      }
    }
  }

  /** The fence that the session holds or waits for. A session has one fence for its life. */
  get fence(): string | undefined {
    return this.#lock?.name;
  }

  close(): void {
    this.#end(new Unreachable('the session was closed'));
  }

  #request(name: string, end: Moment): void {
    if (this.#lock && this.#lock.name !== name) throw new Error('a session is fenced for one attachment');
    if (this.#lock) return;
    const lock = { name, owned: false, waiters: [] as (() => void)[] };
    this.#lock = lock;
    this.#call('lock', [name], end).then(
      (reply) => (reply as { locked?: boolean }).locked === true && this.#own(),
      () => undefined,
    );
  }

  #own(): void {
    if (!this.#lock) return;
    this.#lock.owned = true;
    for (const wake of this.#lock.waiters.splice(0)) wake();
  }

  async #owned(end: Moment): Promise<void> {
    const lock = this.#lock;
    if (!lock || lock.owned) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Unreachable(`another process works on this attachment at ${this.#address}`)),
        remainingMs(end),
      );
      lock.waiters.push(() => {
        clearTimeout(timer);
        if (this.#closed) reject(this.#closed);
        else resolve();
      });
    });
  }

  async #call(method: string, params: unknown, end: Moment): Promise<unknown> {
    if (this.#closed) throw this.#closed;
    const id = this.#nextId++;
    return await new Promise((resolve, reject) => {
      const seconds = Math.ceil(remainingMs(end) / 100) / 10;
      const late = `ovsdb-server at "${this.#address}" took the connection and did not answer in ${seconds} s: is it stopped, or busy?`;
      const timer = setTimeout(() => settle(() => reject(new Unreachable(late, 'silent'))), remainingMs(end));
      const settle = (how: () => void) => {
        clearTimeout(timer);
        this.#pending.delete(id);
        how();
      };
      this.#pending.set(id, {
        resolve: (result) => settle(() => resolve(result)),
        reject: (error) => settle(() => reject(error)),
      });
      this.#connection?.write(JSON.stringify({ method, params, id }));
    });
  }

  #receive(message: { id?: unknown; method?: unknown; params?: unknown; result?: unknown; error?: unknown }): void {
    if (message.method === 'echo') {
      this.#connection?.write(JSON.stringify({ id: message.id, result: message.params, error: null }));
    } else if (message.method === 'locked') {
      this.#own();
    } else if (typeof message.id === 'number') {
      const pending = this.#pending.get(message.id);
      if (message.error) pending?.reject(new Unreachable(`${this.#address}: ${JSON.stringify(message.error)}`));
      else pending?.resolve(message.result);
    }
  }

  #end(why: Unreachable): void {
    if (this.#closed) return;
    this.#closed = why;
    for (const pending of [...this.#pending.values()]) pending.reject(why);
    for (const wake of this.#lock?.waiters.splice(0) ?? []) wake();
    this.#connection?.close();
  }
}

const noAnswer = 'no answer in time';

function unreachable(address: string, error: unknown): Unreachable {
  const errno = error instanceof Error && 'code' in error ? error.code : '';
  const refused = errno === 'ECONNREFUSED' || errno === 'ENOENT';
  const said = messageOf(error);
  const wanting = findLackOfDescriptors();
  if (wanting !== undefined) {
    const remedy = 'give the runtime, or the agent, a higher limit of open files (ulimit -n)';
    return new Unreachable(`cannot connect to the Open vSwitch database at "${address}": ${wanting}: ${remedy}`);
  }
  // The message of a failed connect has no errno in it.
  const why = errno === 'ENOENT' ? 'there is no such socket' : errno === 'EACCES' ? 'EACCES: permission denied' : said;
  const what = `cannot reach the Open vSwitch database at "${address}": ${why}; is it running?`;
  return new Unreachable(what, refused ? 'refused' : why === noAnswer ? 'silent' : undefined);
}

/** Bun's connect does not say that a descriptor was lacking. @returns the system's words if one is, else undefined */
function findLackOfDescriptors(): string | undefined {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return undefined;
  } catch (error) {
    return /^(EMFILE|ENFILE): [^,]*/.exec(messageOf(error))?.[0];
  }
}

/** The next character that matters, by the place where the scan stands. Finding it is cheaper than a look at each character. */
const nexts = { inString: /["\\]/g, inObject: /["{}]/g, between: /\S/g } as const;

/** Cuts a stream into JSON objects: they follow each other without a separator (RFC 7047 4). */
class Framer {
  readonly #emit: (message: object) => void;
  readonly #decoder = new TextDecoder();
  #text = '';
  #scanned = 0;
  #depth = 0;
  #inString = false;

  constructor(emit: (message: object) => void) {
    this.#emit = emit;
  }

  /** @throws if the stream is not a sequence of JSON objects. */
  feed(chunk: Uint8Array): void {
    this.#text += this.#decoder.decode(chunk, { stream: true });
    for (let character = this.#find(); character !== undefined; character = this.#find()) {
      if (this.#inString) this.#inside(character);
      else this.#between(character);
    }
    if (this.#text.length > messageBytesMax) throw new Error(`a message of over ${messageBytesMax} bytes`);
  }

  /** @returns the next character that matters, counted as scanned; undefined if there is none yet */
  #find(): string | undefined {
    const next = nexts[this.#inString ? 'inString' : this.#depth > 0 ? 'inObject' : 'between'];
    next.lastIndex = this.#scanned;
    const character = next.exec(this.#text)?.[0];
    // A character that is skipped, but has not come yet, stays skipped.
    this.#scanned = character === undefined ? Math.max(this.#scanned, this.#text.length) : next.lastIndex;
    return character;
  }

  /** A backslash is skipped with the character that it escapes. */
  #inside(character: string): void {
    if (character === '\\') this.#scanned++;
    else this.#inString = false;
  }

  #between(character: string): void {
    if (this.#depth === 0 && character !== '{') throw new Error('no JSON object');
    if (character === '"') this.#inString = true;
    else if (character === '{') this.#depth++;
    else if (--this.#depth === 0) this.#cut();
  }

  #cut(): void {
    const message = JSON.parse(this.#text.slice(0, this.#scanned));
    this.#text = this.#text.slice(this.#scanned);
    this.#scanned = 0;
    this.#emit(message);
  }
}
