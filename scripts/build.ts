/**
 * Builds dist/userspace: one executable with its runtime inside, and the JSON Schema of its networks beside it. Packages that few calls need are chunks of their own
 * (--splitting), read when they are imported.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { commitHere, compile, targetHere } from './release/compile.ts';

const outfile = 'dist/userspace';
compile(outfile, { target: targetHere(), commit: commitHere() });
// A check that the executable runs.
const said = (...words: string[]) => execFileSync(outfile, words, { env: {}, encoding: 'utf8' });
const told = said('--version');
writeFileSync(`${outfile}.schema.json`, said('explain', '--schema'));
console.log(`${outfile}: ${told.trim()}, built in ${Math.round(performance.now())} ms`);
