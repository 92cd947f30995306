/** The example of docs/library.md as real processes, which are killed at any moment. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { bring } from '../../docs/examples/directory-with-file.ts';
import { callOf, names } from '../support/real/example-caller.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const kills = 24;
const caller = join(import.meta.dirname, '../support/real/example-caller.ts');

/** Runs a process that makes and removes, and kills it some milliseconds after its first deed. */
async function liveFor(ms: number, place: string): Promise<void> {
  const child = spawn(process.execPath, [caller, place], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  await pause(ms);
  child.kill('SIGKILL');
  await ended;
}

describe('a process that makes and removes by the library', () => {
  it(`killed ${kills} times, leaves nothing that the next call does not finish or take away (I4)`, async () => {
    const place = temporaryDirectory();
    const directories = ['journals', 'made'].map((name) => join(place, name));
    for (const directory of directories) mkdirSync(directory);
    const left = () => directories.flatMap((directory) => readdirSync(directory));
    let interrupted = 0;
    for (let kill = 0; kill < kills; kill++) {
      await liveFor(Math.random() * 20, place);
      if (left().length > 0) interrupted++;
      for (const name of names) {
        const call = callOf(place, name);
        if (kill % 2 === 0) {
          await bring('make', call);
          expect(readFileSync(join(call.plan.directory, 'file'), 'utf8')).toBe(call.plan.text);
        }
        await bring('remove', call);
      }
      expect(left()).toEqual([]);
    }
    console.log(`the example: ${kills} processes killed, ${interrupted} of them with something made`);
    expect(interrupted).toBeGreaterThan(0);
  });
});
