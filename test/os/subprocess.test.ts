import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { keyText } from '../../src/attachment.ts';
import { now, sleep } from '../../src/deadlines.ts';
import { flock } from '../../src/os/native.ts';
import { type Program, run } from '../../src/os/subprocess.ts';
import { ownKey, type Programs, programs } from '../support/programs.ts';
import { soon } from '../support/stand-in/scene.ts';

const start = (file: string, more: Partial<Program> = {}) =>
  run({ file, env: { PATH: '/usr/bin:/bin' }, stdin: '', locks: [], end: soon(), ...more });

const script = (body: string): { file: string; own: Programs } => {
  const own = programs();
  return { file: own.write('program', body), own };
};

/** Blocks in the shell itself, so nothing is left when the shell is killed. */
const forever = 'mkfifo $D/never; read x < $D/never';

describe('a program', () => {
  it('gets standard input byte for byte and its environment and nothing else', async () => {
    const stdin = `{"name":"ä€😀",\n\t"x": "\\u0000"}  `.repeat(1000);
    const { file, own } = script('cat > $D/stdin; env > $D/env');
    const purpose = keyText(ownKey());
    expect(
      await start(file, {
        stdin,
        purpose,
        env: { PATH: '/usr/bin:/bin', CNI_COMMAND: 'ADD', CNI_ARGS: 'A=b;C=d e' },
      }),
    ).toMatchObject({
      exitCode: 0,
    });
    expect(own.read('stdin')).toBe(stdin);
    const lines = own
      .read('env')
      .split('\n')
      .filter((line) => line !== '' && !/^(PWD|_|SHLVL|OLDPWD)=/.test(line));
    expect(lines.sort()).toEqual([
      'CNI_ARGS=A=b;C=d e',
      'CNI_COMMAND=ADD',
      'PATH=/usr/bin:/bin',
      expect.stringMatching(new RegExp(`^USERSPACE_CNI_CALL=\\d+ ${purpose}$`)),
    ]);
  });

  it('kind 6: gets its arguments, each unchanged', async () => {
    const { file } = script('for one; do echo "<$one>"; done');
    expect(await start(file, { args: ['a b', '', '$(touch x)', '*'] })).toMatchObject({
      stdout: '<a b>\n<>\n<$(touch x)>\n<*>\n',
    });
  });

  it('kind 6: that floods its output until its deadline costs no memory', async () => {
    const before = process.memoryUsage().rss;
    const finished = await start(script('exec cat /dev/zero').file, { end: soon(1_500) });
    expect(finished).toMatchObject({ timedOut: true, signal: 'SIGKILL' });
    expect(finished.stdout.length).toBeLessThan(2 * 1024 * 1024);
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024);
  });

  it('is run without a shell and without arguments, even if its name has blanks and signs of a shell', async () => {
    const own = programs();
    const file = own.write('a b;$(touch x)', 'echo $#');
    expect(await start(file)).toMatchObject({ exitCode: 0, stdout: '0\n' });
  });

  it.each([
    ['exit 0', { exitCode: 0, signal: null }],
    ['exit 7', { exitCode: 7, signal: null }],
    ['kill -TERM $$', { exitCode: null, signal: 'SIGTERM' }],
    ['kill -KILL $$', { exitCode: null, signal: 'SIGKILL' }],
    ['kill -SEGV $$', { exitCode: null, signal: 'SIGSEGV' }],
  ])('that ends by "%s" is told by its fields', async (body, ended) => {
    const finished = await start(script(body).file);
    expect(finished).toMatchObject({ timedOut: false, ...ended });
    expect(finished.spawnError).toBeUndefined();
  });

  it('that is missing or is not a program gives its errno', async () => {
    expect(await start(join(programs().directory, 'none'))).toMatchObject({ spawnError: 'ENOENT', exitCode: null });
    expect(await start(programs().directory)).toMatchObject({ spawnError: 'EACCES' });
  });

  it('that ends without reading its input has ended, and ends no other process', async () => {
    const stdin = 'x'.repeat(4 * 1024 * 1024);
    expect(await start(script('exec <&-; echo fine').file, { stdin })).toMatchObject({ exitCode: 0, stdout: 'fine\n' });
    expect(await start(script('exit 3').file, { stdin })).toMatchObject({ exitCode: 3 });
  });

  it('that writes ten mebibytes is read to its end, and kept up to the limit', async () => {
    const finished = await start(script('head -c 10485760 /dev/zero | tr "\\0" x; echo end >&2').file);
    expect(finished).toMatchObject({ exitCode: 0, stderr: 'end\n' });
    expect(finished.stdout.length).toBeGreaterThanOrEqual(1024 * 1024);
    // What is kept is a mebibyte and the chunk that goes past it; a busy reader is handed chunks of some mebibytes.
    expect(finished.stdout.length).toBeLessThan(32 * 1024 * 1024);
  });

  it('that writes much to stderr is quoted by its last part', async () => {
    const { stderr } = await start(script('head -c 100000 /dev/zero | tr "\\0" x >&2; printf "the reason" >&2').file);
    expect(stderr.length).toBe(2048);
    expect(stderr.endsWith('the reason')).toBe(true);
  });

  it('that writes characters in pieces is read whole', async () => {
    const { stdout } = await start(script("printf '\\342'; printf '\\202'; sleep 0.01; printf '\\254'").file);
    expect(stdout).toBe('€');
  });
});

describe('a program that hangs', () => {
  it('is killed at its deadline, and its output until then is kept (case A44, bug B38)', async () => {
    const end = soon(300);
    const finished = await start(script(`trap "" TERM INT; echo waiting; ${forever}`).file, { end });
    expect(finished).toMatchObject({ timedOut: true, exitCode: null, signal: 'SIGKILL' });
    expect(finished.stdout).toBe('waiting\n');
    // A timer counts whole milliseconds.
    expect(now()).toBeGreaterThan(end - 1);
  });

  it('is killed with its descendants, so none of them acts later', async () => {
    const { file, own } = script('(echo started; sleep 0.4; echo late > $D/late) & wait');
    expect(await start(file, { end: soon(150) })).toMatchObject({ timedOut: true, stdout: 'started\n' });
    await sleep(600);
    expect(own.has('late')).toBe(false);
  });

  it('past its deadline already is killed at once', async () => {
    expect(await start(script(forever).file, { end: soon(-1) })).toMatchObject({ timedOut: true });
  });

  it('in a grandchild that keeps the pipes open does not delay us, because its parent has answered', async () => {
    const { file, own } = script('sleep 60 & echo $! > $D/pid; echo answer');
    const finished = await start(file);
    expect(finished).toMatchObject({ exitCode: 0, timedOut: false, stdout: 'answer\n' });
    process.kill(Number(own.read('pid')), 'SIGKILL');
  });
});

describe('the lock', () => {
  it('is handed on: while a grandchild lives, no other process gets it', async () => {
    const { file, own } = script(
      'sh -c "echo \\$\\$ > $D/pid; read x < $D/end" > /dev/null 2>&1 & until [ -s $D/pid ]; do :; done',
    );
    const path = join(own.directory, 'journal');
    execFileSync('mkfifo', [join(own.directory, 'end')]);
    const lockFd = openSync(path, 'a+');
    expect(flock(lockFd)).toBe(true);
    const finished = await start(file, { locks: [lockFd] });
    expect(finished).toMatchObject({ exitCode: 0 });
    // The call is killed: its descriptors are closed, without an unlock.
    closeSync(lockFd);
    const pid = Number(own.read('pid'));
    onTestFinished(() => void attempt(() => process.kill(pid, 'SIGKILL')));
    const other = openSync(path, 'a+');
    onTestFinished(() => closeSync(other));
    expect(flock(other)).toBe(false);
    // The lock ends with the grandchild; otherwise this would wait for ever.
    const writer = openSync(join(own.directory, 'end'), 'w');
    closeSync(writer);
    while (!flock(other)) await new Promise((resolve) => setImmediate(resolve));
  });
});

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
