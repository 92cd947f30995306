/**
 * Builds dist/userspace: one executable with its runtime inside. Packages that few calls need are chunks of their own
 * (--splitting), read when they are imported.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';

const target = 'dist/userspace';
const fresh = `${target}.${process.pid}`;

mkdirSync('dist', { recursive: true });
const flags = [
  ...['--compile', '--bytecode', '--production', '--splitting', '--format=esm', '--target=bun'],
  // Compiling to machine code costs a short-lived process more than it saves: a fifth of an ADD's CPU (ADR 0006).
  '--compile-jit-policy=100',
  // The working directory stays the runtime's. But without this flag Bun first asks for that directory's name, and ends before any
  // code of ours if it was deleted: a runtime that was started there could delete no pod.
  '--compile-exec-argv=--cwd=/proc/self/cwd',
  // The runtime's working directory may hold such files, and they are not ours to read.
  ...['--env=disable', '--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'],
];
try {
  execFileSync(process.execPath, ['build', ...flags, 'src/main.ts', '--outfile', fresh], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // By rename: a running call keeps its own file, and no call meets a half-written one.
  renameSync(fresh, target);
  // A check that the executable runs.
  const told = execFileSync(target, ['--version'], { env: {}, encoding: 'utf8' });
  console.log(`${target}: ${told.trim()}, built in ${Math.round(performance.now())} ms`);
} finally {
  rmSync(fresh, { force: true });
}
