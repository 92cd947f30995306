/**
 * Builds dist/userspace: one executable with its runtime inside. Packages that few calls need are chunks of their own
 * (--splitting), read when they are imported.
 */
import { execFileSync } from 'node:child_process';
import { commitHere, compile, targetHere } from './release/compile.ts';

const outfile = 'dist/userspace';
compile(outfile, { target: targetHere(), commit: commitHere() });
// A check that the executable runs.
const told = execFileSync(outfile, ['--version'], { env: {}, encoding: 'utf8' });
console.log(`${outfile}: ${told.trim()}, built in ${Math.round(performance.now())} ms`);
