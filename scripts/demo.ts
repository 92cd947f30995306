/**
 * `npm run demo [-- --keep]`: starts the story (demo-story.ts) and hands signals on.
 *
 * The story runs in a session of its own. A terminal's Ctrl-C reaches every process of a group, but the story still needs the
 * programs that it started, to put things back.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';

// SIGTERM if this process is killed: then too everything is put back.
const story = ['--pdeathsig', 'TERM', process.execPath, join(import.meta.dirname, 'demo-story.ts')];
const child = spawn('setpriv', [...story, ...process.argv.slice(2)], { detached: true, stdio: 'inherit' });

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void child.kill(signal));

child.on('error', (error) => {
  console.error(`the demo does not start: ${error.message}`);
  process.exitCode = 1;
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal ?? 'SIGTERM'];
});
