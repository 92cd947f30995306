import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureBridge } from '../../../src/effects/ovs/bridge.ts';
import { readUuid } from '../../../src/effects/ovs/operations.ts';
import { ensurePort } from '../../../src/effects/ovs/port.ts';
import { instance } from '../../support/instance.ts';
import { readSwitch } from '../../support/real/world.ts';
import { bound, call, keyOf, type Scene, scene, troubleOf, type WholePlan } from '../../support/stand-in/scene.ts';

const ensure = (s: Scene, plan: WholePlan, ours = call(), ovs = s.ovs) => ensurePort(bound(ovs, plan, ours), plan.port);

const portsOf = async ({ ovsdb }: Scene) => (await readSwitch(ovsdb)).ports;

/** A switch with the plan's bridge on it, and the plan's directory. */
async function ready(s: Scene, plan: WholePlan): Promise<void> {
  mkdirSync(plan.port.directory, { recursive: true });
  await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
}

async function prepared(changes: Parameters<Scene['plan']>[0] = {}, deadlines = {}) {
  const s = await scene(deadlines);
  const plan = s.plan(changes);
  await ready(s, plan);
  return { s, plan };
}

describe('making a port in client mode', () => {
  it('inserts it with its socket and with marks from which a removal works', async () => {
    const { s, plan } = await prepared();
    const outcome = await ensure(s, plan);
    expect(outcome).toEqual({
      kind: 'ok',
      facts: {
        database: expect.any(String),
        uuid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        ofport: expect.any(Number),
      },
    });
    const socket = `${plan.port.directory}/c0ffee00c0ff-net1`;
    expect(await portsOf(s)).toMatchObject([
      {
        name: 'c0ffee00c0ff-net1',
        bridge: 'br0',
        type: 'dpdkvhostuserclient',
        options: { 'vhost-server-path': socket },
        externalIds: {
          owner: 'userspace-cni',
          instance,
          key: 'net:c0ffee00c0ffee00:net1',
          bridge: 'br0',
          mode: 'client',
          directory: plan.port.directory,
          socket,
          netns: '/run/netns/a',
        },
      },
    ]);
  });

  it('answers with the port’s _uuid, by which it is removed', async () => {
    const { s, plan } = await prepared();
    const outcome = await ensure(s, plan);
    const row = s.ovsdb.dump('Port').find(({ name }) => name === plan.port.name);
    expect(outcome).toMatchObject({ facts: { uuid: readUuid(row?._uuid) } });
  });

  it('sets every column that was asked for (case A7)', async () => {
    const { s, plan } = await prepared({
      port: { vlan: { tag: 7, trunks: [1, 2], mode: 'native-tagged' }, mtu: 1400, policingRate: 9, policingBurst: 8 },
    });
    await ensure(s, plan);
    expect((await portsOf(s))[0]).toMatchObject({
      tag: 7,
      trunks: [1, 2],
      vlanMode: 'native-tagged',
      mtuRequest: 1400,
      policingRate: 9,
      policingBurst: 8,
    });
  });

  it('leaves every other column to the switch: no tag, no trunks, no MTU, no policing', async () => {
    const { s, plan } = await prepared();
    await ensure(s, plan);
    expect((await portsOf(s))[0]).toMatchObject({
      tag: undefined,
      trunks: [],
      vlanMode: undefined,
      mtuRequest: undefined,
      policingRate: 0,
      policingBurst: 0,
    });
  });

  it('never marks it transient: containers of Open vSwitch delete such ports when they start (case A39)', async () => {
    const { s, plan } = await prepared();
    await ensure(s, plan);
    for (const table of ['Port', 'Interface'])
      for (const row of s.ovsdb.dump(table)) expect(JSON.stringify(row)).not.toContain('transient');
  });

  it('makes no socket, because the application does', async () => {
    const { s, plan } = await prepared();
    await ensure(s, plan);
    expect(readdirSync(plan.port.directory)).toEqual([]);
  });

  it('twice makes no second port', async () => {
    const { s, plan } = await prepared();
    await ensure(s, plan);
    const before = await s.ovsdb.tables();
    expect((await ensure(s, plan)).kind).toBe('failed');
    expect(await s.ovsdb.tables()).toEqual(before);
  });
});

describe('making a port in server mode', () => {
  const server = { port: { mode: 'server' } } as const;

  it('moves the switch’s socket into the shared directory, and tells its former path', async () => {
    const { s, plan } = await prepared(server);
    const made = join(s.ovsdb.rundir, plan.port.name);
    expect(await ensure(s, plan)).toMatchObject({ kind: 'ok', facts: { switchSocket: made } });
    expect(lstatSync(join(plan.port.directory, plan.port.file)).isSocket()).toBe(true);
    expect(existsSync(made)).toBe(false);
    expect(await portsOf(s)).toMatchObject([{ type: 'dpdkvhostuser', options: {}, externalIds: { mode: 'server' } }]);
  });

  it('gives the socket to the configured group (bug B33)', async () => {
    const gid = String(process.getgid?.() ?? 0);
    const { s, plan } = await prepared({ port: { mode: 'server', group: gid } });
    await ensure(s, plan);
    const socket = statSync(join(plan.port.directory, plan.port.file));
    expect({ gid: socket.gid, mode: socket.mode & 0o777 }).toEqual({ gid: Number(gid), mode: 0o660 });
  });

  it('fails if the shared directory is gone', async () => {
    const { s, plan } = await prepared(server);
    rmSync(plan.port.directory, { recursive: true });
    await expect(ensure(s, plan)).rejects.toMatchObject({ cause: { code: 'ENOENT' }, facts: { ofport: -1 } });
  });

  it('fails if the switch took the port and made no socket, because the pod must see one (bug B9)', async () => {
    const { s, plan } = await prepared(server);
    s.ovsdb.faults.idle = true;
    const waiting = ensure(s, plan);
    // A file at its place stops the pretend switch from making it, as a left-over stops the real one.
    mkdirSync(join(s.ovsdb.rundir, plan.port.name));
    await new Promise<void>((resolve) => {
      s.ovsdb.faults.request = (_, params) => {
        if (JSON.stringify(params).includes('"until":"!="')) setImmediate(resolve);
        return undefined;
      };
    });
    s.ovsdb.resume();
    await expect(waiting).rejects.toThrow('is not the socket of the port');
  });

  it.each<[string, (path: string, canary: string) => void]>([
    ['a symlink', (path, canary) => symlinkSync(canary, path)],
    ['a file', (path) => writeFileSync(path, 'somebody’s')],
    ['a directory', (path) => mkdirSync(path)],
  ])('never replaces %s by its socket, because that is not ours', async (_, plant) => {
    const { s, plan } = await prepared(server);
    const canary = join(s.sharedDir, 'canary');
    writeFileSync(canary, 'untouched');
    const path = join(plan.port.directory, plan.port.file);
    plant(path, canary);
    const before = lstatSync(path);
    await expect(ensure(s, plan)).rejects.toThrow('is no socket: it is not replaced');
    expect(lstatSync(path)).toMatchObject({ ino: before.ino, size: before.size });
    expect(statSync(canary).size).toBe('untouched'.length);
  });

  it('replaces a socket that no row names, because a dead call left it', async () => {
    const { s, plan } = await prepared(server);
    const left = createServer().listen(join(plan.port.directory, plan.port.file));
    const { ino } = lstatSync(join(plan.port.directory, plan.port.file));
    expect((await ensure(s, plan)).kind).toBe('ok');
    expect(lstatSync(join(plan.port.directory, plan.port.file)).ino).not.toBe(ino);
    left.close();
  });

  it('fails on a directory that was swapped for a symlink: nothing leaves the shared directory', async () => {
    const { s, plan } = await prepared(server);
    const elsewhere = join(s.sharedDir, 'elsewhere');
    mkdirSync(elsewhere);
    renameSync(plan.port.directory, `${plan.port.directory}.old`);
    symlinkSync(elsewhere, plan.port.directory);
    await expect(ensure(s, plan)).rejects.toMatchObject({ cause: { code: expect.stringMatching(/ELOOP|ENOTDIR/) } });
    expect(readdirSync(elsewhere)).toEqual([]);
  });
});

describe('a port that is refused', () => {
  it('because another attachment has the name, is code 7 and names that attachment (bug B27, bug B28)', async () => {
    const { s, plan } = await prepared({ key: keyOf('0123456789ab1') });
    await ensure(s, plan);
    const before = await s.ovsdb.tables();
    const second = s.plan({ key: keyOf('0123456789ab2') });
    const elsewhere = join(s.sharedDir, 'elsewhere');
    const trouble = troubleOf(
      await ensure(s, { ...second, port: { ...second.port, directory: elsewhere } }, call(), s.another()),
    );
    expect(trouble.code).toBe(7);
    expect(trouble.message).toContain('"net:0123456789ab1:net1"');
    expect(await s.ovsdb.tables()).toEqual(before);
  });

  it('because a port that is not ours has the name, is code 7 and says so', async () => {
    const { s, plan } = await prepared();
    const foreign = { ...plan, port: { ...plan.port, directory: '/elsewhere' } };
    await ensure(s, foreign, call(5_000, { instance: 'f'.repeat(16) }), s.another());
    s.ovsdb.database.transact(
      [{ op: 'update', table: 'Port', where: [['name', '==', plan.port.name]], row: { external_ids: ['map', []] } }],
      { ownsLock: () => true, waitedMs: 0 },
    );
    expect(troubleOf(await ensure(s, plan))).toMatchObject({ code: 7, message: expect.stringContaining('not ours') });
  });

  it.each(['client', 'server'] as const)(
    'because the socket is another port’s (%s), is code 7: the switch itself would accept two (bug B28)',
    async (mode) => {
      const { s, plan } = await prepared({ port: { file: 'shared.sock', mode } });
      await ensure(s, plan);
      const second = s.plan({
        key: keyOf('beef0000beef0000'),
        port: { file: 'shared.sock', directory: plan.port.directory },
      });
      const trouble = troubleOf(await ensure(s, second, call(), s.another()));
      expect(trouble.code).toBe(7);
      expect(trouble.message).toContain(`${plan.port.directory}/shared.sock`);
      expect(await portsOf(s)).toHaveLength(1);
    },
  );

  it('because an interface of an administrator has the socket, is code 7', async () => {
    const { s, plan } = await prepared();
    const admin = { ...plan, key: keyOf('admin'), port: { ...plan.port, name: 'admin0' } };
    await ensure(s, admin, call(), s.another());
    s.ovsdb.database.transact(
      [{ op: 'update', table: 'Port', where: [['name', '==', 'admin0']], row: { external_ids: ['map', []] } }],
      { ownsLock: () => true, waitedMs: 0 },
    );
    expect(troubleOf(await ensure(s, plan)).code).toBe(7);
    expect(await portsOf(s)).toHaveLength(1);
  });

  it('because its bridge went away, is displaced: nothing was made, and the bridge comes first again', async () => {
    const { s, plan } = await prepared();
    await s.ovsdb.removeBridge('br0');
    expect(await ensure(s, plan)).toEqual({
      kind: 'displaced',
      trouble: { code: 11, message: 'bridge "br0" went away' },
    });
    for (const table of ['Port', 'Interface']) expect(s.ovsdb.dump(table)).toEqual([]);
  });
});

describe('a port that ovs-vswitchd does not take', () => {
  it('because of an error is code 11 with the words of Interface.error (case A36)', async () => {
    const { s, plan } = await prepared();
    s.ovsdb.faults.interfaceError = () => 'could not open network device (no DPDK)';
    const { code, message } = troubleOf(await ensure(s, plan));
    expect(code).toBe(11);
    const named = `port "${plan.port.name}" on bridge "br0"`;
    expect(message).toContain(`Open vSwitch could not open ${named}: could not open network device (no DPDK)`);
  });

  it('in time, because no process applies changes, is code 11 and names the daemon (bug B38, case A44)', async () => {
    const { s, plan } = await prepared({}, { switchMs: 1_000 });
    s.ovsdb.faults.idle = true;
    const { code, message } = troubleOf(await ensure(s, plan));
    expect(code).toBe(11);
    const named = `port "${plan.port.name}" on bridge "br0"`;
    expect(message).toContain(
      `ovs-vswitchd did not take ${named} in 0.9 s; bridge "br0" (datapath_type "netdev") was not made either; `,
    );
    expect(message).toContain('is it running?');
  });

  it('with the planned MTU is code 7 with both numbers, and the row that it made is told (need N4)', async () => {
    const { s, plan } = await prepared({ port: { mtu: 9000 } });
    const used = (mtu: number) =>
      s.ovsdb.database.transact(
        [{ op: 'update', table: 'Interface', where: [['name', '==', plan.port.name]], row: { mtu } }],
        {
          ownsLock: () => true,
          waitedMs: 0,
        },
      );
    s.ovsdb.faults.request = (_, params) => {
      if (JSON.stringify(params).includes('"columns":["mtu"]')) used(1500);
      return undefined;
    };
    const outcome = await ensure(s, plan);
    expect(troubleOf(outcome)).toMatchObject({ code: 7, message: expect.stringMatching(/9000 .* 1500/) });
    expect(outcome).toMatchObject({ facts: { uuid: expect.any(String), ofport: expect.any(Number) } });
    const other = await prepared({ port: { mtu: 9000 } });
    expect(await ensure(other.s, other.plan)).toMatchObject({ kind: 'ok' });
  });

  it('because the row went away meanwhile is code 11', async () => {
    const { s, plan } = await prepared();
    s.ovsdb.faults.idle = true;
    s.ovsdb.faults.request = (method, params) => {
      if (method === 'transact' && JSON.stringify(params).includes('"wait","table":"Interface","where":[["_uuid"'))
        setImmediate(() => void s.ovsdb.removeBridge('br0'));
      return undefined;
    };
    expect(troubleOf(await ensure(s, plan))).toMatchObject({ code: 11, message: expect.stringContaining('no ofport') });
  });

  it('because the connection dropped after the commit, is an error although the rows are there: they are removed by mark', async () => {
    const { s, plan } = await prepared();
    s.ovsdb.faults.request = (_, params) =>
      JSON.stringify(params).includes('"insert"') ? { kind: 'drop-after-commit' } : undefined;
    await expect(ensure(s, plan)).rejects.toThrow('closed the connection');
    expect(await portsOf(s)).toMatchObject([{ externalIds: { key: 'net:c0ffee00c0ffee00:net1' } }]);
  });
});
