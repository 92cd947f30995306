/**
 * The checker that is not the code under test: what exists in the switch, in host-local's store and on disk, by the switch's
 * own tables (ovs-vsctl) and the file tree alone.
 *
 * A world is what is there beyond a baseline, so that tests which share a switch do not see each other.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** A row as OVSDB writes it (RFC 7047 5.1), `_uuid` among its columns. */
export type Row = Record<string, unknown>;

export interface Tables {
  readonly Bridge: readonly Row[];
  readonly Port: readonly Row[];
  readonly Interface: readonly Row[];
}

/** As much of a switch as this needs, so that the stand-in can be looked at too. */
export interface View {
  /** As in the configuration's key: `unix:` and the socket's path. */
  readonly ovsdb: string;
  readonly rundir: string;
  tables(): Promise<Tables>;
  removeBridge(name: string): Promise<void>;
}

export interface Port {
  readonly name: string;
  readonly bridge: string;
  readonly type: string;
  readonly tag: number | undefined;
  readonly trunks: number[];
  readonly vlanMode: string | undefined;
  readonly mtuRequest: number | undefined;
  readonly policingRate: number;
  readonly policingBurst: number;
  readonly error: string | undefined;
  readonly ofport: number | undefined;
  readonly linkState: string | undefined;
  readonly options: Record<string, string>;
  readonly externalIds: Record<string, string>;
}

export interface Bridge {
  readonly name: string;
  readonly datapathType: string;
  readonly failMode: string | undefined;
  readonly externalIds: Record<string, string>;
  readonly row: string;
}

export interface World {
  readonly bridges: string[];
  readonly ports: string[];
  /** `name: message` of Interface.error. */
  readonly errors: string[];
  readonly addresses: string[];
  /** Below the shared directory. */
  readonly files: string[];
  /** Below the data directory: journals and whatever else is not the instance's own file. */
  readonly journals: string[];
  /** In the switch's run directory: sockets that the switch made for ports. */
  readonly sockets: string[];
}

export const emptyWorld: World = {
  bridges: [],
  ports: [],
  errors: [],
  addresses: [],
  files: [],
  journals: [],
  sockets: [],
};

export function expectNothingLeft(world: World): void {
  deepStrictEqual(world, emptyWorld);
}

/** A file of a recovery that was refused, or is at work: it belongs to no attachment. */
export const withoutLease = (world: World): World => ({
  ...world,
  journals: world.journals.filter((name) => !name.startsWith('recover.')),
});

export interface Places {
  readonly sharedDir: string;
  readonly dataDir: string;
  /** host-local's dataDir. */
  readonly ipamDir: string;
}

export async function look(view: View, places: Places, baseline: World = emptyWorld): Promise<World> {
  const [rows, addresses, files, journals, sockets] = await Promise.all([
    readSwitch(view),
    tree(places.ipamDir),
    tree(places.sharedDir),
    tree(places.dataDir),
    readdir(view.rundir),
  ]);
  const all: World = {
    bridges: rows.bridges.map((bridge) => bridge.name),
    ports: rows.ports.map((port) => port.name),
    errors: rows.ports.filter((port) => port.error).map((port) => `${port.name}: ${port.error}`),
    addresses: addresses.filter((path) => !/(^|\/)(lock|last_reserved_ip\.[^/]*)$/.test(path) && !path.endsWith('/')),
    files,
    journals: journals.filter((path) => path !== 'instance'),
    // The daemons' own files: the database's socket, control sockets, and two for each bridge.
    sockets: sockets.filter((name) => name !== 'db.sock' && !/\.(ctl|mgmt|snoop|pid)$/.test(name)),
  };
  const beyond = (part: keyof World) => all[part].filter((name) => !baseline[part].includes(name)).sort();
  return {
    bridges: beyond('bridges'),
    ports: beyond('ports'),
    errors: beyond('errors'),
    addresses: beyond('addresses'),
    files: beyond('files'),
    journals: beyond('journals'),
    sockets: beyond('sockets'),
  };
}

/** Every port but the bridges' local ones, and every bridge. */
export async function readSwitch(view: View): Promise<{ ports: Port[]; bridges: Bridge[] }> {
  const { Bridge: bridgeRows, Port: portRows, Interface: interfaceRows } = await view.tables();
  const bridges = bridgeRows.map((row) => ({
    name: String(row.name),
    datapathType: String(row.datapath_type),
    failMode: one(row.fail_mode),
    externalIds: map(row.external_ids),
    row: JSON.stringify(row),
  }));
  const ports = portRows.flatMap((row): Port[] => {
    const bridge = bridgeRows.find((candidate) => uuids(candidate.ports).includes(uuids(row._uuid)[0] ?? ''));
    const device = interfaceRows.find((candidate) => uuids(row.interfaces).includes(uuids(candidate._uuid)[0] ?? ''));
    return row.name === bridge?.name ? [] : [toPort(row, device ?? {}, String(bridge?.name))];
  });
  return { ports, bridges };
}

function toPort(row: Row, device: Row, bridge: string): Port {
  return {
    name: String(row.name),
    bridge,
    type: String(device.type),
    tag: one<number>(row.tag),
    trunks: many<number>(row.trunks),
    vlanMode: one(row.vlan_mode),
    mtuRequest: one<number>(device.mtu_request),
    policingRate: Number(device.ingress_policing_rate),
    policingBurst: Number(device.ingress_policing_burst),
    error: one(device.error),
    ofport: one<number>(device.ofport),
    linkState: one(device.link_state),
    options: map(device.options),
    externalIds: map(row.external_ids),
  };
}

/** RFC 7047 5.1: a set of one is the bare atom. */
function many<T = string>(value: unknown): T[] {
  if (Array.isArray(value) && value[0] === 'set') return value[1] as T[];
  return value === undefined ? [] : [value as T];
}

function one<T = string>(value: unknown): T | undefined {
  return many<T>(value)[0];
}

function uuids(value: unknown): string[] {
  return many<[string, string]>(value).map(([, uuid]) => uuid);
}

function map(value: unknown): Record<string, string> {
  return Array.isArray(value) && value[0] === 'map' ? Object.fromEntries(value[1] as [string, string][]) : {};
}

/** Everything below a directory, relative to it, directories with a slash at the end; a directory that is not there is empty. */
export async function tree(root: string): Promise<string[]> {
  const paths: string[] = [];
  const visit = async (directory: string): Promise<void> => {
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      paths.push(relative(root, path) + (entry.isDirectory() ? '/' : ''));
      if (entry.isDirectory()) await visit(path);
    }
  };
  try {
    await visit(root);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return paths.sort();
}
