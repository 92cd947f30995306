/** `npm run demo`, cut off at any moment, kept, and where user namespaces are refused. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import { hugepageCount } from '../support/real/hugepages.ts';
import { missing, switchParts } from '../support/requirements.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const root = join(import.meta.dirname, '../..');
const demo = join(root, 'scripts/demo.ts');
const waitMs = 60_000;

interface Running {
  readonly process: ChildProcess;
  readonly directory: string;
  readonly lines: string[];
  /** Once so many lines are said, or it has ended. */
  said(isThere: (lines: readonly string[]) => boolean): Promise<void>;
  /** As a terminal does: to the whole process group. */
  interrupt(): void;
  ended(): Promise<number | string>;
}

interface Options {
  readonly args?: readonly string[];
  readonly directory?: string;
  readonly under?: readonly string[];
  readonly path?: string;
}

function startDemo({ args = [], directory = temporaryDirectory(), under = [], path }: Options = {}): Running {
  const [program = '', ...words] = [...under, process.execPath, demo, ...args];
  const env = { ...process.env, TMPDIR: directory, NO_COLOR: '1', PATH: path ?? process.env.PATH };
  const child = spawn(program, words, { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGTERM'));
  const lines: string[] = [];
  let hasEnded = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.split('\n').filter(Boolean)));
  const end = new Promise<number | string>((resolve) => {
    // Its story has the pipe too, and ends with it.
    child.on('close', (code, signal) => {
      hasEnded = true;
      resolve(code ?? signal ?? 'unknown');
    });
  });
  return {
    process: child,
    directory,
    lines,
    said: async (isThere) => {
      const deadline = performance.now() + waitMs;
      while (!isThere(lines) && !hasEnded) {
        if (performance.now() > deadline) throw new Error(`it was not said: ${lines.join('\n')}`);
        await delay(2);
      }
    },
    interrupt: () => process.kill(-(child.pid ?? 0), 'SIGINT'),
    ended: () => end,
  };
}

/** Things of demos that are still there in this directory. */
async function leftIn(directory: string): Promise<string[]> {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(directory));
  const { stdout } = await execa('ps', ['-eo', 'pid,args']);
  const processes = stdout.split('\n').filter((line) => line.includes(directory));
  return [...mounts, ...processes, ...readdirSync(directory)];
}

// Never skipped in CI: a part that is missing fails there.
const lacking = process.env.CI ? [] : missing([...switchParts, 'ipam', 'executable']);
const title = 'the demo';

describe.skipIf(lacking.length > 0)(lacking.length > 0 ? skippedTitle(title, lacking.join('; ')) : title, () => {
  test('runs to its end, in lines of 80 columns except for text to copy, and leaves nothing (need N17, need N19)', async () => {
    const pages = hugepageCount();
    const running = startDemo();
    expect(await running.ended()).toBe(0);
    expect(running.lines.at(-1)).toBe('OK: nothing is left in the switch, the address store and on disk');
    expect(await leftIn(running.directory)).toEqual([]);
    expect(hugepageCount()).toBe(pages);
    const long = running.lines.filter((line) => line.length > 80 && !/^ {4}/.test(line));
    expect(long).toEqual([]);
    for (const word of ['userspace show', 'userspace recover']) {
      expect(running.lines.join('\n')).toMatch(new RegExp(`\\$ dist/${word} .*--data-dir \\$DATA`));
    }
  });

  // The moments are lines of a run, so that each part of the story has some.
  test.each([0, 1, 3, 5, 8, 10, 12, 20, 35, 45])(
    'a SIGINT after line %d puts everything back: no mount, no directory, no process, no hugepage (need N17)',
    async (line) => {
      const pages = hugepageCount();
      const running = startDemo();
      await running.said((lines) => lines.length >= line);
      running.interrupt();
      // Again: a user is not patient.
      await delay(20);
      if (running.process.exitCode === null && running.process.signalCode === null) running.interrupt();
      const end = await running.ended();
      // Before its first line it may not have heard of signals yet.
      expect([130, ...(line === 0 ? ['SIGINT'] : [])]).toContain(end);
      expect(await leftIn(running.directory)).toEqual([]);
      expect(hugepageCount()).toBe(pages);
      if (line > 0) expect(running.lines.at(-1)).toContain('SIGINT: everything is put back');
    },
  );

  test('the next demo removes the leftovers of a killed one, and says so (need N17)', async () => {
    const pages = hugepageCount();
    const running = startDemo();
    await running.said((lines) => lines.some((line) => line.includes('KILL')));
    const { stdout } = await execa('ps', ['-o', 'pid=', '--ppid', String(running.process.pid)]);
    process.kill(Number(stdout), 'SIGKILL');
    await running.ended();
    expect(await leftIn(running.directory)).not.toEqual([]);
    const next = startDemo({ directory: running.directory });
    expect(await next.ended()).toBe(0);
    expect(next.lines.join('\n')).toContain('removed what a demo that was killed had left');
    expect(await leftIn(running.directory)).toEqual([]);
    expect(hugepageCount()).toBe(pages);
  });

  test('--keep stops before the end, the lines that it gives to type work, and Ctrl-C ends the story (need N19)', async () => {
    const running = startDemo({ args: ['--keep'] });
    await running.said((lines) => lines.some((line) => line.includes('Ctrl-C')));
    const text = running.lines.join('\n');
    const variables = text.match(/^ {4}(DATA|SWITCH)=.*$/gm)?.map((line) => line.trim()) ?? [];
    const kept = text.slice(text.indexOf('--keep:'));
    const commands = [...kept.matchAll(/^ {4}\$ (.*)$/gm)].map(([, command]) => command);
    expect(commands).toHaveLength(4);
    for (const command of commands) {
      const { exitCode, stdout, stderr } = await execa('sh', ['-c', `${variables.join('\n')}\n${command}`], {
        cwd: root,
        reject: false,
      });
      // A dry run may say with 3 that something is owed.
      expect([exitCode, stderr]).toEqual([command?.includes('--dry-run') ? expect.toBeOneOf([0, 3]) : 0, '']);
      expect(stdout).not.toBe('');
    }
    running.interrupt();
    expect(await running.ended()).toBe(0);
    expect(running.lines.at(-1)).toContain('OK: nothing is left');
    expect(await leftIn(running.directory)).toEqual([]);
  });

  test('a plain user who is refused user namespaces is told so, and the story runs (need N18)', async () => {
    const directory = temporaryDirectory();
    chmodSync(directory, 0o777);
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    // As the kernel has it in a container.
    writeFileSync(
      join(bin, 'unshare'),
      '#!/bin/sh\necho "unshare: unshare failed: Operation not permitted" >&2\nexit 1\n',
    );
    chmodSync(join(bin, 'unshare'), 0o755);
    const own = join(directory, 'tmp');
    mkdirSync(own);
    chmodSync(own, 0o777);
    const under = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const running = startDemo({ directory: own, under, path: `${bin}:${process.env.PATH}` });
    expect(await running.ended()).toBe(0);
    const text = running.lines.join(' ').replaceAll(/\s+/g, ' ');
    expect(text).toContain(
      'user namespaces, and they are refused here (unshare: unshare failed: Operation not permitted)',
    );
    expect(text).toContain('CNI_NETNS_OVERRIDE=1');
    expect(text).toContain('OK: nothing is left');
    expect(existsSync(own) && readdirSync(own)).toEqual([]);
  });
});
