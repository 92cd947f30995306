/**
 * The commands for people, on what the real switch has.
 */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import type { HealthFinding } from '../../src/cli/findings.ts';
import { blocksOf } from '../support/blocks.ts';
import { run, start } from '../support/real/cni.ts';
import type { Changes, Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';

onRealSwitch('for people', (theSwitch) => {
  const node = useNode(theSwitch);

  test('without a CNI_COMMAND the executable explains itself', async () => {
    const { exitCode, stdout } = await run([]);
    expect(exitCode).toBe(0);
    for (const word of ['list', 'show', 'recover', '--version']) expect(stdout).toContain(word);
  });

  test('--version tells one', async () => {
    expect(await run(['--version'])).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/\d+\.\d+\.\d+/) });
  });

  test('an unknown command fails and says so on stderr', async () => {
    const { exitCode, stderr } = await run(['dance']);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('dance');
  });

  test('an output that is lost is exit code 1, and one that its reader did not want is not', async () => {
    const sh = (script: string) => execa('bash', ['-c', script, 'bash', executable], { reject: false });
    const lost = await sh('"$1" explain > /dev/full');
    expect(lost).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('cannot be written (ENOSPC)') });
    expect(await sh('set -o pipefail; "$1" explain --schema | head -1')).toMatchObject({
      exitCode: 0,
      stderr: '',
    });
  });

  test('check reads a pipe, and its exit code tells a fault from none', async () => {
    const check = (text: string) => execa(executable, ['check', '--json', '-'], { input: text, reject: false });
    const [readme = ''] = blocksOf('README.md', 'json');
    const good = await check(readme);
    expect({ exitCode: good.exitCode, ...JSON.parse(good.stdout) }).toMatchObject({ exitCode: 0, faults: [] });
    const bad = await check(readme.replace('"ovs-dpdk"', '"vpp"'));
    expect({ exitCode: bad.exitCode, ...JSON.parse(bad.stdout) }).toMatchObject({
      exitCode: 1,
      faults: [{ file: '/dev/stdin', network: 'dpdk-net', key: 'host.engine', code: 2 }],
    });
  });

  test('explain --schema prints the file that the build writes beside the executable', async () => {
    const { exitCode, stdout } = await run(['explain', '--schema']);
    expect(exitCode).toBe(0);
    expect(stdout).toBe(await readFile(`${executable}.schema.json`, 'utf8'));
  });

  test('list shows an attachment with its names and addresses, as text and as JSON', async () => {
    const pod = await node().pod();
    await pod.add();
    expect(await node().list()).toEqual([
      expect.objectContaining({
        key: `net-a:${pod.containerId}:net1`,
        network: 'net-a',
        containerId: pod.containerId,
        ifName: 'net1',
        state: 'attached',
        bridge: node().bridge,
        port: pod.portName(),
        socket: pod.socket(),
        addresses: ['10.56.0.2/24'],
        owed: [],
      }),
    ]);
    const { stdout } = await run(['list', '--data-dir', node().dataDir]);
    for (const word of [pod.shortId, 'net1', 'attached', '10.56.0.2']) expect(stdout).toContain(word);
    await pod.del();
  });

  test('show is the timeline of an attachment, found by the beginning of its id', async () => {
    const pod = await node().pod();
    await pod.add();
    const { json } = await run(['show', pod.shortId, '--json', '--data-dir', node().dataDir]);
    expect(json).toMatchObject({ key: `net-a:${pod.containerId}:net1`, state: 'attached' });
    expect(json.records.at(-1)).toMatchObject({ kind: 'attached' });
    const { stdout, exitCode } = await run(['show', pod.containerId, 'net1', '--data-dir', node().dataDir]);
    expect(exitCode).toBe(0);
    for (const step of ['address', 'port', 'publication']) expect(stdout).toContain(step);
    expect(await run(['show', 'nobody', '--data-dir', node().dataDir])).toMatchObject({ exitCode: 1 });
    await pod.del();
  });

  describe('list', () => {
    const lives = async () =>
      (await node().list()).map(({ containerId, live }: { containerId: string; live: string }) => [containerId, live]);

    test('LIVE is what the switch has: no after the port was deleted by hand, unknown while it cannot be asked (need N14)', async () => {
      const pods = (await Promise.all([1, 2].map(() => node().pod()))).sort((a, b) =>
        a.containerId < b.containerId ? -1 : 1,
      );
      const [kept, lost] = pods as [Pod, Pod];
      for (const pod of pods) await pod.add();
      expect(await lives()).toEqual(pods.map(({ containerId }) => [containerId, 'yes']));
      await theSwitch().vsctl('del-port', lost.portName());
      expect(await lives()).toEqual([
        [kept.containerId, 'yes'],
        [lost.containerId, 'no'],
      ]);
      expect((await run(['list', '--data-dir', node().dataDir])).stdout).toMatch(/attached +yes.*\n.*attached +no /);
      // The marks are gone, and the row is the one that the journal recorded.
      await theSwitch().vsctl('clear', 'Port', kept.portName(), 'external_ids');
      expect((await lives())[0]).toEqual([kept.containerId, 'yes']);
      theSwitch().pauseDatabase();
      try {
        expect(await lives()).toEqual(pods.map(({ containerId }) => [containerId, 'unknown']));
      } finally {
        theSwitch().resumeDatabase();
      }
      expect(await node().recover()).toMatchObject({ exitCode: 0, json: { restored: 1 } });
      expect((await lives())[1]).toEqual([lost.containerId, 'yes']);
      for (const pod of pods) await pod.del();
      expectNothingLeft(await node().world());
    });

    test('asks a database in one transaction, however many attachments there are (need N14)', async () => {
      const pods = await Promise.all([1, 2, 3].map(() => node().pod()));
      for (const pod of pods) await pod.add();
      const trace = join(node().directory, 'trace');
      const under = ['strace', '-f', '-e', 'trace=sendto,write,writev', '-s', '40', '-o', trace];
      await run(['list', '--json', '--data-dir', node().dataDir], {}, under);
      expect((await readFile(trace, 'utf8')).split('\\"method\\":\\"transact').length - 1).toBe(1);
      for (const pod of pods) await pod.del();
    });
  });

  describe('status', () => {
    const config = async (changes: Changes = {}) => {
      const path = join(node().directory, 'network.json');
      await writeFile(path, JSON.stringify(node().config(changes)));
      return path;
    };
    const status = async (changes: Changes = {}) => {
      const answer = await run(['status', '--json', '--config', await config(changes)]);
      const healthOf = (check: string) =>
        answer.json.findings
          .filter((one: HealthFinding) => one.check === check)
          .map(({ health }: HealthFinding) => health);
      return { ...answer, json: answer.json, healthOf };
    };

    test('of a healthy node is exit code 0, without a CNI variable, for a cniVersion that has no STATUS (need N12)', async () => {
      const { exitCode, json } = await status();
      expect(json.findings.filter(({ health }: HealthFinding) => health !== 'ok')).toEqual([]);
      expect({ exitCode, healthy: json.healthy }).toEqual({ exitCode: 0, healthy: true });
      const checks = ['configuration', 'switch', 'DPDK', 'hugepages', 'data directory', 'IPAM', 'owed'];
      expect(json.findings.map(({ check }: HealthFinding) => check)).toEqual(checks);
    });

    test('of a network that an ADD refuses because of this node says so, as the ADD does (need N12)', async () => {
      const plain = join(node().directory, 'plain');
      await writeFile(plain, '');
      await theSwitch().vsctl('add-br', 'br-sys', '--', 'set', 'Bridge', 'br-sys', 'datapath_type=system');
      const cases: Changes[] = [
        { sharedDir: '/dev/shm/userspace', host: { vhost: { mode: 'server' } } },
        { sharedDir: plain },
        { host: { bridge: { bridgeName: 'br-sys' } } },
        { host: { bridge: { bridgeName: 'br-int' } }, args: { cni: { OvnPort: 'lsp' } } },
      ];
      try {
        for (const changes of cases) {
          const { exitCode, json } = await status(changes);
          const [{ finding, ...told }] = json.findings.filter(({ health }: HealthFinding) => health !== 'ok');
          expect({ exitCode, told }).toMatchObject({ exitCode: 1, told: { check: 'configuration', health: 'sick' } });
          const pod = await node().pod();
          const added = await pod.add('net1', changes);
          expect(added.exitCode).not.toBe(0);
          // The sandbox's own name is in some paths.
          expect(added.json.msg.slice(0, 30)).toBe(finding.slice(0, 30));
          await pod.del('net1', changes);
        }
      } finally {
        await theSwitch().vsctl('del-br', 'br-sys');
      }
    });

    test('of a plain user is unknown where only root may look, and says so first (need N12)', async () => {
      const user = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
      const words = ['status', '--json', '--ovsdb', theSwitch().ovsdb, '--data-dir', node().dataDir];
      const { json } = await run(words, {}, user);
      expect(json.findings[0]).toMatchObject({ check: 'user', remedy: expect.stringContaining('run it as root') });
      const told = json.findings.filter(({ check }: HealthFinding) => ['switch', 'data directory'].includes(check));
      expect(told.map(({ health }: HealthFinding) => health)).toEqual(['unknown', 'unknown']);
    });

    test('with the switch away is exit code 1 (need N12)', async () => {
      await theSwitch().stopDatabase();
      try {
        const { exitCode, healthOf } = await status();
        expect({ exitCode, health: healthOf('switch') }).toEqual({ exitCode: 1, health: ['sick'] });
      } finally {
        await theSwitch().startDatabase();
      }
    });

    test('with ovs-vswitchd gone, whose database still says that DPDK is initialized, is exit code 1 (need N12)', async () => {
      await theSwitch().stopVswitchd();
      try {
        expect(await theSwitch().vsctl('--no-wait', 'get', 'Open_vSwitch', '.', 'dpdk_initialized')).toBe('true');
        const { exitCode, healthOf } = await status();
        expect({ exitCode, health: healthOf('switch') }).toEqual({ exitCode: 1, health: ['sick'] });
      } finally {
        await theSwitch().startVswitchd();
      }
    });

    test('with a debt is exit code 3, and says since when it is owed (need N12)', async () => {
      await node().program(
        'stuck',
        'if [ "$CNI_COMMAND" = DEL ]; then echo "{\\"code\\":11,\\"msg\\":\\"pool away\\"}"; exit 1; fi\nexec /usr/lib/cni/host-local',
      );
      const pod = await node().pod();
      expect(await pod.add('net1', { ipam: { type: 'stuck' } })).toMatchObject({ exitCode: 0 });
      await pod.del('net1', { ipam: { type: 'stuck' } });
      const { exitCode, json } = await status();
      expect(exitCode).toBe(3);
      expect(json.findings.filter(({ health }: HealthFinding) => health !== 'ok')).toMatchObject([
        {
          check: 'owed',
          subject: `net-a:${pod.containerId}:net1`,
          finding: expect.stringMatching(/since 20.*pool away/),
        },
      ]);
      expect((await run(['list', '--data-dir', node().dataDir])).exitCode).toBe(3);
      expect(await node().recover('--dry-run')).toMatchObject({ exitCode: 3, json: { removed: 1, dryRun: true } });
      await node().program('stuck', 'exec /usr/lib/cni/host-local');
      expect(await node().recover()).toMatchObject({ exitCode: 0 });
      expect((await status()).exitCode).toBe(0);
      expectNothingLeft(await node().world());
    });
  });

  describe('recover', () => {
    test('leaves an attachment at rest alone, and says so', async () => {
      const pod = await node().pod();
      await pod.add();
      const before = await node().world();
      for (let time = 0; time < 2; time++) {
        expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 0, owed: 0, kept: 1, held: 0 } });
      }
      expect(await node().world()).toEqual(before);
      await pod.del();
    });

    test('leaves alone an ADD that is still running, which then finishes (I8)', async () => {
      // The IPAM program says when it has begun, and goes on when it is told to.
      await node().program(
        'slow',
        'if [ "$CNI_COMMAND" = ADD ]; then mkfifo "$0.go"; : > "$0.begun"; read _ < "$0.go"; rm "$0.go"; fi\nexec /usr/lib/cni/host-local',
      );
      const pod = await node().pod();
      const running = start('ADD', pod.call('net1', { ipam: { type: 'slow' } }));
      await until(() => existsSync(`${node().binDir}/slow.begun`));
      const { json } = await node().recover();
      expect(json).toMatchObject({ held: 1, removed: 0 });
      const holder = {
        pid: expect.any(Number),
        command: expect.stringContaining('userspace'),
        since: expect.any(String),
      };
      expect(json.attachments).toMatchObject([{ found: 'held', result: 'held', holder }]);
      expect((await node().list())[0]).toMatchObject({ state: 'adding', holder: { pid: expect.any(Number) } });
      await writeFile(`${node().binDir}/slow.go`, 'go\n');
      expect((await running).exitCode).toBe(0);
      await pod.del('net1', { ipam: { type: 'slow' } });
      expectNothingLeft(await node().world());
    });

    test('finishes every interrupted and every owed attachment in one run', async () => {
      const pods = await Promise.all([1, 2, 3].map(() => node().pod()));
      for (const pod of pods) await pod.add();
      await theSwitch().stopDatabase();
      for (const pod of pods) await pod.del('net1', { deadlines: { delMs: 1_000, reconnectMs: 100 } });
      await theSwitch().startDatabase();
      expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 3, owed: 0, held: 0 } });
      expectNothingLeft(await node().world());
    });

    test('with the switch away owes the removals that it cannot do, and says so by its exit code', async () => {
      const pod = await node().pod();
      await pod.add();
      await theSwitch().stopDatabase();
      await pod.del('net1', { deadlines: { delMs: 1_000, reconnectMs: 100 } });
      // The switch itself is not an attachment (need N14).
      const { ovsdb } = theSwitch();
      const json = { owed: 1, removed: 0, unreachable: [{ ovsdb }] };
      expect(await node().recover()).toMatchObject({ exitCode: 3, json });
      await theSwitch().startDatabase();
      expect(await node().recover()).toMatchObject({ exitCode: 0, json: { owed: 0, removed: 1 } });
      expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 0, attachments: [] } });
      expectNothingLeft(await node().world());
    });
  });
});

/** A file cannot be awaited; asked often, with the test's own time limit as the bound. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}
