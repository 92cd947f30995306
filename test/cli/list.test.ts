/** The filters and forms of list, and --watch. The table: attachments.test.ts. */
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { attached, type CliScene, cliScene, everything, owing } from '../support/fake/cli-scene.ts';
import { bunChild } from '../support/real/child.ts';
import { keyOf } from '../support/stand-in/scene.ts';

const holderProgram = new URL('../support/real/lock-holder.ts', import.meta.url);

describe('the filters of list', () => {
  it.each([
    [['--state', 'owed'], ['cccc']],
    [
      ['--state', 'owed', '--state', 'adding'],
      ['bbbb', 'cccc'],
    ],
    [['--network', 'net', '--state', 'newer'], ['eeee']],
    [['--network', 'another'], []],
    [['--pod', 'blue/app', '--state', 'attached'], ['aaaa00000000ffff']],
    [['--pod', 'app', '--state', 'attached'], ['aaaa00000000ffff']],
    [['--pod', 'pp'], []],
    [['--pod', 'red/app'], []],
    [['--pod', 'red/app', '--pod', 'app', '--state', 'owed'], ['cccc']],
  ])('%j leaves %j', async (words, ids) => {
    const s = await everything();
    const { attachments } = JSON.parse((await s.run('list', '--json', ...words)).out);
    expect(attachments.map(({ containerId }: { containerId: string }) => containerId)).toEqual(ids);
  });

  it('decide on the exit code too: 3 only if something that is shown is owed', async () => {
    const s = await everything();
    for (const [state, exitCode] of [
      ['owed', 3],
      ['attached', 0],
    ] as const)
      expect((await s.run('list', '--state', state)).exitCode).toBe(exitCode);
  });

  it('that leave nothing are named, and the switch is not asked', async () => {
    const s = await everything();
    const { exitCode, out } = await s.run('list', '--network', 'another', '--state', 'owed');
    expect({ exitCode, looks: s.looks }).toEqual({ exitCode: 0, looks: 0 });
    expect(out).toBe(`no attachment of --network another --state owed in ${s.dataDir}, which has 5\n`);
  });

  it.each([
    [['--state', 'owned'], 'there is no state "owned" (did you mean owed?)'],
    [['--state', 'xyz'], 'there is no state "xyz": attached, adding, '],
    [['--pod', ''], '--network and --pod take no empty word'],
    [['-o', 'jsno'], 'there is no format "jsno" (did you mean json?)'],
    [['-o', 'name', '--json'], '--json is -o json, and not -o name'],
  ])('%j is refused: exit code 2', async (words, message) => {
    const s = await everything();
    expect(await s.run('list', ...words)).toMatchObject({
      exitCode: 2,
      out: '',
      err: expect.stringContaining(message),
    });
  });
});

describe('the forms of list', () => {
  it('-o json is --json', async () => {
    const s = await everything();
    expect((await s.run('list', '-o', 'json')).out).toBe((await s.run('list', '--json')).out);
  });

  it('-o name has the key of each on a line, as show and recover --forget take it, and asks no switch', async () => {
    const s = await everything();
    const { out } = await s.run('list', '-o', 'name');
    const keys = out.trimEnd().split('\n');
    expect(keys).toHaveLength(5);
    expect(s.looks).toBe(0);
    for (const key of keys) expect((await s.run('show', key)).out.split('\n')[0]).toBe(key);
  });

  it('shortens ids to 12 letters, and to more only where fewer would be two of them', async () => {
    const s = await cliScene();
    const [one, other] = ['c0ffee00c0ffee00aaaa', 'c0ffee00c0ffee00bbbb'];
    await s.journal(keyOf(one), attached(keyOf(one)));
    expect((await s.run('list')).out).toContain(' c0ffee00c0ff  net1');
    await s.journal(keyOf(other), attached(keyOf(other)));
    const { out } = await s.run('list');
    for (const id of ['c0ffee00c0ffee00a', 'c0ffee00c0ffee00b']) {
      expect(out).toContain(` ${id}  net1`);
      expect((await s.run('show', id)).exitCode).toBe(0);
    }
  });

  it('sorts by network, pod, container and interface: net9 is before net10', async () => {
    const s = await cliScene();
    for (const ifName of ['net10', 'net9']) await s.journal(keyOf('bbbb', ifName), attached(keyOf('bbbb', ifName)));
    const early = { network: 'a', containerId: 'ffff', ifName: 'net1' };
    await s.journal(early, attached(early));
    await s.journal(keyOf('aaaa'), []);
    const keys = (await s.run('list', '-o', 'name')).out.trimEnd().split('\n');
    expect(keys).toEqual(['a:ffff:net1', 'net:bbbb:net9', 'net:bbbb:net10', 'net:aaaa:net1']);
  });

  it('shows the others where the records of one are of no known shape', async () => {
    const s = await cliScene();
    const odd = { ...attached(keyOf('aaaa'))[2], outcome: { kind: 'ok', facts: { ips: [null] } } } as never;
    await s.journal(keyOf('aaaa'), [...attached(keyOf('aaaa')).slice(0, 2), odd]);
    await s.journal(keyOf('bbbb'), attached(keyOf('bbbb')));
    const { exitCode, out, err } = await s.run('list', '--no-live');
    expect({ exitCode, err }).toEqual({ exitCode: 3, err: '' });
    expect(out).toContain('net      bbbb       net1    attached');
    expect(out).toMatch(/aaaa {7}net1 {4}unreadable.*\n {4}owed: journal: its records are none of this release \(/);
  });

  it('leaves columns out on a narrow terminal, and keeps ids and states whole', async () => {
    const s = await cliScene();
    s.columns = 40;
    await s.journal(keyOf('0123456789abcdef'), attached(keyOf('0123456789abcdef')));
    const { out } = await s.run('list');
    expect(out.split('\n')[0]).toBe('CONTAINER     IFNAME  STATE     LIVE');
    expect(out).toContain('0123456789ab  net1    attached');
  });

  it('fits 80 columns whatever is in it: long names, ids that differ late, and debts', async () => {
    const s = await cliScene();
    s.columns = 80;
    for (const end of ['a', 'b']) {
      const key = { network: 'n'.repeat(60), containerId: `${'0'.repeat(63)}${end}`, ifName: 'abcdefghijklmno' };
      await s.journal(key, owing(key, 'a very long reason '.repeat(20)), true);
    }
    for (const charset of ['utf-8', 'ascii'] as const) {
      s.charset = charset;
      const { out } = await s.run('list');
      expect(Math.max(...out.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
      expect(out).toContain(charset === 'ascii' ? '~' : '…');
    }
  });
});

/** Starts list --watch, and gives the lines that it has printed. */
function watching(s: CliScene, ...words: string[]) {
  const { promise, resolve: end } = Promise.withResolvers<void>();
  s.ended = promise;
  const lines: string[] = [];
  const said = s.runTelling((text) => lines.push(...text.trimEnd().split('\n')), 'list', '-w', '--no-live', ...words);
  const until = async (holds: () => boolean) => {
    while (!holds()) await setTimeout(5);
  };
  return { lines, said, end, until };
}

describe('list --watch', () => {
  it('prints the list, each attachment that changes or goes, and is exit code 0 when a person ends it', async () => {
    const s = await everything();
    const { lines, said, end, until } = watching(s);
    await until(() => lines.some((line) => line.includes('dddd')));
    const before = lines.length;
    await s.journal(keyOf('ffff'), attached(keyOf('ffff')));
    await until(() => /ffff .*attached/.test(lines.at(-1) ?? ''));
    expect(lines[before]).toMatch(/^net +ffff +net1 +attached /);
    await s.journal(keyOf('dddd'), attached(keyOf('dddd')));
    await until(() => /dddd .*attached/.test(lines.at(-1) ?? ''));
    rmSync(join(s.dataDir, 'net:ffff:net1.journal'));
    await until(() => /ffff .*gone/.test(lines.at(-1) ?? ''));
    end();
    expect(await said).toMatchObject({ exitCode: 0, err: '' });
  });

  it('follows a directory that goes and comes, by its path', async () => {
    const s = await everything();
    const kept = join(s.dataDir, '..', 'kept');
    cpSync(s.dataDir, kept, { recursive: true });
    const { lines, said, end, until } = watching(s, '-o', 'name', '--state', 'attached');
    await until(() => lines.length === 1);
    rmSync(s.dataDir, { recursive: true });
    await until(() => lines.length === 2);
    mkdirSync(s.dataDir);
    cpSync(join(kept, 'net:aaaa00000000ffff:net1.journal'), join(s.dataDir, 'net:aaaa00000000ffff:net1.journal'));
    await until(() => lines.length === 3);
    expect(new Set(lines)).toEqual(new Set(['net:aaaa00000000ffff:net1']));
    end();
    expect(await said).toMatchObject({ exitCode: 0 });
  });

  it('waits for a directory that was never there, and with -o json prints a document for each change', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    const later = join(s.dataDir, 'some', 'where', 'later');
    const { lines, said, end, until } = watching(s, '-o', 'json', '--data-dir', later);
    await setTimeout(20);
    mkdirSync(later, { recursive: true });
    cpSync(path, join(later, 'net:aaaa:net1.journal'));
    await until(() => lines.length > 0);
    rmSync(join(later, 'net:aaaa:net1.journal'));
    await until(() => lines.at(-1)?.includes('"gone"') ?? false);
    const changes = lines.map((line) => JSON.parse(line));
    expect(changes[0]).toMatchObject({ change: 'added', attachment: { key: 'net:aaaa:net1', state: 'attached' } });
    end();
    expect(await said).toMatchObject({ exitCode: 0 });
    expect(readFileSync(path, 'utf8')).toContain('attached');
  });

  it('shows one for the last time that left the state which was asked for', async () => {
    const s = await cliScene();
    const key = keyOf('aaaa');
    const path = await s.journal(key, attached(key));
    const { lines, said, end, until } = watching(s, '-o', 'json', '--state', 'attached');
    await until(() => lines.length === 1);
    // As DEL marks it.
    chmodSync(path, 0o1714);
    await until(() => lines.length === 2);
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ change: 'gone', attachment: { state: 'owed' } });
    chmodSync(path, 0o1714);
    await s.journal(keyOf('bbbb'), attached(keyOf('bbbb')));
    await until(() => lines.some((line) => line.includes('bbbb')));
    expect(lines.slice(2).filter((line) => line.includes('aaaa'))).toEqual([]);
    end();
    await said;
  });

  it('sees the end of a lock, although nothing is written then', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), owing(keyOf('aaaa')), true);
    const holder = bunChild(holderProgram, [path, '0']);
    await holder.line();
    const { lines, said, end, until } = watching(s, '-o', 'json');
    await until(() => lines.length === 1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ attachment: { state: 'removing' } });
    await holder.kill();
    await until(() => lines.length === 2);
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ change: 'changed', attachment: { state: 'owed' } });
    end();
    await said;
  });
});
