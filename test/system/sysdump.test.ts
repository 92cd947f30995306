/**
 * userspace sysdump by the executable, on a real switch.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Json, run } from '../support/real/cni.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const secret = 'Qz7f3a9b1c5dX7';

onRealSwitch('a dump', (theSwitch) => {
  const node = useNode(theSwitch);

  /** Calls it with one network in the runtime's directory, and unpacks its archive. */
  async function dump() {
    const { directory } = node();
    const [networks, out, to] = ['net.d', 'out', 'unpacked'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    for (const path of [networks, out, to]) await mkdir(path, { recursive: true });
    const config = node().config({ ipam: { vendor: { apiToken: secret } }, note: secret });
    await writeFile(join(networks, '10-net.conf'), JSON.stringify(config));
    const answer = await run(['sysdump', '--json', '--conf-dir', networks, '--output', out]);
    const { path } = answer.json;
    execFileSync('tar', ['-xzf', path, '-C', to]);
    const [root = ''] = readdirSync(to);
    const text = (name: string) => readFileSync(join(to, root, name), 'utf8');
    const json = (name: string): Json => JSON.parse(text(name));
    const files = readdirSync(join(to, root), { recursive: true, encoding: 'utf8' }).filter((name) =>
      statSync(join(to, root, name)).isFile(),
    );
    return { ...answer, said: answer.json, path, text, json, files };
  }

  const stuck =
    'if [ "$CNI_COMMAND" = DEL ]; then echo "{\\"code\\":11,\\"msg\\":\\"pool away\\"}"; exit 1; fi\nexec /usr/lib/cni/host-local';

  test('has both attachments of a node, one at rest and one owed, with rows, sockets, versions, logs and no secret', async () => {
    node().program('stuck', stuck);
    const [kept, owed] = [await node().pod(), await node().pod()];
    expect(await kept.add('net1', { vendorKey: secret })).toMatchObject({ exitCode: 0 });
    expect(await owed.add('net1', { ipam: { type: 'stuck', password: secret } })).toMatchObject({ exitCode: 0 });
    await owed.del('net1', { ipam: { type: 'stuck', password: secret } });
    const before = await node().world();
    const { exitCode, said, path, text, json, files } = await dump();
    expect({ exitCode, missing: said.missing }).toEqual({ exitCode: 0, missing: [] });
    expect(statSync(path).mode & 0o7777).toBe(0o600);

    const state = ({ containerId, state }: Json) => [containerId, state];
    const sorted = [
      [kept.containerId, 'attached'],
      [owed.containerId, 'owed'],
    ].sort();
    expect(json('list.json').attachments.map(state).sort()).toEqual(sorted);
    expect(json('recover-dry-run.json')).toMatchObject({ dryRun: true, removed: 1, kept: 1 });
    expect(json('status.json').findings).toContainEqual(expect.objectContaining({ check: 'owed', health: 'owed' }));
    const { Port, Interface, Bridge, Open_vSwitch } = json('rows.json');
    expect(Port).toMatchObject([{ name: kept.portName(), external_ids: { key: `net-a:${kept.containerId}:net1` } }]);
    expect(Interface).toMatchObject([{ type: 'dpdkvhostuserclient', options: { 'vhost-server-path': kept.socket() } }]);
    expect(Bridge).toMatchObject([{ name: node().bridge, datapath_type: 'netdev' }]);
    expect(Open_vSwitch).toMatchObject([{ dpdk_initialized: true, other_config: { 'dpdk-init': 'true' } }]);
    expect(text('versions.txt')).toMatch(/^DPDK at unix:\S+: DPDK \d/m);
    expect(text('versions.txt')).toMatch(/^kernel: \d/m);
    expect(text('sockets.txt')).toContain(`/configData-${kept.shortId}-net1.json`);
    expect(text('marks.txt')).toMatch(new RegExp(`^-1714 .*${owed.containerId}:net1\\.journal going`, 'm'));
    expect(text('processes.txt')).toMatch(/ \/\S*ovs-vswitchd\S*$/m);
    expect(text('mounts.txt')).toMatch(/^\d+ \d+ \d+:\d+ \w+ \S+ \/$/m);
    expect(text('logs/1-log')).toContain('pool away');
    const journal = `journals/net-a:${kept.containerId}:net1.journal`;
    expect(text(journal).split('\n').slice(1)).toEqual(readFileSync(kept.journal(), 'utf8').split('\n').slice(1));
    expect(files.filter((name) => text(name).includes(secret))).toEqual([]);

    // It changed nothing.
    expect(await node().world()).toEqual(before);
    node().program('stuck', 'exec /usr/lib/cni/host-local');
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    await kept.del();
    expectNothingLeft(await node().world());
  });

  test('of a database that does not answer has the rest, says what is missing, and is exit code 3', async () => {
    const pod = await node().pod();
    await pod.add();
    theSwitch().pauseDatabase();
    try {
      const { exitCode, said, json } = await dump();
      expect(exitCode).toBe(3);
      expect(said.missing).toContainEqual({ item: 'rows', text: expect.stringContaining(theSwitch().ovsdb) });
      expect(json('list.json').attachments).toMatchObject([{ state: 'attached', live: 'unknown' }]);
    } finally {
      theSwitch().resumeDatabase();
    }
    await pod.del();
    expectNothingLeft(await node().world());
  });
});
