/** The output of list. Its filters, forms and --watch: list.test.ts. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { journalName } from '../../src/attachment.ts';
import type { Begin, Entry } from '../../src/drive/entry.ts';
import { adding, attached, cliScene, colour, everything, owing } from '../support/fake/cli-scene.ts';
import { bunChild } from '../support/real/child.ts';
import { keyOf } from '../support/stand-in/scene.ts';

const holderProgram = new URL('../support/real/lock-holder.ts', import.meta.url);

/** In the order of the list: one without a pod is the last. */
const states = ['attached', 'adding', 'owed', 'newer', 'empty'];

describe('list', () => {
  it('is a table of every attachment with its state, pod, addresses, and its debts with their reasons', async () => {
    const s = await everything();
    s.now = new Date(s.now.getTime() + 200_000);
    const { out, err } = await s.run('list');
    expect(err).toBe('');
    const pod = 'blue/app';
    expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['NETWORK', 'CONTAINER', 'IFNAME', 'STATE', 'LIVE', 'AGE', 'POD', 'ADDRESSES'],
      ['net', 'aaaa00000000', 'net1', 'attached', 'yes', '3m', pod, '10.0.0.5/24'],
      ['net', 'bbbb', 'net1', 'adding', 'yes', '3m', pod, '10.0.0.5/24'],
      ['net', 'cccc', 'net1', 'owed', 'yes', '3m', pod, '10.0.0.5/24'],
      ['', 'owed: address: the pool is away'],
      ['net', 'eeee', 'net1', 'newer', 'yes', '3m', pod],
      ['', expect.stringContaining('another format')],
      ['net', 'dddd', 'net1', 'empty', '-', '-'],
      [''],
    ]);
  });

  it('with -o wide has whole ids, bridges and ports too', async () => {
    const s = await everything();
    s.columns = 80;
    const lines = (await s.run('list', '-o', 'wide')).out.split('\n').map((line) => line.split(/ {2,}/));
    expect(lines[0]).toEqual(expect.arrayContaining(['BRIDGE', 'PORT']));
    expect(lines[1]).toEqual(expect.arrayContaining(['aaaa00000000ffff', 'br0', 'aaaa00000000-net1']));
  });

  it('is exit code 3 when something is owed or going, and 0 when nothing is (need N13)', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    await s.journal(keyOf('bbbb'), adding(keyOf('bbbb')));
    expect((await s.run('list')).exitCode).toBe(0);
    const path = await s.journal(keyOf('cccc'), owing(keyOf('cccc')), true);
    for (const words of [['list'], ['list', '--json'], ['list', '--no-live']])
      expect((await s.run(...words)).exitCode).toBe(3);
    const holder = bunChild(holderProgram, [path, '0']);
    await holder.line();
    // The holder may never end its work.
    expect(await s.run('list')).toMatchObject({ exitCode: 3, out: expect.stringContaining('removing') });
    await holder.kill();
  });

  it.each([
    [5, '5s'],
    [119, '119s'],
    [180, '3m'],
    [7_200, '2h'],
    [4 * 86_400 + 5, '4d'],
    [-5, '0s'],
  ])('tells the age of an attachment of %i s as kubectl does, and its pod: %s (need N14)', async (seconds, age) => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    s.now = new Date(s.now.getTime() + seconds * 1000);
    expect((await s.run('list')).out).toMatch(new RegExp(` ${age} +blue/app `));
    expect((await s.run('show', 'aaaa')).out).toMatch(
      new RegExp(`^net:aaaa:net1\nattached {2}pod blue/app {2}age ${age}\n`),
    );
    expect(JSON.parse((await s.run('list', '--json')).out).attachments).toMatchObject([{ pod: 'blue/app' }]);
    expect(JSON.parse((await s.run('show', 'aaaa', '--json')).out)).toMatchObject({ pod: 'blue/app' });
  });

  it('asks each switch once which ports it has: yes, no, or unknown with the reason (need N14)', async () => {
    const s = await cliScene();
    for (const id of ['aaaa', 'bbbb']) await s.journal(keyOf(id), attached(keyOf(id)));
    const [first, ...rest] = attached(keyOf('cccc')) as [Begin, ...Entry[]];
    await s.journal(keyOf('cccc'), [{ ...first, plan: { ...first.plan, ovsdb: 'unix:/other.sock' } }, ...rest]);
    await s.journal(keyOf('dddd'), []);
    s.isThere = (ovsdb, { key }) => ovsdb === 'unix:/other.sock' || key.containerId === 'aaaa';
    const lives = async () =>
      JSON.parse((await s.run('list', '--json')).out).attachments.map(({ live }: { live?: string }) => live);
    expect(await lives()).toEqual(['yes', 'no', 'yes', undefined]);
    expect(s.looks).toBe(2);
    s.away = new Error('nobody listens');
    expect(await lives()).toEqual(['unknown', 'unknown', 'unknown', undefined]);
    const { exitCode, out } = await s.run('list');
    expect(exitCode).toBe(0);
    expect(out).toContain(
      'the switch at unix:/other.sock could not be asked whether its ports are there: nobody listens\n',
    );
    const { unreachable } = JSON.parse((await s.run('list', '--json')).out);
    expect(unreachable).toContainEqual({ ovsdb: 'unix:/run/db.sock', message: 'nobody listens' });
  });

  it('with --no-live asks no switch, and has no such column (need N14)', async () => {
    const s = await everything();
    const { exitCode, out } = await s.run('list', '--no-live');
    expect({ exitCode, names: out.includes('aaaa00000000') }).toEqual({ exitCode: 3, names: true });
    expect({ looks: s.looks, isThere: out.includes('LIVE') }).toEqual({ looks: 0, isThere: false });
    expect((await s.run('list', '--no-live', '--json')).out).not.toContain('"live"');
  });

  it('fits a terminal: long cells are cut (need N14)', async () => {
    const s = await everything();
    const wide = { network: 'a-network-with-a-long-name', containerId: 'ffff', ifName: 'net1' };
    await s.journal(wide, attached(wide));
    for (const columns of [80, 100, 120]) {
      s.columns = columns;
      const lines = (await s.run('list')).out.split('\n').filter((line) => !line.startsWith('    '));
      expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(columns);
      expect(lines.join('\n')).toContain('aaaa00000000 ');
    }
    s.columns = undefined;
    expect((await s.run('list')).out).toContain('a-network-with-a-long-name');
  });

  it('aligns its columns', async () => {
    const lines = (await (await everything()).run('list')).out.split('\n');
    const column = lines[0]?.indexOf('STATE') ?? -1;
    const found = lines.filter((line) => line.startsWith('net')).map((line) => line.slice(column).split(' ')[0]);
    expect(found).toEqual(states);
  });

  it('says that there is nothing, and in which directory', async () => {
    const s = await cliScene();
    expect((await s.run('list')).out).toBe(`no attachments in ${s.dataDir}\n`);
    const nowhere = join(s.dataDir, 'none');
    expect((await s.run('list', '--data-dir', nowhere)).out).toBe(`no attachments in ${nowhere}, which is not there\n`);
  });

  it('with --json is one document with all facts of each attachment', async () => {
    const { out } = await (await everything()).run('list', '--json');
    const { attachments } = JSON.parse(out);
    expect(attachments.map(({ state }: { state: string }) => state)).toEqual(states);
    expect(attachments[0]).toEqual({
      key: 'net:aaaa00000000ffff:net1',
      network: 'net',
      containerId: 'aaaa00000000ffff',
      ifName: 'net1',
      pod: 'blue/app',
      state: 'attached',
      live: 'yes',
      since: '2025-01-17T12:00:00.000Z',
      bridge: 'br0',
      port: 'aaaa00000000-net1',
      socket: '/pods/aaaa00000000/aaaa00000000-net1',
      addresses: ['10.0.0.5/24'],
      owed: [],
    });
    expect(attachments[2].owed).toEqual([{ step: 'address', message: 'the pool is away' }]);
  });

  it('tells since when a removal is owed, and how often it was tried: after a DEL, and after a failed ADD', async () => {
    const s = await cliScene();
    const [removed, failed] = [keyOf('aaaa'), keyOf('bbbb')];
    const again = owing(removed).slice(attached(removed).length);
    await s.journal(removed, [...owing(removed), ...again, ...again], true, 1);
    const [, ...takenBack] = again;
    await s.journal(failed, [...adding(failed), ...takenBack], true, 1);
    const minute = (count: number) => `2025-01-17T12:${`${count}`.padStart(2, '0')}:00.000Z`;
    const first = attached(removed).length;
    const { attachments } = JSON.parse((await s.run('list', '--json')).out);
    expect(attachments).toMatchObject([
      { state: 'owed', since: minute(first), tried: { times: 3, last: minute(first + 2 * again.length) } },
      { state: 'owed', since: minute(adding(failed).length), tried: { times: 1 } },
    ]);
    expect((await s.run('list')).out).toContain(`tried 3 times, last ${minute(first + 2 * again.length)}`);
  });

  it('has colours on a terminal only, and only around the state and LIVE', async () => {
    const s = await everything();
    const named = { network: 'attached', containerId: 'owed', ifName: 'adding' };
    await s.journal(named, attached(named));
    const plain = (await s.run('list')).out;
    expect(plain).not.toContain(colour);
    const coloured = (await s.runInteractive('list')).out;
    expect(stripVTControlCharacters(coloured)).toBe(plain);
    const painted = [...coloured.replaceAll(colour, '<').matchAll(/<\d+m([a-z]+)<0m/g)].map(([, text]) => text);
    expect(painted.sort()).toEqual([...states, 'attached', ...Array(5).fill('yes')].sort());
    expect(coloured).toMatch(/^attached /m);
  });

  it('reads a journal without its lock, and names the process that holds it', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), owing(keyOf('aaaa')), true);
    const holder = bunChild(holderProgram, [path, '0']);
    await holder.line();
    const { out } = await s.run('list');
    expect(out).toContain('removing');
    expect(out).toContain(`held by process ${holder.process.pid} (`);
    expect(out).toMatch(/\) since 20\d\d-\S+Z$/m);
    const { attachments } = JSON.parse((await s.run('list', '--json')).out);
    expect(attachments).toMatchObject([{ state: 'removing', owed: [], holder: { pid: holder.process.pid } }]);
    // --data-dir may be a relative path.
    const named = await s.run('list', '--json', '--data-dir', relative(process.cwd(), s.dataDir));
    expect(JSON.parse(named.out).attachments).toMatchObject([{ state: 'removing' }]);
    await holder.kill();
    expect((await s.run('list')).out).toContain('owed');
  });

  it('changes nothing: a torn journal is repaired by the next call, not by a look', async () => {
    const s = await cliScene();
    const path = await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    appendFileSync(path, `{"seq":${readFileSync(path, 'utf8').split('\n').length}`);
    const before = readFileSync(path, 'utf8');
    expect((await s.run('list')).out).toContain('attached');
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  it('shows the other journals beside one that is garbage, of another version or unintelligible', async () => {
    const s = await everything();
    writeFileSync(join(s.dataDir, journalName(keyOf('ffff'))), 'garbage\n');
    const odd = { kind: 'begin', format: 99, what: 'else' } as unknown as Entry;
    await s.journal(keyOf('9999'), [odd]);
    await s.journal(keyOf('8888'), [{ ...odd, plan: { key: 7 } } as unknown as Entry]);
    const { out } = await s.run('list');
    for (const id of ['8888', '9999', 'aaaa', 'ffff']) expect(out).toContain(id);
  });

  it('leaves alone files that are not journals', async () => {
    const s = await cliScene();
    for (const name of ['notes.txt', 'net:a:b.journal.corrupt', 'journal']) writeFileSync(join(s.dataDir, name), '');
    expect((await s.run('list')).out).toBe(`no attachments in ${s.dataDir}\n`);
  });
});
