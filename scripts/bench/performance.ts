/**
 * docs/performance.md as cut from the figures of one run: the tables between its markers, and the pictures. Pure: the figures that are
 * kept (docs/performance.json) give the same page again, so that page, pictures and figures cannot disagree.
 */
import { type Bar, chart } from './plot.ts';

type Cell = string | number | null;
type Row = { readonly [column: string]: Cell | undefined };

/** The figures of one run, as they are kept. */
export interface Figures {
  /** The executable's own words. */
  readonly version: string;
  readonly rounds: number;
  readonly processors: number;
  /** The machine's load before the run: others may have used it too. */
  readonly load: number;
  readonly disk: string;
  readonly tables: readonly { readonly title: string; readonly rows: readonly Row[] }[];
}

/** The parts of a page, by the names of their markers, and the pictures by their paths beside the page. */
export interface Parts {
  readonly blocks: { readonly [name: string]: string };
  readonly pictures: { readonly [path: string]: string };
}

interface Kind {
  /** Fits the titles of its tables; its group is the number in a picture's name. */
  readonly title: RegExp;
  /** The columns that the page shows, with their heading there. */
  readonly columns: { readonly [column: string]: string };
  /** The columns that the picture shows, with the titles of its panels. */
  readonly panels?: { readonly [column: string]: string };
}

/** A figure's digits behind the point; columns of counts and of milliseconds have fewer. */
const digitsOf = (column: string): number => (/MB|processes/.test(column) ? 0 : /\bms\b/.test(column) ? 1 : 2);

const kinds: { readonly [name: string]: Kind } = {
  calls: {
    title: /^calls one after the other, beside (\d+) /,
    columns: {
      'x R1': 'time',
      'p90 x R1': 'time, p90',
      'CPU x R1': 'processor time',
      'x alone': 'time beside alone',
    },
    panels: { 'x R1': 'time, beside R1', 'CPU x R1': 'processor time, beside R1' },
  },
  crowds: {
    title: /^(\d+) at once$/,
    columns: {
      'x R1': 'time',
      'x alone': 'time beside alone',
      failed: 'failed',
      'slowest/median': 'slowest call, of the median',
    },
    panels: {
      'x R1': 'time until the last has ended, beside R1',
      'slowest/median': 'slowest call, as a multiple of the median',
    },
  },
  questions: {
    title: /^calls that change nothing/,
    columns: { 'x hello': 'time', 'CPU x hello': 'processor time', 'x alone': 'time beside alone' },
  },
  steps: { title: /^in an ADD: the steps/, columns: { 'alone ms': 'alone, ms', 'agent ms': 'agent, ms' } },
  rest: {
    title: /^the agent at rest/,
    columns: { 'CPU ms/s': 'processor time, ms in a second', 'PSS MB': 'memory, MB', processes: 'processes' },
  },
  memory: {
    title: /^memory at the peak/,
    columns: { 'agent MB': 'agent, MB', 'calls MB': "calls' own processes, MB" },
  },
  'slow disk': {
    title: /on a slow disk/,
    columns: { 'x alone': 'time beside alone', 'x ordinary disk': 'time beside an ordinary disk', failed: 'failed' },
  },
};

/** The tables that a page has a place for: others are for the terminal alone. */
export const isKept = (title: string): boolean => Object.values(kinds).some((kind) => kind.title.test(title));

export function partsOf(figures: Figures): Parts {
  const pictures: Record<string, string> = {};
  const blocks: Record<string, string> = { run: runOf(figures) };
  for (const [name, kind] of Object.entries(kinds)) {
    const tables = figures.tables.filter(({ title }) => kind.title.test(title));
    const shown = tables.map(({ title, rows }) => {
      const path = `performance/${name}-${kind.title.exec(title)?.[1]}.svg`;
      if (kind.panels) pictures[path] = pictureOf(title, rows, kind.panels);
      return [...(kind.panels ? [`![${title}](${path})`] : []), tableOf(title, rows, kind.columns)].join('\n\n');
    });
    blocks[name] = shown.join('\n\n') || 'The last run did not measure this.';
  }
  return { blocks, pictures };
}

const runOf = ({ version, rounds, processors, load, disk }: Figures): string =>
  `The figures are those of one run: ${version}; ${rounds} rounds, ${processors} processors, load ${load.toFixed(1)} before it, disk ${disk}.`;

function pictureOf(title: string, rows: readonly Row[], panels: NonNullable<Kind['panels']>): string {
  const bars = rows.map((row): Bar => {
    const note = failuresOf(row);
    const ratios = Object.keys(panels).map((column) => (typeof row[column] === 'number' ? row[column] : null));
    return { call: String(row.call), way: String(row.way), ratios, ...(note && { note }) };
  });
  return chart({ title: `${title} (less is better)`, panels: Object.values(panels), bars });
}

const failuresOf = ({ failed }: Row): string | undefined =>
  typeof failed === 'string' && !failed.startsWith('0/') ? `failed: ${failed.replace('/', ' of ')}` : undefined;

/** A table of Markdown: the words of a row first, then the wanted figures. */
function tableOf(title: string, rows: readonly Row[], columns: Kind['columns']): string {
  const words = ['call', 'way', 'step'].filter((column) => rows.some((row) => row[column] !== undefined));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const heading = [...words, ...Object.values(columns)];
  const shown = rows.map((row) => [...words.map((column) => String(row[column])), ...figuresOf(row, columns)]);
  return [
    `${title[0]?.toUpperCase()}${title.slice(1)}:`,
    '',
    line(heading),
    line(heading.map(() => '---')),
    ...shown.map(line),
  ].join('\n');
}

const figuresOf = (row: Row, columns: Kind['columns']): string[] =>
  Object.keys(columns).map((column) => {
    const cell = row[column];
    return typeof cell === 'number' ? cell.toFixed(digitsOf(column)) : (cell ?? '-');
  });

/** A part of a page that a program writes. */
const block = /^<!-- bench: (.+?) -->\n[\s\S]*?^<!-- \/bench -->$/gm;

/** Puts the parts between the markers of a page. @throws Error if a marker names no part, or a part has no marker */
export function filled(page: string, { blocks }: Parts): string {
  const missing = new Set(Object.keys(blocks));
  const text = page.replace(block, (_, name: string) => {
    const content = blocks[name];
    if (content === undefined) throw new Error(`the page has a marker for "${name}", and no run measures that`);
    missing.delete(name);
    return `<!-- bench: ${name} -->\n\n${content}\n\n<!-- /bench -->`;
  });
  if (missing.size > 0) throw new Error(`the page has no marker for ${[...missing].join(', ')}`);
  return text;
}
