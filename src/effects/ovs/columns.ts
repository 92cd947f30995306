/**
 * The columns of tables Port and Interface (ovs-vswitchd.conf.db(5)) that a plan sets. From this one list ADD writes them, and
 * CHECK and a repeated ADD select and compare them.
 */
import { join } from 'node:path';
import type { PortPlan } from '../../machines/protocol.ts';
import { map, type Operation, type Row, readMap, readSet, select, set, withName } from './operations.ts';

/** Column `type` of table Interface, by the switch's side of the socket. */
export const interfaceType = { client: 'dpdkvhostuserclient', server: 'dpdkvhostuser' } as const;

/** The key that ovn-controller looks for in external_ids of table Interface (ovn-controller(8)). */
const ovnPortId = 'iface-id';

/** A type that no datapath knows: ovs-vswitchd keeps nothing under the name of such an interface. */
export const emptyType = 'none';

type Table = 'Port' | 'Interface';

/** One property of a port in the plan, and its place in a row. */
interface Column {
  readonly table: Table;
  readonly column: string;
  /** The name in messages: the column, or the key in a column that is a map. */
  readonly name: string;
  /** The value to insert; undefined: the column is left to the switch. */
  readonly written: (port: PortPlan) => unknown;
  /** The value that a row should have, and the one that it has, in a form that === compares. */
  readonly planned: (port: PortPlan) => unknown;
  readonly seen: (row: Row, port: PortPlan) => unknown;
}

type Planned<T> = (port: PortPlan) => T | undefined;

/** @param unset the column's value when the plan does not set it */
function scalar(table: Table, column: string, planned: Planned<string | number>, unset?: number): Column {
  return {
    table,
    column,
    name: column,
    written: (port) => planned(port) || undefined,
    planned: (port) => planned(port) ?? unset,
    seen: (row) => readSet(row[column])[0],
  };
}

function keyOfMap(column: string, key: string, planned: Planned<string>): Column {
  const written: Column['written'] = (port) => {
    const value = planned(port);
    return value && map({ [key]: value });
  };
  return { table: 'Interface', column, name: key, written, planned, seen: (row) => readMap(row[column])[key] };
}

const inOrder = (values: readonly unknown[]): string =>
  values
    .map(Number)
    .sort((a, b) => a - b)
    .join(' ');

const vlanColumns: { readonly [Key in keyof PortPlan['vlan']]-?: Column } = {
  tag: scalar('Port', 'tag', ({ vlan }) => vlan.tag),
  trunks: {
    table: 'Port',
    column: 'trunks',
    name: 'trunks',
    written: ({ vlan }) => vlan.trunks && set(vlan.trunks),
    planned: ({ vlan }) => inOrder(vlan.trunks ?? []),
    seen: (row) => inOrder(readSet(row.trunks)),
  },
  mode: scalar('Port', 'vlan_mode', ({ vlan }) => vlan.mode),
};

/** The parts of a plan without a column of their own: names, places, marks, and the socket's group. */
type NoColumn = 'bridge' | 'name' | 'directory' | 'file' | 'link' | 'group' | 'marks' | 'socketStays';

/** A key of PortPlan without an entry here does not compile. CHECK tells differences in this order. */
const columns: { readonly [Key in Exclude<keyof PortPlan, NoColumn>]-?: readonly Column[] } = {
  mode: [
    scalar('Interface', 'type', ({ mode }) => interfaceType[mode]),
    keyOfMap('options', 'vhost-server-path', (port) => (port.mode === 'client' ? switchPathOf(port) : undefined)),
  ],
  vlan: Object.values(vlanColumns),
  ovnPort: [ofOvn(keyOfMap('external_ids', ovnPortId, ({ ovnPort }) => ovnPort))],
  mtu: [
    scalar('Interface', 'mtu_request', ({ mtu }) => mtu),
    {
      table: 'Interface',
      column: 'mtu',
      name: 'mtu',
      written: () => undefined,
      planned: ({ mtu }) => mtu,
      seen: (row, { mtu }) => mtu && (usedMtu(row) ?? mtu),
    },
  ],
  policingRate: [scalar('Interface', 'ingress_policing_rate', ({ policingRate }) => policingRate, 0)],
  policingBurst: [scalar('Interface', 'ingress_policing_burst', ({ policingBurst }) => policingBurst, 0)],
};

const allColumns: readonly Column[] = Object.values(columns).flat();

/** Compares the key only where the plan asks for a logical port: elsewhere the key is OVN's own. */
function ofOvn(column: Column): Column {
  return { ...column, seen: (row, port) => port.ovnPort && column.seen(row, port) };
}

/** The columns that ADD inserts into a table, beside names, references and marks. */
export function plannedRow(table: Table, port: PortPlan): Row {
  const row: { [column: string]: unknown } = {};
  for (const { column, written } of allColumns.filter((one) => one.table === table)) {
    const value = written(port);
    if (value === undefined || value === '') continue;
    // Two keys of one map are two lines of the table, and one value of the row.
    row[column] = column in row ? map({ ...readMap(row[column]), ...readMap(value) }) : value;
  }
  return row;
}

/** The columns that CHECK selects from a table. */
export const plannedColumns = (table: Table): string[] => [
  ...new Set(allColumns.filter((column) => column.table === table).map(({ column }) => column)),
];

/** @param rows as selected by `plannedColumns`. @returns the differences from the plan, in words */
export const columnDifferences = (port: PortPlan, rows: Readonly<Record<Table, Row>>): string[] =>
  allColumns.flatMap(({ table, name, planned, seen }) => differenceOf(name, planned(port), seen(rows[table], port)));

export const differenceOf = (name: string, planned: unknown, seen: unknown): string[] =>
  planned === seen ? [] : [`${name} is "${seen ?? ''}" instead of "${planned ?? ''}"`];

/** Selects the type of the interface that has the port's name, if there is one. */
export const typeOf = ({ name }: Pick<PortPlan, 'name'>): Operation => select('Interface', [withName(name)], ['type']);

export const socketOf = (port: Pick<PortPlan, 'directory' | 'file'>): string => join(port.directory, port.file);

/** The path by which the switch connects. */
export function switchPathOf(port: Pick<PortPlan, 'directory' | 'file' | 'link'>): string {
  return join(port.link ?? port.directory, port.file);
}

/** @param row of table Interface. @returns undefined where no application has used the port: column mtu is 0 until then */
export function usedMtu(row: Row | undefined): number | undefined {
  const mtu = Number(readSet(row?.mtu)[0] ?? 0);
  return mtu > 0 ? mtu : undefined;
}
