/**
 * A call with five arguments cannot be read without the declaration, so values that go together are one parameter.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { productFiles, signaturesOf } from '../support/product-code.ts';

const parametersMax = 4;

/** The kernel's own signatures. */
const foreign = 'src/os/native.ts';

describe('a function of the product', () => {
  it(`has at most ${parametersMax} parameters`, () => {
    const files = productFiles().filter((file) => file !== foreign);
    const all = files.flatMap((file) => signaturesOf(file, readFileSync(file, 'utf8')));
    const long = all.filter(({ parameters }) => parameters > parametersMax);
    expect(long.map(({ file, name }) => `${file} ${name}`)).toEqual([]);
  });

  it('is counted in every form that it can have', () => {
    const text = `function one(a, b, c, d, e) {}
const two = (a, b, c, d, e) => a;
class A { constructor(a, b, c, d, e) {} three(a, b, c, d, e) {} }
interface B { four(a, b, c, d, e): void; five: (a, b, c, d, e) => void }
type Six = (a, b, c, d, e) => void;`;
    const found = signaturesOf('a.ts', text).map(({ name, parameters }) => `${name}: ${parameters}`);
    expect(found).toEqual(['one: 5', 'two: 5', 'A: 5', 'three: 5', 'four: 5', 'five: 5', 'Six: 5']);
  });
});
