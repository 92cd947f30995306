import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureBridge, findBridge, removeBridge, removeIdleBridges } from '../../../src/effects/ovs/bridge.ts';
import { ensurePort } from '../../../src/effects/ovs/port.ts';
import type { Facts } from '../../../src/machines/protocol.ts';
import { readSwitch } from '../../support/real/world.ts';
import { RawSession } from '../../support/stand-in/raw-ovsdb.ts';
import { bound, call, keyOf, type Scene, scene, troubleOf, type WholePlan } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A _uuid from the database. */
const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/);

const bridgesOf = async ({ ovsdb }: Scene) => (await readSwitch(ovsdb)).bridges;

const ensure = ({ ovs }: Scene, plan: WholePlan) => ensureBridge(bound(ovs, plan, call()), plan.bridge);
const remove = ({ ovs }: Scene, plan: WholePlan, ours = call(), facts: Facts = {}) =>
  removeBridge(bound(ovs, plan, ours), plan.bridge, facts.bridge);
const find = ({ ovs }: Scene, plan: WholePlan) => findBridge(bound(ovs, plan, call()), plan.bridge);

/** Makes a bridge as an administrator does: with another port, and without our marks. */
async function adminBridge({ ovsdb }: Scene, name: string, columns: object = {}): Promise<void> {
  const admin = await RawSession.open(ovsdb.ovsdb);
  const results = (await admin.transact(
    { op: 'insert', table: 'Interface', row: { name, type: 'internal' }, 'uuid-name': 'i' },
    { op: 'insert', table: 'Port', row: { name, interfaces: ['named-uuid', 'i'] }, 'uuid-name': 'p' },
    {
      op: 'insert',
      table: 'Bridge',
      row: { name, datapath_type: 'netdev', ports: ['named-uuid', 'p'], ...columns },
      'uuid-name': 'b',
    },
    { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['named-uuid', 'b']]] },
  )) as { error?: string }[];
  admin.close();
  expect(results.map(({ error }) => error)).toEqual(results.map(() => undefined));
}

describe('making a bridge', () => {
  it('gives it the userspace datapath, a local port and our mark, and makes it a learning switch at once (bug B43)', async () => {
    const s = await scene();
    expect(await ensure(s, s.plan())).toEqual({ kind: 'ok', facts: { created: true, ours: true, uuid } });
    expect(await bridgesOf(s)).toEqual([
      {
        name: 'br0',
        datapathType: 'netdev',
        failMode: 'standalone',
        externalIds: { owner: 'userspace-cni', instance: call().instance },
        row: expect.any(String),
      },
    ]);
    const local = s.ovsdb.dump('Interface').map(({ name, type }) => ({ name, type }));
    expect(local).toEqual([{ name: 'br0', type: 'internal' }]);
  });

  it('twice is the same as once', async () => {
    const s = await scene();
    await ensure(s, s.plan());
    const before = await bridgesOf(s);
    expect(await ensure(s, s.plan())).toEqual({ kind: 'ok', facts: { created: false, ours: true, uuid } });
    expect(await bridgesOf(s)).toEqual(before);
  });

  it('many times at once makes one, and no call fails (bug B42)', async () => {
    const s = await scene();
    const calls = Array.from({ length: 8 }, (_, index) => s.plan({ key: keyOf(`container-${index}`) }));
    const outcomes = await Promise.all(
      calls.map((plan) => ensureBridge(bound(s.another(), plan, call()), plan.bridge)),
    );
    expect(outcomes.filter(({ kind }) => kind === 'ok')).toHaveLength(8);
    expect(
      outcomes.filter((outcome) => outcome.kind === 'ok' && JSON.stringify(outcome.facts).includes('"created":true')),
    ).toHaveLength(1);
    expect(await bridgesOf(s)).toHaveLength(1);
  });

  it('leaves an administrator’s as it is', async () => {
    const s = await scene();
    await adminBridge(s, 'br0', { fail_mode: 'secure', external_ids: ['map', [['owner', 'admin']]] });
    const before = await bridgesOf(s);
    expect(await ensure(s, s.plan())).toEqual({ kind: 'ok', facts: { created: false, ours: false } });
    expect(await bridgesOf(s)).toEqual(before);
  });

  it('takes a name with quotes literally (bug B29)', async () => {
    const s = await scene();
    const plan = s.plan({ bridge: 'br"],["_uuid' });
    await ensure(s, plan);
    expect((await bridgesOf(s)).map(({ name }) => name)).toEqual(['br"],["_uuid']);
    await remove(s, plan);
    expect(await bridgesOf(s)).toEqual([]);
  });
});

describe('removing a bridge', () => {
  it('takes away the one that we made, and its local port with it; twice is the same as once', async () => {
    const s = await scene();
    await ensure(s, s.plan());
    for (let round = 0; round < 2; round++) {
      expect(await remove(s, s.plan())).toEqual({ kind: 'ok' });
      for (const table of ['Bridge', 'Port', 'Interface']) expect(s.ovsdb.dump(table)).toEqual([]);
    }
  });

  it('leaves one that still has a port: a sibling’s, and an administrator’s uplink (bug B20)', async () => {
    const s = await scene();
    const plan = s.plan();
    await ensure(s, plan);
    await ensurePort(bound(s.ovs, plan, call()), plan.port);
    const before = await s.ovsdb.tables();
    expect(await remove(s, s.plan())).toEqual({ kind: 'ok' });
    expect(await s.ovsdb.tables()).toEqual(before);
  });

  it('leaves an administrator’s, empty or not (case A41)', async () => {
    const s = await scene();
    await adminBridge(s, 'br0');
    await adminBridge(s, 'br1', { external_ids: ['map', [['owner', 'userspace-cni']]] });
    const before = await bridgesOf(s);
    for (const bridge of ['br0', 'br1']) expect(await remove(s, s.plan({ bridge }))).toEqual({ kind: 'ok' });
    expect(await bridgesOf(s)).toEqual(before);
  });

  it('leaves another instance’s (case A41)', async () => {
    const s = await scene();
    await ensure(s, s.plan());
    expect(await remove(s, s.plan(), call(5_000, { instance: 'f'.repeat(16) }))).toEqual({ kind: 'ok' });
    expect(await bridgesOf(s)).toHaveLength(1);
  });

  it('succeeds if there is none', async () => {
    const s = await scene();
    expect(await remove(s, s.plan())).toEqual({ kind: 'ok' });
  });

  it('leaves a bridge that a sibling’s port reached between our look and our transaction (case A40, bug B21)', async () => {
    const s = await scene();
    const mine = s.plan();
    const sibling = s.plan({ key: keyOf('beef0000beef0000') });
    await ensure(s, mine);
    let reached = false;
    s.ovsdb.faults.request = (_, params) => {
      const changes = JSON.stringify(params).includes('"delete"');
      if (!changes || reached) return undefined;
      reached = true;
      insertPort(s, sibling);
      return undefined;
    };
    expect(await remove(s, mine)).toEqual({ kind: 'ok' });
    expect(reached).toBe(true);
    expect(await bridgesOf(s)).toHaveLength(1);
    expect((await readSwitch(s.ovsdb)).ports.map(({ name }) => name)).toEqual([sibling.port.name]);
  });

  it('of a switch that cannot be asked is an error, never taken for an empty bridge (bug B20)', async () => {
    const s = await scene({ reconnectMs: 0 });
    await ensure(s, s.plan());
    s.ovsdb.faults.request = () => ({ kind: 'error', error: 'no' });
    await expect(remove(s, s.plan())).rejects.toThrow('no');
    s.ovsdb.faults = {};
    expect(await bridgesOf(s)).toHaveLength(1);
  });
});

/** Writes into the tables, as another process's transaction would at this very moment. */
function insertPort({ ovsdb }: Scene, { port }: WholePlan): void {
  const operations = [
    { op: 'insert', table: 'Interface', row: { name: port.name, type: 'dpdkvhostuserclient' }, 'uuid-name': 'i' },
    { op: 'insert', table: 'Port', row: { name: port.name, interfaces: ['named-uuid', 'i'] }, 'uuid-name': 'p' },
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['name', '==', port.bridge]],
      mutations: [['ports', 'insert', ['named-uuid', 'p']]],
    },
  ];
  ovsdb.database.transact(operations, { ownsLock: () => true, waitedMs: 0 });
}

describe('kind 2: a bridge that has lost its marks', () => {
  const dataDir = '/var/lib/cni/userspace';
  const clearMarks = async ({ ovsdb }: Scene, marks: object = {}) => {
    const admin = await RawSession.open(ovsdb.ovsdb);
    await admin.transact({
      op: 'update',
      table: 'Bridge',
      where: [['name', '==', 'br0']],
      row: { external_ids: ['map', Object.entries(marks)] },
    });
    admin.close();
  };
  const made = async (s: Scene, ours = call(5_000, { dataDir })): Promise<Facts['bridge']> => {
    const outcome = await ensureBridge(bound(s.ovs, s.plan(), ours), s.plan().bridge);
    return outcome.kind === 'ok' ? (outcome.facts as Facts['bridge']) : undefined;
  };

  it('is ours by the _uuid in the journal, for the attachment that made it and for one that found it', async () => {
    for (const found of [false, true]) {
      const s = await scene();
      const first = await made(s);
      const bridge = found ? await made(s) : first;
      await clearMarks(s);
      await remove(s, s.plan(), call(5_000, { dataDir }), { bridge: { created: true, ours: true } });
      expect(await bridgesOf(s)).toHaveLength(1);
      await remove(s, s.plan(), call(5_000, { dataDir }), { bridge: bridge ?? { created: false } });
      expect(await bridgesOf(s)).toEqual([]);
    }
  });

  it('is another owner’s by a mark of that owner, whatever its _uuid', async () => {
    const s = await scene();
    const bridge = await made(s);
    await clearMarks(s, { owner: 'admin' });
    await remove(s, s.plan(), call(), { bridge: bridge ?? { created: false } });
    expect(await bridgesOf(s)).toHaveLength(1);
  });

  it('is ours by the data directory’s path if that lost its id, and is not another directory’s', async () => {
    const s = await scene();
    await made(s);
    const later = { instance: 'f'.repeat(16) };
    await remove(s, s.plan(), call(5_000, { ...later, dataDir: '/elsewhere' }));
    expect(await bridgesOf(s)).toHaveLength(1);
    await remove(s, s.plan(), call(5_000, { ...later, dataDir }));
    expect(await bridgesOf(s)).toEqual([]);
  });

  it('kind 2: of another data directory of ours may be made again by an attachment that found it, and is not its to remove', async () => {
    const s = await scene();
    await made(s, call(5_000, { instance: 'a'.repeat(16), dataDir: '/one' }));
    const ovs = s.another();
    const other = call(5_000, { instance: 'b'.repeat(16), dataDir: '/other' });
    const outcome = await ensureBridge(bound(ovs, s.plan(), other), s.plan().bridge);
    expect(outcome).toEqual({ kind: 'ok', facts: { created: false, ours: true } });
    ovs.close();
    await remove(s, s.plan(), other, { bridge: { created: false, ours: true } });
    expect(await bridgesOf(s)).toHaveLength(1);
  });

  it('is removed by a recovery if it has no port and is ours, under any id of the directory', async () => {
    const s = await scene();
    const ids = new Set(['a'.repeat(16), 'b'.repeat(16)]);
    // This directory is a copy of one that exists.
    const original = temporaryDirectory();
    writeFileSync(join(original, 'instance'), '');
    const bridges = ['br-used', 'br-idle', 'br-soon', 'br-admin', 'br-copied', 'br-other'];
    for (const [bridge, instance, directory] of [
      ['br-used', 'a'.repeat(16)],
      ['br-idle', 'b'.repeat(16)],
      ['br-soon', 'b'.repeat(16)],
      ['br-copied', 'a'.repeat(16), original],
      ['br-other', 'c'.repeat(16)],
    ] as const) {
      const plan = s.plan({ bridge });
      const ovs = s.another();
      await ensureBridge(
        bound(ovs, plan, call(5_000, { instance, ...(directory && { dataDir: directory }) })),
        plan.bridge,
      );
      ovs.close();
    }
    await adminBridge(s, 'br-admin');
    insertPort(s, s.plan({ bridge: 'br-used' }));
    const sweep = async (dryRun: boolean) => {
      const ovs = s.another();
      const idle = { database: { ovsdb: s.ovsdb.ovsdb }, ids, used: new Set(['br-soon']), dryRun };
      return await removeIdleBridges(ovs, idle, call(5_000, { instance: '' })).finally(() => ovs.close());
    };
    expect(await sweep(true)).toEqual(['br-idle']);
    expect((await bridgesOf(s)).map(({ name }) => name).sort()).toEqual([...bridges].sort());
    expect(await sweep(false)).toEqual(['br-idle']);
    expect((await bridgesOf(s)).map(({ name }) => name).sort()).toEqual([
      'br-admin',
      'br-copied',
      'br-other',
      'br-soon',
      'br-used',
    ]);
    expect(await sweep(false)).toEqual([]);
  });
});

describe('looking at a bridge', () => {
  it('finds it as it was made', async () => {
    const s = await scene();
    await ensure(s, s.plan());
    expect(await find(s, s.plan())).toEqual({ kind: 'ok' });
  });

  it('names one that is gone, and one that is of the kernel’s datapath', async () => {
    const s = await scene();
    expect(troubleOf(await find(s, s.plan()))).toEqual({ code: 100, message: 'bridge "br0" is gone' });
    await adminBridge(s, 'br0', { datapath_type: 'system' });
    expect(troubleOf(await find(s, s.plan())).message).toContain('"system" instead of "netdev"');
  });
});
