/** How the lanes of tests speak. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { TestModule } from 'vitest/node';
import SkipReporter, { skippedTitle } from '../support/skip-reporter.ts';

const lane = join(import.meta.dirname, '../../scripts/lane.sh');

test('13.22 into a file or a pipe a lane writes no colours', () => {
  const env = { PATH: process.env.PATH };
  const text = execFileSync(lane, ['unit', 'test/attachment.test.ts'], { env, encoding: 'utf8' });
  expect(text).toContain('test/attachment.test.ts');
  expect(text).not.toContain('\u001b');
});

test('13.22 at its end a lane says how many tests were skipped, and why', () => {
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
