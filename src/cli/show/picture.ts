/**
 * The episodes of attachments as one picture (SVG 1.1) for a bug report: the same words and bars as on a terminal. Each bar's title has
 * its records' numbers. Pure.
 */
import type { Reading } from '../attachments.ts';
import { type Colour, plain } from '../print.ts';
import { cutTo, wrapped } from '../text.ts';
import { type EpisodeRow, episodesOf } from './episodes.ts';
import {
  colourOf,
  describeBegin,
  endingColour,
  endingText,
  msText,
  nameOf,
  notesOf,
  pauseText,
  resultText,
  titleOf,
} from './phrases.ts';

/** Pixels. */
const size = { width: 1000, margin: 20, line: 18, bar: 11, least: 2 } as const;
const columns = { name: 32, waited: 180, bar: 300, barEnd: 780, took: 870, result: 885 } as const;
/** Letters of a monospaced font of 12 pixels. */
const letters = { line: 130, waited: 16 } as const;

const fills: Record<Colour, string> = { green: '#1a7f37', yellow: '#9a6700', red: '#cf222e', dim: '#6e7781' };
const ink = '#1f2328';
/** The time in which a record before an effect was made durable. */
const waitFill = '#afb8c1';

/** The beginning of each picture. */
export const pictureStart =
  '<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title"';

export function pictureOf(readings: readonly Reading[]): string {
  const sheet = new Sheet();
  for (const reading of readings) drawReading(sheet, reading);
  const keys = readings.map(({ attachment }) => attachment.key).join(', ');
  return sheet.textOf(`The journal of ${keys} as a timeline`);
}

function drawReading(sheet: Sheet, reading: Reading): void {
  const { attachment, records } = reading;
  const { key, state, pod } = attachment;
  sheet.words(key, { isBold: true });
  sheet.words([state, ...(pod ? [`pod ${pod}`] : []), `${records.length} records`].join(', '));
  const begin = records.find((record) => record.kind === 'begin');
  if (begin) sheet.words(describeBegin(begin));
  for (const episode of episodesOf(records)) {
    const { at, spanMs, ending, rows } = episode;
    const heading = [titleOf(episode), at, pauseText(episode), endingText(episode)].filter(Boolean).join(', ');
    sheet.space();
    sheet.words(heading, { fill: fills[endingColour[ending]], isBold: true });
    if (rows.some(({ kind }) => kind === 'effect')) sheet.axis(spanMs);
    for (const row of rows) {
      if (row.kind === 'clock') sheet.words(row.message, { x: columns.name, fill: fills.yellow });
      else sheet.row(row, spanMs);
    }
  }
  sheet.space();
  for (const note of notesOf(reading)) sheet.words(note);
}

interface Style {
  readonly x?: number;
  readonly fill?: string;
  readonly isBold?: boolean;
}

class Sheet {
  readonly #parts: string[] = [];
  #y: number = size.margin;

  space(): void {
    this.#y += size.line / 2;
  }

  /** Text in as many lines as it needs. */
  words(text: string, { x = size.margin, fill = ink, isBold = false }: Style = {}): void {
    for (const line of wrapped(plain(text), letters.line)) {
      this.#y += size.line;
      this.#write(line, `x="${x}" fill="${fill}"${isBold ? ' font-weight="bold"' : ''}`);
    }
  }

  axis(spanMs: number): void {
    this.#y += size.line;
    this.#write('0', `x="${columns.bar}" fill="${fills.dim}"`);
    this.#write(msText(spanMs), `x="${columns.barEnd}" fill="${fills.dim}" text-anchor="end"`);
  }

  row(row: Exclude<EpisodeRow, { kind: 'clock' }>, spanMs: number): void {
    this.#y += size.line;
    const fill = fills[colourOf(row)];
    this.#write(nameOf(row), `x="${columns.name}" fill="${ink}"`);
    this.#bar(row, spanMs, fill);
    if (row.kind === 'effect') {
      this.#write(cutTo(letters.waited, row.waitedFor, 'utf-8'), `x="${columns.waited}" fill="${fills.dim}"`);
      if (row.ms !== undefined) this.#write(msText(row.ms), `x="${columns.took}" fill="${ink}" text-anchor="end"`);
      this.#write(resultText[row.result], `x="${columns.result}" fill="${fill}"`);
    }
    if (row.message !== undefined) this.words(row.message, { x: columns.name + 16, fill });
  }

  textOf(title: string): string {
    const height = this.#y + size.margin;
    return [
      `${pictureStart} width="${size.width}" height="${height}" viewBox="0 0 ${size.width} ${height}" font-family="monospace" font-size="12">`,
      `<title id="title">${escaped(title)}</title>`,
      `<rect width="${size.width}" height="${height}" fill="#ffffff"/>`,
      ...this.#parts,
      '</svg>',
      '',
    ].join('\n');
  }

  /** An effect as a bar, a moment as a dot; an effect without an outcome begins somewhere and has no length. */
  #bar(row: Exclude<EpisodeRow, { kind: 'clock' }>, spanMs: number, fill: string): void {
    const at = (ms: number): number =>
      columns.bar + (spanMs > 0 ? Math.min(1, ms / spanMs) : 0) * (columns.barEnd - columns.bar);
    const [asked, from, to] = [at(row.asked), at(row.from), at(row.to)];
    const middle = this.#y - size.bar / 2 + 1;
    const isOver = row.kind === 'effect' && row.ms !== undefined;
    const width = Math.max(size.least, to - from);
    const shapes = isOver
      ? `<path d="M${round(asked)} ${middle}H${round(from)}" stroke="${waitFill}" stroke-width="2"/><rect x="${round(Math.min(from, columns.barEnd - width))}" y="${round(middle - size.bar / 2)}" width="${round(width)}" height="${size.bar}" fill="${fill}"/>`
      : `<circle cx="${round(asked)}" cy="${round(middle)}" r="4" fill="${fill}"/>`;
    const took = isOver ? `, ${msText(row.ms ?? 0)} from ${msText(row.from)}` : `, at ${msText(row.asked)}`;
    const title = `${nameOf(row)}${took}; record ${row.records.join(' and ')}`;
    this.#parts.push(`<g><title>${escaped(title)}</title>${shapes}</g>`);
  }

  #write(text: string, attributes: string): void {
    this.#parts.push(`<text y="${this.#y}" xml:space="preserve" ${attributes}>${escaped(text)}</text>`);
  }
}

const round = (value: number): number => Math.round(value * 10) / 10;

const names: { readonly [letter: string]: string } = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Any text as character data of XML 1.0, which has no control characters and no halves of letters. */
const escaped = (text: string): string =>
  plain(text)
    .replace(/[\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD')
    .replace(/[&<>"]/g, (letter) => names[letter] ?? '');
