/**
 * The pretend ovs-vswitchd of the stand-in: reads the tables after a change and answers with the columns that the real one sets;
 * makes and removes the sockets of server-mode ports.
 */
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { Database, Operation, StoredRow } from './stand-in-database.ts';

const knownTypes = ['', 'internal', 'dpdkvhostuser', 'dpdkvhostuserclient'];
/** OFPP_LOCAL: the number of a bridge's own port. */
const localPort = 65_534;

export class Peers {
  readonly #servers = new Map<string, Server>();
  /** The socket of each client port: the first that it was given, as long as a port of its name and type exists. */
  readonly paths = new Map<string, string>();
  #nextPort = 1;

  constructor(readonly rundir: string) {}

  get names(): string[] {
    return [...this.#servers.keys()];
  }

  /** @returns the columns to write into the tables. */
  apply(database: Database, interfaceError: (name: string) => string | undefined): Operation[] {
    const [top] = database.rows('Open_vSwitch');
    if (!top) return [];
    const interfaces = [...database.rows('Interface')];
    this.#sockets(interfaces.map(([, row]) => row));
    this.#connect(interfaces.map(([, row]) => row));
    const bridges = new Set([...database.rows('Bridge').values()].map((row) => text(row, 'name')));
    const updates = interfaces
      .filter(([, row]) => atomsOf(row, 'ofport').length === 0)
      .map(([id, row]) => this.#ready(id, row, bridges, interfaceError(text(row, 'name'))));
    const wanted = number(top[1], 'next_cfg');
    if (number(top[1], 'cur_cfg') !== wanted) {
      updates.push({ op: 'update', table: 'Open_vSwitch', where: [], row: { cur_cfg: wanted } });
    }
    return updates;
  }

  async stop(): Promise<void> {
    for (const name of this.names) this.#remove(name);
  }

  #ready(id: string, row: StoredRow, bridges: Set<string>, error: string | undefined): Operation {
    const name = text(row, 'name');
    const type = text(row, 'type');
    const unknown = knownTypes.includes(type)
      ? undefined
      : `could not open network device ${name} (Address family not supported by protocol)`;
    const trouble = error ?? unknown;
    const ofport = trouble ? -1 : bridges.has(name) ? localPort : this.#nextPort++;
    const mtu = atomsOf(row, 'mtu_request')[0] ?? 1500;
    const seen = { ofport, error: trouble ?? ['set', []], link_state: 'down', mac_in_use: '00:00:00:00:00:00', mtu };
    return { op: 'update', table: 'Interface', where: [['_uuid', '==', ['uuid', id]]], row: seen };
  }

  #sockets(rows: StoredRow[]): void {
    const wanted = rows.filter((row) => text(row, 'type') === 'dpdkvhostuser').map((row) => text(row, 'name'));
    for (const name of this.names) if (!wanted.includes(name)) this.#remove(name);
    for (const name of wanted) if (!this.#servers.has(name)) this.#create(name);
  }

  #connect(rows: StoredRow[]): void {
    const clients = new Map(
      rows.filter((row) => text(row, 'type') === 'dpdkvhostuserclient').map((row) => [text(row, 'name'), row]),
    );
    for (const name of this.paths.keys()) if (!clients.has(name)) this.paths.delete(name);
    for (const [name, row] of clients)
      if (!this.paths.has(name)) this.paths.set(name, option(row, 'vhost-server-path'));
  }

  #create(name: string): void {
    const server = createServer();
    server.on('error', () => undefined);
    server.listen(join(this.rundir, name));
    this.#servers.set(name, server);
  }

  /** The real one unlinks the path that it bound, even if the file was moved. */
  #remove(name: string): void {
    this.#servers.get(name)?.close();
    this.#servers.delete(name);
    rmSync(join(this.rundir, name), { force: true });
  }
}

function atomsOf(row: StoredRow, column: string): unknown[] {
  const value = row.get(column);
  return value?.kind === 'set' ? value.atoms : [];
}

function option(row: StoredRow, name: string): string {
  const value = row.get('options');
  const pairs = value?.kind === 'map' ? value.pairs : [];
  return String(pairs.find(([key]) => key === name)?.[1] ?? '');
}

const text = (row: StoredRow, column: string): string => String(atomsOf(row, column)[0] ?? '');
const number = (row: StoredRow, column: string): number => Number(atomsOf(row, column)[0] ?? 0);
