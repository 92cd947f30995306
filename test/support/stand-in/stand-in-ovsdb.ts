/**
 * A stand-in for ovsdb-server and ovs-vswitchd, if the real ones cannot run: RFC 7047 over a unix socket, in this process.
 *
 * Owns: connections, locks, waiting transactions, the faults that a test asks for, and a pretend ovs-vswitchd that confirms each
 * change, gives ports their numbers and makes the sockets of server-mode ports. No packet moves. What it answers is compared
 * with the real database in test/system/stand-in.test.ts.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Row, Tables, View } from '../real/world.ts';
import { Database, type Operation, type StoredRow } from './stand-in-database.ts';
import { Peers } from './stand-in-peers.ts';
import { toJson } from './stand-in-schema.ts';

/** The fate of one request. `drop…` closes its connection without an answer. */
export type Fault =
  | { readonly kind: 'drop-before-commit' }
  | { readonly kind: 'drop-after-commit' }
  | { readonly kind: 'silence' }
  | { readonly kind: 'late'; readonly ms: number }
  | { readonly kind: 'error'; readonly error: string };

export interface Faults {
  /** Asked for each request; `nth` counts the requests of that method, from 1. */
  request?: (method: string, params: readonly unknown[], nth: number) => Fault | undefined;
  /** ovs-vswitchd does not apply changes. */
  idle?: boolean;
  /** Interface.error that ovs-vswitchd reports for an interface. */
  interfaceError?: (name: string) => string | undefined;
}

interface Message {
  readonly id: unknown;
  readonly method: string;
  readonly params: unknown[];
}

interface Connection {
  readonly socket: Socket;
  readonly locks: Set<string>;
}

interface Waiting {
  readonly connection: Connection;
  readonly message: Message;
  readonly since: number;
  readonly fault: Fault | undefined;
  timer?: ReturnType<typeof setTimeout>;
}

/** The time in which ovs-vswitchd applies a change. It begins after the reply, so that a caller that does not wait is found out. */
const applyMs = 2;
const lockPattern = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

export class StandInOvsdb implements View {
  readonly database = new Database();
  faults: Faults = {};
  readonly rundir: string;
  readonly ovsdb: string;
  readonly #path: string;
  #server: Server | undefined;
  readonly #connections = new Set<Connection>();
  readonly #counts = new Map<string, number>();
  /** Waiters of each lock, the owner first. */
  readonly #locks = new Map<string, Connection[]>();
  readonly #waiting = new Set<Waiting>();
  readonly #peers: Peers;
  #applying: ReturnType<typeof setTimeout> | undefined;

  private constructor(directory: string) {
    this.rundir = join(directory, 'run');
    this.#path = join(this.rundir, 'db.sock');
    this.ovsdb = `unix:${this.#path}`;
    mkdirSync(this.rundir, { recursive: true });
    this.#peers = new Peers(this.rundir);
  }

  static async start(directory: string): Promise<StandInOvsdb> {
    const standIn = new StandInOvsdb(directory);
    await standIn.startDatabase();
    return standIn;
  }

  /** The database goes away: its socket refuses, and open connections end. Its content stays. */
  async stopDatabase(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const { socket } of this.#connections) socket.destroy();
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
    rmSync(this.#path, { force: true });
  }

  async startDatabase(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#path, resolve);
    });
    this.#server = server;
  }

  async stop(): Promise<void> {
    clearTimeout(this.#applying);
    await this.stopDatabase();
    await this.#peers.stop();
  }

  async tables(): Promise<Tables> {
    return { Bridge: this.dump('Bridge'), Port: this.dump('Port'), Interface: this.dump('Interface') };
  }

  async removeBridge(name: string): Promise<void> {
    const bridge = this.dump('Bridge').find((row) => row.name === name);
    const mutations = [['bridges', 'delete', bridge?._uuid]];
    if (!bridge) return;
    this.database.transact([{ op: 'mutate', table: 'Open_vSwitch', where: [], mutations }], {
      ownsLock: () => true,
      waitedMs: 0,
    });
    this.#changed();
  }

  /** A table as a test reads it: rows of plain JSON, `_uuid` among them. */
  dump(table: string): Row[] {
    const plain = ([id, row]: [string, StoredRow]) => [
      ['_uuid', ['uuid', id]],
      ...[...row].map(([name, value]) => [name, toJson(value)]),
    ];
    return [...this.database.rows(table)].map((entry) => Object.fromEntries(plain(entry)));
  }

  #accept(socket: Socket): void {
    const connection: Connection = { socket, locks: new Set() };
    this.#connections.add(connection);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      const { messages, rest } = cut(text + chunk);
      text = rest;
      for (const message of messages) this.#receive(connection, message as Message);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#forget(connection));
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection);
    for (const waiting of this.#waiting) if (waiting.connection === connection) this.#done(waiting);
    for (const name of connection.locks) this.#unlock(connection, name);
  }

  #receive(connection: Connection, message: Message): void {
    // A reply to our own echo would have no method, but we send no echo.
    if (typeof message.method !== 'string') return;
    const nth = (this.#counts.get(message.method) ?? 0) + 1;
    this.#counts.set(message.method, nth);
    const fault = this.faults.request?.(message.method, message.params, nth);
    if (fault?.kind === 'silence') return;
    if (fault?.kind === 'drop-before-commit') connection.socket.destroy();
    else if (fault?.kind === 'error') this.#send(connection, { id: message.id, result: null, error: fault.error });
    else this.#answer(connection, message, fault);
  }

  #answer(connection: Connection, message: Message, fault: Fault | undefined): void {
    const { id, method, params } = message;
    const reply = (result: unknown) => this.#reply(connection, fault, { id, result, error: null });
    const name = String(params[0]);
    if (method === 'echo') reply(params);
    else if (method === 'list_dbs') reply(['Open_vSwitch']);
    else if (method === 'transact') this.#transact({ connection, message, since: performance.now(), fault });
    else if (method === 'lock' && lockPattern.test(name)) reply({ locked: this.#lock(connection, name) });
    else if (method === 'unlock' && connection.locks.has(name)) {
      this.#unlock(connection, name);
      reply({});
    } else this.#send(connection, { id, result: null, error: { error: 'unknown method', details: method } });
  }

  #reply(connection: Connection, fault: Fault | undefined, message: object): void {
    if (fault?.kind === 'drop-after-commit') connection.socket.destroy();
    else if (fault?.kind === 'late') setTimeout(() => this.#send(connection, message), fault.ms);
    else this.#send(connection, message);
  }

  #send(connection: Connection, message: object): void {
    if (!connection.socket.destroyed) connection.socket.write(JSON.stringify(message));
  }

  #transact(waiting: Waiting): void {
    const { connection, message, fault } = waiting;
    const [database, ...operations] = message.params as [string, ...Operation[]];
    if (database !== 'Open_vSwitch') {
      this.#send(connection, { id: message.id, result: null, error: { error: 'unknown database', details: database } });
      return;
    }
    const ownsLock = (name: string) => this.#locks.get(name)?.[0] === connection;
    const outcome = this.database.transact(operations, { ownsLock, waitedMs: performance.now() - waiting.since });
    if (outcome.blocked) {
      this.#wait(waiting, operations);
      return;
    }
    this.#done(waiting);
    this.#reply(connection, fault, { id: message.id, result: outcome.reply, error: null });
    if (outcome.changed) this.#changed();
  }

  /** Tried again at each change, and once more when the first timeout among its waits has passed. */
  #wait(waiting: Waiting, operations: readonly Operation[]): void {
    clearTimeout(waiting.timer);
    this.#waiting.add(waiting);
    const timeouts = operations
      .filter(({ op }) => op === 'wait')
      .map((wait) => Number(wait.timeout ?? Number.POSITIVE_INFINITY));
    const left = Math.min(...timeouts) - (performance.now() - waiting.since);
    if (Number.isFinite(left)) waiting.timer = setTimeout(() => this.#transact(waiting), Math.max(1, left + 1));
  }

  #done(waiting: Waiting): void {
    clearTimeout(waiting.timer);
    this.#waiting.delete(waiting);
  }

  #changed(): void {
    for (const waiting of [...this.#waiting]) this.#transact(waiting);
    this.#applying ??= setTimeout(() => {
      this.#applying = undefined;
      if (!this.faults.idle) this.#apply();
    }, applyMs);
  }

  /** Applies a change as ovs-vswitchd does. */
  #apply(): void {
    const updates = this.#peers.apply(this.database, this.faults.interfaceError ?? (() => undefined));
    if (updates.length === 0) return;
    this.database.transact(updates, { ownsLock: () => true, waitedMs: 0 });
    for (const waiting of [...this.#waiting]) this.#transact(waiting);
  }

  /** The socket to which the switch connects for a client port, even if the row has changed. */
  connectsTo(port: string): string | undefined {
    return this.#peers.paths.get(port);
  }

  /** Applies the changes that `faults.idle` held back. */
  resume(): void {
    delete this.faults.idle;
    this.#apply();
  }

  #lock(connection: Connection, name: string): boolean {
    const queue = this.#locks.get(name) ?? [];
    if (!queue.includes(connection)) queue.push(connection);
    this.#locks.set(name, queue);
    connection.locks.add(name);
    return queue[0] === connection;
  }

  #unlock(connection: Connection, name: string): void {
    const queue = this.#locks.get(name) ?? [];
    const owner = queue[0];
    const rest = queue.filter((other) => other !== connection);
    connection.locks.delete(name);
    this.#locks.set(name, rest);
    const next = rest[0];
    if (next && next !== owner) this.#send(next, { id: null, method: 'locked', params: [name] });
  }
}

/** RFC 7047 4: JSON objects follow each other with no separator. */
function cut(text: string): { messages: unknown[]; rest: string } {
  const messages: unknown[] = [];
  let depth = 0;
  let inString = false;
  let start = 0;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (inString && character === '\\') index++;
    else if (character === '"') inString = !inString;
    else if (!inString && character === '{') depth++;
    else if (!inString && character === '}' && --depth === 0) {
      messages.push(JSON.parse(text.slice(start, index + 1)));
      start = index + 1;
    }
  }
  return { messages, rest: text.slice(start) };
}
