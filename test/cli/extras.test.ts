/** The files that install writes beside the executable. By the executable: test/system/bare-node.test.ts. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Extras, placeExtras, planExtras } from '../../src/cli/setup/extras.ts';
import { readRecord, sumOf } from '../../src/cli/setup/record.ts';
import { parseAdd } from '../../src/cni/request.ts';
import { writeProgram } from '../support/programs.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const kubeconfigText = `apiVersion: v1
kind: Config
current-context: here
contexts: [{ name: here, context: { cluster: one, user: plugin } }]
clusters: [{ name: one, cluster: { server: "https://127.0.0.1:6443" } }]
users: [{ name: plugin, user: { token: secret } }]
`;

function node() {
  const root = temporaryDirectory();
  const machine = {
    networkDir: join(root, 'net.d'),
    systemd: { units: join(root, 'units'), runs: join(root, 'systemd') },
    programDirs: [join(root, 'programs'), '/bin'],
    systemRoot: join(root, 'root'),
  };
  const given = join(root, 'given');
  writeFileSync(given, kubeconfigText);
  const none: Extras = { units: false, conflist: false, confDir: undefined, kubeconfig: undefined, manual: false };
  const plan = (extras: Partial<Extras>, path = '/opt/cni/bin/userspace') =>
    planExtras(machine, { path, version: '1.2.3' }, { ...none, ...extras });
  const place = async (extras: Partial<Extras>, executable?: string) =>
    placeExtras(machine, await plan(extras, executable)).map(({ done }) => done);
  const paths = {
    unit: join(machine.systemd.units, 'userspace-agent.service'),
    conflist: join(machine.networkDir, '50-userspace.conflist'),
    kubeconfig: join(machine.networkDir, 'userspace.d', 'kubeconfig'),
  };
  return { root, machine, given, plan, place, ...paths };
}

const all = { units: true, conflist: true };

describe('install, beside the executable', () => {
  it('writes a kubeconfig, a unit and a network, each with its mode, and finds them the second time (need N28)', async () => {
    const { place, given, unit, conflist, kubeconfig, machine } = node();
    expect(await place({ ...all, kubeconfig: given }, '/usr/lib/cni/userspace')).toEqual(Array(3).fill('installed'));
    expect([kubeconfig, unit, conflist].map((path) => statSync(path).mode & 0o7777)).toEqual([0o600, 0o644, 0o644]);
    expect(readFileSync(kubeconfig, 'utf8')).toBe(kubeconfigText);
    expect(readFileSync(unit, 'utf8')).toMatch(
      /^ExecStart=\/usr\/lib\/cni\/userspace agent --recover --metrics 127.0.0.1:9468$/m,
    );
    expect(Object.keys(readRecord(machine.networkDir))).toEqual([kubeconfig, unit, conflist]);
    expect(await place({ ...all, kubeconfig: given }, '/usr/lib/cni/userspace')).toEqual(
      Array(3).fill('already there'),
    );
    expect(readdirSync(machine.networkDir).sort()).toEqual(['50-userspace.conflist', 'userspace.d']);
  });

  it('the unit is the one of deploy/systemd, and the network is one that an ADD takes (need N28)', async () => {
    const { place, unit, conflist, kubeconfig, given } = node();
    await place(all);
    expect(readFileSync(unit, 'utf8')).toBe(readFileSync('deploy/systemd/userspace-agent.service', 'utf8'));
    const call = {
      CNI_CONTAINERID: 'c0ffee',
      CNI_NETNS: '/run/netns/a',
      CNI_IFNAME: 'net1',
      CNI_PATH: '/opt/cni/bin',
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod',
    };
    const configOf = () => {
      const { plugins, ...list } = JSON.parse(readFileSync(conflist, 'utf8'));
      return parseAdd(call, JSON.stringify({ ...list, ...plugins[0] })).config;
    };
    expect(configOf()).toMatchObject({ ovsdb: 'unix:/var/run/openvswitch/db.sock' });
    expect(configOf().kubeconfig).toBeUndefined();
    await place({ ...all, kubeconfig: given });
    expect(configOf().kubeconfig).toBe(kubeconfig);
    // The next one without --kubeconfig names the one that is there.
    await place(all);
    expect(configOf().kubeconfig).toBe(kubeconfig);
  });

  it.each(['unit', 'conflist', 'kubeconfig'] as const)(
    'a %s that differs is never overwritten, and nothing is touched (need N28)',
    async (which) => {
      const mine = node();
      mkdirSync(mine.machine.systemd.units);
      mkdirSync(dirname(mine.kubeconfig), { recursive: true });
      writeFileSync(mine[which], 'mine');
      await expect(mine.plan({ ...all, kubeconfig: mine.given })).rejects.toThrow(
        `"${mine[which]}" is there, and is not as install wrote it`,
      );
      expect(readFileSync(mine[which], 'utf8')).toBe('mine');
      const everything = [mine.machine.networkDir, mine.machine.systemd.units, dirname(mine.kubeconfig)];
      expect(everything.flatMap((directory) => readdirSync(directory))).toHaveLength(2);
    },
  );

  it('manual pages and completions have a record, and the directories that were made for them too', async () => {
    const { place, machine } = node();
    const { systemRoot } = machine;
    mkdirSync(join(systemRoot, 'usr/local/share/zsh'), { recursive: true });
    mkdirSync(join(systemRoot, 'etc'));
    expect(new Set(await place({ manual: true }))).toEqual(new Set(['installed']));
    const page = join(systemRoot, 'usr/local/share/man/man1/userspace-recover.1');
    expect(readFileSync(page, 'utf8')).toMatch(/^\.TH USERSPACE\\-RECOVER 1 "" "userspace 1\.2\.3"/);
    expect(statSync(page).mode & 0o7777).toBe(0o644);
    for (const script of [
      'usr/local/share/bash-completion/completions/userspace',
      'usr/local/share/zsh/site-functions/_userspace',
      'etc/fish/completions/userspace.fish',
    ])
      expect(readFileSync(join(systemRoot, script), 'utf8')).toContain('Completion of userspace for');
    const record = readRecord(machine.networkDir);
    const made = Object.keys(record).filter((path) => record[path]?.includes('directory'));
    expect(made.map((path) => path.slice(systemRoot.length + 1))).toEqual([
      'usr/local/share/zsh/site-functions',
      'usr/local/share/man/man5',
      'usr/local/share/man/man1',
      'usr/local/share/man',
      'usr/local/share/bash-completion/completions',
      'usr/local/share/bash-completion',
      'etc/fish/completions',
      'etc/fish',
    ]);
    // An install that finds them makes none, and forgets none.
    expect(new Set(await place({ manual: true }))).toEqual(new Set(['already there']));
    expect(readRecord(machine.networkDir)).toEqual(record);
  });

  it('a directory of manual pages that is a symlink to nowhere is told before anything is touched', async () => {
    const { plan, machine, root } = node();
    mkdirSync(join(machine.systemRoot, 'usr/local/share'), { recursive: true });
    symlinkSync(join(root, 'nowhere'), join(machine.systemRoot, 'usr/local/share/man'));
    await expect(plan({ manual: true })).rejects.toThrow(/share\/man" leads nowhere\): nothing was touched/);
  });

  it('one of an earlier release, which no person has changed, is replaced (need N28)', async () => {
    const { place, unit, machine } = node();
    await place(all);
    writeFileSync(unit, 'of an earlier release');
    const record = join(machine.networkDir, 'userspace.d', 'installed.json');
    writeFileSync(
      record,
      JSON.stringify({ ...readRecord(machine.networkDir), [unit]: [sumOf('of an earlier release')] }),
    );
    expect(await place(all)).toEqual(['replaced', 'already there']);
    // Until the next install, both are known: a kill between the record and the file leaves none that is taken for a person's.
    expect(readRecord(machine.networkDir)[unit]).toHaveLength(2);
    await place(all);
    expect(readRecord(machine.networkDir)[unit]).toEqual([sumOf(readFileSync(unit))]);
  });

  it('a mode or a leftover of an install that was killed is mended (need N28)', async () => {
    const { place, kubeconfig, given } = node();
    await place({ kubeconfig: given });
    chmodSync(kubeconfig, 0o644);
    writeFileSync(join(kubeconfig, '..', '.kubeconfig.new'), 'half');
    expect(await place({ kubeconfig: given })).toEqual(['replaced']);
    expect(readdirSync(join(kubeconfig, '..')).sort()).toEqual(['installed.json', 'kubeconfig']);
    expect(statSync(kubeconfig).mode & 0o7777).toBe(0o600);
  });

  it.each([
    ['that is missing', 'absent', undefined, 'absent'],
    ['that is none', 'given', 'hello', 'given'],
    ['without a server', 'given', 'apiVersion: v1\nkind: Config\n', 'given'],
    [
      'that names a file beside itself',
      'given',
      kubeconfigText.replace('server:', 'certificate-authority: ca.crt, server:'),
      'certificate-authority',
    ],
  ])('a kubeconfig %s is refused, and nothing is touched (need N28)', async (_, name, text, word) => {
    const { root, plan, machine } = node();
    if (text) writeFileSync(join(root, name), text);
    writeFileSync(join(root, 'ca.crt'), 'PEM');
    await expect(plan({ ...all, kubeconfig: join(root, name) })).rejects.toThrow(word);
    expect(existsSync(machine.networkDir)).toBe(false);
  });

  it('a kubeconfig that names a file by its whole path is taken (need N28)', async () => {
    const { root, place } = node();
    const [tokenFile, given] = [join(root, 'token'), join(root, 'with-file')];
    writeFileSync(tokenFile, 'secret');
    writeFileSync(given, kubeconfigText.replace('token: secret', `tokenFile: "${tokenFile}"`));
    expect(await place({ kubeconfig: given })).toEqual(['installed']);
  });

  it.each([
    ['a directory at the name of a file', (path: string) => mkdirSync(path, { recursive: true }), 'no regular file'],
    ['a symlink at the name of a file', (path: string) => symlinkSync('/dev/null', path), 'no regular file'],
  ])('%s is named (need N28)', async (_, make, word) => {
    const { plan, kubeconfig, given } = node();
    mkdirSync(join(kubeconfig, '..'), { recursive: true });
    make(kubeconfig);
    await expect(plan({ kubeconfig: given })).rejects.toThrow(word);
  });

  it('a file where a directory has to be is named (need N28)', async () => {
    const { plan, machine, given } = node();
    writeFileSync(machine.networkDir, '');
    await expect(plan({ kubeconfig: given })).rejects.toThrow('ENOTDIR');
  });

  it('a --conf-dir that is missing is named, and one that is there gets the network (need N28)', async () => {
    const { root, plan, place, conflist } = node();
    const confDir = join(root, 'other');
    await expect(plan({ conflist: true, confDir })).rejects.toThrow(`there is no directory "${confDir}"`);
    mkdirSync(confDir);
    expect(await place({ conflist: true, confDir })).toEqual(['installed']);
    expect(readdirSync(confDir)).toEqual(['50-userspace.conflist']);
    expect(existsSync(conflist)).toBe(false);
  });

  it('a directory whose name systemd would read otherwise is refused (need N28)', async () => {
    await expect(node().plan({ units: true }, '/opt/a b/%n/userspace')).rejects.toThrow('cannot be named in a unit');
  });

  it('where systemd runs, it is told; without a systemctl nothing is touched (need N28)', async () => {
    const { root, machine, plan, place, unit } = node();
    mkdirSync(machine.systemd.runs);
    machine.programDirs.pop();
    await expect(plan({ units: true })).rejects.toThrow('there is no systemctl');
    expect(existsSync(unit)).toBe(false);
    const said = join(root, 'said');
    mkdirSync(join(root, 'programs'));
    writeProgram(join(root, 'programs', 'systemctl'), `echo "$@" >> ${said}`);
    await place({ units: true });
    expect(readFileSync(said, 'utf8')).toBe('daemon-reload\nenable --now userspace-agent.service\n');
    rmSync(said);
    writeProgram(join(root, 'programs', 'systemctl'), 'echo "no bus" >&2; exit 1');
    await expect(place({ units: true })).rejects.toThrow('systemctl daemon-reload: no bus');
  });
});
