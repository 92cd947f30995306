import { describe, expect, it } from 'vitest';
import { code } from '../../src/attachment.ts';
import { CniError, refuse, toCniError } from '../../src/cni/error.ts';
import { JournalError } from '../../src/journal/journal.ts';
import { refusal } from '../support/cni-requests.ts';

describe('refusing', () => {
  it('does not throw if there is nothing to refuse', () => {
    expect(refusal(() => refuse([]))).toBeUndefined();
  });

  it('names every fault in one error, with the code of the first and the details of all', () => {
    const error = refusal(() =>
      refuse([
        { code: 4, message: 'one', details: 'a' },
        { code: 7, message: 'two' },
        { code: 2, message: 'three', details: 'b' },
      ]),
    );
    expect(error).toMatchObject({ code: 4, message: 'one; two; three', details: 'a\nb' });
  });

  it('has no details if no fault has any', () => {
    expect(refusal(() => refuse([{ code: 7, message: 'one' }]))?.details).toBeUndefined();
  });
});

describe('anything thrown', () => {
  it('that is a CniError stays what it is', () => {
    const error = new CniError(7, 'x');
    expect(toCniError(error)).toBe(error);
  });

  it('by the journal, because the disk failed, is code 5', () => {
    expect(toCniError(new JournalError('ENOSPC', 'no space'))).toMatchObject({ code: 5, message: 'no space' });
  });

  it.each(['EMFILE', 'ENFILE'])('because no descriptor was left (%s) is code 11, with the limit to raise', (errno) => {
    const thrown = Object.assign(new Error(`${errno}: too many open files, open 'x'`), { code: errno });
    expect(toCniError(thrown)).toMatchObject({
      code: 11,
      message: expect.stringMatching(new RegExp(`^${errno}: too many open files, open 'x': .*ulimit -n`)),
      details: undefined,
    });
  });

  it('by a bug is code 999, with its text, and its stack to find the bug', () => {
    const error = toCniError(new TypeError('x is not a function'));
    expect(error).toMatchObject({ code: 999, message: 'x is not a function' });
    expect(error.details).toContain('error.test.ts');
  });

  it.each(['text', undefined, null, 7])('that is not an error at all (%j) is code 999 too', (thrown) => {
    expect(toCniError(thrown)).toMatchObject({ code: 999, message: String(thrown) });
  });
});

describe('the codes', () => {
  it('never include 3, which would tell the runtime that no DEL is needed', () => {
    expect(Object.values(code)).not.toContain(3);
    expect(Object.values(code)).not.toContain(0);
  });
});
