/**
 * Can the suites fail? `npm run test:planted [-- LETTER…]` plants each bug of planted-bugs.ts in a scratch copy of the tree. It
 * runs the suites that should see the bug until one does. Exit status 1 if a bug goes unseen.
 *
 * Each suite has to pass in the clean copy first, because one that fails without the bug proves nothing.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bug, Patch, Suite } from './planted-bug.ts';
import { bugs } from './planted-bugs.ts';

const root = join(import.meta.dirname, '..');
const copied = ['src', 'test', 'scripts', 'deploy', 'docs', 'package.json', 'tsconfig.json', 'vitest.config.ts'];
const suiteSeconds = 120;

interface Run {
  /** Titles of the failed tests. */
  readonly failed: readonly string[];
  readonly passed: number;
}

interface Catch {
  readonly suite: string;
  readonly title: string;
}

interface Assertion {
  readonly status: string;
  readonly fullName: string;
}

const scratch = mkdtempSync(join(tmpdir(), 'usw-planted-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

for (const name of copied) cpSync(join(root, name), join(scratch, name), { recursive: true });
symlinkSync(join(root, 'node_modules'), join(scratch, 'node_modules'));

/** @throws if the source no longer has the line of the bug: then rewrite the bug, and do not drop it. */
function plant({ file, search, replace }: Patch): void {
  const text = readFileSync(join(scratch, file), 'utf8');
  const count = text.split(search).length - 1;
  if (count !== 1) throw new Error(`${file}: what is to be replaced is there ${count} times, not once:\n${search}`);
  writeFileSync(
    join(scratch, file),
    text.replace(search, () => replace),
  );
}

const cure = ({ file }: Patch): void => cpSync(join(root, file), join(scratch, file));

/** The same seed with and without the bug. */
const environment = { ...process.env, FC_SEED: process.env.FC_SEED ?? '1', CI: '' };

function bun(...args: string[]): { status: number | null; output: string } {
  const options = { cwd: scratch, env: environment, encoding: 'utf8' } as const;
  // Not spawnSync's own deadline, which would leave the runner's workers behind.
  const limited = ['--kill-after=5', String(suiteSeconds), process.execPath, ...args];
  const { status, stdout, stderr } = spawnSync('timeout', limited, options);
  return { status, output: `${stdout}${stderr}` };
}

function run({ project, file, only }: Suite): Run {
  if (project === 'real-fault' || project === 'system') {
    const { status, output } = bun('scripts/build.ts');
    if (status !== 0) throw new Error(`it does not build:\n${output}`);
  }
  const report = join(scratch, 'report.json');
  rmSync(report, { force: true });
  const pick = only === undefined ? [] : ['-t', only];
  const vitest = ['--bun', 'node_modules/vitest/vitest.mjs', 'run', '--project', project, file, '--bail', '1', ...pick];
  const { output } = bun(...vitest, '--reporter=json', `--outputFile=${report}`);
  let results: { assertionResults: Assertion[]; message: string }[];
  try {
    results = JSON.parse(readFileSync(report, 'utf8')).testResults;
  } catch {
    throw new Error(`${file} came to no end in ${suiteSeconds} s:\n${output.slice(-2000)}`);
  }
  const all = results.flatMap(({ assertionResults }) => assertionResults);
  const titles = (status: string) => all.filter((one) => one.status === status).map(({ fullName }) => fullName);
  const broken = all.length === 0 ? results.map(({ message }) => message) : [];
  if (broken.length > 0) throw new Error(`${file} does not load: ${broken.join('\n')}`);
  return { failed: titles('failed'), passed: titles('passed').length };
}

const nameOf = ({ project, file, only }: Suite): string =>
  [project, file.replace(/^test\//, ''), ...(only ? [`-t "${only}"`] : [])].join(' ');

const clean = new Map<string, Run>();

/** @throws if the suite fails, or tests nothing, without any bug. */
function believe(suite: Suite): void {
  const name = nameOf(suite);
  const before = clean.get(name) ?? run(suite);
  clean.set(name, before);
  if (before.failed.length > 0) throw new Error(`without the bug ${name} fails too: ${before.failed[0]}`);
  if (before.passed === 0) throw new Error(`${name} has no test that runs here`);
}

function hunt({ patches, suites }: Bug): Catch | undefined {
  for (const suite of suites) {
    believe(suite);
    patches.forEach(plant);
    try {
      const [title] = run(suite).failed;
      if (title) return { suite: nameOf(suite), title };
    } finally {
      patches.forEach(cure);
    }
  }
  return undefined;
}

const asked = process.argv.slice(2);
const began = performance.now();
let unseen = 0;
const cell = (text: string): string => text.replaceAll('|', '\\|');

console.log('| | planted bug | suite | caught by | s |\n|---|---|---|---|---|');
for (const bug of bugs.filter(({ letter }) => asked.length === 0 || asked.includes(letter))) {
  const start = performance.now();
  let found: Catch;
  try {
    found = hunt(bug) ?? { suite: 'none', title: 'NOT CAUGHT' };
  } catch (error) {
    found = { suite: 'none', title: `NOT CAUGHT: ${error instanceof Error ? error.message : error}` };
  }
  if (found.suite === 'none') unseen++;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`| ${bug.letter} | ${bug.title} | ${found.suite} | ${cell(found.title)} | ${seconds} |`);
}
const seconds = Math.round((performance.now() - began) / 1000);
const planted = asked.length === 0 ? bugs.length : asked.length;
console.log(`planted: ${planted} bugs, ${planted - unseen} caught, ${unseen} not caught, ${seconds} s`);
process.exit(unseen === 0 ? 0 : 1);
