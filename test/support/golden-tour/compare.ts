/** The differences between two records of the tour, call by call, and the place of the committed record. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CallRecord, Chapter } from './ground.ts';
import { type TourRecord, textOfChapter } from './tour.ts';

const directory = join(import.meta.dirname, '../../golden/tour');

const fileOf = (chapter: string): string => join(directory, `${chapter}.txt`);

/** The chapters that have a golden file. */
export const goldenChapters = (): string[] => readdirSync(directory).map((file) => file.replace(/\.txt$/, ''));

export const goldenText = (chapter: string): string => readFileSync(fileOf(chapter), 'utf8');

export function writeGolden(name: string, chapter: Chapter): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(fileOf(name), textOfChapter(chapter));
}

/** Removes the files of chapters that the tour has lost. */
export function forgetOtherGolden(names: readonly string[]): void {
  mkdirSync(directory, { recursive: true });
  for (const name of goldenChapters()) if (!names.includes(name)) rmSync(fileOf(name));
}

/** One call's difference: its title, and the first lines that differ. */
export interface Difference {
  readonly chapter: string;
  readonly call: string;
  readonly lines: readonly string[];
}

export function differencesBetween(old: TourRecord, fresh: TourRecord): Difference[] {
  const names = [...new Set([...old.keys(), ...fresh.keys()])];
  return names.flatMap((chapter) => {
    const [before, after] = [old.get(chapter)?.calls ?? [], fresh.get(chapter)?.calls ?? []];
    return Array.from({ length: Math.max(before.length, after.length) }, (_, index) => index).flatMap((index) =>
      differenceOf(chapter, index, before[index], after[index]),
    );
  });
}

const shownLines = 3;

function differenceOf(chapter: string, index: number, old?: CallRecord, fresh?: CallRecord): Difference[] {
  if (old?.title === fresh?.title && old?.text === fresh?.text) return [];
  const [before, after] = [old, fresh].map((one) => (one ? [one.title, ...one.text.split('\n')] : [])) as [
    string[],
    string[],
  ];
  const first = before.findIndex((line, at) => line !== after[at]);
  const from = first < 0 ? before.length : first;
  const column = firstDifferent(before[from] ?? '', after[from] ?? '');
  const shown = (name: string, lines: readonly string[]): string[] =>
    lines.slice(from, from + shownLines).map((line, at) => `${name}: ${at === 0 ? nearTo(column, line) : line}`);
  const lines = [...shown('old', before), ...shown('new', after)];
  return [{ chapter, call: `${index + 1}. ${fresh?.title ?? old?.title}`, lines }];
}

function firstDifferent(old: string, fresh: string): number {
  let at = 0;
  while (at < old.length && old[at] === fresh[at]) at++;
  return at;
}

/** A line of a journal is long, so it is shown from shortly before the difference. */
function nearTo(column: number, line: string): string {
  const from = Math.max(0, column - 60);
  return from > 0 ? `…${line.slice(from)}` : line;
}
