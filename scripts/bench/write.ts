/** `npm run bench -- --write`: keeps the figures of a run, and writes the page and the pictures that show them. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Figures, filled, partsOf } from './performance.ts';

export const docs = join(import.meta.dirname, '../../docs');

/** The pictures' directory. */
const beside = 'performance';

export const readFigures = (path: string): Figures => JSON.parse(readFileSync(path, 'utf8'));

/**
 * Writes performance.json, performance.md and performance/*.svg. Pictures of scenes that the run did not have go.
 * @param directory docs, or another one; the page's own words are those of docs
 * @throws Error, before anything is written, if the page and the figures do not fit together
 */
export function writePerformance(figures: Figures, directory: string): string[] {
  const parts = partsOf(figures);
  const page = filled(readFileSync(join(docs, 'performance.md'), 'utf8'), parts);
  rmSync(join(directory, beside), { recursive: true, force: true });
  mkdirSync(join(directory, beside), { recursive: true });
  const files = {
    'performance.json': inRows(figures),
    'performance.md': page,
    ...parts.pictures,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return Object.keys(files);
}

/** JSON with a line for each row of a table, so that a difference of two runs is read by rows. */
const inRows = (figures: Figures): string =>
  `${JSON.stringify(figures, null, 2).replace(/\{[^{}]*\}/g, (row) => row.replace(/\s*\n\s*/g, ' '))}\n`;
