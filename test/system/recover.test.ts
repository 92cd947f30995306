/** `userspace recover` on a real switch: after a reboot, a lost namespace, a wiped database, a restarted switch. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createNetns } from '../support/real/netns.ts';
import { newId, TestNode } from '../support/real/node.ts';
import { startPeer } from '../support/real/peer.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { startSwitch } from '../support/real/switch.ts';
import { expectNothingLeft, readSwitch } from '../support/real/world.ts';

const ok = { exitCode: 0 };

/** In clock ticks since the boot (proc_pid_stat(5), field 22). */
function startOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

onRealSwitch('recovery', (theSwitch) => {
  const node = useNode(theSwitch);

  test('a namespace that is gone, or is another by its name, releases its attachments (case A31)', async () => {
    const [gone, recycled, alive] = [await node().pod(), await node().pod(), await node().pod()];
    for (const pod of [gone, recycled, alive]) expect(await pod.add()).toMatchObject(ok);
    await gone.removeNetns();
    await recycled.removeNetns();
    const directory = join(node().directory, 'netns');
    await createNetns(directory, recycled.netns.slice(directory.length + 1));
    expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 2, kept: 1, owed: 0 } });
    expect((await node().world()).ports).toEqual([alive.portName()]);
    expect(await alive.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('a namespace below /proc cannot be judged: its attachment is kept, and its line says so', async () => {
    const pod = await node().pod(newId(), `/proc/${process.pid}/ns/net`);
    expect(await pod.add('net1', {}, { env: { CNI_NETNS_OVERRIDE: '1' } })).toMatchObject(ok);
    const { exitCode, json } = await node().recover();
    expect({ exitCode, json }).toMatchObject({ ...ok, json: { kept: 1, removed: 0 } });
    expect(json.attachments).toMatchObject([{ found: 'unjudged', note: expect.stringContaining('cannot be judged') }]);
    expect(await pod.del()).toMatchObject(ok);
  });

  test('a port without a journal is kept while its namespace lives, then removed, and its line says what may be left (case A11)', async () => {
    const [orphan, kept] = [await node().pod(), await node().pod()];
    for (const pod of [orphan, kept]) expect(await pod.add('net1', { ipam: undefined })).toMatchObject(ok);
    rmSync(orphan.journal());
    const living = await node().recover();
    expect({ exitCode: living.exitCode, json: living.json }).toMatchObject({ ...ok, json: { removed: 0, kept: 2 } });
    await orphan.removeNetns();
    const { exitCode, json } = await node().recover();
    expect({ exitCode, json }).toMatchObject({ ...ok, json: { removed: 1, kept: 1 } });
    expect(json.attachments).toContainEqual({
      key: `net-a:${orphan.containerId}:net1`,
      found: 'orphan',
      result: 'removed',
      owed: [],
      note: expect.stringContaining('address'),
    });
    expect((await node().world()).ports).toEqual([kept.portName()]);
    expect(await kept.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test.each([
    ['another file system lies over its directory', 'mount -t tmpfs none "$(dirname "$0")"'],
    ['its name is a plain file, with the namespace unmounted', 'umount "$0"'],
  ])('kind 2: a port without a journal stays where its namespace is not seen from here: %s', async (_, hide) => {
    const pod = await node().pod();
    expect(await pod.add('net1', { ipam: undefined })).toMatchObject(ok);
    rmSync(pod.journal());
    const elsewhere = ['unshare', '--mount', 'bash', '-c', `${hide} && exec "$@"`, pod.netns];
    const { exitCode, json } = await node().recoverUnder(elsewhere);
    expect({ exitCode, json }).toMatchObject({
      ...ok,
      json: { removed: 0, attachments: [{ found: 'orphan', result: 'kept', note: expect.stringContaining('judged') }] },
    });
    expect((await node().world()).ports).toEqual([pod.portName()]);
    expect(await pod.del('net1', { ipam: undefined })).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('kind 1: an ADD through a copy of its data directory, which IPAM refuses, leaves the living port', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    const copy = join(node().directory, 'copy');
    cpSync(node().dataDir, copy, { recursive: true });
    for (const name of readdirSync(copy)) if (name.endsWith('.journal')) rmSync(join(copy, name));
    expect(await pod.add('net1', { dataDir: copy })).toMatchObject({ exitCode: 1 });
    const { ports, addresses } = await node().world();
    expect({ ports, addresses: addresses.length }).toEqual({ ports: [pod.portName()], addresses: 1 });
    expect(await pod.check((await pod.add()).json)).toMatchObject(ok);
    expect(await pod.del()).toMatchObject(ok);
    rmSync(copy, { recursive: true });
    expectNothingLeft(await node().world());
  });

  test('kind 2: a bridge of ours that kept another owner’s port goes with the recovery after that port', async () => {
    const vsctl = (...args: string[]) => theSwitch().vsctl(...args);
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    const { bridge } = node();
    await vsctl('add-port', bridge, 'others0', '--', 'set', 'Interface', 'others0', 'type=internal');
    expect(await pod.del()).toMatchObject(ok);
    expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 0 } });
    expect((await node().world()).bridges).toEqual([bridge]);
    await vsctl('del-port', bridge, 'others0');
    expect(await node().recover()).toMatchObject({
      ...ok,
      json: { removed: 1, attachments: [{ key: bridge, found: 'orphan', result: 'removed' }] },
    });
    expectNothingLeft(await node().world());
  });

  test.each([
    [
      'another tool has cleared',
      async () => void (await theSwitch().vsctl('clear', 'Bridge', node().bridge, 'external_ids')),
    ],
    ['are of a data directory that was lost', () => rmSync(join(node().dataDir), { recursive: true })],
  ])('kind 2: a bridge whose marks %s goes with our last port', async (_, spoil) => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    await spoil();
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('fifty ports of another data directory on the same switch are listed and left alone', async () => {
    const other = await TestNode.create(theSwitch());
    try {
      const own = await node().pod();
      const theirs = await Promise.all(Array.from({ length: 50 }, () => other.pod()));
      for (const pod of [own, ...theirs]) expect(await pod.add()).toMatchObject(ok);
      await own.removeNetns();
      const portsOf = async () => (await other.world()).ports.filter((name) => name !== own.portName());
      const before = await portsOf();
      const { json } = await node().recover();
      expect(json).toMatchObject({ removed: 1, kept: 0 });
      expect(json.others).toHaveLength(50);
      expect(before).toHaveLength(50);
      expect(await portsOf()).toEqual(before);
      for (const pod of theirs) expect(await pod.del()).toMatchObject(ok);
    } finally {
      await other.end();
    }
    expectNothingLeft(await node().world());
  });

  test('--dry-run says what it would do, and changes nothing', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    await pod.removeNetns();
    const before = [await node().world(), readFileSync(pod.journal(), 'utf8')];
    expect(await node().recover('--dry-run')).toMatchObject({ exitCode: 3, json: { dryRun: true, removed: 1 } });
    expect([await node().world(), readFileSync(pod.journal(), 'utf8')]).toEqual(before);
    expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1 } });
    expectNothingLeft(await node().world());
  });

  describe('of a switch (case A37)', () => {
    test('whose database was wiped: the ports of living namespaces are put back, and their peers see the link again', async () => {
      const [pod, plain] = [await node().pod(), await node().pod()];
      for (const one of [pod, plain]) expect(await one.add()).toMatchObject(ok);
      const peer = await startPeer(pod.socket(), 'server');
      try {
        const up = () => theSwitch().vsctl('wait-until', 'Interface', pod.portName(), 'link_state=up');
        await up();
        await theSwitch().vsctl('del-br', node().bridge);
        expect((await node().world()).ports).toEqual([]);
        const { exitCode, json } = await node().recover();
        expect({ exitCode, json }).toMatchObject({ ...ok, json: { restored: 2, owed: 0 } });
        await up();
      } finally {
        await peer.stop();
      }
      expect(await node().recover()).toMatchObject({ ...ok, json: { restored: 0, kept: 2 } });
      for (const one of [pod, plain]) expect(await one.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('whose database file was wiped, and which was started again: client-mode peers pass packets without a restart', async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      const peer = await startPeer(pod.socket(), 'server', [], 'txonly');
      const receives = async () => {
        await theSwitch().vsctl('wait-until', 'Interface', pod.portName(), 'statistics:rx_packets>0');
      };
      try {
        await receives();
        await theSwitch().wipeDatabase();
        expect((await node().world()).ports).toEqual([]);
        expect(await node().recover()).toMatchObject({ ...ok, json: { restored: 1, owed: 0 } });
        await receives();
      } finally {
        await peer.stop();
      }
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('an administrator’s bridge that is gone is not made again: owed until it is there', async () => {
      await theSwitch().vsctl('add-br', node().bridge, '--', 'set', 'Bridge', node().bridge, 'datapath_type=netdev');
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      await theSwitch().vsctl('del-br', node().bridge);
      expect(await node().recover()).toMatchObject({ exitCode: 3, json: { owed: 1, restored: 0 } });
      expect((await node().world()).bridges).toEqual([]);
      await theSwitch().vsctl('add-br', node().bridge, '--', 'set', 'Bridge', node().bridge, 'datapath_type=netdev');
      expect(await node().recover()).toMatchObject({ ...ok, json: { restored: 1 } });
      expect(await pod.del()).toMatchObject(ok);
    });

    test('in server mode that restarted: the socket it made again is moved to the pod, and a peer that starts again is heard', async () => {
      const server = await TestNode.create(theSwitch(), 'server');
      try {
        const [pod, listener] = [await server.pod(), await server.pod()];
        const asClient = { host: { vhost: { mode: 'client' } }, container: { vhost: { mode: 'server' } } };
        expect(await pod.add()).toMatchObject(ok);
        expect(await listener.add('net1', asClient)).toMatchObject(ok);
        await theSwitch().stopVswitchd();
        await theSwitch().startVswitchd();
        expect(await server.recover()).toMatchObject({ ...ok, json: { restored: 1, kept: 1, owed: 0 } });
        const peers = [
          await startPeer(listener.socket(), 'server'),
          await startPeer(pod.socket(), 'client', [], 'txonly'),
        ];
        try {
          // Open vSwitch 3.1 counts no packets of a server-mode port: the receiver counts them.
          await theSwitch().vsctl('wait-until', 'Interface', listener.portName(), 'statistics:tx_packets>0');
        } finally {
          await Promise.all(peers.map((peer) => peer.stop()));
        }
        expect(await pod.del()).toMatchObject(ok);
        expect(await listener.del('net1', asClient)).toMatchObject(ok);
        expectNothingLeft(await server.world());
      } finally {
        await server.end();
      }
    });
  });

  test('ports without a journal are looked for on every switch that a journal names, not on one alone', async () => {
    const second = await startSwitch();
    try {
      const [here, there, orphan] = [await node().pod(), await node().pod(), await node().pod()];
      const elsewhere = { ovsdb: second.ovsdb, ipam: undefined };
      expect(await here.add()).toMatchObject(ok);
      for (const pod of [there, orphan]) expect(await pod.add('net1', elsewhere)).toMatchObject(ok);
      rmSync(orphan.journal());
      await orphan.removeNetns();
      const portsThere = async () => (await readSwitch(second)).ports.map(({ name }) => name);
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1, kept: 2, owed: 0 } });
      expect(await portsThere()).toContain(there.portName());
      expect(await portsThere()).not.toContain(orphan.portName());
      expect((await node().world()).ports).toEqual([here.portName()]);

      await second.stopDatabase();
      const { exitCode, json } = await node().recover();
      expect({ exitCode, json }).toMatchObject({ exitCode: 3, json: { kept: 1, notLookedAt: 1, owed: 0 } });
      expect(json.unreachable).toMatchObject([{ ovsdb: second.ovsdb }]);
      await second.startDatabase();

      // The journal says which switch it was, whatever the configuration of its DEL has become.
      for (const pod of [here, there]) expect(await pod.del()).toMatchObject(ok);
      expect(await portsThere()).toEqual([]);
    } finally {
      await second.stop();
    }
    expectNothingLeft(await node().world());
  });

  test('a hundred attachments of another boot are gone in one pass of recover --boot (case A31)', async () => {
    const pods = await Promise.all(Array.from({ length: 100 }, () => node().pod()));
    for (let first = 0; first < pods.length; first += 10) {
      const added = await Promise.all(pods.slice(first, first + 10).map((pod) => pod.add()));
      expect(added.map(({ exitCode }) => exitCode)).toEqual(added.map(() => 0));
    }
    const boot = join(node().directory, 'boot');
    writeFileSync(boot, '00000000-0000-0000-0000-000000000000\n');
    const rebooted = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"',
      boot,
    ];
    const { exitCode, json } = await node().recoverUnder(rebooted, '--boot');
    expect({ exitCode, json }).toMatchObject({ ...ok, json: { removed: 100, owed: 0, kept: 0 } });
    expect(json.attachments[0]).toMatchObject({ found: 'rebooted' });
    expectNothingLeft(await node().world());
  });

  test('a second one names the process at work, and since when; a killed one is not waited for', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    const told = join(node().dataDir, 'recover.holder');
    const lease = join(node().dataDir, 'recover.lock');
    const heartbeat = setInterval(() => utimesSync(lease, new Date(), new Date()), 500);
    try {
      mkdirSync(lease);
      writeFileSync(
        told,
        JSON.stringify({
          pid: process.pid,
          since: '2025-01-17T12:00:00.000Z',
          command: 'userspace recover',
          started: startOf(process.pid),
        }),
      );
      const { exitCode, json } = await node().recover();
      expect(exitCode).toBe(0);
      for (const word of [`process ${process.pid}`, '2025-01-17T12:00:00.000Z']) expect(json.left).toContain(word);
    } finally {
      clearInterval(heartbeat);
    }
    writeFileSync(told, JSON.stringify({ pid: 4194304, since: '', command: '' }));
    expect(await node().recover()).toMatchObject({ ...ok, json: { kept: 1 } });
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('--forget drops a debt, and says what it leaves; it does not touch a living attachment', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    const key = `net-a:${pod.containerId}:net1`;
    expect(await node().recover('--forget', key)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('attached'),
    });
    const socket = join(theSwitch().rundir, 'db.sock');
    await rename(socket, `${socket}.away`);
    await pod.del('net1', { deadlines: { delMs: 1_000, reconnectMs: 100 } });
    await rename(`${socket}.away`, socket);
    const dry = await node().recover('--forget', key, '--dry-run');
    expect((await node().world()).journals).toHaveLength(1);
    const { json } = await node().recover('--forget', key);
    expect(dry.json).toEqual({ ...json, dryRun: true });
    expect(json.left).toContain(`port "${pod.portName()}" on bridge "${node().bridge}"`);
    expect((await node().world()).journals).toEqual([]);
    // The marks still say whose it is.
    await pod.removeNetns();
    expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1 } });
    expect((await node().world()).ports).toEqual([]);
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('with the switch away cannot look for ports: exit code 3; case A17: it says which database', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    const socket = join(theSwitch().rundir, 'db.sock');
    await rename(socket, `${socket}.away`);
    try {
      const { exitCode, json } = await node().recover();
      expect({ exitCode, json }).toMatchObject({ exitCode: 3, json: { owed: 0, kept: 0, notLookedAt: 1 } });
      expect(json.unreachable).toMatchObject([{ message: expect.stringContaining(socket) }]);
    } finally {
      await rename(`${socket}.away`, socket);
    }
    expect(await pod.del()).toMatchObject(ok);
  });
});
