/** `userspace uninstall`: what it takes away, what it leaves, and when it takes nothing. By the executable: test/system/uninstall.test.ts. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { recordPath, sumOf } from '../../src/cli/setup/record.ts';
import { kubeconfigText } from '../../src/daemonset/plugin-kubeconfig.ts';
import { adding, attached, type CliScene, cliScene, owing } from '../support/fake/cli-scene.ts';
import { writeProgram } from '../support/programs.ts';
import { keyOf } from '../support/stand-in/scene.ts';

const identity = JSON.stringify({
  version: '0.0.1',
  commit: 'unknown',
  target: 'linux-x64',
  runtime: 'none',
  bytes: 1,
});

interface Installed {
  readonly s: CliScene;
  /** The directory of everything. */
  readonly root: string;
  readonly bin: string;
  readonly executable: string;
  readonly unit: string;
  readonly conflist: string;
  readonly kubeconfig: string;
  uninstall(...words: string[]): ReturnType<CliScene['run']>;
}

/** A network without a data directory would mean the one of the machine that runs the tests. */
const networkOf = ({ dataDir }: CliScene) => ({ type: 'userspace', dataDir });

const unitFor = (executable: string): string => `[Service]\nExecStart=${executable} agent --recover\n`;

/** A node with every part of an installation, as install writes them. */
async function installed(): Promise<Installed> {
  const s = await cliScene();
  const root = dirname(s.dataDir);
  const bin = join(root, 'bin');
  const [executable, unit] = [join(bin, 'userspace'), join(s.systemd.units, 'userspace-agent.service')];
  const [conflist, kubeconfig] = [
    join(s.networkDir, '50-userspace.conflist'),
    join(s.networkDir, 'userspace.d', 'kubeconfig'),
  ];
  for (const directory of [bin, s.systemd.units, dirname(kubeconfig), s.shortDir])
    mkdirSync(directory, { recursive: true });
  writeProgram(executable, `echo '${identity}'`);
  writeFileSync(unit, unitFor(executable));
  writeFileSync(conflist, JSON.stringify({ name: 'net', plugins: [networkOf(s)] }));
  writeFileSync(kubeconfig, 'apiVersion: v1\n', { mode: 0o600 });
  const sums = Object.fromEntries([unit, conflist, kubeconfig].map((path) => [path, [sumOf(readFileSync(path))]]));
  writeFileSync(recordPath(s.networkDir), JSON.stringify(sums));
  return {
    s,
    root,
    bin,
    executable,
    unit,
    conflist,
    kubeconfig,
    uninstall: (...words) => s.run('uninstall', bin, ...words),
  };
}

/** Everything below a directory. */
const filesOf = (root: string): string[] => readdirSync(root, { recursive: true }).map(String).sort();

describe('userspace uninstall', () => {
  it('takes every part away, says so a line each, and leaves the directories of others (need N27)', async () => {
    const { s, root, bin, executable, unit, conflist, kubeconfig, uninstall } = await installed();
    const { exitCode, out, err } = await uninstall();
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    for (const path of [executable, unit, conflist, kubeconfig, recordPath(s.networkDir), s.dataDir, s.shortDir])
      expect(out).toContain(`${path}: removed\n`);
    expect(filesOf(root)).toEqual(['bin', 'net.d', 'units']);
    expect(existsSync(bin)).toBe(true);
  });

  it('finds nothing the second time, and nothing on a node that never had it: exit code 0 (need N27)', async () => {
    const { s, executable, uninstall } = await installed();
    await uninstall();
    const again = await uninstall();
    expect(again).toMatchObject({ exitCode: 0, err: '' });
    expect(again.out).toContain(`${executable}: not there\n`);
    expect(again.out).not.toContain('removed');
    const never = await s.run('uninstall', join(s.dataDir, 'absent'), '--json');
    expect(never.exitCode).toBe(0);
    expect(JSON.parse(never.out)).toMatchObject({ done: 'removed', living: [] });
  });

  it.each([
    ['attached', attached, false, 'kubectl delete pod -n blue app, or crictl rmp -f c0ffee'],
    ['adding', adding, false, 'crictl rmp -f c0ffee'],
    ['owed', owing, true, 'userspace recover'],
  ])(
    'one that is %s: exit code 3, named with its end, and nothing is removed (need N27)',
    async (state, made, going, remedy) => {
      const { s, root, uninstall } = await installed();
      const key = keyOf('c0ffee');
      await s.journal(key, made(key), going);
      const before = filesOf(root);
      const { exitCode, out } = await uninstall();
      expect(exitCode).toBe(3);
      for (const word of [
        'nothing was removed',
        'net:c0ffee:net1',
        state,
        'pod blue/app',
        'network net',
        s.dataDir,
        remedy,
      ])
        expect(out).toContain(word);
      expect(filesOf(root)).toEqual(before);
      expect(JSON.parse((await uninstall('--json')).out)).toMatchObject({
        done: 'refused',
        living: [{ what: 'attachment', name: 'net:c0ffee:net1', state, at: s.dataDir }],
        items: [],
      });
    },
  );

  it('an attachment of a data directory that an installed network names counts too (need N27)', async () => {
    const { s, conflist, uninstall } = await installed();
    const other = await cliScene();
    await other.journal(keyOf('c0ffee'), attached(keyOf('c0ffee')));
    writeFileSync(
      join(dirname(conflist), '60-other.conf'),
      JSON.stringify({ name: 'other', type: 'userspace', dataDir: other.dataDir }),
    );
    const { exitCode, out } = await uninstall();
    expect(exitCode).toBe(3);
    expect(out).toContain(other.dataDir);
    expect(existsSync(s.dataDir)).toBe(true);
  });

  it('so does one of a network that install put into another directory (need N27)', async () => {
    const { s, root, uninstall } = await installed();
    const other = await cliScene();
    await other.journal(keyOf('c0ffee'), attached(keyOf('c0ffee')));
    const elsewhere = join(root, '50-userspace.conflist');
    const plugin = { type: 'userspace', dataDir: other.dataDir };
    writeFileSync(elsewhere, JSON.stringify({ name: 'net', plugins: [plugin] }));
    writeFileSync(recordPath(s.networkDir), JSON.stringify({ [elsewhere]: [] }));
    const { exitCode, out } = await uninstall();
    expect(exitCode).toBe(3);
    expect(out).toContain(other.dataDir);
  });

  it('a directory of another program that is named as the data directory keeps its files (need N27)', async () => {
    const { s, uninstall } = await installed();
    writeFileSync(join(s.dataDir, 'instance'), "another program's\n");
    expect((await uninstall()).out).toContain(`${s.dataDir}: left: it holds instance`);
    writeFileSync(join(s.dataDir, 'instance'), '');
    expect((await uninstall()).out).toContain(`${s.dataDir}: removed`);
  });

  it('a network of a person that names the plugin is noted (need N27)', async () => {
    const { s, uninstall } = await installed();
    const mine = join(s.networkDir, '60-mine.conf');
    writeFileSync(mine, JSON.stringify({ name: 'mine', ...networkOf(s) }));
    expect((await uninstall()).out).toContain(`note: ${mine} stays, and names the plugin that is gone`);
    expect(existsSync(mine)).toBe(true);
  });

  it('a port with our marks and without a journal lives too; one that has a journal is told once (need N27)', async () => {
    const { s, uninstall } = await installed();
    const port = (key: string, name: string) => ({
      name,
      external_ids: { owner: 'userspace-cni', key, 'data-dir': '/elsewhere' },
    });
    s.rows = () => Promise.resolve({ Port: [port('net:beef:net1', 'vhu1'), port('net:c0ffee:net1', 'vhu2')] });
    await s.journal(keyOf('c0ffee'), attached(keyOf('c0ffee')));
    const { exitCode, out } = await uninstall('--json');
    expect(exitCode).toBe(3);
    const { living } = JSON.parse(out);
    expect(living.map(({ what, name }: { what: string; name: string }) => [what, name])).toEqual([
      ['attachment', 'net:c0ffee:net1'],
      ['port', 'net:beef:net1'],
    ]);
    expect(living[1].remedy).toContain('userspace recover --data-dir /elsewhere');
  });

  it('--force removes the rest, keeps the journals, and says what will not be cleaned (need N27)', async () => {
    const { s, executable, kubeconfig, uninstall } = await installed();
    const journal = await s.journal(keyOf('c0ffee'), attached(keyOf('c0ffee')));
    const { exitCode, out } = await uninstall('--force');
    expect(exitCode).toBe(0);
    for (const word of ['will not be cleaned', 'net:c0ffee:net1', `${s.dataDir}: left`]) expect(out).toContain(word);
    expect([executable, kubeconfig, journal].map(existsSync)).toEqual([false, false, true]);
  });

  it('what a person has changed or made stays, and is named (need N27)', async () => {
    const { s, root, unit, conflist, kubeconfig, uninstall } = await installed();
    writeFileSync(unit, '[Unit]\nDescription=mine\n');
    writeFileSync(conflist, JSON.stringify({ name: 'mine', plugins: [networkOf(s)] }));
    const [note, timer, link] = [
      join(dirname(kubeconfig), 'notes'),
      join(s.systemd.units, 'userspace-recover.timer'),
      join(s.shortDir, 'link'),
    ];
    for (const path of [note, timer, link]) writeFileSync(path, 'mine');
    const { exitCode, out } = await uninstall();
    expect(exitCode).toBe(0);
    for (const path of [unit, conflist, timer]) expect(out).toContain(`${path}: left: it is not as install wrote it`);
    expect(out).toContain('systemctl disable --now userspace-agent.service');
    for (const [path, name] of [
      [dirname(kubeconfig), 'notes'],
      [s.shortDir, 'link'],
    ])
      expect(out).toContain(`${path}: left: it holds ${name}`);
    expect([unit, conflist, note, timer, link].every(existsSync)).toBe(true);
    expect(existsSync(kubeconfig)).toBe(false);
    expect(filesOf(join(root, 'bin'))).toEqual([]);
  });

  it('a kubeconfig of a person stays; one that a DaemonSet has written goes, though no record has it (need N27)', async () => {
    const { kubeconfig, uninstall, executable } = await installed();
    writeFileSync(kubeconfig, 'apiVersion: v1\n# mine\n');
    expect((await uninstall()).out).toContain(`${kubeconfig}: left: it is not as install wrote it`);
    expect(existsSync(kubeconfig)).toBe(true);
    writeProgram(executable, `echo '${identity}'`);
    writeFileSync(kubeconfig, kubeconfigText({ server: 'https://10.96.0.1', ca: 'ca', token: 'token' }));
    expect((await uninstall()).out).toContain(`${kubeconfig}: removed`);
  });

  it('the unit of another installation stays, and its agent is not stopped (need N27)', async () => {
    const { s, unit, uninstall } = await installed();
    writeFileSync(unit, unitFor('/opt/other/userspace'));
    writeFileSync(recordPath(s.networkDir), JSON.stringify({ [unit]: [sumOf(readFileSync(unit))] }));
    const { out } = await uninstall();
    expect(out).toContain(`${unit}: left: it starts /opt/other/userspace`);
    expect(out).toContain('userspace uninstall /opt/other');
    expect(existsSync(recordPath(s.networkDir))).toBe(true);
    expect(existsSync(unit)).toBe(true);
  });

  it('the record stays while a part that it tells of cannot be removed, and the next uninstall ends it (need N27)', async () => {
    const { s, conflist, unit, uninstall } = await installed();
    // A directory beside it, of the name of a file that is not whole, cannot be unlinked.
    const inTheWay = join(dirname(conflist), '.50-userspace.conflist.new');
    mkdirSync(inTheWay);
    const { exitCode, out } = await uninstall();
    expect(exitCode).toBe(1);
    expect(out).toContain(`${conflist}: failed`);
    expect(out).toContain(`${recordPath(s.networkDir)}: left: a later uninstall knows by it`);
    expect([conflist, unit].map(existsSync)).toEqual([true, false]);
    rmdirSync(inTheWay);
    const again = await uninstall();
    expect(again.exitCode).toBe(0);
    expect(again.out).toContain(`${conflist}: removed`);
    expect(existsSync(dirname(recordPath(s.networkDir)))).toBe(false);
  });

  it.each([
    ['another program of that name', (path: string) => writeProgram(path, 'echo predecessor'), '--version'],
    ['a directory of that name', (path: string) => mkdirSync(path), 'no regular file'],
    ['a symlink of that name', (path: string) => symlinkSync('/bin/true', path), 'no regular file'],
  ])('%s stays, and is named (need N27)', async (_, make, word) => {
    const { executable, uninstall } = await installed();
    rmSync(executable);
    make(executable);
    const { exitCode, out } = await uninstall();
    expect(exitCode).toBe(0);
    expect(out).toMatch(new RegExp(`${executable}: left: .*${word}`));
    expect(readdirSync(dirname(executable))).toEqual(['userspace']);
  });

  it('ends what an uninstall that was killed has begun, also if something lives now (need N27)', async () => {
    const { s, bin, executable, uninstall } = await installed();
    const aside = join(bin, '.userspace.old');
    const program = readFileSync(executable);
    rmSync(executable);
    writeFileSync(aside, program, { mode: 0o755 });
    writeFileSync(join(bin, '.userspace.new'), 'half');
    const journal = await s.journal(keyOf('c0ffee'), attached(keyOf('c0ffee')));
    expect((await uninstall()).exitCode).toBe(3);
    expect(readFileSync(executable)).toEqual(program);
    expect(existsSync(aside)).toBe(false);
    writeFileSync(aside, program);
    rmSync(executable);
    rmSync(journal);
    expect((await uninstall()).out).toContain(`${executable}: removed`);
    expect(readdirSync(bin)).toEqual([]);
  });

  it('a call that began before the name went: what it attached is seen, and the name comes back (need N27)', async () => {
    const { s, bin, executable, uninstall } = await installed();
    let looks = 0;
    s.rows = async () => {
      // The first look has read the journals; in the second one the name is gone.
      if (++looks === 1) await s.journal(keyOf('c0ffee'), attached(keyOf('c0ffee')));
      else expect(readdirSync(bin)).toEqual(['.userspace.old']);
      return {};
    };
    const before = readFileSync(executable);
    expect((await uninstall()).exitCode).toBe(3);
    expect(looks).toBe(2);
    expect(readFileSync(executable)).toEqual(before);
    expect(readdirSync(bin)).toEqual(['userspace']);
  });

  it('sockets of dead agents go, and one that listens stays (need N27)', async () => {
    const { s, root, uninstall } = await installed();
    s.agentDir = join(root, 'run');
    mkdirSync(s.agentDir);
    const alive = createServer().listen(join(s.agentDir, 'agent-alive'));
    onTestFinished(() => void alive.close());
    for (const name of ['agent-dead', 'figures', 'figures.lock', 'figures.json'])
      writeFileSync(join(s.agentDir, name), '');
    expect((await uninstall()).out).toContain(`${s.agentDir}: left: it holds agent-alive`);
    expect(readdirSync(s.agentDir)).toEqual(['agent-alive']);
  });

  it('systemd is told of the unit that goes, by systemctl (need N27)', async () => {
    const { s, root, unit, uninstall } = await installed();
    const [programs, said] = [join(root, 'programs'), join(root, 'said')];
    mkdirSync(programs);
    mkdirSync(s.systemd.runs);
    s.programDirs = [programs, '/bin'];
    writeProgram(join(programs, 'systemctl'), `echo "$@" >> ${said}`);
    expect((await uninstall()).exitCode).toBe(0);
    expect(readFileSync(said, 'utf8').split('\n')).toEqual([
      'is-active --quiet userspace-agent.service',
      'stop userspace-agent.service',
      'disable --now userspace-agent.service',
      'daemon-reload',
      '',
    ]);
    expect(existsSync(unit)).toBe(false);
  });

  it('a systemctl that fails is quoted, exit code 1, and the unit stays while the rest goes (need N27)', async () => {
    const { s, root, unit, executable, uninstall } = await installed();
    const programs = join(root, 'programs');
    mkdirSync(programs);
    mkdirSync(s.systemd.runs);
    s.programDirs = [programs, '/bin'];
    writeProgram(join(programs, 'systemctl'), 'echo "no bus" >&2; exit 1');
    const { exitCode, out } = await uninstall();
    expect(exitCode).toBe(1);
    expect(out).toContain(`${unit}: failed: systemctl disable --now userspace-agent.service: no bus`);
    expect([unit, executable].map(existsSync)).toEqual([true, false]);
  });

  it('a record that cannot be read: exit code 1, and nothing is removed (need N27)', async () => {
    const { s, root, uninstall } = await installed();
    writeFileSync(recordPath(s.networkDir), '{');
    const before = filesOf(root);
    const { exitCode, out, err } = await uninstall();
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' });
    expect(err).toContain(recordPath(s.networkDir));
    expect(filesOf(root)).toEqual(before);
  });

  it('a switch that is away does not keep the node, and is noted (need N27)', async () => {
    const { s, uninstall } = await installed();
    s.away = new Error('no socket');
    const { exitCode, out } = await uninstall();
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^note: unix:.* could not be asked .*no socket$/m);
  });

  it('a bridge of ours without ports is noted (need N27)', async () => {
    const { s, uninstall } = await installed();
    s.rows = () =>
      Promise.resolve({ Bridge: [{ name: 'br-idle', external_ids: { owner: 'userspace-cni' } }], Port: [] });
    expect((await uninstall()).out).toContain('note: bridge br-idle');
  });
});
