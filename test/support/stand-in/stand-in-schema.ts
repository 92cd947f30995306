/**
 * The part of the Open_vSwitch schema (ovs-vswitchd.conf.db(5)) that the stand-in knows, and RFC 7047 5.1 values.
 */

/** Each element is kept as JSON text, so that equal texts are equal values; uuids are `["uuid","…"]`. */
export type Value =
  | { readonly kind: 'set'; readonly atoms: unknown[] }
  | { readonly kind: 'map'; readonly pairs: [unknown, unknown][] };

export interface Column {
  readonly kind: 'scalar' | 'optional' | 'set' | 'map';
  readonly key: 'string' | 'integer' | 'boolean' | 'uuid';
  /** The table that a uuid refers to, strongly. */
  readonly to?: string;
}

export interface Table {
  readonly root: boolean;
  readonly unique?: string;
  readonly columns: { readonly [name: string]: Column };
}

const text: Column = { kind: 'scalar', key: 'string' };
const optionalText: Column = { kind: 'optional', key: 'string' };
const integer: Column = { kind: 'scalar', key: 'integer' };
const optionalInteger: Column = { kind: 'optional', key: 'integer' };
const flag: Column = { kind: 'scalar', key: 'boolean' };
const texts: Column = { kind: 'map', key: 'string' };

export const tables: { readonly [name: string]: Table } = {
  Open_vSwitch: {
    root: true,
    columns: {
      bridges: { kind: 'set', key: 'uuid', to: 'Bridge' },
      cur_cfg: integer,
      next_cfg: integer,
      dpdk_initialized: flag,
      dpdk_version: optionalText,
      ovs_version: optionalText,
      iface_types: { kind: 'set', key: 'string' },
      datapath_types: { kind: 'set', key: 'string' },
      external_ids: texts,
      other_config: texts,
    },
  },
  Bridge: {
    root: false,
    unique: 'name',
    columns: {
      name: text,
      ports: { kind: 'set', key: 'uuid', to: 'Port' },
      datapath_type: text,
      datapath_id: optionalText,
      status: texts,
      fail_mode: optionalText,
      external_ids: texts,
      other_config: texts,
    },
  },
  Port: {
    root: false,
    unique: 'name',
    columns: {
      name: text,
      interfaces: { kind: 'set', key: 'uuid', to: 'Interface' },
      tag: optionalInteger,
      trunks: { kind: 'set', key: 'integer' },
      vlan_mode: optionalText,
      external_ids: texts,
      other_config: texts,
    },
  },
  Interface: {
    root: false,
    unique: 'name',
    columns: {
      name: text,
      type: text,
      options: texts,
      ofport: optionalInteger,
      error: optionalText,
      link_state: optionalText,
      mac_in_use: optionalText,
      mtu: optionalInteger,
      mtu_request: optionalInteger,
      ingress_policing_rate: integer,
      ingress_policing_burst: integer,
      status: texts,
      statistics: { kind: 'map', key: 'string' },
      external_ids: texts,
      other_config: texts,
    },
  },
};

/** RFC 7047 5.2.1: the value of a column that an insert does not name. */
export function defaultValue(column: Column): Value {
  if (column.kind === 'map') return { kind: 'map', pairs: [] };
  if (column.kind !== 'scalar') return { kind: 'set', atoms: [] };
  const zero = { string: '', integer: 0, boolean: false, uuid: ['uuid', '00000000-0000-0000-0000-000000000000'] };
  return { kind: 'set', atoms: [zero[column.key]] };
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** @throws OpError if the JSON is not a value of the column's type. */
export function parseValue(column: Column, json: unknown, resolve: (atom: unknown) => unknown): Value {
  if (column.kind === 'map') {
    if (!Array.isArray(json) || json[0] !== 'map') throw new OpError('syntax error', 'a map was expected');
    return { kind: 'map', pairs: (json[1] as [unknown, unknown][]).map(([key, value]) => [key, value]) };
  }
  const atoms = (Array.isArray(json) && json[0] === 'set' ? (json[1] as unknown[]) : [json]).map(resolve);
  for (const atom of atoms) {
    if (!fits(column, atom)) throw new OpError('syntax error', `${JSON.stringify(atom)} is no ${column.key}`);
  }
  if (column.kind === 'scalar' && atoms.length !== 1) throw new OpError('syntax error', 'one value was expected');
  if (column.kind === 'optional' && atoms.length > 1)
    throw new OpError('syntax error', 'at most one value was expected');
  return { kind: 'set', atoms };
}

function fits(column: Column, atom: unknown): boolean {
  if (column.key === 'uuid') return Array.isArray(atom) && atom[0] === 'uuid';
  if (column.key === 'integer') return Number.isInteger(atom);
  return typeof atom === column.key;
}

/** ovsdb-server sorts sets and maps, and writes a set of one as the bare atom. */
export function toJson(value: Value): unknown {
  if (value.kind === 'map') return ['map', [...value.pairs].sort(byText)];
  return value.atoms.length === 1 ? value.atoms[0] : ['set', [...value.atoms].sort(byText)];
}

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

export function equal(a: Value, b: Value): boolean {
  return same(toJson(a), toJson(b)) && a.kind === b.kind;
}

/** Whether `a` has everything that `b` has. */
export function includes(a: Value, b: Value): boolean {
  if (a.kind === 'map' && b.kind === 'map') return b.pairs.every((pair) => a.pairs.some((other) => same(pair, other)));
  if (a.kind === 'set' && b.kind === 'set') return b.atoms.every((atom) => a.atoms.some((other) => same(atom, other)));
  return false;
}

/** RFC 7047 5.1 <mutation>. */
export function mutate(
  column: Column,
  current: Value,
  mutator: string,
  argument: unknown,
  resolve: (atom: unknown) => unknown,
): Value {
  if (mutator === '+=' || mutator === '-=') {
    const sign = mutator === '+=' ? 1 : -1;
    if (current.kind !== 'set' || column.key !== 'integer')
      throw new OpError('syntax error', 'an integer was expected');
    return { kind: 'set', atoms: current.atoms.map((atom) => Number(atom) + sign * Number(argument)) };
  }
  if (mutator !== 'insert' && mutator !== 'delete') throw new OpError('syntax error', `unknown mutator ${mutator}`);
  if (current.kind === 'map') return mutateMap(current, mutator, argument);
  const many: Column = { ...column, kind: 'set' };
  const given = parseValue(many, argument, resolve);
  if (given.kind !== 'set') return current;
  const others = current.atoms.filter((atom) => !given.atoms.some((other) => same(atom, other)));
  const atoms = mutator === 'insert' ? [...others, ...given.atoms] : others;
  if (column.kind !== 'set' && atoms.length > 1)
    throw new OpError('constraint violation', 'too many elements in the set');
  return { kind: 'set', atoms };
}

function mutateMap(current: Value & { kind: 'map' }, mutator: string, argument: unknown): Value {
  const [tag, list] = argument as [string, unknown[]];
  if (mutator === 'delete' && tag === 'set') {
    return { kind: 'map', pairs: current.pairs.filter(([key]) => !list.some((other) => same(key, other))) };
  }
  const given = list as [unknown, unknown][];
  if (mutator === 'delete') {
    return { kind: 'map', pairs: current.pairs.filter((pair) => !given.some((other) => same(pair, other))) };
  }
  // An insert does not change an existing key (RFC 7047 5.1).
  const fresh = given.filter(([key]) => !current.pairs.some(([other]) => same(key, other)));
  return { kind: 'map', pairs: [...current.pairs, ...fresh] };
}

/** The error member of one operation's result. */
export class OpError extends Error {
  override readonly name = 'OpError';
  constructor(
    readonly error: string,
    readonly details: string,
  ) {
    super(`${error}: ${details}`);
  }
}
