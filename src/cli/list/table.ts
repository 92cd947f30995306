/** The attachments as a table that fits a terminal. Pure. */
import type { Attachment } from '../attachments.ts';
import { ageOf, type Colour, gap, notes, type Paint, stateColour } from '../print.ts';
import { type Charset, cutTo, fitting, padTo, wrapped } from '../text.ts';
import type { Live } from '../words.ts';

/** An attachment, or one that `--watch` saw go. */
export interface Listed extends Attachment {
  readonly isGone?: true;
}

export interface TablePage {
  readonly colours: Paint;
  readonly now: Date;
  readonly charset: Charset;
  /** The width of a line. Absent: as wide as needed. */
  readonly columns?: number | undefined;
  /** Whether the switches were asked, so that there is a column LIVE. */
  readonly asksLive: boolean;
  /** Every column, and whole ids. */
  readonly isWide: boolean;
  /** The letters of an id that tell it from the others. */
  readonly letters: number;
}

interface Column {
  readonly head: string;
  readonly cell: (one: Listed) => string;
  readonly colour?: (one: Listed) => Colour | undefined;
  /** Cut before the others if the page is too narrow; `-o wide` and `show` have everything. */
  readonly isCut?: true;
  /** Where even cut columns are too wide, columns with this number are left out, the greatest number first. */
  readonly leaves?: number;
}

const liveColour: Record<Live, Colour> = { yes: 'green', no: 'red', unknown: 'yellow' };

function columnsOf({ now, asksLive, isWide, letters }: TablePage): Column[] {
  const id = ({ containerId }: Listed): string => (isWide ? containerId : containerId.slice(0, letters));
  const live: Column[] = [
    { head: 'LIVE', cell: ({ live }) => live ?? '-', colour: ({ live }) => live && liveColour[live], leaves: 1 },
  ];
  const places: Column[] = [
    { head: 'BRIDGE', cell: ({ bridge }) => bridge ?? '-' },
    { head: 'PORT', cell: ({ port }) => port ?? '-' },
  ];
  return [
    { head: 'NETWORK', cell: ({ network, key }) => network || key, isCut: true, leaves: 2 },
    { head: 'CONTAINER', cell: id },
    { head: 'IFNAME', cell: ({ ifName }) => ifName },
    {
      head: 'STATE',
      cell: ({ state, isGone }) => (isGone ? 'gone' : state),
      colour: ({ state, isGone }) => (isGone ? 'dim' : stateColour[state]),
    },
    ...(asksLive ? live : []),
    { head: 'AGE', cell: ({ since }) => ageOf(since, now), leaves: 3 },
    { head: 'POD', cell: ({ pod }) => pod ?? '-', isCut: true, leaves: 4 },
    ...(isWide ? places : []),
    { head: 'ADDRESSES', cell: ({ addresses }) => addresses.join(','), isCut: true, leaves: 5 },
  ];
}

export class Table {
  readonly #page: TablePage;
  readonly #columns: readonly Column[];
  readonly widths: readonly number[];

  /**
   * @param all those whose cells have to fit into the columns
   * @param before the widths of the rows above, so that columns stay where they are
   */
  constructor(all: readonly Listed[], page: TablePage, before: readonly number[] = []) {
    this.#page = page;
    this.#columns = keptOf(columnsOf(page), all, page);
    // The widths of other columns say nothing here.
    const isSame = before.length === this.#columns.length;
    const heads = this.#columns.map(({ head }, index) => Math.max(head.length, isSame ? (before[index] ?? 0) : 0));
    this.widths = widthsOf(this.#columns, { heads, all, most: page.isWide ? undefined : page.columns });
  }

  get head(): string {
    const line = this.#line(
      this.#columns.map(({ head }) => head),
      () => undefined,
    );
    return this.#page.colours('dim', line);
  }

  /** An attachment, and below it what is to be said of it. */
  row(one: Listed): string {
    const { charset, columns, isWide } = this.#page;
    const indent = ' '.repeat(4);
    const fitted = notes(one).map((note) => fitting(note, charset));
    const lines =
      isWide || columns === undefined ? fitted : fitted.flatMap((note) => wrapped(note, columns - indent.length));
    const cells = this.#line(
      this.#columns.map(({ cell }) => cell(one)),
      (index) => this.#columns[index]?.colour?.(one),
    );
    return [cells, ...lines.map((line) => indent + line)].join('\n');
  }

  #line(cells: readonly string[], colourOf: (index: number) => Colour | undefined): string {
    const { colours, charset } = this.#page;
    const texts = cells.map((cell, index) => {
      const width = this.widths[index] ?? 0;
      const text = cutTo(width, fitting(cell, charset), charset);
      const colour = colourOf(index);
      const padding = padTo(width, text).slice(text.length);
      return (colour ? colours(colour, text) : text) + padding;
    });
    return texts.join(gap).trimEnd();
  }
}

/** The columns for which there is room. The others are left out, because an id or a state cut to two letters says nothing. */
function keptOf(columns: readonly Column[], all: readonly Listed[], { columns: most, isWide }: TablePage): Column[] {
  const kept = [...columns];
  const least = ({ head, cell, isCut }: Column): number => {
    const width = all.reduce((widest, one) => Math.max(widest, cell(one).length), head.length);
    return isCut ? Math.min(width, Math.max(cutMin.first, head.length)) : width;
  };
  const total = () => kept.reduce((sum, column) => sum + least(column) + gap.length, -gap.length);
  while (!isWide && most !== undefined && total() > most) {
    const order = kept.map(({ leaves = 0 }) => leaves);
    if (Math.max(...order) === 0) break;
    kept.splice(order.indexOf(Math.max(...order)), 1);
  }
  return kept;
}

/** The widths down to which a column is cut: `first` still tells two values apart; `last` is for where that is not enough. */
const cutMin = { first: 8, last: 3 } as const;

interface Cells {
  /** The least widths. */
  readonly heads: readonly number[];
  readonly all: readonly Listed[];
  readonly most: number | undefined;
}

/** Cuts the widest column that may be cut, and then the widest one of all, until a line fits. */
function widthsOf(columns: readonly Column[], { heads, all, most = Number.POSITIVE_INFINITY }: Cells): number[] {
  const widths = columns.map(({ cell }, index) =>
    all.reduce((width, one) => Math.max(width, cell(one).length), heads[index] ?? 0),
  );
  const total = () => widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1));
  while (total() > most) {
    const index = widestOf(columns, widths);
    if (index < 0) break;
    widths[index] = (widths[index] ?? 0) - 1;
  }
  return widths;
}

function widestOf(columns: readonly Column[], widths: readonly number[]): number {
  const able = (isFirst: boolean): number[] =>
    widths.map((width, index) => {
      const isCut = isFirst ? columns[index]?.isCut && width > cutMin.first : width > cutMin.last;
      return isCut ? width : 0;
    });
  const [first, all] = [able(true), able(false)].map((one) => ({ one, most: Math.max(...one) }));
  const found = first && first.most > 0 ? first : all;
  return found && found.most > 0 ? found.one.indexOf(found.most) : -1;
}
