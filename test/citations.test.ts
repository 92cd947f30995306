/** Every number that a file of the repository cites is defined in the repository, and every link of a document leads somewhere. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { brokenLinks, definitionsIn, faultsIn, isBareAllowed, type Source } from './support/citations.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Without the files that .gitignore names, because other tools made them. */
function filesBelow(directory: string): string[] {
  const ignored = new Set([
    '.git',
    ...read('.gitignore')
      .split('\n')
      .map((line) => line.replace(/\/$/, '')),
  ]);
  const names = readdirSync(join(root, directory)).filter((name) => !ignored.has(name));
  return names.flatMap((name) => {
    const path = directory ? `${directory}/${name}` : name;
    return statSync(join(root, path)).isDirectory() ? filesBelow(path) : [path];
  });
}

const sources: readonly Source[] = filesBelow('')
  .filter((path) => /\.(ts|md|sh)$/.test(path))
  .map((path) => ({ path, text: read(path) }));
const definitions = definitionsIn(sources);
const told = (faults: ReturnType<typeof faultsIn>) =>
  faults.map(({ file, line, message }) => `${file}:${line} ${message}`);

/** Joins numbers that are written apart, because this file too is searched for citations. */
const joined = (text: string): string[] => text.replaceAll('-', '').split(', ');

describe('a number that is cited', () => {
  it('is defined in this repository, wherever it is cited', () => {
    expect(told(sources.flatMap((source) => faultsIn(source, definitions, isBareAllowed)))).toEqual([]);
  });

  it('is looked up in all its places: none of them is empty', () => {
    const cited = joined('A-1, A-44, B-1, B-45, C-2.3, N-12, I-1, I-19, ADR 0001, kind 7');
    expect(cited.filter((number) => !definitions.shared.has(number))).toEqual([]);
    expect(definitions.local.size).toBeGreaterThan(10);
    expect(sources.length).toBeGreaterThan(200);
  });
});

describe('a citation', () => {
  const known = {
    shared: new Set(joined('A-7, B-9, I-8, C-2.3, C-3.1, N-4, ADR 0007, kind 3')),
    local: new Map([['JO2', ['src/j.ts']]]),
  };
  const faultsOf = (text: string, allowsBare = true) =>
    told(faultsIn({ path: 'src/x.ts', text: `// a line\n// ${text}` }, known, allowsBare));
  const older = (number: string) => `13.${number}`;

  it.each([
    `case A${7}`,
    `(bug B${9}, I${8}, JO${2})`,
    `contract C${2}.3`,
    `need N${4}`,
    `ADR ${'0007'}`,
    `kind ${3}`,
    'SSE4 and `[A-Z0-9]`',
  ])('“%s” resolves', (text) => {
    expect(faultsOf(text, false)).toEqual([]);
  });

  it.each([
    `case A${8}`,
    `A${8}`,
    `(I${8}, B${10})`,
    `contract C${2}.9`,
    `contracts ${2}.9`,
    `crash-safety.md ${9}.9`,
    `need N${5}`,
    `(${older('5')})`,
    `JO${3}`,
    `I${20}`,
    `ADR ${'0099'}`,
    `ADR ${'0007'}, ${'0098'}`,
    `docs/adr/${'0099'}`,
    `kind ${8}`,
    `bug A${7}`,
  ])('“%s” is found with its file and line', (text) => {
    expect(faultsOf(text)).toEqual([expect.stringMatching(/^src\/x\.ts:2 "/)]);
  });

  it.each([
    `(A${7})`,
    `B${9} at the start`,
    `contracts ${2}.3`,
    `crash-safety.md ${2}.2`,
    `(${older('4')})`,
    `(${'design'}: never so)`,
  ])('“%s” resolves as long as older forms are allowed, and not after', (text) => {
    expect(faultsOf(text, true)).toEqual([]);
    expect(faultsOf(text, false)).toHaveLength(1);
  });

  it('of one file’s own invariant means one file, once older forms are forbidden', () => {
    const line = ` *  JO${2} A sentence.`;
    const both = { ...known, local: new Map([[`JO${2}`, ['src/j.ts', 'src/x.ts']]]) };
    expect(faultsIn({ path: 'src/x.ts', text: line }, both, true)).toEqual([]);
    expect(faultsIn({ path: 'src/x.ts', text: line }, both, false)).toHaveLength(1);
  });
});

describe('a link of a document', () => {
  const documents = sources.filter(({ path }) => path.endsWith('.md'));
  const exists = (path: string) => existsSync(join(root, path));

  it('leads to a file, and to a heading in it', () => {
    expect(told(documents.flatMap((document) => brokenLinks(document, exists, read)))).toEqual([]);
  });

  it.each(['gone.md', 'cases.md#gone'])('to %s is found', (target) => {
    const document = { path: 'docs/x.md', text: `[a link](${target})` };
    expect(told(brokenLinks(document, exists, read))).toEqual([`docs/x.md:1 the link "${target}" leads nowhere`]);
  });
});
