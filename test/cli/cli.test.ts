/** Words, exit codes, recover. What list and show print: attachments.test.ts. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/drive.ts';
import type { Outcome } from '../../src/machines/protocol.ts';
import { bunChild } from '../support/child.ts';
import { adding, attached, begin, cliScene, owing } from '../support/cli-scene.ts';
import { keyOf } from '../support/effect-parts.ts';

const holderProgram = new URL('../support/lock-holder.ts', import.meta.url);

const failed: Outcome = { kind: 'failed', trouble: { code: 11, message: 'the switch is away' } };

describe('the words of a command', () => {
  it.each([['help'], ['--help'], ['-h'], ['list', '--help'], []])('%j: help, exit code 0', async (...args) => {
    const { exitCode, out, err } = await (await cliScene()).run(...args.flat());
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    for (const word of ['userspace list', 'userspace show', 'userspace recover', '--json', '--data-dir', 'Exit codes'])
      expect(out).toContain(word);
  });

  it('13.21 --version: version, target and size, and nothing else', async () => {
    const said = await (await cliScene()).run('--version');
    expect(said).toEqual({ exitCode: 0, out: expect.stringMatching(/^1\.2\.3 \(linux-\w+, \d+ bytes\)\n$/), err: '' });
  });

  it.each([
    [['dance'], 'dance'],
    [['add'], 'add'],
    [['list', '--colour'], '--colour'],
    [['recover', '--json=yes'], '--json'],
    [['list', '-x'], '-x'],
    [['show'], 'container id'],
    [['show', ''], 'container id'],
    [['list', 'everything'], 'everything'],
    [['recover', 'net:c0ffee:net1'], 'net:c0ffee:net1'],
    [['show', 'c0ffee', 'net1', 'net2'], 'net2'],
    [['list', '--dry-run'], '--dry-run'],
    [['list', '--ovsdb', 'unix:/db.sock'], '--ovsdb'],
    [['show', 'c0ffee', '--forget', 'net:c0ffee:net1'], '--forget'],
    [['recover', '--boot', '--forget', 'net:c0ffee:net1'], '--boot'],
  ])('%j are wrong: exit code 2, said on stderr, and nothing was done', async (args, word) => {
    const s = await cliScene();
    await s.journal(keyOf('c0ffee'), adding(keyOf('c0ffee')));
    const { exitCode, out, err } = await s.run(...args);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toContain(word);
    expect(err).toContain('userspace --help');
    expect(s.asked).toEqual([]);
  });

  it('an option without its value is wrong too', async () => {
    const s = await cliScene();
    expect((await s.run('recover', '--ovsdb')).exitCode).toBe(2);
  });
});

describe('a data directory', () => {
  it('that is not there has no attachments, and nothing to recover', async () => {
    const s = await cliScene();
    const nowhere = ['--data-dir', join(s.dataDir, 'none')];
    expect(await s.run('list', ...nowhere).then(({ exitCode }) => exitCode)).toBe(0);
    const { exitCode, out } = await s.run('recover', ...nowhere);
    expect(exitCode).toBe(0);
    expect(out).toContain(`no attachments in ${nowhere[1]}, which is not there\n`);
  });

  it('that is none is exit code 1, by its path', async () => {
    const s = await cliScene();
    const file = join(s.dataDir, 'file');
    writeFileSync(file, '');
    for (const words of [['list'], ['show', 'c0ffee'], ['recover']]) {
      const { exitCode, out, err } = await s.run(...words, '--data-dir', file);
      expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' });
      expect(err).toContain(`userspace ${words[0]}: `);
      expect(err).toContain(file);
    }
  });
});

describe('recover --forget', () => {
  it('of what is owed drops its journal and names what stays; a dry run drops nothing', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), owing(keyOf('aaaa')), true);
    const [dry, done] = [['--dry-run'], []].map((more) => () => s.run('recover', '--forget', 'net:aaaa:net1', ...more));
    expect(await dry?.()).toMatchObject({ exitCode: 0, out: expect.stringContaining('would be forgotten') });
    expect(existsSync(path)).toBe(true);
    expect(await done?.()).toMatchObject({ exitCode: 0, out: expect.stringContaining('an address of IPAM plugin') });
    expect(existsSync(path)).toBe(false);
  });
});

describe('recover', () => {
  const heads = 'REMOVED  RESTORED  OWED  KEPT  HELD';

  it('with nothing to do says so: exit code 0', async () => {
    const { exitCode, out } = await (await cliScene()).run('recover');
    expect({ exitCode, out }).toEqual({ exitCode: 0, out: `${heads}\n      0         0     0     0     0\n` });
  });

  it('rolls an interrupted ADD back, finishes a removal, and leaves what is attached alone', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), adding(keyOf('aaaa')));
    await s.journal(keyOf('bbbb'), attached(keyOf('bbbb')));
    await s.journal(keyOf('cccc'), owing(keyOf('cccc')), true);
    const { exitCode, out } = await s.run('recover');
    expect(exitCode).toBe(0);
    expect(out.split('\n')).toEqual([
      'net:aaaa:net1: interrupted, removed',
      'net:bbbb:net1: attached, kept',
      'net:cccc:net1: going, removed',
      heads,
      '      2         0     0     1     0',
      '',
    ]);
    expect(readdirSync(s.dataDir).sort()).toEqual(['instance', 'net:bbbb:net1.journal']);
    expect(s.asked.filter((words) => words.includes('bbbb') || !words.startsWith('remove'))).toEqual([]);
    expect(s.asked).toContain('remove address net:aaaa:net1');
    expect(s.asked).toContain('remove port net:cccc:net1');
  });

  it('that cannot take something away says what and why: exit code 3, and the journal stays', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), adding(keyOf('aaaa')));
    s.answer = ({ step }) => (step === 'port' ? failed : { kind: 'ok' });
    const { exitCode, out } = await s.run('recover');
    expect(exitCode).toBe(3);
    expect(out).toContain('net:aaaa:net1: interrupted, owed; port: the switch is away\n');
    expect(out).toContain(`${heads}\n      0         0     1     0     0\n`);
    expect(existsSync(path)).toBe(true);
    s.answer = () => ({ kind: 'ok' });
    expect((await s.run('recover')).exitCode).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  it('leaves alone what a living process works on: exit code 0', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), adding(keyOf('aaaa')));
    const holder = bunChild(holderProgram, [path, '0']);
    expect(await holder.line()).toBe('held');
    const { exitCode, out } = await s.run('recover');
    expect({ exitCode, asked: s.asked }).toEqual({ exitCode: 0, asked: [] });
    expect(out).toContain('      0         0     0     0     1\n');
    await holder.kill();
    expect((await s.run('recover')).out).toContain('      1         0     0     0     0\n');
  });

  it('with --json prints one document and no progress', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), adding(keyOf('aaaa')));
    await s.journal(keyOf('bbbb'), owing(keyOf('bbbb')), true);
    s.answer = ({ step, plan }) => (step === 'address' && plan.key.containerId === 'bbbb' ? failed : { kind: 'ok' });
    const { exitCode, out } = await s.run('recover', '--json');
    expect(exitCode).toBe(3);
    expect(JSON.parse(out)).toEqual({
      attachments: [
        { key: 'net:aaaa:net1', found: 'interrupted', result: 'removed', owed: [] },
        {
          key: 'net:bbbb:net1',
          found: 'going',
          result: 'owed',
          owed: [{ step: 'address', message: 'the switch is away' }],
        },
      ],
      others: [],
      dryRun: false,
      removed: 1,
      restored: 0,
      owed: 1,
      kept: 0,
      held: 0,
    });
  });

  it('keeps what a journal of another version speaks of: a living pod may depend on it (I7)', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), [{ ...begin(keyOf('aaaa')), machine: 99 }, { kind: 'attached' }]);
    const { exitCode, out } = await s.run('recover');
    expect({ exitCode, asked: s.asked }).toEqual({ exitCode: 0, asked: [] });
    expect(out).toContain('      0         0     0     1     0\n');
    expect(existsSync(path)).toBe(true);
  });

  it('is not stopped by a journal that it does not understand', async () => {
    const s = await cliScene();
    await s.journal(keyOf('0000'), [{ kind: 'begin', format: 99, plan: { key: 7 } } as unknown as Entry]);
    await s.journal(keyOf('aaaa'), adding(keyOf('aaaa')));
    expect((await s.run('recover')).out).toContain('net:aaaa:net1: interrupted, removed');
  });

  it('twice is the same as once', async () => {
    const s = await cliScene();
    await s.journal(keyOf('bbbb'), attached(keyOf('bbbb')));
    const first = await s.run('recover');
    expect(await s.run('recover')).toEqual(first);
  });
});
