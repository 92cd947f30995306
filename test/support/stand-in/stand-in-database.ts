/**
 * The stand-in's tables and its transactions (RFC 7047 5.2): atomic, with named uuids, unique names, and the collection of rows
 * that nothing refers to. No network, no time.
 */
import { randomUUID } from 'node:crypto';
import {
  type Column,
  defaultValue,
  equal,
  includes,
  mutate,
  OpError,
  parseValue,
  type Table,
  tables,
  toJson,
  type Value,
} from './stand-in-schema.ts';

export type StoredRow = Map<string, Value>;
type Contents = Map<string, Map<string, StoredRow>>;

export type Operation = { readonly op: string; readonly [member: string]: unknown };
type Result = Record<string, unknown> | null;

/** `blocked`: a `wait` is not satisfied and may still wait; nothing was changed. */
export type Transacted =
  | { readonly blocked: false; readonly reply: Result[]; readonly changed: boolean }
  | { readonly blocked: true };

export interface Conditions {
  readonly ownsLock: (name: string) => boolean;
  /** How long the transaction has waited already. */
  readonly waitedMs: number;
}

class Blocked extends Error {}

export class Database {
  #contents: Contents = new Map(Object.keys(tables).map((name) => [name, new Map()]));

  constructor() {
    this.#contents.get('Open_vSwitch')?.set(randomUUID(), emptyRow('Open_vSwitch'));
  }

  rows(table: string): ReadonlyMap<string, StoredRow> {
    return this.#contents.get(table) ?? new Map();
  }

  transact(operations: readonly Operation[], conditions: Conditions): Transacted {
    const draft = new Draft(copy(this.#contents), conditions, operations);
    const reply: Result[] = [];
    for (const operation of operations) {
      try {
        reply.push(draft.perform(operation));
      } catch (error) {
        if (error instanceof Blocked) return { blocked: true };
        if (!(error instanceof OpError)) throw error;
        reply.push({ error: error.error, details: error.details });
        while (reply.length < operations.length) reply.push(null);
        return { blocked: false, reply, changed: false };
      }
    }
    try {
      draft.commit();
    } catch (error) {
      if (!(error instanceof OpError)) throw error;
      return { blocked: false, reply: [...reply, { error: error.error, details: error.details }], changed: false };
    }
    const changed = draft.changed;
    this.#contents = draft.contents;
    return { blocked: false, reply, changed };
  }
}

function emptyRow(table: string): StoredRow {
  const columns = tables[table]?.columns ?? {};
  return new Map(Object.entries(columns).map(([name, column]) => [name, defaultValue(column)]));
}

function copy(contents: Contents): Contents {
  return new Map(
    [...contents].map(([name, rows]) => [name, new Map([...rows].map(([id, row]) => [id, new Map(row)]))]),
  );
}

/** One transaction on a copy of the tables. */
class Draft {
  changed = false;
  /** RFC 7047 3.1: a named uuid may be used before the insert that defines it. */
  readonly #named = new Map<string, string>();

  constructor(
    readonly contents: Contents,
    readonly conditions: Conditions,
    operations: readonly Operation[],
  ) {
    for (const operation of operations) {
      if (operation.op === 'insert' && typeof operation['uuid-name'] === 'string') {
        this.#named.set(operation['uuid-name'], randomUUID());
      }
    }
  }

  perform(operation: Operation): Result {
    switch (operation.op) {
      case 'insert':
        return this.#insert(operation);
      case 'select':
        return { rows: this.#matching(operation).map(([id, row]) => this.#shown(operation, id, row)) };
      case 'update':
        return this.#each(operation, (row) => this.#assign(tableOf(operation), row, operation.row));
      case 'mutate':
        return this.#each(operation, (row) => this.#mutate(operation, row));
      case 'delete':
        return this.#delete(operation);
      case 'wait':
        return this.#wait(operation);
      case 'comment':
      case 'commit':
        return {};
      case 'abort':
        throw new OpError('aborted', 'aborted by request');
      case 'assert':
        if (!this.conditions.ownsLock(String(operation.lock))) {
          throw new OpError('not owner', `Asserted lock ${operation.lock} not held.`);
        }
        return {};
      default:
        throw new OpError('syntax error', `No operation "${operation.op}"`);
    }
  }

  /** @throws OpError */
  commit(): void {
    this.#checkReferences();
    this.#collect();
    for (const [name, table] of Object.entries(tables)) this.#checkUnique(name, table);
  }

  readonly #resolve = (atom: unknown): unknown => {
    if (!Array.isArray(atom) || atom[0] !== 'named-uuid') return atom;
    const name = String(atom[1]);
    // If no operation inserts it, the commit notices a reference to nothing.
    const id = this.#named.get(name) ?? randomUUID();
    this.#named.set(name, id);
    return ['uuid', id];
  };

  #insert(operation: Operation): Result {
    const name = tableName(operation);
    const id = this.#named.get(String(operation['uuid-name'])) ?? randomUUID();
    const row = emptyRow(name);
    this.#assign(tableOf(operation), row, operation.row ?? {});
    this.contents.get(name)?.set(id, row);
    this.changed = true;
    return { uuid: ['uuid', id] };
  }

  #assign(table: Table, row: StoredRow, values: unknown): void {
    for (const [name, json] of Object.entries(values as Record<string, unknown>)) {
      row.set(name, parseValue(columnOf(table, name), json, this.#resolve));
    }
  }

  #mutate(operation: Operation, row: StoredRow): void {
    for (const [name, mutator, argument] of operation.mutations as [string, string, unknown][]) {
      const column = columnOf(tableOf(operation), name);
      row.set(name, mutate(column, row.get(name) ?? defaultValue(column), mutator, argument, this.#resolve));
    }
  }

  #each(operation: Operation, change: (row: StoredRow) => void): Result {
    const matching = this.#matching(operation);
    for (const [, row] of matching) change(row);
    if (matching.length > 0) this.changed = true;
    return { count: matching.length };
  }

  #delete(operation: Operation): Result {
    const matching = this.#matching(operation);
    for (const [id] of matching) this.contents.get(tableName(operation))?.delete(id);
    if (matching.length > 0) this.changed = true;
    return { count: matching.length };
  }

  #wait(operation: Operation): Result {
    const table = tableOf(operation);
    const columns = (operation.columns as string[] | undefined) ?? Object.keys(table.columns);
    const pick = (id: string, row: StoredRow) =>
      columns.map((name) => JSON.stringify(toJson(cellOf(id, row, name)))).join();
    const expected = (operation.rows as Record<string, unknown>[]).map(({ _uuid, ...values }) => {
      const row: StoredRow = new Map(
        Object.entries(table.columns).map(([name, column]) => [name, defaultValue(column)]),
      );
      this.#assign(table, row, values);
      return pick(uuidsOf({ kind: 'set', atoms: [_uuid ?? []] })[0] ?? '', row);
    });
    const seen = new Set(this.#matching(operation).map(([id, row]) => pick(id, row)));
    const equals = new Set(expected).size === seen.size && expected.every((text) => seen.has(text));
    if (equals === (operation.until === '==')) return {};
    const timeout = operation.timeout as number | undefined;
    if (timeout === undefined || this.conditions.waitedMs < timeout) throw new Blocked();
    throw new OpError('timed out', '"wait" timed out');
  }

  #matching(operation: Operation): [string, StoredRow][] {
    const table = tableOf(operation);
    const tests = (operation.where as [string, string, unknown][]).map((clause) => this.#test(table, clause));
    const rows = [...(this.contents.get(tableName(operation)) ?? [])];
    return rows.filter(([id, row]) => tests.every((holds) => holds(id, row)));
  }

  /** RFC 7047 5.1 <condition>. It is checked before any row is looked at, so a wrong one is an error on an empty table too. */
  #test(table: Table, [name, test, json]: [string, string, unknown]): (id: string, row: StoredRow) => boolean {
    const column: Column = name === '_uuid' ? { kind: 'scalar', key: 'uuid' } : columnOf(table, name);
    // includes and excludes take a part of a column's value.
    const partial = test === 'includes' || test === 'excludes';
    const whole = partial && column.kind !== 'map' ? ({ ...column, kind: 'set' } as const) : column;
    const given = parseValue(whole, json, this.#resolve);
    const functions: Record<string, (current: Value) => boolean> = {
      '==': (current) => equal(current, given),
      '!=': (current) => !equal(current, given),
      includes: (current) => includes(current, given),
      excludes: (current) => excludes(current, given),
    };
    const holds = functions[test];
    if (!holds) throw new OpError('unknown function', `No function "${test}"`);
    return (id, row) => holds(cellOf(id, row, name));
  }

  #shown(operation: Operation, id: string, row: StoredRow): Record<string, unknown> {
    const names = (operation.columns as string[] | undefined) ?? ['_uuid', '_version', ...row.keys()];
    const shown = (name: string): unknown => {
      if (name === '_uuid' || name === '_version') return ['uuid', id];
      columnOf(tableOf(operation), name, 'syntax error');
      return toJson(row.get(name) as Value);
    };
    return Object.fromEntries(names.map((name) => [name, shown(name)]));
  }

  /** Every strong reference of every row: from column, to table and id. */
  *#references(): Generator<{ from: string; table: string; id: string; to: string }> {
    for (const [table, rows] of this.contents) {
      for (const [name, column] of Object.entries(tables[table]?.columns ?? {})) {
        if (!column.to) continue;
        for (const [from, row] of rows)
          for (const id of uuidsOf(row.get(name))) yield { from, table, id, to: column.to };
      }
    }
  }

  #checkReferences(): void {
    for (const { table, id, to } of this.#references()) {
      if (!this.contents.get(to)?.has(id)) {
        throw new OpError(
          'referential integrity violation',
          `Table ${table} refers to nonexistent row ${id} in table ${to}.`,
        );
      }
    }
  }

  #collect(): void {
    for (;;) {
      const alive = new Set([...this.#references()].map(({ id }) => id));
      let collected = 0;
      for (const [name, rows] of this.contents) {
        if (tables[name]?.root) continue;
        for (const id of [...rows.keys()]) if (!alive.has(id)) collected += Number(rows.delete(id));
      }
      if (collected === 0) return;
    }
  }

  #checkUnique(name: string, table: Table): void {
    const seen = new Set<string>();
    for (const row of this.contents.get(name)?.values() ?? []) {
      const value = table.unique === undefined ? undefined : row.get(table.unique);
      if (!value) continue;
      const text = JSON.stringify(toJson(value));
      if (seen.has(text)) {
        const details = `Transaction causes multiple rows in "${name}" table to have identical values (${text}) for index on column "${table.unique}".`;
        throw new OpError('constraint violation', details);
      }
      seen.add(text);
    }
  }
}

function tableName(operation: Operation): string {
  return String(operation.table);
}

function tableOf(operation: Operation): Table {
  const table = tables[tableName(operation)];
  if (!table) throw new OpError('syntax error', `No table named ${tableName(operation)}.`);
  return table;
}

function columnOf(table: Table, name: string, error = 'unknown column'): Column {
  const column = table.columns[name];
  if (!column) throw new OpError(error, `No column ${name}.`);
  return column;
}

function cellOf(id: string, row: StoredRow, name: string): Value {
  return name === '_uuid' ? { kind: 'set', atoms: [['uuid', id]] } : (row.get(name) as Value);
}

function excludes(current: Value, given: Value): boolean {
  const parts: Value[] =
    given.kind === 'map'
      ? given.pairs.map((pair) => ({ kind: 'map', pairs: [pair] }))
      : given.atoms.map((atom) => ({ kind: 'set', atoms: [atom] }));
  return !parts.some((part) => includes(current, part));
}

function uuidsOf(value: Value | undefined): string[] {
  return value?.kind === 'set' ? value.atoms.map((atom) => String((atom as unknown[])[1])) : [];
}
