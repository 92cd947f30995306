/** The output of the lanes of tests. */
import { execFileSync, spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { describe, expect, it, test, vi } from 'vitest';
import type { TestModule } from 'vitest/node';
import config from '../../vitest.config.ts';
import SkipReporter, { skippedTitle } from '../support/skip-reporter.ts';

const root = join(import.meta.dirname, '../..');
const lane = join(root, 'scripts/lane.sh');

test('into a file or a pipe a lane writes no colours (need N22)', () => {
  const env = { PATH: process.env.PATH };
  const text = execFileSync(lane, ['unit', 'test/attachment.test.ts'], { env, encoding: 'utf8' });
  expect(text).toContain('test/attachment.test.ts');
  expect(text).not.toContain('\u001b');
}, 60_000);

test('at its end a lane says how many tests were skipped, and why (need N22)', () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const names = [
    `${skippedTitle('a suite', 'root is missing: sudo')} > one`,
    `${skippedTitle('a suite', 'root is missing: sudo')} > another`,
    'by hand',
  ];
  const module = { children: { allTests: () => names.map((fullName) => ({ fullName })) } };
  new SkipReporter().onTestRunEnd([module as unknown as TestModule]);
  const said = log.mock.calls.flat();
  log.mockRestore();
  expect(said).toEqual(['skipped: 2 tests: root is missing: sudo', 'skipped: 1 tests: no reason is given']);
});

describe('a lane that would run nothing fails:', () => {
  it.each([
    { what: 'an unknown lane', args: ['nosuch'], said: 'there is no lane "nosuch"' },
    {
      what: 'an unknown lane beside a known one',
      args: ['unit,nosuch', 'test/log.test.ts'],
      said: 'there is no lane "nosuch"',
    },
    { what: 'no name', args: ['', 'test/log.test.ts'], said: 'name a lane' },
    { what: 'a filter that fits no file', args: ['unit', 'test/no-such-file'], said: 'No test files found' },
    { what: 'a file of another lane', args: ['unit', 'test/property/disk.test.ts'], said: 'No test files found' },
    {
      what: 'a pattern that fits no test',
      args: ['unit', 'test/log.test.ts', '-t', 'no such test'],
      said: 'none has such a name',
    },
  ])(
    '$what',
    ({ args, said }) => {
      const { status, stderr } = spawnSync(lane, args, { env: { PATH: process.env.PATH }, encoding: 'utf8' });
      expect(stderr).toContain(said);
      expect(status).toBe(1);
    },
    60_000,
  );
});

/** The lanes of a file by their globs: no command chooses a lane's files. */
const lanesOf = (file: string): string[] => {
  const fits = (globs: readonly string[]) => globs.some((glob) => matchesGlob(file, glob));
  return lanes.filter(({ include, exclude }) => fits(include) && !fits(exclude)).map(({ name }) => name);
};

const lanes = (config.test?.projects ?? []).map((project) => {
  if (typeof project !== 'object' || !('test' in project)) throw new Error('a project is not written out');
  const { name, include = [], exclude = [] } = project.test ?? {};
  return { name: String(name), include, exclude };
});

describe('every file of tests belongs to one lane:', () => {
  const files = globSync('**/*.{test,spec}.?(c|m)[jt]s?(x)', { cwd: join(root, 'test') });

  it('there are some in each', () => {
    const filled = new Set(files.flatMap((file) => lanesOf(`test/${file}`)));
    expect([...filled].sort()).toEqual(lanes.map(({ name }) => name).sort());
  });

  it('no file is in none, or in two', () => {
    const misplaced = files.map((file) => [file, ...lanesOf(`test/${file}`)]).filter(({ length }) => length !== 2);
    expect(misplaced).toEqual([]);
  });
});
