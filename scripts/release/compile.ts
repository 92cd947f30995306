/**
 * The one build of the executable: for this machine (`npm run build`) and for each target of a release. The same commit gives the same
 * bytes, whatever the directory is called and whenever it is built.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { readElf } from './elf.ts';

/** For each target: the package with its runtime. Bun has one for x64, also for processors without AVX2. */
export const runtimePackages = {
  'linux-x64': '@oven/bun-linux-x64',
  'linux-x64-musl': '@oven/bun-linux-x64-musl',
  'linux-arm64': '@oven/bun-linux-aarch64',
} as const;

export type Target = keyof typeof runtimePackages;

export const targets = Object.keys(runtimePackages) as Target[];

export const bunVersion = manifest.devDependencies.bun;

/** Everything that goes into a release: a file beside these changes none of its bytes. */
const sources = ['src', 'scripts', 'deploy', 'package.json', 'package-lock.json'];

const digits = 12;

function git(...args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** The first digits of the commit, "+changes" if a source differs from it, "unknown" outside a repository. */
export function commitHere(): string {
  // A directory inside another project's repository is not a part of that one.
  if (git('rev-parse', '--show-prefix') !== '') return 'unknown';
  const commit = git('rev-parse', 'HEAD')?.slice(0, digits);
  if (commit === undefined) return 'unknown';
  return git('status', '--porcelain', '--', ...sources) === '' ? commit : `${commit}+changes`;
}

/** The moment of the commit, in seconds since 1970; SOURCE_DATE_EPOCH, or else 0, outside a repository. */
export function epochHere(): number {
  const told = git('rev-parse', '--show-prefix') === '' ? git('log', '-1', '--format=%ct') : undefined;
  return Number.parseInt(told || process.env.SOURCE_DATE_EPOCH || '0', 10);
}

/** The target of the machine that builds. */
export function targetHere(): string {
  const { machine, interpreter } = readElf(process.execPath);
  return `linux-${machine}${interpreter?.includes('musl') ? '-musl' : ''}`;
}

const flags = [
  ...['--compile', '--bytecode', '--production', '--splitting', '--format=esm'],
  // Compiling to machine code costs a short-lived process more than it saves: a fifth of an ADD's CPU (ADR 0006).
  '--compile-jit-policy=100',
  // The working directory stays the runtime's. But without this flag Bun first asks for that directory's name, and ends before any
  // code of ours if it was deleted: a runtime that was started there could delete no pod.
  '--compile-exec-argv=--cwd=/proc/self/cwd',
  // The runtime's working directory may hold such files, and they are not ours to read.
  ...['--env=disable', '--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'],
  // A package asks for its own file's name, only to have something to hash. The name would be the builder's directory.
  `--define=__filename=${JSON.stringify('userspace')}`,
];

interface Compilation {
  readonly target: string;
  readonly commit: string;
  /** The runtime's path; undefined: the one that runs this. */
  readonly runtime?: string;
}

/** @returns the directories of the packages inside, as package-lock.json has them */
export function compile(outfile: string, { target, commit, runtime }: Compilation): string[] {
  mkdirSync(dirname(outfile), { recursive: true });
  const directory = mkdtempSync(`${outfile}.`);
  try {
    // Bun writes the file's name into the file: it is the same one for all.
    const fresh = join(directory, 'userspace');
    const metafile = join(directory, 'meta.json');
    const built = JSON.stringify({ commit, target, runtime: `Bun ${bunVersion}` });
    const own = [`--target=bun-${target}`, `--define=builtAs=${built}`, `--metafile=${metafile}`, '--outfile', fresh];
    const from = runtime === undefined ? [] : [`--compile-executable-path=${runtime}`];
    execFileSync(process.execPath, ['build', ...flags, ...from, ...own, 'src/main.ts'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    // By rename: a running call keeps its own file, and no call meets a half-written one.
    renameSync(fresh, outfile);
    return packagesIn(readFileSync(metafile, 'utf8'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Metafile {
  readonly outputs: { readonly [file: string]: { readonly inputs: { readonly [file: string]: object } } };
}

/** @param metafile Bun's account of which files went into which chunk */
export function packagesIn(metafile: string): string[] {
  const { outputs } = JSON.parse(metafile) as Metafile;
  const files = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs));
  const found = files.flatMap(
    (file) => file.match(/node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+/)?.[0] ?? [],
  );
  return [...new Set(found)].sort();
}
