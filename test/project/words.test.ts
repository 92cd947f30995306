/**
 * The rules for words (CONTRIBUTING.md) that a program can check: a process is named, and a sentence begins with its subject.
 */
import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { productFiles } from '../support/product-code.ts';

/** A process is no person, and these say nothing of which one is meant. */
const persons =
  /\b(whoever|whomever|somebody|someone|nobody|everybody|anybody|he|his|him)\b|\banew\b|\bby now\b|\bas ever\b/i;

/** The openings of a sentence that has no subject yet. */
const openings = /^(What|Of|Whoever|Whom) /;

/** The comments of a file, each as one line of text. */
function commentsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found = new Map<number, string>();
  const visit = (node: ts.Node): void => {
    for (const range of ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []) {
      found.set(range.pos, text.slice(range.pos, range.end));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return [...found.values()].map((comment) =>
    comment
      .replace(/^\/\*\*?|\*\/$|^\/\/|^\s*\* ?/gm, ' ')
      .replace(/\s+/g, ' ')
      .trim(),
  );
}

/** The titles of a file of tests. */
function titlesOf(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /^(describe|it|test)\b/.test(node.expression.getText(source))) {
      const [title] = node.arguments;
      if (title && ts.isStringLiteralLike(title)) found.push(title.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const testFiles = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name}`);

describe('a comment of the product', () => {
  it.each(productFiles())('%s names the process that acts, and begins with its subject', (file) => {
    const comments = commentsOf(file);
    expect(comments.filter((comment) => persons.test(comment))).toEqual([]);
    expect(comments.filter((comment) => openings.test(comment))).toEqual([]);
  });
});

describe('a title of a test', () => {
  it('names the process that acts', () => {
    const all = testFiles.flatMap((file) => titlesOf(file).map((title) => `${file}: ${title}`));
    expect(all.filter((title) => persons.test(title))).toEqual([]);
  });
});
