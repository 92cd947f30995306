/**
 * The plainest possible OVSDB client, to compare two servers. It is independent of the product's own client.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Reply {
  readonly result: unknown;
  readonly error: unknown;
}

export class RawSession {
  #text = '';
  #nextId = 0;
  readonly #replies = new Map<unknown, (reply: Reply) => void>();
  /** Resolves when the server grants a lock. */
  readonly locked: Promise<unknown>;
  #tellLocked: (params: unknown) => void = () => undefined;

  private constructor(readonly socket: Socket) {
    this.locked = new Promise((resolve) => {
      this.#tellLocked = resolve;
    });
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => this.#feed(String(chunk)));
  }

  static async open(address: string): Promise<RawSession> {
    const socket = connect(address.replace(/^unix:/, ''));
    await once(socket, 'connect');
    return new RawSession(socket);
  }

  call(method: string, params: unknown): Promise<Reply> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#replies.set(id, resolve);
      this.socket.write(JSON.stringify({ method, params, id }));
    });
  }

  async transact(...operations: object[]): Promise<unknown> {
    return (await this.call('transact', ['Open_vSwitch', ...operations])).result;
  }

  close(): void {
    this.socket.destroy();
  }

  /** Tries to parse after each closing brace, which is slow but simple. */
  #feed(chunk: string): void {
    for (const character of chunk) {
      this.#text += character;
      if (character === '}') this.#tryMessage();
    }
  }

  #tryMessage(): void {
    let message: { id: unknown; method?: string; params?: unknown } & Reply;
    try {
      message = JSON.parse(this.#text);
    } catch {
      return;
    }
    this.#text = '';
    if (message.method === 'locked') this.#tellLocked(message.params);
    else if (message.method === 'echo')
      this.socket.write(JSON.stringify({ id: message.id, result: message.params, error: null }));
    else this.#replies.get(message.id)?.(message);
  }
}

/** A reply's shape, without the values of uuids and the words of errors. */
export function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value[0] === 'uuid' ? ['uuid', '…'] : value.map(shape);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => name !== 'details' && name !== 'syntax');
  return Object.fromEntries(entries.map(([name, member]) => [name, shape(member)]));
}
