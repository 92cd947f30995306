/** The documentation as one row of pages: each is in the index, names its neighbours, and says why if it is long. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { brokenLinks } from '../support/citations.ts';
import { closed, closingLines, indexed, indexPath, saysWhyItIsLong, titleOf } from '../support/pages.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const inIndex = indexed(read(indexPath));
const pages = inIndex.map(({ path }) => ({ path, text: read(path) }));

describe('the index of the documentation', () => {
  it('has each page of docs, and the architecture, once', () => {
    const there = globSync('docs/*.md', { cwd: root }).filter((path) => path !== indexPath);
    expect(inIndex.map(({ path }) => path).sort()).toEqual([...there, 'ARCHITECTURE.md'].sort());
  });

  it('calls each page by its title', () => {
    expect(inIndex.map(({ words }) => words)).toEqual(pages.map(({ text }) => titleOf(text)));
  });

  it('is named by README', () => {
    expect(read('README.md')).toContain('](docs/README.md)');
  });
});

describe('a page of the documentation', () => {
  const closing = closingLines(read);

  it.each(pages)('$path ends with the page before it and the page after it (npm run pages)', ({ path, text }) => {
    expect(text).toBe(closed(text, closing.get(path) ?? ''));
  });

  it('gets its neighbours as its last line, in the place of those that it had', () => {
    const line = 'Previous: [One](one.md) · Next: [Three](three.md)';
    for (const text of ['# Two\n', '# Two\n\nNext: [Five](five.md).\n', `# Two\n\n${line}\n`])
      expect(closed(text, line)).toBe(`# Two\n\n${line}\n`);
  });

  it('that is longer than two screens says why in its opening', () => {
    expect(pages.filter((page) => !saysWhyItIsLong(page)).map(({ path }) => path)).toEqual([]);
  });

  it('is long from 111 lines on', () => {
    const lines = (count: number) => ({ text: `# A title\n${'a line\n'.repeat(count - 1)}` });
    expect(saysWhyItIsLong(lines(110))).toBe(true);
    expect(saysWhyItIsLong(lines(111))).toBe(false);
    expect(saysWhyItIsLong({ text: lines(111).text.replace('a line', 'This page is long,\nbecause.') })).toBe(true);
    expect(saysWhyItIsLong({ text: `${lines(111).text}## Later\nThis page is long, because.\n` })).toBe(false);
  });
});

describe('a page that a file names in a comment, a message or a manifest', () => {
  const mention = /(?<![\w/.-])(?:docs\/[\w/-]+|ARCHITECTURE|CONTRIBUTING|SECURITY)\.md(?:#[\w-]+)?/g;
  const naming = globSync(['src/**/*', 'deploy/**/*', 'scripts/**/*'], { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

  it('is there, with its heading if it names one', () => {
    const named = [...new Set(naming.flatMap((file) => readFileSync(file, 'utf8').match(mention) ?? []))];
    expect(named.length).toBeGreaterThan(20);
    const asDocument = { path: 'of-the-root.md', text: named.map((target) => `[](${target})`).join('\n') };
    const exists = (path: string) => existsSync(join(root, path));
    expect(brokenLinks(asDocument, exists, read).map(({ message }) => message)).toEqual([]);
  });
});
