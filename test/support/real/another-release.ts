/**
 * Executables of other releases than this tree's, for tests of an upgrade and of the way back. Each is built once, from git's archive of its
 * commit and this tree's packages, and kept in the cache by that commit.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cached } from '../requirements.ts';

const root = join(import.meta.dirname, '../../..');

/** Before the first tag there are only commits: the last one without an agent, whose machines ran on xstate; and one with an agent. */
const commits = {
  'before the agent': '16de473',
  'with an agent': 'a112fdc',
} as const;

const git = (...words: string[]): string =>
  execFileSync('git', words, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();

/** Whole names of commits by their titles: the newest tag before this commit, where there is one, and older commits. */
export function earlierReleases(): readonly (readonly [title: string, commit: string])[] {
  const named = Object.entries(commits).flatMap(([title, name]) => {
    const commit = commitOf(name);
    return commit === undefined ? [] : [[`a release ${title} (${name})`, commit] as const];
  });
  const tag = tagBefore();
  const commit = tag && commitOf(tag);
  return tag && commit ? [[`the release ${tag}`, commit] as const, ...named] : named;
}

/** Whether this clone has the commits of before: a shallow one, and a copy without .git, has none. */
export function hasHistory(): boolean {
  try {
    return git('rev-parse', '--is-shallow-repository') === 'false';
  } catch {
    return false;
  }
}

/** @returns undefined where it is not in this clone */
function commitOf(name: string): string | undefined {
  try {
    return git('rev-parse', '--verify', '--quiet', `${name}^{commit}`);
  } catch {
    return undefined;
  }
}

function tagBefore(): string | undefined {
  try {
    return git('describe', '--tags', '--abbrev=0', 'HEAD^');
  } catch {
    return undefined;
  }
}

/** Builds it, unless the cache has it. @returns its path */
export function releaseOf(commit: string): string {
  const kept = cached('releases', commit, 'userspace');
  if (existsSync(kept)) return kept;
  return built(kept, (directory) => {
    const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 1 << 28 });
    execFileSync('tar', ['x', '-C', directory], { input: archive });
  });
}

/** This tree's code with a change, as a later release would have it. @returns its path, in a directory of the test */
export function laterRelease(directory: string, file: string, search: string, replace: string): string {
  return built(join(directory, 'userspace'), (copy) => {
    for (const part of readdirSync(root))
      if (!['.git', 'node_modules', 'dist', 'test'].includes(part))
        cpSync(join(root, part), join(copy, part), { recursive: true });
    const text = readFileSync(join(copy, file), 'utf8');
    if (text.split(search).length !== 2) throw new Error(`${file} has not exactly one "${search}"`);
    writeFileSync(join(copy, file), text.replace(search, replace));
  });
}

function built(path: string, fill: (directory: string) => void): string {
  const directory = mkdtempSync(join(tmpdir(), 'usw-r-'));
  try {
    fill(directory);
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
    const PATH = `${join(root, 'node_modules/.bin')}:${process.env.PATH}`;
    execFileSync(process.execPath, ['scripts/build.ts'], {
      cwd: directory,
      env: { ...process.env, PATH },
      stdio: 'pipe',
    });
    mkdirSync(dirname(path), { recursive: true });
    // Two test files may build it at once: a rename leaves one whole file.
    cpSync(join(directory, 'dist/userspace'), `${path}.${process.pid}`);
    renameSync(`${path}.${process.pid}`, path);
    return path;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
