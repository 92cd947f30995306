/**
 * Builds dist/userspace: one executable with its runtime inside. Packages that few calls need are chunks of their own
 * (--splitting), read when they are imported.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';

const target = 'dist/userspace';
const fresh = `${target}.${process.pid}`;

mkdirSync('dist', { recursive: true });
const flags = ['--compile', '--bytecode', '--minify', '--splitting', '--format=esm', '--target=bun', '--env=disable'];
try {
  execFileSync(process.execPath, ['build', ...flags, 'src/main.ts', '--outfile', fresh], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // By rename: a call that is running keeps its own file, and none meets a half-written one.
  renameSync(fresh, target);
} finally {
  rmSync(fresh, { force: true });
}
