import { describe, expect, it } from 'vitest';
import { textOf } from '../../src/figures/text.ts';

describe('the text format of Prometheus', () => {
  it('has a help, a type and the samples of each metric together', () => {
    const samples = [{ value: 1 }, { labels: { network: 'a', state: 'owed' }, value: 0.1 + 0.2 }];
    expect(textOf([{ name: 'owed', type: 'gauge', help: 'What is owed.', samples }])).toBe(
      '# HELP userspace_owed What is owed.\n# TYPE userspace_owed gauge\nuserspace_owed 1\n' +
        'userspace_owed{network="a",state="owed"} 0.3\n',
    );
  });

  it('keeps a label together, whatever it says', () => {
    const samples = [{ labels: { network: 'a"b\\c\nd' }, value: 1 }];
    expect(textOf([{ name: 'up', type: 'gauge', help: '', samples }])).toContain('{network="a\\"b\\\\c\\nd"} 1\n');
  });
});
