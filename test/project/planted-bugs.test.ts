/** Every bug of `npm run test:planted` can still be planted: this test sees a moved line long before that lane would. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bugs } from '../../scripts/planted-bugs.ts';

const root = join(import.meta.dirname, '../..');

test.each(bugs)('planted bug $letter has its place and its suites', ({ patches, suites }) => {
  for (const { file, search } of patches) {
    const count = readFileSync(join(root, file), 'utf8').split(search).length - 1;
    expect(count, `${file}: ${search}`).toBe(1);
  }
  for (const { file } of suites) expect(existsSync(join(root, file)), file).toBe(true);
});

test('no two planted bugs share a letter', () => {
  expect(new Set(bugs.map(({ letter }) => letter)).size).toBe(bugs.length);
});
