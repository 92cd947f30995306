/** `npm run pages`: ends each page of docs with its neighbours, in the order of docs/README.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { closed, closingLines } from '../test/support/pages.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

for (const [path, line] of closingLines(read)) {
  const text = read(path);
  if (closed(text, line) === text) continue;
  writeFileSync(join(root, path), closed(text, line));
  console.log(`${path}: ${line}`);
}
