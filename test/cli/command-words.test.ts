/** Arguments, help, and each word that is explained. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { healthWords, liveWords, stateWords } from '../../src/cli/words.ts';
import { fateWords, foundWords } from '../../src/recovery/words.ts';
import { adding, cliScene } from '../support/fake/cli-scene.ts';
import { keyOf } from '../support/stand-in/scene.ts';

describe('the words of a command', () => {
  it.each([['help'], ['--help'], ['-h'], []])('%j: help, exit code 0', async (...args) => {
    const { exitCode, out, err } = await (await cliScene()).run(...args.flat());
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    for (const word of ['userspace list', 'userspace show', 'userspace recover', 'COMMAND --help', 'Exit codes'])
      expect(out).toContain(word);
  });

  it.each([
    ['list', ['--no-live', '--json', '--data-dir'], ['--boot', '--ovsdb']],
    ['show', ['--json', 'ID is a container'], ['--no-live']],
    ['recover', ['--boot', '--forget', '--dry-run', '--ovsdb', 'ports without a journal', 'ID is'], ['--units']],
    ['status', ['--config', 'JSON', '--ovsdb'], ['--force']],
    ['install', ['--units', '--conflist', '--conf-dir', '--kubeconfig', '--json'], ['--data-dir']],
    ['uninstall', ['--force', '--data-dir', '--ovsdb'], ['--units', 'userspace install']],
    ['sysdump', ['--since', '--output', 'secrets are taken out'], ['--boot']],
    ['agent', ['--workers', '--recover  '], ['--json']],
  ])('%s --help: its own options, an example and the exit codes (need N30)', async (command, has, lacks) => {
    const s = await cliScene();
    const { exitCode, out, err } = await s.run(command, '--help');
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    for (const word of [`  userspace ${command} `, `Example: userspace ${command} `, 'Exit codes: 0 ', ...has])
      expect(out.replace(/\n {5,}/g, ' ')).toContain(word);
    for (const word of lacks) expect(out).not.toContain(word);
    expect((await s.run('help', command)).out).toBe(out);
    // The example is one that the command takes: the words before its first value are its own.
    const [, ...words] = (/^Example: userspace (.*)$/m.exec(out)?.[1] ?? '').split(' ');
    for (const word of words.filter((one) => one.startsWith('--'))) expect(out).toContain(`  ${word} `);
  });

  it.each([
    ['recovr', 'recover'],
    ['lst', 'list'],
    ['unistall', 'uninstall'],
    ['sttaus', 'status'],
    ['hlep', 'help'],
    ['dance', undefined],
    ['', undefined],
  ])('"%s" is no command, and %s is near (need N30)', async (word, near) => {
    const { err } = await (await cliScene()).run(word);
    expect(err).toBe(
      `userspace: there is no command "${word}"${near ? ` (did you mean ${near}?)` : ''}; see userspace --help\n`,
    );
  });

  it('--version: version, commit, target, runtime and size, and nothing else (need N21)', async () => {
    const said = await (await cliScene()).run('--version');
    const out = /^1\.2\.3 \(unknown commit, linux-\w+, not compiled, \d+ bytes\)\n$/;
    expect(said).toEqual({ exitCode: 0, out: expect.stringMatching(out), err: '' });
  });

  it.each([
    [['dance'], 'dance'],
    [['help', 'dance'], 'dance'],
    [['dance', '--help'], 'dance'],
    [['install', ''], 'empty'],
    [['uninstall', ''], 'empty'],
    [['add'], 'add'],
    [['constructor'], 'constructor'],
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

  it('an option without its value is refused too', async () => {
    const s = await cliScene();
    expect((await s.run('recover', '--ovsdb')).exitCode).toBe(2);
  });
});

describe('every word (need N15)', () => {
  const documents = readFileSync(new URL('../../docs/recovery.md', import.meta.url), 'utf8');
  it.each([
    ['recover', { ...foundWords, ...fateWords }],
    ['list', { ...stateWords, ...liveWords }],
    ['status', healthWords],
  ])('of %s is explained by its --help and in docs/recovery.md', async (command, words) => {
    const { out } = await (await cliScene()).run(command, '--help');
    const said = out
      .replace(/\n {5,}/g, ' ')
      .split('\n')
      .map((line) => line.replace(/ {2,}/g, '  '));
    for (const [word, meaning] of Object.entries(words)) {
      expect(said).toContain(`  ${word}  ${meaning}`);
      expect(documents).toContain(`\`${word}\``);
    }
  });
});
