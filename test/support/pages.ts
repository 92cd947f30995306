/** The pages of the documentation, in the order of their index. */
import { posix } from 'node:path';

/** The index, which GitHub shows for the directory. */
export const indexPath = 'docs/README.md';

export interface Page {
  /** In the repository. */
  readonly path: string;
  readonly text: string;
}

/** A page longer than two screens of this many lines says why. */
const screenLines = 55;

type Read = (path: string) => string;

/** The pages of an index: the links that begin a line of a list, each with its own words. */
export function indexed(index: string): { readonly path: string; readonly words: string }[] {
  const lines = index.matchAll(/^- \[([^\]]+)\]\(([^)#]+)\): /gm);
  return [...lines].map(([, words = '', target = '']) => ({
    path: posix.join(posix.dirname(indexPath), target),
    words,
  }));
}

export const titleOf = (text: string): string => /^# (.+)$/m.exec(text)?.[1] ?? '';

/** The last line of each page of the index. The pages and the index are a ring: it is before the first and after the last. */
export function closingLines(read: Read): ReadonlyMap<string, string> {
  const ring = [indexPath, ...indexed(read(indexPath)).map(({ path }) => path)];
  const link = (from: string, at: number) => {
    const to = ring.at(at % ring.length) ?? indexPath;
    return `[${titleOf(read(to))}](${posix.relative(posix.dirname(from), to)})`;
  };
  return new Map(
    ring
      .slice(1)
      .map((path, before) => [path, `Previous: ${link(path, before)} · Next: ${link(path, before + 2)}`] as const),
  );
}

/** A page with this line as its last. */
export const closed = (text: string, line: string): string =>
  `${text.replace(/^(?:Previous|Next): .*\n?/gm, '').trimEnd()}\n\n${line}\n`;

/** Whether a page is short, or its first section (the lines before the second heading) says why it is long. */
export function saysWhyItIsLong({ text }: Pick<Page, 'text'>): boolean {
  const [opening = ''] = text.replace(/^# .+\n/, '').split(/^## /m);
  return (
    text.trimEnd().split('\n').length <= 2 * screenLines || /\bis long,? because\b/.test(opening.replace(/\s+/g, ' '))
  );
}
