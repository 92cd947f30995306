/** The calls' figures as a picture (SVG): a bar for each call and way, beside R1, for the time that passes and for processor time. */
import { writeFileSync } from 'node:fs';
import type { Table } from './report.ts';

const [left, barWidth, barHeight, gap, head] = [190, 300, 14, 12, 56];
const panels = [
  { column: 'x R1', title: 'time' },
  { column: 'CPU x R1', title: 'processor time' },
];
/** Light and dark enough for white and black backgrounds. */
const colours: { readonly [way: string]: string } = {
  agent: '#2a9d8f',
  alone: '#457b9d',
  before: '#8d99ae',
  R1: '#b8b8b8',
  floor: '#d9d9d9',
  peer: '#e9a03b',
};

interface Bar {
  readonly call: string;
  readonly way: string;
  readonly ratios: readonly number[];
}

/** @param table the one of calls after one another */
export function savePlot({ title, columns, rows }: Table, path: string): void {
  const at = (name: string) => columns.findIndex(([column]) => column === name);
  const bars = rows.map((row): Bar => {
    const ratios = panels.map(({ column }) => Number(row[at(column)]));
    return { call: String(row[at('call')]), way: String(row[at('way')]), ratios };
  });
  writeFileSync(path, drawn(`${title}: ratios to R1, ADD and DEL made of programs (less is better)`, bars));
}

function drawn(title: string, bars: readonly Bar[]): string {
  const most = Math.max(1, ...bars.flatMap(({ ratios }) => ratios.filter(Number.isFinite)));
  const lines: string[] = [];
  let y = head;
  for (const [index, bar] of bars.entries()) {
    const isFirst = bars[index - 1]?.call !== bar.call;
    if (isFirst) {
      y += index > 0 ? gap : 0;
      lines.push(text({ x: 8, y: y + 11, words: bar.call, more: 'font-weight="bold"' }));
    }
    lines.push(text({ x: left - 8, y: y + 11, words: bar.way, more: 'text-anchor="end"' }));
    lines.push(
      ...bar.ratios.map((ratio, panel) => drawnBar(bar, { ratio, most, y, x: left + panel * (barWidth + 60) })),
    );
    y += barHeight + 2;
  }
  const titles = panels.map((panel, index) => text({ x: left + index * (barWidth + 60), y: 46, words: panel.title }));
  const [width, height] = [left + 2 * (barWidth + 60), y + gap];
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  const open = `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="12">`;
  const ground = `<rect width="${width}" height="${height}" fill="#ffffff"/>`;
  const name = `<title>${title}</title>`;
  return `${[open, name, ground, text({ x: 8, y: 20, words: title, more: 'font-size="14"' }), ...titles, ...lines, '</svg>'].join('\n')}\n`;
}

interface Place {
  readonly ratio: number;
  readonly most: number;
  readonly x: number;
  readonly y: number;
}

function drawnBar({ way }: Bar, { ratio, most, x, y }: Place): string {
  if (!Number.isFinite(ratio)) return text({ x, y: y + 11, words: '-' });
  const width = ((barWidth * ratio) / most).toFixed(1);
  const bar = `<rect x="${x}" y="${y}" width="${width}" height="${barHeight}" fill="${colours[way] ?? '#999999'}"/>`;
  return bar + text({ x: x + Number(width) + 4, y: y + 11, words: ratio.toFixed(2) });
}

interface Words {
  readonly x: number;
  readonly y: number;
  readonly words: string;
  readonly more?: string;
}

const text = ({ x, y, words, more = '' }: Words): string =>
  `<text x="${x.toFixed(1)}" y="${y}" fill="#222222" ${more}>${words}</text>`;
