/** The figures as tables: printed when they are known, and kept as data for `--json`. */
import { writeFileSync } from 'node:fs';

type Cell = string | number | undefined;

export interface Table {
  readonly title: string;
  /** Each column's name, and for a number how many digits follow its point. */
  readonly columns: readonly (readonly [name: string, digits?: number])[];
  readonly rows: readonly (readonly Cell[])[];
  /** Sentences that say how the figures came about. */
  readonly notes?: readonly string[];
}

/** A table as data: each row an object with the columns' names, where a figure that there is not is null. */
interface Printed {
  readonly title: string;
  readonly notes: readonly string[];
  readonly rows: readonly { readonly [column: string]: string | number | null }[];
}

export class Report {
  readonly #tables: Printed[] = [];

  /** @param facts the run's circumstances */
  constructor(readonly facts: { readonly [name: string]: unknown }) {}

  print(table: Table): void {
    console.log(`${asText(table)}\n`);
    this.#tables.push(asData(table));
  }

  /** The tables so far, as data. */
  get tables(): readonly Printed[] {
    return this.#tables;
  }

  save(path: string): void {
    writeFileSync(path, `${JSON.stringify({ ...this.facts, tables: this.#tables }, null, 2)}\n`);
  }
}

function asText({ title, columns, rows, notes = [] }: Table): string {
  const cells = rows.map((row) => row.map((cell, index) => shown(cell, columns[index]?.[1])));
  const widths = columns.map(([name], index) => Math.max(name.length, ...cells.map((row) => row[index]?.length ?? 0)));
  const isText = columns.map((_, index) => rows.every((row) => typeof row[index] === 'string'));
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => (isText[index] ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join('  ')
      .trimEnd();
  const told = notes.map((note) => `  ${note}`);
  return [title, ...told, ...[columns.map(([name]) => name), ...cells].map((row) => `  ${line(row)}`)].join('\n');
}

function shown(cell: Cell, digits = 0): string {
  if (cell === undefined || Number.isNaN(cell)) return '-';
  return typeof cell === 'number' ? cell.toFixed(digits) : cell;
}

function asData({ title, columns, rows, notes = [] }: Table): Printed {
  const known = (cell: Cell) => (cell === undefined || Number.isNaN(cell) ? null : cell);
  const named = rows.map((row) => Object.fromEntries(columns.map(([name], index) => [name, known(row[index])])));
  return { title, notes, rows: named };
}
