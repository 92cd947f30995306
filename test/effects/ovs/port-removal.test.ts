import { existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { waitUntilReleased } from '../../../src/effects/ovs/applied.ts';
import { ensureBridge } from '../../../src/effects/ovs/bridge.ts';
import { ensurePort } from '../../../src/effects/ovs/port.ts';
import { removePort } from '../../../src/effects/ovs/port-removal.ts';
import { isBehind, selectSwitch } from '../../../src/effects/ovs/root-row.ts';
import { Unreachable } from '../../../src/effects/ovs/session.ts';
import type { Outcome } from '../../../src/machines/protocol.ts';
import { attach, attached, listenAt, namesOf, remove, setPort, socketOf } from '../../support/stand-in/port-parts.ts';
import { bound, call, keyOf, type Scene, scene, soon, troubleOf } from '../../support/stand-in/scene.ts';

/** Waits until a call waits for ovs-vswitchd. */
const waitIsAsked = ({ ovsdb }: Scene): Promise<void> =>
  new Promise((resolve) => {
    ovsdb.faults.request = (_, params) => {
      if (JSON.stringify(params).includes('"wait"')) setImmediate(resolve);
      return undefined;
    };
  });

describe.each(['client', 'server'] as const)('removing a port in %s mode', (mode) => {
  it('takes row, interface and socket file away; twice is the same as once', async () => {
    const { s, plan } = await attached({ port: { mode } });
    expect(existsSync(socketOf(plan))).toBe(true);
    for (let round = 0; round < 2; round++) {
      expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
      expect(await namesOf(s)).toEqual([]);
      expect(s.ovsdb.dump('Interface').map(({ name }) => name)).toEqual(['br0']);
      expect(readdirSync(plan.port.directory)).toEqual([]);
    }
  });

  it('needs no plan, because the marks name the socket', async () => {
    const { s, plan } = await attached({ port: { mode } });
    const { port: _, ...stripped } = plan;
    expect(await removePort(bound(s.ovs, stripped, call()), {})).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
    expect(existsSync(socketOf(plan))).toBe(false);
  });

  it('leaves the sibling’s port and socket (case A6, bug B13)', async () => {
    const { s, plan } = await attached({ port: { mode } });
    const siblings = ['net', 'net11', 'net10'].map((ifName) =>
      s.plan({ key: keyOf(plan.key.containerId, ifName), port: { mode } }),
    );
    for (const sibling of siblings) await attach(s, sibling);
    await remove(s, plan);
    expect((await namesOf(s)).sort()).toEqual(siblings.map(({ port }) => port.name).sort());
    expect(readdirSync(plan.port.directory).sort()).toEqual(siblings.map(({ port }) => port.file).sort());
  });

  it('leaves a port of our name that is another key’s, another instance’s or an administrator’s (case A22, bug B27)', async () => {
    for (const marks of [{ key: 'net:other:net1' }, { instance: 'f'.repeat(16) }, { owner: 'admin' }]) {
      const { s, plan } = await attached({ port: { mode } });
      const ours = { owner: 'userspace-cni', instance: call().instance, key: 'net:c0ffee00c0ffee00:net1' };
      const external = { ...ours, socket: socketOf(plan), ...marks };
      setPort(s, plan.port.name, { external_ids: ['map', Object.entries(external)] });
      expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
      expect(await namesOf(s)).toEqual([plan.port.name]);
    }
  });
});

describe('a socket file', () => {
  it('that another row names stays: it was handed on to the next sandbox (case A22)', async () => {
    const { s, plan } = await attached({ port: { file: 'own.sock' } });
    const next = s.plan({ key: keyOf('beef0000beef0000'), port: { file: 'own.sock', directory: plan.port.directory } });
    // The old sandbox's port was removed and its socket taken over before its late DEL.
    setPort(s, plan.port.name, { external_ids: ['map', []] });
    await s.ovsdb.removeBridge('br0');
    await ensureBridge(bound(s.ovs, next, call()), next.bridge);
    expect((await ensurePort(bound(s.ovs, next, call()), next.port)).kind).toBe('ok');
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(existsSync(socketOf(plan))).toBe(true);
    expect(await namesOf(s)).toEqual([next.port.name]);
  });

  it('that an administrator’s interface names stays', async () => {
    const { s, plan } = await attached();
    setPort(s, plan.port.name, { external_ids: ['map', [['owner', 'admin']]] });
    await remove(s, plan);
    expect(existsSync(socketOf(plan))).toBe(true);
  });

  it('that another call makes while this one reads the rows stays, because no row of ours kept its name', async () => {
    const { s, plan } = await attached();
    await s.ovsdb.removeBridge('br0');
    const other = join(plan.port.directory, 'other');
    await listenAt(other);
    s.ovsdb.faults.request = (_, params) => {
      if (JSON.stringify(params).includes('vhost-server-path') && existsSync(other)) renameSync(other, socketOf(plan));
      return undefined;
    };
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(existsSync(other)).toBe(false);
    expect(existsSync(socketOf(plan))).toBe(true);
  });

  it('that was not made again goes although its row is gone, or its directory could not be removed', async () => {
    const { s, plan } = await attached();
    await s.ovsdb.removeBridge('br0');
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(existsSync(socketOf(plan))).toBe(false);
  });

  it('is one file, never what merely looks like it (bug B13, bug B14)', async () => {
    const { s, plan } = await attached({ port: { file: 'sock' } });
    const others = ['soc', 'sock1', 'db.sock', 'xsock', 'sockk'].map((name) => join(plan.port.directory, name));
    for (const other of others) await listenAt(other);
    await remove(s, plan);
    expect(readdirSync(plan.port.directory).sort()).toEqual(['db.sock', 'soc', 'sock1', 'sockk', 'xsock']);
  });

  it('must be a socket: a symlink of its name stays, and so does its target', async () => {
    const { s, plan } = await attached({ port: { mode: 'server' } });
    const canary = join(s.sharedDir, 'canary');
    writeFileSync(canary, '');
    renameSync(socketOf(plan), join(s.sharedDir, 'moved'));
    symlinkSync(canary, socketOf(plan));
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(existsSync(canary)).toBe(true);
    expect(readdirSync(plan.port.directory)).toEqual([plan.port.file]);
  });

  it('is not looked for through a symlink that took the directory’s place', async () => {
    const { s, plan } = await attached();
    const elsewhere = join(s.sharedDir, 'elsewhere');
    mkdirSync(elsewhere);
    await listenAt(join(elsewhere, plan.port.file));
    renameSync(plan.port.directory, `${plan.port.directory}.old`);
    symlinkSync(elsewhere, plan.port.directory);
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(readdirSync(elsewhere)).toEqual([plan.port.file]);
    expect(await namesOf(s)).toEqual([]);
  });

  it('goes too if a call died before it moved it out of the switch’s own directory', async () => {
    const s = await scene();
    const plan = s.plan({ port: { mode: 'server' } });
    await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
    await expect(ensurePort(bound(s.ovs, plan, call()), plan.port)).rejects.toMatchObject({
      cause: { code: 'ENOENT' },
    });
    expect(existsSync(join(s.ovsdb.rundir, plan.port.name))).toBe(true);
    s.ovs.close();
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(existsSync(join(s.ovsdb.rundir, plan.port.name))).toBe(false);
  });
});

describe('a row', () => {
  it('that another tool made under our name between look and transaction stays (case A40)', async () => {
    const { s, plan } = await attached();
    let swapped = false;
    s.ovsdb.faults.request = (_, params) => {
      if (swapped || !JSON.stringify(params).includes('"delete"')) return undefined;
      swapped = true;
      setPort(s, plan.port.name, { external_ids: ['map', [['owner', 'admin']]] });
      return undefined;
    };
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(swapped).toBe(true);
    expect(await namesOf(s)).toEqual([plan.port.name]);
  });

  it('is found on any bridge to which another tool moved it', async () => {
    const { s, plan } = await attached();
    const other = { ...plan, bridge: { name: 'br9' } };
    await ensureBridge(bound(s.ovs, other, call()), other.bridge);
    const port = s.ovsdb.dump('Port').find(({ name }) => name === plan.port.name)?._uuid;
    const move = (name: string, mutator: string) => ({
      op: 'mutate',
      table: 'Bridge',
      where: [['name', '==', name]],
      mutations: [['ports', mutator, port]],
    });
    s.ovsdb.database.transact([move('br0', 'delete'), move('br9', 'insert')], { ownsLock: () => true, waitedMs: 0 });
    s.ovs.close();
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
  });
});

describe('a removal from a database that is away', () => {
  it('for a moment waits for it and goes on, as after a restart', async () => {
    const { s, plan } = await attached();
    await s.ovsdb.stopDatabase();
    const removing = remove(s, plan);
    await s.ovsdb.startDatabase();
    expect(await removing).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
  });

  it('for longer than that is an error that names the database, and is never taken for “nothing there”', async () => {
    const s = await scene({ reconnectMs: 60 });
    const plan = s.plan();
    await attach(s, plan);
    await s.ovsdb.stopDatabase();
    await expect(remove(s, plan)).rejects.toThrow(s.ovsdb.ovsdb);
    await s.ovsdb.startDatabase();
    expect(await namesOf(s)).toEqual([plan.port.name]);
  });

  it.each(['drop-before-commit', 'drop-after-commit'] as const)(
    'in the middle (%s) is tried again and succeeds',
    async (kind) => {
      const { s, plan } = await attached();
      let dropped = 0;
      s.ovsdb.faults.request = (_, params) =>
        JSON.stringify(params).includes('"delete"') && dropped++ === 0 ? { kind } : undefined;
      const { port: _, ...stripped } = plan;
      // Only the marks tell of the port. The second try does not find it, but knows that it existed.
      expect(goneAtOf(await removePort(bound(s.another(), stripped, call()), {}))).toBeGreaterThan(0);
      expect(dropped).toBeGreaterThan(0);
      expect(await namesOf(s)).toEqual([]);
    },
  );

  it('because it hangs ends at the set moment, without a second try (bug B38)', async () => {
    const { s, plan } = await attached();
    let asked = 0;
    s.ovsdb.faults.request = (method) => {
      asked += Number(method === 'transact');
      return { kind: 'silence' };
    };
    await expect(remove(s, plan, call(40))).rejects.toBeInstanceOf(Unreachable);
    expect(asked).toBe(1);
  });
});

describe('letting go of a port', () => {
  /** Removes it while ovs-vswitchd stands still. @returns the next_cfg to wait for. */
  async function removed({ s, plan }: Awaited<ReturnType<typeof attached>>): Promise<number> {
    s.ovsdb.faults.idle = true;
    return goneAtOf(await remove(s, plan));
  }
  const change = (s: Scene, row: object) =>
    s.ovs.read(s.plan(), [{ op: 'update', table: 'Open_vSwitch', where: [], row }], soon());

  it('waits until ovs-vswitchd has applied the removal, and no longer', async () => {
    const { s, plan } = await attached();
    const goneAt = await removed({ s, plan });
    const order: string[] = [];
    const gone = waitUntilReleased(bound(s.ovs, plan, call()), goneAt).then((outcome) => {
      order.push('let go');
      return outcome;
    });
    await waitIsAsked(s);
    order.push('applied');
    s.ovsdb.resume();
    expect(await gone).toEqual({ kind: 'ok' });
    expect(order).toEqual(['applied', 'let go']);
  });

  it('is waited for up to this removal’s own next_cfg, whatever other clients ask for before and after', async () => {
    const { s, plan } = await attached();
    const goneAt = await removed({ s, plan });
    await change(s, { next_cfg: goneAt + 5, cur_cfg: goneAt - 1 });
    const gone = waitUntilReleased(bound(s.ovs, plan, call()), goneAt);
    await waitIsAsked(s);
    await change(s, { cur_cfg: goneAt });
    expect(await gone).toEqual({ kind: 'ok' });
  });

  it('is not waited for if nothing is outstanding', async () => {
    const { s, plan } = await attached();
    const goneAt = await removed({ s, plan });
    await change(s, { cur_cfg: goneAt });
    expect(await waitUntilReleased(bound(s.ovs, plan, call()), goneAt)).toEqual({ kind: 'ok' });
  });

  it('that does not happen in time is code 11, naming the daemon', async () => {
    const { s, plan } = await attached();
    const goneAt = await removed({ s, plan });
    expect(troubleOf(await waitUntilReleased(bound(s.ovs, plan, call(1_000)), goneAt))).toMatchObject({
      code: 11,
      message: expect.stringContaining('ovs-vswitchd has applied'),
    });
  });

  it('is waited for by a removal that finds the port deleted already, perhaps a moment ago', async () => {
    const { s, plan } = await attached();
    const goneAt = await removed({ s, plan });
    expect(goneAtOf(await remove(s, plan))).toBe(goneAt);
  });

  it('is not waited for if ovs-vswitchd reported nothing about the port; the next port of its name is told nevertheless', async () => {
    const s = await scene({ switchMs: 1_000 });
    const plan = s.plan();
    s.ovsdb.faults.idle = true;
    await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
    expect((await ensurePort(bound(s.ovs, plan, call()), plan.port)).kind).toBe('failed');
    expect(await remove(s, plan, call(), s.ovs)).toEqual({ kind: 'ok' });
    const [root] = await s.ovs.read(plan, [selectSwitch], soon());
    expect(isBehind(root?.rows?.[0])).toBe(true);
  });
});

const goneAtOf = (outcome: Outcome): number => {
  const { facts } = outcome as { facts?: { goneAt?: number } };
  if (facts?.goneAt === undefined) throw new Error(`nothing to wait for: ${JSON.stringify(outcome)}`);
  return facts.goneAt;
};
