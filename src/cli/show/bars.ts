/**
 * An attachment's episodes as bars of characters: what each step waited for, from when, and for how long. Pure.
 *
 * Each episode has its own axis, whose length stands above its bars. No line is wider than asked for.
 */
import { textWidth } from '../../os/native.ts';
import type { Reading } from '../attachments.ts';
import { ageOf, type Colour, gap, type Paint, plain, stateColour } from '../print.ts';
import { type Charset, cutTo, fitting, padTo, wrapped } from '../text.ts';
import { type Episode, type EpisodeRow, episodesOf, type Stretch, type TimedRecord } from './episodes.ts';
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

export interface BarPage {
  readonly colours: Paint;
  readonly now: Date;
  readonly charset: Charset;
  /** The width of a terminal's line. Absent: bars as on a narrow terminal, and messages as long as they are, for grep(1). */
  readonly columns?: number | undefined;
}

/** Bars are read across, so wider ones help no more. */
const columnsMax = 140;
/** On a narrower terminal lines go over its edge, because names, times and results have to be whole. */
const columnsMin = 64;
const columnsUsual = 80;

/** `remove publication`, the longest name. */
const nameWidth = 18;
const waitedWidth = { narrow: 10, wide: 18 } as const;
const tookWidth = 10;
/** `displaced`, the longest result. */
const resultWidth = 9;
const indent = '  ';

const glyphs: Record<Charset, { readonly [part in 'edge' | 'waits' | 'works' | 'good' | 'bad' | 'open']: string }> = {
  'utf-8': { edge: '│', waits: '─', works: '█', good: '◆', bad: '✗', open: '▸' },
  ascii: { edge: '|', waits: '-', works: '=', good: '*', bad: 'x', open: '>' },
};

/** @param adds the records too, each with its time */
export function barsOf(reading: Reading, page: BarPage, { adds }: { readonly adds?: 'records' }): string {
  const { attachment, records } = reading;
  const paper = new Paper(page);
  const { key, state, pod, since } = attachment;
  const age = ageOf(since, page.now);
  paper.line(key);
  const facts = [...(pod ? [`pod ${pod}`] : []), ...(age ? [`age ${age}`] : [])];
  paper.painted(stateColour[state], state, facts.map((fact) => gap + fact).join(''));
  const begin = records.find((record) => record.kind === 'begin');
  if (begin) paper.line(describeBegin(begin));
  for (const episode of episodesOf(records)) drawEpisode(paper, episode);
  const more = notesOf(reading);
  if (adds) paper.list(['records:', ...records.map(recordLine)]);
  if (more.length > 0) paper.list(more);
  return paper.text;
}

function drawEpisode(paper: Paper, episode: Episode): void {
  const { at, spanMs, ending, rows } = episode;
  const heading = [titleOf(episode), at, pauseText(episode)].filter((word) => word !== undefined).join(gap);
  paper.line('');
  paper.heading(heading, endingColour[ending], endingText(episode));
  if (rows.some(({ kind }) => kind === 'effect')) paper.axis(spanMs);
  for (const row of rows) {
    if (row.kind === 'clock') paper.message('yellow', row.message);
    else paper.row(row, spanMs);
  }
}

/** Lines that are as wide as the page at most. */
class Paper {
  readonly #page: BarPage;
  readonly #width: number;
  readonly #lines: string[] = [];

  constructor(page: BarPage) {
    this.#page = page;
    this.#width = Math.min(columnsMax, Math.max(columnsMin, page.columns ?? columnsUsual));
  }

  get text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  get #waitedWidth(): number {
    return this.#width > columnsUsual ? waitedWidth.wide : waitedWidth.narrow;
  }

  /** The cells of a bar: what the other columns leave. */
  get #cells(): number {
    const others = indent.length + nameWidth + 1 + this.#waitedWidth + 1 + 2 + 1 + tookWidth + gap.length;
    return this.#width - others - resultWidth;
  }

  line(text: string, before = ''): void {
    this.#wrap(text, before, (one) => one);
  }

  /** A paragraph of its own. */
  list(lines: readonly string[]): void {
    this.line('');
    for (const [index, line] of lines.entries()) this.line(line, index > 0 && lines[0]?.endsWith(':') ? indent : '');
  }

  message(colour: Colour, text: string): void {
    this.#wrap(text, indent.repeat(2), (line) => this.#page.colours(colour, line));
  }

  /** A coloured word at the beginning of a line. */
  painted(colour: Colour, word: string, rest: string): void {
    this.#wrap(word + rest, '', (line, isFirst) =>
      isFirst ? this.#page.colours(colour, word) + line.slice(word.length) : line,
    );
  }

  /** The ending stands at the end of its line, or on the next one if there is no room. */
  heading(text: string, colour: Colour, ending: string): void {
    const fit = fitting(text, this.#page.charset);
    const isRoom = textWidth(fit) + gap.length + ending.length <= this.#width;
    if (!isRoom) this.line(text);
    const before = isRoom ? fit + gap : indent;
    this.#wrap(ending, isRoom ? '' : indent, (line) => this.#page.colours(colour, line), before);
  }

  axis(spanMs: number): void {
    const { edge } = glyphs[this.#page.charset];
    const scale = padTo(this.#cells - msText(spanMs).length, '0') + msText(spanMs);
    const heads = `${padTo(nameWidth, 'STEP')} ${padTo(this.#waitedWidth, 'WAITED FOR')}`;
    this.#put(this.#page.colours('dim', `${indent}${heads} ${edge}${scale}${edge}${'TOOK'.padStart(tookWidth + 1)}`));
  }

  row(row: Exclude<EpisodeRow, { kind: 'clock' }>, spanMs: number): void {
    const { charset, colours } = this.#page;
    const { edge } = glyphs[charset];
    const isEffect = row.kind === 'effect';
    const name = this.#cell(nameWidth, nameOf(row));
    const waited = this.#cell(this.#waitedWidth, isEffect ? row.waitedFor : '');
    const colour = colourOf(row);
    const bar = this.#bar(row, spanMs);
    const took = (isEffect && row.ms !== undefined ? msText(row.ms) : '').padStart(tookWidth);
    const result = isEffect ? colours(colour, resultText[row.result]) : '';
    const painted = bar.text === '' ? '' : colours(colour, bar.text);
    const line = `${indent}${name} ${waited} ${edge}${bar.before}${painted}${bar.after}${edge} ${took}${gap}${result}`;
    this.#put(result === '' ? line.trimEnd() : line);
    if (row.message !== undefined) this.message(colour, row.message);
  }

  #cell = (width: number, text: string): string => {
    const { charset } = this.#page;
    return padTo(width, cutTo(width, fitting(text, charset), charset));
  };

  #bar(row: Exclude<EpisodeRow, { kind: 'clock' }>, spanMs: number) {
    const cells = this.#cells;
    const { asked, from, to } = inCells(row, spanMs, cells);
    const { waits, works, good, bad, open } = glyphs[this.#page.charset];
    const isOver = row.kind === 'effect' && row.ms !== undefined;
    const mark = row.kind === 'moment' ? (row.isGood ? good : bad) : row.result === 'died' ? bad : open;
    const text = isOver ? waits.repeat(from - asked) + works.repeat(to - from) : mark;
    return { before: ' '.repeat(asked), text, after: ' '.repeat(cells - asked - textLength(text)) };
  }

  #wrap(text: string, before: string, paint: (line: string, isFirst: boolean) => string, first = before): void {
    const { charset, columns } = this.#page;
    const fit = fitting(text, charset);
    const lines = columns === undefined ? [fit] : wrapped(fit, this.#width - before.length);
    for (const [index, line] of lines.entries()) {
      this.#put(((index === 0 ? first : before) + paint(line, index === 0)).trimEnd());
    }
  }

  #put(line: string): void {
    this.#lines.push(line);
  }
}

const textLength = (text: string): number => [...text].length;

/** A stretch in whole cells: an effect has one at least, and ends on the axis. */
function inCells({ asked, from, to }: Stretch, spanMs: number, cells: number): Stretch {
  const cell = (ms: number): number => (spanMs > 0 ? Math.round((ms / spanMs) * cells) : 0);
  const end = Math.min(cells, Math.max(cell(to), 1));
  const start = Math.min(cell(from), end - 1);
  return { asked: Math.min(cell(asked), start), from: start, to: end };
}

/** A record with its time as it was written. */
function recordLine(record: TimedRecord): string {
  const time = `${record.at}${gap}`;
  const verb = (word: string, step: string) => `${String(word).padEnd(8)}${String(step).padEnd(12)}`;
  switch (record.kind) {
    case 'begin':
      return `${time}begin   ${describeBegin(record)}`;
    case 'intent':
      return `${time}${verb('intent', record.step)}`;
    case 'outcome': {
      const { outcome } = record;
      const result = outcome?.kind === 'ok' ? 'ok' : `${outcome?.kind}: ${plain(String(outcome?.trouble?.message))}`;
      return `${time}${verb(record.verb, record.step)}${`${record.ms} ms`.padStart(tookWidth)}${gap}${result}`;
    }
    case 'abandon':
      return `${time}abandon ${plain(String(record.trouble?.message))}`;
    case 'going':
      return `${time}going   by ${record.by}`;
    default:
      return `${time}${String((record as { readonly kind: unknown }).kind)}`;
  }
}
