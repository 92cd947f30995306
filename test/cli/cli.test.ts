/** Places, exit codes, recover. The words: command-words.test.ts. The output of list and show: attachments.test.ts. */
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AttachmentKey as Key } from '../../src/attachment.ts';
import type { Entry } from '../../src/drive/entry.ts';
import type { Outcome } from '../../src/machines/protocol.ts';
import { adding, attached, begin, cliScene, owing } from '../support/fake/cli-scene.ts';
import { bunChild } from '../support/real/child.ts';
import { keyOf } from '../support/stand-in/scene.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const holderProgram = new URL('../support/real/lock-holder.ts', import.meta.url);

const failed: Outcome = { kind: 'failed', trouble: { code: 11, message: 'the switch is away' } };

describe('a data directory', () => {
  it('that does not exist has no attachments, and nothing to recover', async () => {
    const s = await cliScene();
    const nowhere = ['--data-dir', join(s.dataDir, 'none')];
    expect(await s.run('list', ...nowhere).then(({ exitCode }) => exitCode)).toBe(0);
    const { exitCode, out } = await s.run('recover', ...nowhere);
    expect(exitCode).toBe(0);
    expect(out).toContain(`no attachments in ${nowhere[1]}, which is not there\n`);
  });

  it('that is a file is exit code 1, naming its path', async () => {
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

describe('places', () => {
  it.each(['data-dir', 'ovsdb'])(
    'that are empty are refused as wrong arguments: --%s "" (need N14)',
    async (option) => {
      const s = await cliScene();
      expect(await s.run('recover', `--${option}`, '')).toMatchObject({
        exitCode: 2,
        err: expect.stringContaining(`--${option} is empty`),
      });
    },
  );

  it('that are a symlink to nothing are reported by list and recover as such (need N14)', async () => {
    const s = await cliScene();
    const link = join(temporaryDirectory(), 'link');
    symlinkSync('/nowhere/at/all', link);
    for (const word of ['list', 'recover']) {
      const { out } = await s.run(word, '--data-dir', link);
      expect(out).toContain(`no attachments in ${link}, which is a symlink that leads nowhere`);
    }
  });
});

describe('a recovery', () => {
  it('tells the meter of what it did; a dry run, and --forget, tell nothing', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    await s.journal(keyOf('bbbb'), adding(keyOf('bbbb')));
    await s.journal(keyOf('cccc'), owing(keyOf('cccc')), true);
    await s.run('recover', '--dry-run');
    expect(s.reports).toEqual([]);
    await s.run('recover');
    const counts = { removed: 2, restored: 0, owed: 0, kept: 1, interrupted: 1, unreachable: 0 };
    expect(s.reports).toEqual([{ kind: 'recovery', result: 'done', ms: expect.any(Number), ...counts }]);
    s.away = new Error('away');
    await s.run('recover');
    expect(s.reports[1]).toMatchObject({ result: 'owed', unreachable: 2, interrupted: 0 });
    await s.run('recover', '--forget', 'nothing');
    expect(s.reports).toHaveLength(2);
  });

  it('that fails tells that', async () => {
    const s = await cliScene();
    const file = join(s.dataDir, 'instance');
    expect((await s.run('recover', '--data-dir', file)).exitCode).toBe(1);
    expect(s.reports).toMatchObject([{ result: 'failed' }]);
  });
});

describe('recover --forget', () => {
  it.each<[string, Entry[], string]>([
    ['attached', attached(keyOf('aaaa')), 'it is attached'],
    ['of an ADD that was interrupted', adding(keyOf('aaaa')), 'its ADD was interrupted'],
    ['of another format', [{ ...begin(keyOf('aaaa')), format: 99 as never }], 'another format'],
    ['empty', [], 'is empty'],
  ])('for an attachment that is not owed but %s is refused, and drops nothing (need N14)', async (_, entries, why) => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), entries);
    const { exitCode, err } = await s.run('recover', '--forget', 'aaaa');
    expect({ exitCode, err }).toEqual({ exitCode: 1, err: expect.stringMatching(`is not owed: .*${why}`) });
    expect(existsSync(path)).toBe(true);
  });

  it('for a damaged journal without the going mark is refused, and drops nothing (need N14)', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, whole.replace('"step":"port"', '"step":"pork"'));
    const { exitCode, err } = await s.run('recover', '--forget', 'aaaa');
    expect({ exitCode, err }).toEqual({ exitCode: 1, err: expect.stringContaining('its journal is damaged') });
    expect(existsSync(path)).toBe(true);
  });

  it('for a debt drops its journal and names the things that stay; a dry run drops nothing', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), owing(keyOf('aaaa')), true);
    const [dry, done] = [['--dry-run'], []].map((more) => () => s.run('recover', '--forget', 'net:aaaa:net1', ...more));
    expect(await dry?.()).toMatchObject({ exitCode: 0, out: expect.stringContaining('would be forgotten') });
    expect(existsSync(path)).toBe(true);
    expect(await done?.()).toMatchObject({ exitCode: 0, out: expect.stringContaining('an address of IPAM plugin') });
    expect(existsSync(path)).toBe(false);
  });

  it('takes a short id as show does; for an ambiguous one it names the candidates and drops nothing (need N14)', async () => {
    const s = await cliScene();
    const [one, other] = [keyOf('aaaa11112222'), keyOf('aaaa33334444')];
    const paths = [await s.journal(one, owing(one), true), await s.journal(other, owing(other), true)];
    const both = await s.run('recover', '--forget', 'aaaa');
    expect(both).toMatchObject({ exitCode: 1, out: '', err: expect.stringContaining('net:aaaa33334444:net1') });
    expect((await s.run('recover', '--forget', '')).exitCode).toBe(1);
    expect(paths.map(existsSync)).toEqual([true, true]);
    const { exitCode, out } = await s.run('recover', '--forget', 'aaaa1');
    expect({ exitCode, out }).toEqual({ exitCode: 0, out: expect.stringMatching(/^net:aaaa11112222:net1: forgotten/) });
    expect(paths.map(existsSync)).toEqual([false, true]);
  });

  it('for a container with two interfaces needs the whole key (need N14)', async () => {
    const s = await cliScene();
    for (const ifName of ['net1', 'net2']) await s.journal(keyOf('aaaa', ifName), owing(keyOf('aaaa', ifName)), true);
    const { exitCode, err } = await s.run('recover', '--forget', 'aaaa');
    expect({ exitCode, err }).toEqual({ exitCode: 1, err: expect.stringContaining('net:aaaa:net1, net:aaaa:net2') });
    expect((await s.run('recover', '--forget', 'net:aaaa:net2')).exitCode).toBe(0);
    expect(JSON.parse((await s.run('list', '--json')).out).attachments).toMatchObject([{ ifName: 'net1' }]);
  });
});

describe('recover', () => {
  const heads = 'REMOVED  RESTORED  OWED  KEPT  HELD  NOT LOOKED AT';

  it('with nothing to do says so: exit code 0', async () => {
    const { exitCode, out } = await (await cliScene()).run('recover');
    expect({ exitCode, out }).toEqual({
      exitCode: 0,
      out: `${heads}\n      0         0     0     0     0              0\n`,
    });
  });

  it('rolls an interrupted ADD back, finishes a removal, and leaves living attachments alone', async () => {
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
      '      2         0     0     1     0              0',
      '',
    ]);
    expect(readdirSync(s.dataDir).sort()).toEqual(['instance', 'net:bbbb:net1.journal']);
    expect(s.asked.filter((words) => words.includes('bbbb') || !words.startsWith('remove'))).toEqual([]);
    expect(s.asked).toContain('remove address net:aaaa:net1');
    expect(s.asked).toContain('remove port net:cccc:net1');
  });

  it('that cannot remove a thing names it and the reason: exit code 3, and the journal stays', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), adding(keyOf('aaaa')));
    s.answer = ({ step }) => (step === 'port' ? failed : { kind: 'ok' });
    const { exitCode, out } = await s.run('recover');
    expect(exitCode).toBe(3);
    expect(out).toContain('net:aaaa:net1: interrupted, owed; port: the switch is away\n');
    expect(out).toContain(`${heads}\n      0         0     1     0     0 `);
    expect(existsSync(path)).toBe(true);
    s.answer = () => ({ kind: 'ok' });
    expect((await s.run('recover')).exitCode).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  it('leaves alone an attachment on which a living process works: exit code 0', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), adding(keyOf('aaaa')));
    const holder = bunChild(holderProgram, [path, '0']);
    expect(await holder.line()).toBe('held');
    const { exitCode, out } = await s.run('recover');
    expect({ exitCode, asked: s.asked }).toEqual({ exitCode: 0, asked: [] });
    expect(out).toContain('      0         0     0     0     1 ');
    // need N15: nothing was judged, and the holding process is named with its start.
    const line = out.split('\n')[0] ?? '';
    expect(line).toMatch(/^net:aaaa:net1: held by process \d+ \(.*lock-holder.*\) since 20\d\d-\S+Z$/);
    const { attachments } = JSON.parse((await s.run('recover', '--json')).out);
    expect(attachments).toMatchObject([
      { found: 'held', result: 'held', holder: { pid: holder.process.pid, since: expect.stringContaining('T') } },
    ]);
    await holder.kill();
    expect((await s.run('recover')).out).toContain('      1         0     0     0     0 ');
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
      unreachable: [],
      dryRun: false,
      removed: 1,
      restored: 0,
      owed: 1,
      kept: 0,
      held: 0,
      notLookedAt: 0,
    });
  });

  it('keeps the things in a journal of another version: a living pod may depend on them (I7)', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), [{ ...begin(keyOf('aaaa')), machine: 99 }, { kind: 'attached' }]);
    const { exitCode, out } = await s.run('recover');
    expect({ exitCode, asked: s.asked }).toEqual({ exitCode: 0, asked: [] });
    expect(out).toContain('      0         0     0     1     0 ');
    expect(existsSync(path)).toBe(true);
  });

  it('is not stopped by a journal that it does not understand', async () => {
    const s = await cliScene();
    await s.journal(keyOf('0000'), [{ kind: 'begin', format: 99, plan: { key: 7 } } as unknown as Entry]);
    await s.journal(keyOf('aaaa'), adding(keyOf('aaaa')));
    expect((await s.run('recover')).out).toContain('net:aaaa:net1: interrupted, removed');
  });

  it.each([
    ['going', (key: Key) => owing(key), true],
    ['interrupted', (key: Key) => adding(key), false],
  ] as const)(
    '--dry-run with something %s says what would be removed, and is exit code 3 (need N13)',
    async (found, entries, going) => {
      const s = await cliScene();
      const key = keyOf('aaaa');
      const path = await s.journal(key, entries(key), going);
      const { exitCode, out } = await s.run('recover', '--dry-run');
      expect({ exitCode, asked: s.asked }).toEqual({ exitCode: 3, asked: [] });
      expect(out).toContain(`net:aaaa:net1: ${found}, would be removed\n`);
      expect(out).toContain('a dry run: nothing was changed');
      expect((await s.run('recover', '--dry-run', '--json')).exitCode).toBe(3);
      expect(existsSync(path)).toBe(true);
      await s.run('recover');
      expect(await s.run('recover', '--dry-run')).toMatchObject({ exitCode: 0 });
    },
  );

  it('reports a switch that cannot be asked separately, not as an attachment: exit code 3 (need N14)', async () => {
    const s = await cliScene();
    s.away = new Error('nobody listens');
    const { exitCode, out } = await s.run('recover');
    expect(exitCode).toBe(3);
    expect(out).toMatch(/^the switch at unix:\S+ could not be asked for ports without a journal: nobody listens\n/);
    expect(out).toContain(`${heads}\n      0         0     0     0     0              0\n`);
    const document = JSON.parse((await s.run('recover', '--json')).out);
    expect(document).toMatchObject({ attachments: [], owed: 0, unreachable: [{ message: 'nobody listens' }] });
  });

  it('says "not looked at" where the switch could not be asked, and never "kept" (need N15)', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    s.away = new Error('nobody listens');
    const { out } = await s.run('recover');
    expect(out).toContain('net:aaaa:net1: attached, not looked at; the switch could not be asked');
    expect(out).toContain('      0         0     0     0     0              1\n');
    expect(JSON.parse((await s.run('recover', '--json')).out)).toMatchObject({ kept: 0, notLookedAt: 1 });
  });

  it('tells a journal of another format from one that is corrupt (need N15)', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), [{ ...begin(keyOf('aaaa')), machine: 99 }, { kind: 'attached' }]);
    const path = await s.journal(keyOf('bbbb'), attached(keyOf('bbbb')));
    writeFileSync(path, readFileSync(path, 'utf8').replace('"intent"', '"rotten"'));
    const { out } = await s.run('recover');
    expect(out).toContain('net:aaaa:net1: newer, kept');
    expect(out).toContain('net:bbbb:net1: damaged, kept');
    const { attachments } = JSON.parse((await s.run('list', '--json')).out);
    expect(attachments).toMatchObject([{ state: 'newer' }, { state: 'damaged' }]);
  });

  it('twice is the same as once', async () => {
    const s = await cliScene();
    await s.journal(keyOf('bbbb'), attached(keyOf('bbbb')));
    const first = await s.run('recover');
    expect(await s.run('recover')).toEqual(first);
  });
});
