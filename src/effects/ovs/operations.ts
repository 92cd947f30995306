/**
 * The notation of OVSDB (RFC 7047 section 5): values, rows, operations, and the failure of a transaction. It builds and reads them,
 * and sends nothing.
 */
import { EngineFailure } from '../engine.ts';

/** RFC 7047 5.1 <value> and 5.2 <operation>, as much of them as this plugin builds. */
export type Operation = { readonly op: string; readonly [member: string]: unknown };
export type Row = { readonly [column: string]: unknown };

/** The answer to one operation: rows of a select, the uuid of an insert, the count of a mutate. */
export interface OperationResult {
  readonly rows?: readonly Row[];
  readonly uuid?: readonly ['uuid', string];
  readonly count?: number;
  readonly error?: string;
  readonly details?: string;
}

export const map = (entries: { readonly [key: string]: string }): unknown => ['map', Object.entries(entries)];
export const set = (values: readonly unknown[]): unknown => ['set', values];
export const uuid = (id: string): unknown => ['uuid', id];
export const named = (name: string): unknown => ['named-uuid', name];

/** A column of kind map as an object; anything else is empty. */
export function readMap(value: unknown): { readonly [key: string]: string } {
  return Array.isArray(value) && value[0] === 'map' ? Object.fromEntries(value[1] as [string, string][]) : {};
}

/** A column that is a set: OVSDB writes one element without the `set`. */
export function readSet(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) && value[0] === 'set' ? (value[1] as unknown[]) : [value];
}

export const readUuid = (value: unknown): string =>
  Array.isArray(value) && value[0] === 'uuid' ? String(value[1]) : '';

export const readUuids = (value: unknown): string[] => readSet(value).map(readUuid);

export const select = (table: string, where: readonly unknown[], columns: readonly string[]): Operation => ({
  op: 'select',
  table,
  where,
  columns,
});

/** Fails the transaction at once unless the rows are exactly these (RFC 7047 5.2.6). */
export const unless = (table: string, where: readonly unknown[], rows: readonly Row[]): Operation => ({
  op: 'wait',
  table,
  where,
  columns: Object.keys(rows[0] ?? { name: '' }),
  until: '==',
  rows,
  timeout: 0,
});

/** A wait until the one row of `where` differs from `row` (RFC 7047 5.2.6). The transaction fails if it does not in that time. */
export const untilDiffers = (table: string, where: readonly unknown[], row: Row, timeoutMs: number): Operation => ({
  op: 'wait',
  table,
  where,
  columns: Object.keys(row),
  until: '!=',
  rows: [row],
  timeout: Math.floor(timeoutMs),
});

export const withId = (id: string): unknown => ['_uuid', '==', uuid(id)];

export const withName = (name: string): unknown => ['name', '==', name];

export const withMarks = (marks: { readonly [key: string]: string }): unknown => [
  'external_ids',
  'includes',
  map(marks),
];

/** The database answered that the transaction fails. `operation` is the index of the failing one. */
export class TransactionError extends EngineFailure {
  override readonly name = 'TransactionError';
  constructor(
    /** RFC 7047 error string: "timed out" for a `wait`, "constraint violation", … */
    readonly error: string,
    readonly operation: number,
    readonly details: string,
  ) {
    const message = `${error}${details ? `: ${details}` : ''}`;
    super(message, `Open vSwitch refused the change: ${message}`);
  }
}

/** The guard of a transaction did not hold. */
export const isGuardFailure = (error: unknown): boolean =>
  error instanceof TransactionError && error.error === 'timed out';
