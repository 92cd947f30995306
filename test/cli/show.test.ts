/** The output of show. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/drive/entry.ts';
import { adding, attached, cliScene, colour, everything, owing } from '../support/fake/cli-scene.ts';
import { keyOf } from '../support/stand-in/scene.ts';
import { elementsOf } from '../support/svg.ts';
import { temporaryDirectory } from '../support/temporary.ts';

describe('show', () => {
  it('is the journal as bars: each step, what it waited for, when, how long, and how it went', async () => {
    const s = await everything();
    s.columns = 80;
    const { exitCode, out } = await s.run('show', 'cccc');
    expect(exitCode).toBe(0);
    const bars = ' '.repeat(24);
    expect(out.split('\n')).toEqual([
      'net:cccc:net1',
      'owed  pod blue/app  age 0s',
      'bridge br0, port cccc-net1 (client), netns /run/netns/a',
      '',
      'ADD  2025-01-17T12:00:00.000Z  attached after 7.5 ms',
      '  STEP               WAITED FOR │0                 7.5 ms│       TOOK',
      expect.stringMatching(/^ {2}ensure address {5}pool {7}│█+ +│ {5}1.5 ms {2}ok$/),
      expect.stringMatching(/^ {2}ensure socketDir {3}files {6}│ +█+ +│ {5}1.5 ms {2}ok$/),
      expect.stringMatching(/^ {2}ensure bridge {6}switch {5}│ +█+ +│ {5}1.5 ms {2}ok$/),
      expect.stringMatching(/^ {2}ensure port {8}switch {5}│ +█+ +│ {5}1.5 ms {2}ok$/),
      expect.stringMatching(/^ {2}ensure publication files {6}│ +█+│ {5}1.5 ms {2}ok$/),
      `  attached                      │${bars.slice(1)}◆│`,
      '',
      'removal 1 by DEL  2025-01-17T12:00:00.000Z  owed after 9 ms',
      '  STEP               WAITED FOR │0                   9 ms│       TOOK',
      '  remove port        switch     │████████                │       3 ms  ok',
      '  remove address     pool       │████████████████████████│       9 ms  failed',
      '    the pool is away',
      '',
      'owed: address: the pool is away',
      '',
    ]);
  });

  it('with -o wide has each record too, with its own time', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), owing(keyOf('aaaa')), true, 1);
    const { out } = await s.run('show', 'aaaa', '-o', 'wide');
    const lines = out.slice(out.indexOf('records:\n')).split('\n');
    const { records } = JSON.parse((await s.run('show', 'aaaa', '-o', 'json')).out);
    for (const [index, { at, kind }] of records.entries()) {
      expect(lines[index + 1]).toContain(`  ${at}  `);
      if (kind !== 'outcome') expect(lines[index + 1]).toContain(kind);
    }
    expect(out).toContain('remove  address           9 ms  failed: the pool is away\n');
  });

  it('shows an abandoned ADD with its reason', async () => {
    const s = await cliScene();
    const trouble = { code: 11, message: 'the time is up' };
    await s.journal(keyOf('aaaa'), [...adding(keyOf('aaaa')), { kind: 'abandon', trouble }]);
    const { out } = await s.run('show', 'aaaa');
    expect(out).toMatch(/^ADD .* failed after 4.5 ms$/m);
    expect(out).toMatch(/^ {2}abandon +│ +✗│\n {4}the time is up\n/m);
  });

  it('marks a death: an intent without an outcome, and a later record; and each try of what is owed', async () => {
    const s = await cliScene();
    const key = keyOf('aaaa');
    const again = owing(key).slice(attached(key).length);
    const { restoring, intent } = {
      restoring: { kind: 'restoring' },
      intent: { kind: 'intent', step: 'port' },
    } as const;
    const entries = [...attached(key), restoring, intent, ...again, ...again];
    await s.journal(key, entries, true, 1);
    const { out } = await s.run('show', 'aaaa');
    expect(out).toMatch(/^put-back {2}\S+ {2}60s later {2}died\n.*\n {2}restore port +switch +│ +✗│ {13}died$/m);
    expect([...out.matchAll(/^removal (\d) by DEL/gm)].map(([, one]) => one)).toEqual(['1', '2']);
    const open = await cliScene();
    await open.journal(key, [...adding(key), intent]);
    expect((await open.run('show', 'aaaa')).out).toMatch(/^ADD .*unfinished\n(.*\n)*.*▸.* no answer$/m);
  });

  it('has no character beyond ASCII where the locale has no UTF-8', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), owing(keyOf('aaaa'), 'der Vorrat ist müde'), true, 1);
    s.charset = 'ascii';
    const { out } = await s.run('show', 'aaaa', '-o', 'wide');
    expect(out).toMatch(/^[\n -~]*$/);
    expect(out).toMatch(/\| +-=+ +\|/);
    expect(out).toContain('der Vorrat ist m?de');
  });

  it('tells of an attachment that is marked, and whose removal has no record', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')), true);
    expect((await s.run('show', 'aaaa')).out).toContain('\nmarked as going: its removal has no record yet\n');
  });

  it('writes a picture: well-formed, with a title, and nothing of other programs in its markup', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), owing(keyOf('aaaa'), '<script>"&\u0007\ud800'), true, 1);
    const file = join(temporaryDirectory(), 'a.svg');
    expect(await s.run('show', 'aaaa', '--svg', file)).toEqual({
      exitCode: 0,
      out: `${file}: net:aaaa:net1\n`,
      err: '',
    });
    const svg = readFileSync(file, 'utf8');
    expect(svg).toContain('<title id="title">The journal of net:aaaa:net1 as a timeline</title>');
    expect(svg).toContain('&lt;script&gt;&quot;&amp;');
    expect(elementsOf(svg)).toContain('svg');
    // Again, over the first one, and beside a document.
    const { out } = await s.run('show', 'aaaa', '--svg', file, '--json');
    expect(JSON.parse(out)).toMatchObject({ key: 'net:aaaa:net1' });
  });

  it('writes no picture over a file that is none, such as a journal', async () => {
    const s = await cliScene();
    const journal = await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    const before = readFileSync(journal, 'utf8');
    const { exitCode, err } = await s.run('show', 'aaaa', '--svg', journal);
    expect(exitCode).toBe(1);
    expect(err).toContain(`"${journal}" cannot be written (it is there, and is no picture)`);
    expect(readFileSync(journal, 'utf8')).toBe(before);
  });

  it.each(['directory', 'symlink', 'nowhere'])(
    'writes no picture over a thing that is no file, or nowhere: %s',
    async (what) => {
      const s = await cliScene();
      await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
      const directory = temporaryDirectory();
      const path = join(directory, 'a', ...(what === 'nowhere' ? ['b'] : []));
      if (what === 'directory') mkdirSync(path);
      if (what === 'symlink') symlinkSync(join(directory, 'other'), path);
      const before = readdirSync(directory);
      const { exitCode, out, err } = await s.run('show', 'aaaa', '--svg', path);
      expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' });
      expect(err).toMatch(new RegExp(`^userspace show: "${path}" cannot be written \\(.+\\): name a file`));
      expect(readdirSync(directory)).toEqual(before);
    },
  );

  it.each([
    [['-o', 'name'], 'there is no format "name": wide, json'],
    [['-o', 'wid'], 'there is no format "wid" (did you mean wide?)'],
    [['-o', 'wide', '--json'], '--json is -o json, and not -o wide'],
    [['--svg', ''], '--svg is empty'],
  ])('refuses %j: exit code 2', async (words, message) => {
    const s = await cliScene();
    expect(await s.run('show', 'aaaa', ...words)).toMatchObject({ exitCode: 2, err: expect.stringContaining(message) });
  });

  it.each([
    [['aaaa00000000ffff'], ['net:aaaa00000000ffff:net1']],
    [['aaaa'], ['net:aaaa00000000ffff:net1']],
    [['net:bbbb:net1'], ['net:bbbb:net1']],
    [['bbbb', 'net1'], ['net:bbbb:net1']],
  ])('%j finds %j', async (args, keys) => {
    const { out } = await (await everything()).run('show', ...args);
    for (const key of keys) expect(out).toContain(`${key}\n`);
  });

  it('for an id with several interfaces shows all, or the one that is named', async () => {
    const s = await cliScene();
    for (const ifName of ['net1', 'net2']) await s.journal(keyOf('aaaa', ifName), attached(keyOf('aaaa', ifName)));
    const both = (await s.run('show', 'aaaa')).out;
    expect(both).toContain('net:aaaa:net1');
    expect(both).toContain('net:aaaa:net2');
    expect(JSON.parse((await s.run('show', 'aaaa', '--json')).out)).toHaveLength(2);
    expect((await s.run('show', 'aaaa', 'net2')).out).not.toContain('net:aaaa:net1');
    expect((await s.run('show', 'aaaa', 'net')).exitCode).toBe(1);
  });

  it('for a prefix of several ids names them and shows none; a whole id does not count as a prefix (need N14)', async () => {
    const s = await everything();
    await s.journal(keyOf('bbbb22'), attached(keyOf('bbbb22')));
    await s.journal(keyOf('bbbb33'), attached(keyOf('bbbb33')));
    const { exitCode, out, err } = await s.run('show', 'bbb');
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' });
    for (const key of ['net:bbbb:net1', 'net:bbbb22:net1', 'net:bbbb33:net1']) expect(err).toContain(key);
    expect((await s.run('show', 'bbbb')).out).toContain('net:bbbb:net1\nadding');
  });

  it('for an unknown id is exit code 1, naming the id and the directory', async () => {
    const s = await everything();
    const { exitCode, out, err } = await s.run('show', 'ffff', 'net1');
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' });
    for (const word of ['ffff net1', s.dataDir]) expect(err).toContain(word);
  });

  it('with --json is the attachment with its records as they were written', async () => {
    const s = await everything();
    const document = JSON.parse((await s.run('show', 'cccc', '--json')).out);
    expect(document).toMatchObject({ key: 'net:cccc:net1', state: 'owed' });
    const entries = owing(keyOf('cccc')).map((entry, index) => ({
      seq: index + 1,
      at: '2025-01-17T12:00:00.000Z',
      ...entry,
    }));
    expect(document.records).toEqual(entries);
  });

  it('has colours on a terminal only', async () => {
    const s = await everything();
    const plain = (await s.run('show', 'cccc')).out;
    expect(plain).not.toContain(colour);
    const coloured = (await s.runInteractive('show', 'cccc')).out;
    expect(coloured).toContain(`${colour}31m`);
    expect(stripVTControlCharacters(coloured)).toBe(plain);
  });

  it('shows the readable part of a journal of another version', async () => {
    const s = await everything();
    await s.journal(keyOf('9999'), [{ kind: 'begin', format: 99 } as unknown as Entry]);
    for (const id of ['eeee', '9999']) {
      const { exitCode, out } = await s.run('show', id);
      expect({ exitCode, head: out.split(/\s+/).slice(0, 2) }).toEqual({
        exitCode: 0,
        head: [`net:${id}:net1`, 'newer'],
      });
    }
  });
});
