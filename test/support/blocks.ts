/** The blocks of a page of the documentation, as a reader copies them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** @param page a path in the repository @param language all words of the block's fence; '' for a fence without any */
export const blocksOf = (page: string, language: string): string[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].flatMap(([, its, text]) =>
    its === language && text ? [text] : [],
  );
