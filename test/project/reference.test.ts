/** The table of keys in docs/configuration.md is that of the schema that ships. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { referencePage } from '../../scripts/reference.ts';

const page = readFileSync('docs/configuration.md', 'utf8');

test('docs/configuration.md has the keys of today (npm run reference)', () => {
  expect(page).toBe(referencePage(page));
});

test('a page without a place for the table is an error, and what stands around the table stays', () => {
  expect(() => referencePage('# Network configuration\n')).toThrow('has no place for the table');
  const made = referencePage('before\n<!-- made by npm run reference -->old<!-- end -->\nafter\n');
  expect(made).toMatch(
    /^before\n<!-- made[\s\S]*\| `host\.vhost\.mode` \| `client`, `server` \| `server` \|[\s\S]*\nafter\n$/,
  );
});
