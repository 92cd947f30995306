/** userspace sysdump: what is in the archive, what is told to be missing, and that no secret is in it. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { momentOf } from '../../src/cli/command-line.ts';
import { collectAll, type Item } from '../../src/cli/sysdump/bag.ts';
import { Redactor } from '../../src/cli/sysdump/redact.ts';
import { now } from '../../src/deadlines.ts';
import { attached, begin, owing } from '../support/fake/cli-scene.ts';
import { writeProgram } from '../support/programs.ts';
import { dumpScene, unpacked } from '../support/stand-in/dump-scene.ts';
import { keyOf } from '../support/stand-in/scene.ts';

const linesOf = (files: Map<string, string>, name: string): string[] => (files.get(name) ?? '').split('\n');

describe('userspace sysdump', () => {
  it('writes one archive with everything, says what it has, and is exit code 0', async () => {
    const { s, dump, here, log, out, ovsdb, directory } = await dumpScene();
    const paths = [
      await s.journal(keyOf('aaaa'), here(attached(keyOf('aaaa')))),
      await s.journal(keyOf('bbbb'), here(owing(keyOf('bbbb'))), true),
    ];
    const marks = ['map', Object.entries({ owner: 'userspace-cni', key: 'net:aaaa:net1', instance: 'x' })];
    const row = { interfaces: ['named-uuid', 'i'], name: 'aaaa-net1', external_ids: marks };
    ovsdb.database.transact(
      [
        { op: 'insert', table: 'Interface', 'uuid-name': 'i', row: { name: 'aaaa-net1', type: 'dpdkvhostuserclient' } },
        { op: 'insert', table: 'Port', 'uuid-name': 'p', row },
        { op: 'insert', table: 'Bridge', 'uuid-name': 'b', row: { name: 'br-x', ports: ['named-uuid', 'p'] } },
        { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['named-uuid', 'b']]] },
      ],
      { ownsLock: () => true, waitedMs: 0 },
    );
    writeFileSync(log, '2026-01-31T12:00:00.000Z [info] userspace: ADD took 12 ms\n');
    const { exitCode, out: said, err, archive } = await dump();
    expect(said).not.toContain('missing');
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(readdirSync(out)).toEqual([expect.stringMatching(/^userspace-sysdump-[\w.-]+-20250117T120000Z\.tar\.gz$/)]);
    expect(lstatSync(archive).mode & 0o7777).toBe(0o600);
    expect(said).toContain(`${archive}: ${statSync(archive).size} bytes`);
    for (const item of [
      'versions',
      'networks',
      'journals',
      'rows',
      'sockets',
      'logs',
      'settings',
      'status',
      'list',
      'recover',
    ])
      expect(said).toMatch(new RegExp(`^collected {2}${item} `, 'm'));
    const files = unpacked(archive);
    for (const path of paths) expect(files.get(`journals/${path.split('/').at(-1)}`)).toBe(readFileSync(path, 'utf8'));
    expect(JSON.parse(files.get('list.json') ?? '').attachments).toMatchObject([
      { state: 'attached' },
      { state: 'owed' },
    ]);
    expect(JSON.parse(files.get('recover-dry-run.json') ?? '')).toMatchObject({ dryRun: true, removed: 1, kept: 1 });
    expect(JSON.parse(files.get('status.json') ?? '').findings.length).toBeGreaterThan(5);
    expect(linesOf(files, 'marks.txt').filter((line) => / going$/.test(line))).toEqual([
      expect.stringMatching(/^-1714 \d+:\d+ \d+ \S+ inode \d+ \S+bbbb:net1\.journal going$/),
    ]);
    expect(JSON.parse(files.get('rows.json') ?? '')).toMatchObject({
      ovsdb: ovsdb.ovsdb,
      Port: [{ name: 'aaaa-net1', external_ids: { key: 'net:aaaa:net1' } }],
      Interface: [{ type: 'dpdkvhostuserclient' }],
      Bridge: [{ name: 'br-x' }],
      Open_vSwitch: [{ dpdk_initialized: true }],
    });
    expect(JSON.parse(files.get('networks/1-10-dpdk.conf.json') ?? '').network).toMatchObject({
      name: 'dpdk-net',
      logFile: log,
    });
    expect(files.get('logs/1-plugin.log')).toBe(readFileSync(log, 'utf8'));
    expect(files.get('logs/units.txt')).toBe('oldest\nnewest\n');
    expect(readFileSync(join(directory, 'asked'), 'utf8')).toContain('--unit=userspace-recover.service');
    const versions = linesOf(files, 'versions.txt');
    expect(versions).toContain('containerd: containerd v1.7.24');
    expect(versions[0]).toMatch(/^userspace: 1\.2\.3 \([a-z ]+, linux-/);
    expect(files.get('settings.txt')).toMatch(/^hugepages: 512 of 2048 KiB, 100 free$/m);
    expect(files.get('settings.txt')).toMatch(/^\/proc\/sys\/vm\/max_map_count: \d+$/m);
    expect(linesOf(files, 'processes.txt').some((line) => line.startsWith(`${process.pid} `))).toBe(true);
    expect(files.get('README.txt')).toContain('Nothing is missing.');
  });

  it('lists the socket directory of an attachment with modes, symlinks and the way to it', async () => {
    const { s, dump, directory } = await dumpScene();
    const pods = join(directory, 'pods');
    mkdirSync(join(pods, 'deep'), { recursive: true });
    chmodSync(pods, 0o751);
    symlinkSync('deep', join(pods, 'link'));
    const key = keyOf('aaaa');
    const first = begin(key);
    const { port } = first.plan;
    if (!port) throw new Error('a plan without a port');
    await s.journal(key, [
      { ...first, plan: { ...first.plan, port: { ...port, directory: pods } } },
      ...attached(key).slice(1),
    ]);
    const lines = linesOf(unpacked((await dump()).archive), 'sockets.txt');
    expect(lines).toContainEqual(expect.stringMatching(/^net:aaaa:net1 \((client|server)\)$/));
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^ {2}d0751 \\d+:\\d+ .* ${pods}$`)));
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}l0777 .*\/link -> deep$/));
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}d\d{4} .* \/$/));
  });

  it('names what could not be had, has the rest, and is exit code 3: a switch, a kubeconfig, a log, journalctl', async () => {
    const { s, dump, here, ovsdb, network, programs, directory } = await dumpScene();
    await s.journal(keyOf('aaaa'), here(attached(keyOf('aaaa'))));
    writeFileSync(join(s.networkDir, '20.conf'), JSON.stringify(network({ kubeconfig: '/nowhere/kubeconfig' })));
    writeProgram(join(programs, 'journalctl'), 'echo "no such privilege" >&2; exit 1');
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    await ovsdb.stopDatabase();
    const { exitCode, out: text, archive } = await dump('--json', '--log', fifo, '--log', '/nowhere/log');
    expect(exitCode).toBe(3);
    const { path, bytes, collected, missing } = JSON.parse(text);
    expect({ path, bytes }).toEqual({ path: archive, bytes: statSync(archive).size });
    const why = (item: string) =>
      missing.filter((one: { item: string }) => one.item === item).map((one: { text: string }) => one.text);
    expect(why('rows')).toContainEqual(expect.stringContaining(ovsdb.ovsdb));
    expect(why('kubeconfigs')).toEqual([expect.stringMatching(/"\/nowhere\/kubeconfig".*ENOENT/)]);
    expect(why('logs')).toEqual([
      expect.stringContaining('is not a regular file'),
      expect.stringContaining('/nowhere/log'),
      'journalctl: no such privilege',
    ]);
    const has = collected.map(({ item }: { item: string }) => item);
    expect([has.includes('list'), has.includes('rows')]).toEqual([true, false]);
    const files = unpacked(archive);
    expect(files.get('README.txt')).toContain('journalctl: no such privilege');
    expect(JSON.parse(files.get('status.json') ?? '').healthy).toBe(false);
  });

  it('an item that never ends costs itself alone: what it had, and what the others have, stays', async () => {
    const items: Item[] = [
      {
        name: 'slow',
        collect: (bag) => {
          bag.file('half', 'x');
          return new Promise(() => undefined);
        },
      },
      {
        name: 'broken',
        collect: async (bag) => {
          setImmediate(() => bag.file('late', 'x'));
          throw new Error('the disk is gone');
        },
      },
      {
        name: 'quick',
        collect: async (bag) => {
          bag.file('whole', 'y');
          return 'found';
        },
      },
    ];
    const { files, collected, missing } = await collectAll(items, new Redactor(), now() + 50);
    expect([...files.keys()].sort()).toEqual(['half', 'whole']);
    expect(collected).toEqual([{ item: 'quick', text: 'found' }]);
    expect(missing).toEqual([
      { item: 'slow', text: expect.stringContaining('did not end') },
      { item: 'broken', text: 'the disk is gone' },
    ]);
  });

  it('overwrites nothing and follows no symlink: exit code 1, and what is there stays', async () => {
    const { s, directory } = await dumpScene();
    const [file, link, target] = ['file', 'link', 'target'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(file, 'mine');
    symlinkSync(target, link);
    for (const path of [file, link]) {
      const { exitCode, out, err } = await s.run('sysdump', '--output', path);
      expect({ exitCode, out, err }).toEqual({
        exitCode: 1,
        out: '',
        err: `userspace sysdump: "${path}" exists: name another file\n`,
      });
    }
    expect(readFileSync(file, 'utf8')).toBe('mine');
    expect(existsSync(target)).toBe(false);
    const nowhere = join(directory, 'none', 'dump.tar.gz');
    expect(await s.run('sysdump', '--output', nowhere)).toMatchObject({
      exitCode: 1,
      err: expect.stringContaining('ENOENT'),
    });
    unlinkSync(link);
    expect(await s.run('sysdump', '--output', link)).toMatchObject({
      exitCode: 0,
      out: expect.stringContaining(`${link}: `),
    });
  });

  it('takes lines since a moment, in a form that it knows', async () => {
    const { s, dump, log, directory } = await dumpScene();
    const line = (hour: number) => `2025-01-17T${hour}:30:00.000Z [info] userspace: at ${hour}\n`;
    writeFileSync(log, [9, 10, 11].map((hour) => line(hour).replace('T9', 'T09')).join('more\n'));
    const { archive } = await dump('--since', '110m');
    const foreign = '[1 lines that this plugin did not write: --log FILE takes them too]\n';
    expect(unpacked(archive).get('logs/1-plugin.log')).toBe(`${foreign}${line(10)}${line(11)}`);
    expect(readFileSync(join(directory, 'asked'), 'utf8')).toContain(
      `--since=@${Date.UTC(2025, 0, 17, 10, 10) / 1000}`,
    );
    expect(await s.run('sysdump', '--since', 'yesterday')).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining('yesterday'),
    });
    expect(momentOf('2d', s.now)).toEqual(new Date('2025-01-15T12:00:00Z'));
    expect(momentOf('2025-01-01T00:00:00Z', s.now)).toEqual(new Date('2025-01-01T00:00:00Z'));
    for (const text of ['', 'now', '-1d', '3w']) expect(momentOf(text, s.now)).toBeUndefined();
  });
});
