/**
 * A name that two files of the product export misleads a search: it finds two different things.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { exportsOf, productFiles } from '../support/product-code.ts';

describe('an exported name', () => {
  it('is exported by one file only, unless a file re-exports it', () => {
    const filesOf = new Map<string, string[]>();
    for (const file of productFiles()) {
      for (const name of exportsOf(file, readFileSync(file, 'utf8'))) {
        filesOf.set(name, [...(filesOf.get(name) ?? []), file]);
      }
    }
    const twice = [...filesOf].filter(([, files]) => files.length > 1);
    expect(Object.fromEntries(twice)).toEqual({});
  });

  it('is found however it is declared', () => {
    const text = `export const one = 1, two = 2;
export function three() {}
export async function four() {}
export class Five {}
export interface Six {}
export type Seven = 1;
const eight = 8, hidden = 9;
export { eight };
export { handedOn } from './other.ts';`;
    expect(exportsOf('a.ts', text)).toEqual(['one', 'two', 'three', 'four', 'Five', 'Six', 'Seven', 'eight']);
  });
});
