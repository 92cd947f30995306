/** `userspace list --watch` as a process: nothing is asked while nothing happens, and Ctrl-C is its ordinary end. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import { describe, expect, it, onTestFinished } from 'vitest';
import { attached, cliScene } from '../support/fake/cli-scene.ts';
import { executable, missing } from '../support/requirements.ts';
import { keyOf } from '../support/stand-in/scene.ts';

/** Looks at files and servers. */
const looks = /\b(open|openat|stat|statx|newfstatat|lstat|access|readlink|getdents64|connect|sendto)\(/;

/** The looks of the runtime at its own memory. */
const ownLooks = /"\/proc\/self\/|newfstatat\(\d+, "",/;

/** Long enough for any poll that a person would not call slow. */
const idleMs = 3_000;

describe.skipIf(missing(['strace']).length > 0)('userspace list --watch', () => {
  it('looks at no file while nothing changes, prints what does, and ends at Ctrl-C with exit code 0', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    const trace = join(s.dataDir, '..', 'trace');
    const words = ['list', '-w', '--no-live', '-o', 'name', '--data-dir', s.dataDir];
    const running = execa('strace', ['-f', '-o', trace, executable, ...words], { reject: false });
    const pid = () => Number(/^(\d+)/.exec(readFileSync(trace, 'utf8'))?.[1]);
    // A strace that is killed leaves its program alone.
    onTestFinished(() => {
      if (running.exitCode === undefined) process.kill(pid(), 'SIGKILL');
    });
    const lines = running.iterable()[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('net:aaaa:net1');
    // The runtime loads code for a moment.
    await setTimeout(1_000);
    const before = readFileSync(trace, 'utf8').length;
    await setTimeout(idleMs);
    const meanwhile = readFileSync(trace, 'utf8').slice(before).split('\n');
    expect(meanwhile.filter((line) => looks.test(line) && !ownLooks.test(line))).toEqual([]);
    rmSync(path);
    expect((await lines.next()).value).toBe('net:aaaa:net1');
    process.kill(pid(), 'SIGINT');
    expect(await running).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('has written everything before it waits, and ends when its reader has gone', async () => {
    const s = await cliScene();
    // More than a pipe holds.
    const many = Array.from({ length: 700 }, (_, index) => keyOf(`${index}`.padStart(120, '0')));
    for (const key of many) await s.journal(key, attached(key));
    const words = ['list', '-w', '--no-live', '-o', 'name', '--data-dir', s.dataDir];
    const running = execa(executable, words, { reject: false, buffer: false });
    onTestFinished(() => void running.kill('SIGKILL'));
    let bytes = 0;
    const all = many.length * ('net:'.length + 120 + ':net1\n'.length);
    await new Promise<void>((done) => {
      running.stdout.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes === all) done();
      });
    });
    running.stdout.destroy();
    rmSync(join(s.dataDir, `net:${many[0]?.containerId}:net1.journal`));
    expect(await running).toMatchObject({ exitCode: 0 });
  });
});
