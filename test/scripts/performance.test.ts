/** docs/performance.md, its pictures and its figures: what `npm run bench -- --write` makes of one run. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { readOptions } from '../../scripts/bench/options.ts';
import { type Figures, filled, partsOf } from '../../scripts/bench/performance.ts';
import { chart } from '../../scripts/bench/plot.ts';
import { docs, readFigures, writePerformance } from '../../scripts/bench/write.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const calls = {
  title: 'calls one after the other, beside 7 standing attachments',
  rows: [
    { call: 'ADD', way: 'agent', 'x R1': 1.234, 'p90 x R1': null, 'CPU x R1': 2, 'x alone': 0.8, ms: 40 },
    { call: 'ADD', way: 'R1', 'x R1': 1, 'p90 x R1': 1, 'CPU x R1': 1, 'x alone': 0.5, ms: 30 },
  ],
};
const crowd = {
  title: '100 at once',
  rows: [{ call: 'ADD', way: 'R1', 'x R1': 1, 'x alone': 0.6, failed: '26/300', 'slowest/median': 1.5 }],
};
const figures: Figures = {
  version: '1.2.3',
  rounds: 9,
  processors: 2,
  load: 0.25,
  disk: 'xfs',
  tables: [calls, crowd],
};

describe('the parts of a run', () => {
  const { blocks, pictures } = partsOf(figures);

  it('have a table of the figures that the page shows, without those that depend on the machine', () => {
    expect(blocks.calls).toContain('| ADD | agent | 1.23 | - | 2.00 | 0.80 |');
    expect(blocks.calls).not.toContain('40');
  });

  it('have a picture of the calls and of each crowd, which the page shows', () => {
    expect(Object.keys(pictures)).toEqual(['performance/calls-7.svg', 'performance/crowds-100.svg']);
    expect(blocks.calls).toContain('](performance/calls-7.svg)');
    expect(pictures['performance/crowds-100.svg']).toContain('1.00, failed: 26 of 300');
  });

  it('say of a scene that it was not measured, and of the run how it was made', () => {
    expect(blocks.memory).toBe('The last run did not measure this.');
    expect(blocks.run).toContain('1.2.3; 9 rounds, 2 processors, load 0.3');
  });
});

describe('the markers of a page', () => {
  const parts = { blocks: { one: 'new', two: 'other' }, pictures: {} };
  const marked = (one: string, two: string) =>
    `# A\n\n<!-- bench: one -->${one}<!-- /bench -->\n\nwords\n\n<!-- bench: two -->${two}<!-- /bench -->\n`;
  const made = marked('\n\nnew\n\n', '\n\nother\n\n');

  it.each([
    ['empty', marked('\n', '\n')],
    ['of an earlier run', marked('\n\n| old |\n\n', '\n\nolder\n\n')],
    ['of this run', made],
  ])('hold this run’s parts, %s as they were, and the words beside them stay', (_, page) => {
    expect(filled(page, parts)).toBe(made);
  });

  it('have to be those of the parts', () => {
    expect(() => filled(made, { ...parts, blocks: { one: 'new' } })).toThrow('a marker for "two"');
    expect(() => filled(made, { ...parts, blocks: { ...parts.blocks, three: '' } })).toThrow('no marker for three');
  });
});

describe('a chart', () => {
  const bars = [
    { call: 'ADD', way: 'agent', ratios: [0.5, 3] },
    { call: 'ADD', way: 'R1', ratios: [1, null] },
    { call: 'DEL <in> a pod', way: 'alone', ratios: [2, 1.5] },
  ];
  const svg = chart({ title: 'Time & more', panels: ['time', 'processor time'], bars });
  const widths = [...svg.matchAll(/<rect x="\d+" y="(\d+)" width="([\d.]+)"/g)].map(([, y, width]) => ({
    y: Number(y),
    width: Number(width),
  }));

  it('has bars as long as their figures, each panel by its own scale', () => {
    expect(widths.map(({ width }) => width)).toEqual([72.5, 145, 290, 290, 145]);
  });

  it('puts a group apart from the one before it', () => {
    const [agent, r1, del] = widths;
    expect(Number(r1?.y) - Number(agent?.y)).toBe(16);
    expect(Number(del?.y) - Number(r1?.y)).toBe(28);
  });

  it('is told to a reader of screens, and its words are no markup', () => {
    expect(svg).toContain('<title id="title">Time &amp; more</title>');
    expect(svg).toContain('ADD, R1: time 1.00, processor time unknown.');
    expect(svg).toContain('>DEL &lt;in> a pod</text>');
  });

  it('is 870 wide on a ground of its own, and each way has its own colour', () => {
    expect(svg).toContain('viewBox="0 0 870 ');
    expect(svg).toMatch(/<rect width="870" height="\d+" fill="#ffffff"\/>/);
    expect(new Set(svg.match(/fill="#(?!ffffff|222222)\w+"/g)).size).toBe(3);
  });
});

describe('docs/performance.md', () => {
  const kept = readFigures(join(docs, 'performance.json'));
  const parts = partsOf(kept);

  test('is cut from docs/performance.json (npm run bench -- --write --from docs/performance.json)', () => {
    const page = readFileSync(join(docs, 'performance.md'), 'utf8');
    expect(page).toBe(filled(page, parts));
  });

  test('shows pictures of the same figures, and there are no others', () => {
    expect(globSync('performance/*', { cwd: docs }).sort()).toEqual(Object.keys(parts.pictures).sort());
    for (const [path, svg] of Object.entries(parts.pictures)) expect(readFileSync(join(docs, path), 'utf8')).toBe(svg);
  });

  test('has the calls alone and through the agent beside R1, one after the other and a hundred at once', () => {
    for (const table of [parts.blocks.calls, parts.blocks.crowds])
      for (const way of ['alone', 'agent', 'R1']) expect(table).toMatch(new RegExp(`^\\| DEL \\| ${way} \\| \\d`, 'm'));
    expect(parts.blocks.crowds).toContain('performance/crowds-100.svg');
  });

  test('names no path of the machine that was measured', () => {
    expect(readFileSync(join(docs, 'performance.json'), 'utf8')).not.toMatch(/"[^"]*(?<![\w.])\/\w/);
  });
});

test('--write makes all of them in the directory that is named, and pictures of other scenes go', () => {
  const directory = temporaryDirectory();
  writePerformance(figures, directory);
  writePerformance({ ...figures, tables: [calls] }, directory);
  expect(globSync('**/*.*', { cwd: directory }).sort()).toEqual([
    'performance.json',
    'performance.md',
    'performance/calls-7.svg',
  ]);
  expect(readFigures(join(directory, 'performance.json'))).toEqual({ ...figures, tables: [calls] });
});

test('--docs and --from without --write are wrong words', () => {
  expect(() => readOptions(['--from', 'x'])).toThrow('go with --write');
  expect(readOptions(['--write', '--from', 'x', '--docs', 'y'])).toMatchObject({ write: true, from: 'x', docs: 'y' });
});
