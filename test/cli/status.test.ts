/** userspace status: the things that it checks, its verdicts, and the forms of a network that it reads. */
import { execFileSync } from 'node:child_process';
import { readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blocksOf } from '../support/blocks.ts';
import { attached, owing } from '../support/fake/cli-scene.ts';
import { ovsDpdkPath } from '../support/requirements.ts';
import { keyOf } from '../support/stand-in/scene.ts';
import { node } from '../support/stand-in/status-scene.ts';

describe('userspace status', () => {
  it('on a healthy node names each checked thing, as text and as JSON: exit code 0 (need N12)', async () => {
    const { s, network, file, status } = await node();
    const path = file(network());
    const { exitCode, err, healthy, findings } = await status('--config', path);
    expect({ exitCode, err, healthy }).toEqual({ exitCode: 0, err: '', healthy: true });
    expect(findings.map(({ check, health }) => `${check}: ${health}`)).toEqual(
      ['configuration', 'switch', 'DPDK', 'hugepages', 'data directory', 'IPAM', 'owed'].map((check) => `${check}: ok`),
    );
    const { exitCode: again, out } = await s.run('status', '--config', path);
    expect(again).toBe(0);
    expect(out).toMatch(/^HEALTH +CHECK +FINDING\nok +configuration +dpdk-net/);
    expect(out).toContain('512 of 2 MiB, 100 free');
  });

  it('accepts README’s network, whose cniVersion has no STATUS, and still asks its IPAM program (need N12)', async () => {
    const { file, status, told, s, directory, ovsdb } = await node();
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const shown = JSON.parse(/```json\n([^`]*"type": "userspace"[^`]*)```/.exec(readme)?.[1] ?? '');
    expect(shown.cniVersion).toBe('1.0.0');
    delete shown.host.vhost.group;
    const here = {
      ...shown,
      sharedDir: join(directory, 'shared'),
      dataDir: s.dataDir,
      ovsdb: ovsdb.ovsdb,
      ipam: { ...shown.ipam, type: 'pool' },
    };
    expect(await status('--config', file(here))).toMatchObject({ exitCode: 0, healthy: true });
    expect(told()).toMatch(/^STATUS \{.*"cniVersion":"1.1.0"/);
  });

  it('judges an IPAM program by the version of the network, and asks STATUS only of one that has it (need N12)', async () => {
    const { file, status, told, network, s } = await node();
    const of = async (cniVersion: string) =>
      (await status('--config', file(network({ cniVersion, ipam: { type: 'old' } })))).of('IPAM');
    const script = (await Bun.file(join(s.path[0] ?? '', 'pool')).text()).replace(',"1.1.0"]', ']');
    writeFileSync(join(s.path[0] ?? '', 'old'), script, { mode: 0o755 });
    expect(await of('1.0.0')).toMatchObject([{ health: 'ok' }]);
    expect(await of('1.1.0')).toMatchObject([
      {
        health: 'sick',
        finding: expect.stringContaining('"old" takes the versions 0.4.0, 1.0.0, and "cniVersion" is 1.1.0'),
      },
    ]);
    expect(told).toThrow('ENOENT');
  });

  it('for a switch that is away, or without DPDK, is exit code 1, each with its remedy (need N12)', async () => {
    const { s, ovsdb, set, network, file, status } = await node();
    const words = ['--config', file(network())];
    set({ dpdk_initialized: false });
    const without = await status(...words);
    expect(without).toMatchObject({ exitCode: 1, healthy: false });
    expect(without.of('DPDK')).toMatchObject([{ health: 'sick', remedy: expect.stringContaining('dpdk-init=true') }]);
    // Debian's alternative is where these suites have it, and the page for people says the same.
    const alternative = `update-alternatives --set ovs-vswitchd ${ovsDpdkPath}`;
    expect(without.of('DPDK')).toMatchObject([{ remedy: expect.stringContaining(alternative) }]);
    expect(blocksOf('docs/bare-node.md', 'sh switch').join('')).toContain(alternative);
    set({ dpdk_version: 'none' });
    const built = (await status(...words)).of('DPDK');
    expect(built).toMatchObject([{ finding: expect.stringContaining('was built without it') }]);
    await ovsdb.stopDatabase();
    const away = await status(...words);
    expect(away.of('switch')).toMatchObject([{ health: 'sick', remedy: expect.stringContaining('systemctl status') }]);
    expect(away.of('DPDK')).toEqual([]);
    const { exitCode, out } = await s.run('status', ...words);
    expect(exitCode).toBe(1);
    expect(out).toMatch(/^sick +switch .*\n +-> look at its service/m);
  });

  it.each([
    ['a data directory that is below a file', 'data directory', { dataDir: '/etc/hostname/data' }, 'cannot be written'],
    ['an IPAM program that is not there', 'IPAM', { ipam: { type: 'nowhere' } }, 'nowhere'],
    ['a value that an ADD refuses', 'configuration', { host: { engine: 'vpp', iftype: 'vhostuser' } }, 'vpp'],
    [
      'a group that is not there',
      'configuration',
      { host: { engine: 'ovs-dpdk', iftype: 'vhostuser', vhost: { group: 'no-such' } } },
      'no-such',
    ],
    ['a name that is none', 'configuration', { name: 'a b' }, 'a b'],
  ])('finds %s: %s is sick, all else is looked at too (need N12)', async (_, check, more, word) => {
    const { ovsdb, network, file, status } = await node();
    const { exitCode, of } = await status('--config', file(network(more)), '--ovsdb', ovsdb.ovsdb);
    expect(exitCode).toBe(1);
    expect(of(check).filter(({ health }) => health !== 'ok')).toMatchObject([
      { health: 'sick', finding: expect.stringContaining(word), remedy: expect.stringMatching(/./) },
    ]);
    for (const other of ['switch', 'hugepages']) expect(of(other)).toMatchObject([{ health: 'ok' }]);
  });

  it('finds that no hugepages are reserved (need N12)', async () => {
    const { pages, network, file, status } = await node();
    writeFileSync(join(pages, 'nr_hugepages'), '0\n');
    const { exitCode, of } = await status('--config', file(network()));
    expect(exitCode).toBe(1);
    expect(of('hugepages')).toMatchObject([{ health: 'sick', remedy: expect.stringContaining('vm.nr_hugepages') }]);
  });

  it('with a debt is exit code 3, and names it, its reason and its age; sick findings come first (need N12)', async () => {
    const { s, ovsdb, network, file, status } = await node();
    const words = ['--config', file(network())];
    await s.journal(keyOf('aaaa'), owing(keyOf('aaaa')), true);
    await s.journal(keyOf('bbbb'), attached(keyOf('bbbb')));
    s.now = new Date(s.now.getTime() + 3 * 3_600_000);
    const { exitCode, healthy, of } = await status(...words);
    expect({ exitCode, healthy }).toEqual({ exitCode: 3, healthy: false });
    expect(of('owed')).toEqual([
      {
        check: 'owed',
        subject: 'net:aaaa:net1',
        health: 'owed',
        finding: 'for 3h, since 2025-01-17T12:00:00.000Z; address: the pool is away',
        remedy: expect.stringContaining('userspace recover'),
      },
    ]);
    await ovsdb.stopDatabase();
    expect(await status(...words)).toMatchObject({ exitCode: 1 });
  });

  it('shows ten of many that are owed, and how many more there are (need N12)', async () => {
    const { s, network, file, status } = await node();
    const path = file(network());
    for (let index = 0; index < 12; index++) await s.journal(keyOf(`aa${index}`), owing(keyOf(`aa${index}`)), true);
    expect((await s.run('status', '--config', path)).out).toContain('\n2 more are owed: userspace list\n');
    expect((await status('--config', path)).of('owed')).toHaveLength(12);
  });

  describe('of a kubeconfig', () => {
    const inCluster = { kubeconfig: '/etc/kubeconfig' };
    const definition = (config: object) => ({
      kind: 'NetworkAttachmentDefinition',
      metadata: { name: 'dpdk', namespace: 'blue' },
      spec: { config: JSON.stringify(config) },
    });

    it('asks for its rights in the namespace of its NetworkAttachmentDefinition, and once (need N12)', async () => {
      const { s, network, file, status } = await node();
      const asked: unknown[] = [];
      s.rights = async (...[kubeconfig, namespace]) => {
        asked.push([kubeconfig, namespace]);
        return [];
      };
      const both = { kind: 'List', items: [definition(network(inCluster)), definition(network(inCluster))] };
      const { exitCode, of } = await status('--config', file(both));
      expect({ exitCode, asked }).toEqual({ exitCode: 0, asked: [['/etc/kubeconfig', 'blue']] });
      expect(of('kubeconfig')).toMatchObject([{ health: 'ok', finding: expect.stringContaining('"blue"') }]);
    });

    it('is sick if the account lacks one in that namespace, and unknown if it lacks it in all namespaces only (need N12)', async () => {
      const { s, network, file, status } = await node();
      s.rights = async () => ['patch pods/status'];
      const sick = await status('--config', file(definition(network(inCluster))));
      expect(sick.exitCode).toBe(1);
      const finding = expect.stringContaining('may not patch pods/status in namespace "blue"');
      expect(sick.of('kubeconfig')).toMatchObject([
        { health: 'sick', finding, remedy: expect.stringContaining('role') },
      ]);
      const plain = await status('--config', file(network(inCluster)));
      expect(plain.exitCode).toBe(0);
      expect(plain.of('kubeconfig')).toMatchObject([
        { health: 'unknown', finding: expect.stringContaining('all namespaces') },
      ]);
    });

    it('is sick if the API server cannot be asked (need N12)', async () => {
      const { s, network, file, status } = await node();
      s.rights = () => Promise.reject(new Error('"/etc/kubeconfig" cannot be read: ENOENT'));
      const { exitCode, of } = await status('--config', file(network(inCluster)));
      expect(exitCode).toBe(1);
      expect(of('kubeconfig')).toMatchObject([{ health: 'sick', finding: expect.stringContaining('ENOENT') }]);
    });
  });

  describe('understands', () => {
    const list = (network: object) => ({ cniVersion: '0.4.0', name: 'listed', plugins: [{ type: 'tuning' }, network] });
    const definition = (config: unknown, name: string) =>
      `apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata:\n  name: ${name}\nspec:\n  config: |\n${JSON.stringify(
        config,
        null,
        2,
      ).replaceAll(/^/gm, '    ')}\n`;

    it.each<[string, (network: { [key: string]: unknown }) => unknown, string[]]>([
      ['a network', (network) => network, ['dpdk-net']],
      ['a list of plugins', list, ['listed']],
      ['a NetworkAttachmentDefinition in YAML', (network) => definition(network, 'other'), ['dpdk-net']],
      ['one whose network has no name', ({ name: _, ...rest }) => definition(rest, 'other'), ['other']],
      ['one of a list of plugins', (network) => definition(list(network), 'other'), ['listed']],
      [
        'one in JSON',
        (network) => ({ kind: 'NetworkAttachmentDefinition', spec: { config: JSON.stringify(network) } }),
        ['dpdk-net'],
      ],
      [
        'several in one YAML file',
        (network) => `${definition(network, 'x')}---\n${definition(list(network), 'y')}`,
        ['dpdk-net', 'listed'],
      ],
      [
        'a network in YAML',
        (network) =>
          `# of the node\n${Object.entries(network)
            .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
            .join('\n')}\n`,
        ['dpdk-net'],
      ],
    ])('%s (need N12)', async (_, make, names) => {
      const { network, file, status } = await node();
      const { exitCode, of } = await status('--config', file(make(network())));
      expect(of('configuration').map(({ subject }) => subject.split(' ')[0])).toEqual(names);
      expect(exitCode).toBe(0);
    });

    it.each([
      ['is not there', undefined, 'ENOENT'],
      ['is broken JSON', '{"type": "userspace"', 'is no JSON'],
      ['is broken YAML', 'a: [b\nc: d: e', 'is no YAML'],
      ['has no network of our type', { type: 'bridge' }, 'no network of type "userspace"'],
      ['is empty', '', 'is empty'],
      ['is a NetworkAttachmentDefinition without one', { kind: 'NetworkAttachmentDefinition' }, 'no spec.config'],
    ])('that a file %s: sick, with the reason (need N12)', async (_, content, reason) => {
      const { file, status } = await node();
      const path = content === undefined ? '/nowhere/network.json' : file(content);
      const { exitCode, of } = await status('--config', path);
      expect(exitCode).toBe(1);
      expect(of('configuration')).toMatchObject([
        { subject: path, health: 'sick', finding: expect.stringContaining(reason) },
      ]);
    });

    it('and without --config reports a broken file, a link to nothing and a FIFO as unknown, if it may be ours (need N12)', async () => {
      const { s, network, status } = await node();
      const path = (name: string) => join(s.networkDir, name);
      writeFileSync(path('10-ours.conf'), JSON.stringify(network()));
      writeFileSync(path('20-comma.conf'), '{"type": "userspace",}');
      writeFileSync(path('30-other.conf'), '{"type": "bridge",}');
      symlinkSync('/nowhere/at/all', path('40-link.conf'));
      execFileSync('mkfifo', [path('50-fifo.conf')]);
      const { exitCode, of } = await status();
      const unknown = (name: string, reason: string) => ({
        subject: path(name),
        health: 'unknown',
        finding: expect.stringContaining(reason),
      });
      expect(of('configuration')).toMatchObject([
        unknown('20-comma.conf', 'is no JSON'),
        unknown('40-link.conf', 'ENOENT'),
        unknown('50-fifo.conf', 'is no regular file'),
        { health: 'ok' },
      ]);
      expect(exitCode).toBe(0);
    });

    it('a list with broken items: it checks the others, and names the broken ones that are ours (need N12)', async () => {
      const { network, file, status } = await node();
      const item = (name: string, spec: object) => ({
        kind: 'NetworkAttachmentDefinition',
        metadata: { name, namespace: 'blue' },
        spec,
      });
      const items = [
        item('no-config', {}),
        item('others', { config: '{"type": "bridge",}' }),
        item('comma', { config: '{"type": "userspace",}' }),
        item('object', { config: { type: 'userspace' } }),
        item('good', { config: JSON.stringify(network()) }),
      ];
      const { exitCode, of } = await status('--config', file({ kind: 'List', items }));
      expect(exitCode).toBe(1);
      expect(of('configuration').map(({ health, finding }) => `${health}: ${finding}`)).toEqual([
        expect.stringMatching(/^sick: NetworkAttachmentDefinition "blue\/comma": spec.config is no JSON/),
        expect.stringMatching(/^sick: NetworkAttachmentDefinition "blue\/object": spec.config has to be a string/),
        'ok: an ADD takes it',
      ]);
    });

    it('regular files only: it refuses a FIFO, a device, a directory, and a file of many megabytes (need N12)', async () => {
      const { directory, file, status } = await node();
      const fifo = join(directory, 'fifo');
      execFileSync('mkfifo', [fifo]);
      const large = file('', 'large');
      truncateSync(large, 5 * 1024 * 1024);
      for (const [path, reason] of [
        [fifo, 'is no regular file'],
        ['/dev/zero', 'is no regular file'],
        [directory, 'is no regular file'],
        [large, 'has 5242880 bytes'],
      ] as const) {
        const { exitCode, of } = await status('--config', path);
        expect({ exitCode, found: of('configuration') }).toMatchObject({
          exitCode: 1,
          found: [{ subject: path, health: 'sick', finding: expect.stringContaining(reason) }],
        });
      }
    });

    it('the runtime’s networks without --config, except another plugin’s (need N12)', async () => {
      const { s, network, status } = await node();
      const install = (name: string, content: unknown) =>
        writeFileSync(join(s.networkDir, name), typeof content === 'string' ? content : JSON.stringify(content));
      expect((await status('--ovsdb', 'unix:/nowhere')).of('configuration')).toMatchObject([{ health: 'unknown' }]);
      install('10-ours.conf', network());
      install('20-list.conflist', list(network()));
      install('30-other.conf', { type: 'bridge', name: 'other' });
      install('40-broken.json', '{');
      install('50-ignored.txt', network({ name: 'ignored' }));
      const { exitCode, of } = await status();
      expect(of('configuration').map(({ subject }) => subject.split(' ')[0])).toEqual(['dpdk-net', 'listed']);
      // The scene says --data-dir, and each place is looked at once.
      expect(['switch', 'data directory'].map((check) => of(check).length)).toEqual([1, 1]);
      expect(exitCode).toBe(0);
    });
  });

  it('with several files checks each, and no other command takes --config (need N12)', async () => {
    const { s, network, file, status } = await node();
    const [one, other] = [file(network(), 'one.json'), file(network({ name: 'other' }), 'two.json')];
    const { of } = await status('--config', one, '--config', other);
    expect(of('configuration').map(({ subject }) => subject)).toEqual([`dpdk-net (${one})`, `other (${other})`]);
    expect((await s.run('list', '--config', one)).exitCode).toBe(2);
    expect((await s.run('status', 'all')).exitCode).toBe(2);
  });
});
