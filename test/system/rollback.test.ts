/**
 * An ADD that fails halfway takes everything back in the same call. The DEL that the runtime sends nevertheless succeeds.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Changes, Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, look } from '../support/real/world.ts';

onRealSwitch('a failing ADD', (theSwitch) => {
  const node = useNode(theSwitch);
  const expectFailure = async (pod: Pod, changes: Changes, code: number, words: string) => {
    const added = await pod.add('net1', changes);
    expect(added).toMatchObject({ exitCode: 1, json: { code } });
    expect(added.json.msg).toContain(words);
    expectNothingLeft(await node().world());
    // case A15: a runtime sends DEL after a failed ADD, and again.
    for (let time = 0; time < 2; time++)
      expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0, stdout: '' });
    expectNothingLeft(await node().world());
  };

  test('passes on the error of the IPAM plugin, leaves nothing, and its DEL succeeds (bug B4, case A14, case A15)', async () => {
    await node().program(
      'full',
      `[ "$CNI_COMMAND" = ADD ] && { echo '{"cniVersion":"1.0.0","code":117,"msg":"no free addresses"}'; exit 1; }\nexit 0`,
    );
    await expectFailure(await node().pod(), { ipam: { type: 'full' } }, 117, 'no free addresses');
  });

  test('has the IPAM plugin release an answer without an address (bug B4)', async () => {
    await node().program(
      'empty',
      'echo "$CNI_COMMAND" >> "$0.calls"\n[ "$CNI_COMMAND" = ADD ] && echo \'{"cniVersion":"1.0.0","ips":[]}\'\nexit 0',
    );
    const added = await (await node().pod()).add('net1', { ipam: { type: 'empty' } });
    expect(added.exitCode).toBe(1);
    expect((await readFile(join(node().binDir, 'empty.calls'), 'utf8')).split('\n')).toContain('DEL');
    expectNothingLeft(await node().world());
  });

  test('refuses an IPAM plugin that answers with something else than a result', async () => {
    await node().program('babble', 'echo hello');
    const added = await (await node().pod()).add('net1', { ipam: { type: 'babble' } });
    expect(added.exitCode).toBe(1);
    expect(added.json.msg).toContain('babble');
    expectNothingLeft(await node().world());
  });

  test('an IPAM plugin that hangs ends the ADD at its deadline, and nothing stays (case A44)', async () => {
    await node().program('stuck', '[ "$CNI_COMMAND" = ADD ] && exec sleep 600\nexit 0');
    await expectFailure(await node().pod(), { ipam: { type: 'stuck' }, deadlines: { ipamMs: 300 } }, 11, 'stuck');
  });

  test('an ovs-vswitchd that stands still ends the ADD at its deadline, and nothing stays (case A44)', async () => {
    theSwitch().pauseVswitchd();
    try {
      await expectFailure(await node().pod(), { deadlines: { switchMs: 500 } }, 11, 'ovs-vswitchd');
    } finally {
      theSwitch().resumeVswitchd();
    }
  });

  test('a database that does not answer ends the ADD at its deadline, before anything is touched (case A44)', async () => {
    const pod = await node().pod();
    theSwitch().pauseDatabase();
    try {
      const added = await pod.add('net1', { deadlines: { switchMs: 300, addMs: 1_000, rollbackMs: 300 } });
      expect(added).toMatchObject({ exitCode: 1, json: { code: 11 } });
    } finally {
      theSwitch().resumeDatabase();
    }
    expectNothingLeft(await node().world());
  });

  test('refuses a netType that it cannot make before the bridge is there, and the DEL of it succeeds (bug B22, bug B3)', async () => {
    await expectFailure(await node().pod(), { host: { netType: 'interface' } }, 2, 'interface');
  });

  test('an IPAM plugin that does not know the address at DEL is not an error (case A13)', async () => {
    await node().program(
      'forgetful',
      `[ "$CNI_COMMAND" = DEL ] && { echo '{"code":11,"msg":"Did not find reserved IP for container"}'; exit 1; }\nexec /usr/lib/cni/host-local`,
    );
    const changes = { ipam: { type: 'forgetful', dataDir: join(node().directory, 'elsewhere') } };
    const pod = await node().pod();
    expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
    expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0 });
    expect(await node().list()).toEqual([]);
    expectNothingLeft(await node().world());
  });

  test('at DEL the port has left the switch when the address is given back (case A32)', async () => {
    const trace = join(node().directory, 'trace');
    const ask = `ovs-vsctl --timeout=10 --db=${theSwitch().ovsdb} --columns=name --bare --no-headings list Port`;
    await node().program(
      'witness',
      `[ "$CNI_COMMAND" = DEL ] && { echo asked; ${ask}; } >> ${trace}\nexec /usr/lib/cni/host-local`,
    );
    const pod = await node().pod();
    await pod.add('net1', { ipam: { type: 'witness' } });
    await pod.del('net1', { ipam: { type: 'witness' } });
    const seen = await readFile(trace, 'utf8');
    expect(seen).toContain('asked');
    expect(seen).not.toContain(pod.portName());
  });

  test('a port that was marked as another owner’s is not removed (case A40)', async () => {
    const pod = await node().pod();
    await pod.add();
    await theSwitch().vsctl('set', 'Port', pod.portName(), 'external_ids:owner=somebody-else');
    expect(await pod.del()).toMatchObject({ exitCode: 0 });
    expect((await look(theSwitch(), node())).ports).toContain(pod.portName());
  });

  test('an unwritable data directory is found before anything is touched', async () => {
    const dataDir = join(node().directory, 'plain-file');
    await writeFile(dataDir, '');
    const added = await (await node().pod()).add('net1', { dataDir });
    expect(added.exitCode).toBe(1);
    expect(added.json.msg).toContain(dataDir);
    expectNothingLeft(await node().world());
  });
});

onRealSwitch(
  'on a switch that cannot open vhost-user ports',
  (theSwitch) => {
    const node = useNode(theSwitch);

    test('a port that went into the tables and does not open is taken out again, with all that came before it (case A36)', async () => {
      const pod = await node().pod();
      const added = await pod.add();
      expect(added).toMatchObject({ exitCode: 1, json: { code: 11, msg: expect.stringContaining('port') } });
      expectNothingLeft(await node().world());
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });
  },
  { dpdk: false },
);
