/** userspace status: its findings where an ADD would fail, and the findings that it leaves out. */
import { chmodSync, chownSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { skippedTitle } from '../support/skip-reporter.ts';
import { node } from '../support/stand-in/status-scene.ts';

const isRoot = process.getuid?.() === 0;
const itAsRoot = isRoot || process.env.CI ? it : it.skip; // chown needs root; never skipped in CI
const closed =
  'of one with a kubeconfig finds a directory that is closed to a switch that is not root, as STATUS does (need N12)';

describe('userspace status', () => {
  describe('of a network that the pre-flight of an ADD refuses', () => {
    const host = (more: object) => ({ engine: 'ovs-dpdk', iftype: 'vhostuser', ...more });

    it('reports a "sharedDir" on another file system in server mode, a regular file, and unusable bridges (need N12)', async () => {
      const { ovsdb, directory, network, file, status } = await node();
      const bridge = {
        op: 'insert',
        table: 'Bridge',
        'uuid-name': 'made',
        row: { name: 'br-sys', datapath_type: 'system' },
      };
      const bound = {
        op: 'mutate',
        table: 'Open_vSwitch',
        where: [],
        mutations: [['bridges', 'insert', ['named-uuid', 'made']]],
      };
      ovsdb.database.transact([bridge, bound], { ownsLock: () => true, waitedMs: 0 });
      const plain = file('', 'plain');
      const cases: [object, string][] = [
        [{ sharedDir: '/dev/shm/userspace' }, 'on another file system'],
        [{ sharedDir: plain, host: host({ vhost: { mode: 'client' } }) }, `"${plain}" is no directory`],
        [{ host: host({ bridge: { bridgeName: 'br-sys' } }) }, 'datapath_type "system"'],
        [{ args: { cni: { OvnPort: 'lsp' } } }, 'bridge "br-int" is not there'],
      ];
      for (const [more, word] of cases) {
        const { exitCode, of } = await status('--config', file(network(more)));
        expect({ exitCode, findings: of('configuration') }).toMatchObject({
          exitCode: 1,
          findings: [{ health: 'sick', finding: expect.stringContaining(word) }],
        });
      }
      expect(existsSync(join(directory, 'shared'))).toBe(false);
    });

    it('tells each fault once: an IPAM program, a data directory or a silent database has a finding of its own (need N12)', async () => {
      const { ovsdb, network, file, status } = await node();
      const path = file(network({ dataDir: '/etc/hostname/data', ipam: { type: 'nowhere' } }));
      expect((await status('--config', path)).of('configuration')).toMatchObject([{ health: 'ok' }]);
      await ovsdb.stopDatabase();
      const { findings } = await status('--config', file(network()));
      const told = findings.filter(({ finding }) => finding.includes('cannot reach the Open vSwitch database'));
      expect(told).toMatchObject([{ check: 'switch' }]);
      expect(findings[0]).toMatchObject({ check: 'configuration', health: 'unknown' });
    });

    it('with a kubeconfig judges the group, but not "sharedDir", where no socket will be (need N12)', async () => {
      const { network, file, status } = await node();
      const more = { kubeconfig: '/etc/kubeconfig', sharedDir: '/etc/hostname/shared' };
      expect((await status('--config', file(network(more)))).of('configuration')).toMatchObject([{ health: 'ok' }]);
      const grouped = { ...more, host: host({ vhost: { group: 'no-such' } }) };
      expect((await status('--config', file(network(grouped)))).of('configuration')).toMatchObject([
        { health: 'sick', finding: expect.stringContaining('no-such') },
      ]);
    });

    itAsRoot(isRoot ? closed : skippedTitle(closed, 'giving a socket to another user needs root'), async () => {
      const { ovsdb, directory, network, file, status } = await node();
      const shut = join(directory, 'closed');
      mkdirSync(join(shut, 'short'), { recursive: true });
      chmodSync(shut, 0o700);
      chmodSync(directory, 0o755);
      chownSync(ovsdb.ovsdb.replace('unix:', ''), 4711, 4711);
      const more = {
        kubeconfig: '/etc/kubeconfig',
        shortDir: join(shut, 'short'),
        host: host({ vhost: { mode: 'client' } }),
      };
      expect((await status('--config', file(network(more)))).of('configuration')).toMatchObject([
        { health: 'sick', finding: expect.stringContaining(`setfacl -m u:4711:x '${shut}'`) },
      ]);
    });
  });

  it('for a plain user says so first, and calls forbidden places unknown, not sick (need N12)', async () => {
    const { s, network, file, status } = await node();
    s.uid = 1000;
    s.rights = () => Promise.reject(new Error("EACCES: permission denied, open '/etc/kubeconfig'"));
    const { exitCode, findings, of } = await status('--config', file(network({ kubeconfig: '/etc/kubeconfig' })));
    expect(findings[0]).toMatchObject({
      check: 'user',
      health: 'unknown',
      remedy: expect.stringContaining('run it as root'),
    });
    expect({ exitCode, found: of('kubeconfig') }).toMatchObject({ exitCode: 0, found: [{ health: 'unknown' }] });
  });

  it('says that an IPAM program may not be executed, or is a directory (need N12)', async () => {
    const { s, directory, network, file, status } = await node();
    file('', 'plain');
    mkdirSync(join(directory, 'folder'));
    for (const [type, word] of [
      ['plain', `chmod +x '${join(directory, 'plain')}'`],
      ['folder', `"${join(directory, 'folder')}" is a directory`],
      ['nowhere', `is in none of CNI_PATH's directories ["${directory}"]`],
    ] as const) {
      const { of } = await status('--config', file(network({ ipam: { type } })));
      expect(of('IPAM')).toMatchObject([{ health: 'sick', finding: expect.stringContaining(word) }]);
    }
    s.path = [];
    const { of } = await status('--config', file(network({ ipam: { type: 'nowhere' } })));
    expect(of('IPAM')).toMatchObject([
      { finding: expect.stringContaining('is in none of the usual directories (/opt/cni/bin, ') },
    ]);
  });

  it('says that a data directory is a symlink to nothing (need N14)', async () => {
    const { directory, network, file, status } = await node();
    const link = join(directory, 'link');
    symlinkSync('/nowhere/at/all', link);
    const { of } = await status('--config', file(network({ dataDir: link })), '--data-dir', link);
    expect(of('data directory')).toMatchObject([{ health: 'sick', finding: expect.stringContaining('leads nowhere') }]);
  });
});
