import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Trouble } from '../../src/attachment.ts';
import { ensureBridge } from '../../src/effects/ovs/bridge.ts';
import { openVswitch } from '../../src/effects/ovs/engine.ts';
import { ensurePort } from '../../src/effects/ovs/port.ts';
import { preflight } from '../../src/effects/preflight.ts';
import type { Plan } from '../../src/machines/protocol.ts';
import { programs } from '../support/programs.ts';
import { tree } from '../support/real/world.ts';
import { bound, call, keyOf, type Scene, scene } from '../support/stand-in/scene.ts';

const dataDirOf = (s: Scene) => join(s.sharedDir, '..', 'data');

function troubles(s: Scene, plan: Plan, dataDir = dataDirOf(s), deadlines = s.deadlines): Promise<Trouble[]> {
  const engine = openVswitch({ deadlines });
  onTestFinished(() => engine.close());
  return preflight(engine, { plan, dataDir }, call(), deadlines);
}

const messages = (found: Trouble[]): string => found.map(({ message }) => message).join('\n');

describe('a plan that nothing forbids', () => {
  it.each(['client', 'server'] as const)('has no troubles in %s mode, and nothing was touched', async (mode) => {
    const s = await scene();
    const own = programs();
    own.write('pool', '');
    const plan = { ...s.plan({ port: { mode } }), address: { program: 'pool', path: [own.directory] } };
    const before = [await tree(join(s.sharedDir, '..')), await s.ovsdb.tables()];
    expect(await troubles(s, plan)).toEqual([]);
    expect([await tree(join(s.sharedDir, '..')), await s.ovsdb.tables()]).toEqual(before);
  });

  it('has none once it is attached: a repeated ADD is not refused for its own port', async () => {
    for (const mode of ['client', 'server'] as const) {
      const s = await scene();
      const plan = s.plan({ port: { mode } });
      mkdirSync(plan.port.directory);
      await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
      await ensurePort(bound(s.ovs, plan, call()), plan.port);
      // A switch that restarted makes its socket again.
      if (mode === 'server') writeFileSync(join(s.ovsdb.rundir, plan.port.name), '');
      expect(await troubles(s, plan)).toEqual([]);
    }
  });
});

describe('the path of the socket', () => {
  it('by a symlink is as long as the symlink makes it, and in server mode as long as it likes (case A5)', async () => {
    const s = await scene();
    const directory = join(s.sharedDir, 'd'.repeat(120));
    expect(await troubles(s, s.plan({ port: { directory, link: join(s.sharedDir, 'short') } }))).toEqual([]);
    expect(await troubles(s, s.plan({ port: { directory, mode: 'server' } }))).toEqual([]);
    const found = await troubles(s, s.plan({ port: { directory, link: join(s.sharedDir, 's'.repeat(120)) } }));
    expect(found).toMatchObject([{ code: 7, message: expect.stringContaining('"shortDir"') }]);
  });

  it('may have 107 bytes and not one more, counted in bytes (case A5, bug B31)', async () => {
    const s = await scene();
    for (const [bytes, refused] of [
      [107, false],
      [108, true],
    ] as const) {
      const directory = join(s.sharedDir, 'ä'.repeat(10));
      const plan = s.plan({ port: { directory, file: 'f'.repeat(bytes - Buffer.byteLength(directory) - 1) } });
      expect(Buffer.byteLength(join(plan.port.directory, plan.port.file))).toBe(bytes);
      const found = await troubles(s, plan);
      if (refused)
        expect(found).toMatchObject([{ code: 7, message: expect.stringContaining(`has ${bytes} bytes, 107`) }]);
      else expect(found).toEqual([]);
    }
  });

  it('is counted in the switch’s own directory too, where it is made first in server mode (case A5)', async () => {
    const s = await scene();
    const name = 'n'.repeat(108 - Buffer.byteLength(s.ovsdb.rundir) - 1);
    const found = await troubles(s, s.plan({ port: { mode: 'server', name, file: 'short' } }));
    expect(found).toMatchObject([{ code: 7, message: expect.stringContaining('is too long') }]);
  });
});

describe('the switch', () => {
  it('that is not there is code 11, by its address, and hides no other fault (bug B38)', async () => {
    const s = await scene();
    await s.ovsdb.stopDatabase();
    const found = await troubles(s, {
      ...s.plan({ port: { file: 'x'.repeat(200) } }),
      address: { program: 'no', path: [] },
    });
    expect(found.map(({ code }) => code)).toEqual([7, 7, 11]);
    expect(messages(found)).toContain(s.ovsdb.ovsdb);
  });

  it('that never answers is given up after its own deadline (case A44)', async () => {
    const s = await scene();
    s.ovsdb.faults.request = () => ({ kind: 'silence' });
    expect(await troubles(s, s.plan(), undefined, { ...s.deadlines, switchMs: 30 })).toMatchObject([
      { code: 11, message: expect.stringContaining('did not answer') },
    ]);
  });

  it('whose bridge of that name is of the kernel’s datapath is code 7', async () => {
    const s = await scene();
    await ensureBridge(bound(s.ovs, s.plan(), call()), s.plan().bridge);
    s.ovsdb.database.transact([{ op: 'update', table: 'Bridge', where: [], row: { datapath_type: 'system' } }], {
      ownsLock: () => true,
      waitedMs: 0,
    });
    expect(await troubles(s, s.plan())).toMatchObject([
      { code: 7, message: expect.stringContaining('datapath_type "system"') },
    ]);
  });

  it('without the bridge of an OVN port is code 7, naming the bridge and the remedy: it is never made here (need N5)', async () => {
    const s = await scene();
    const { bridge: _, ...plan } = s.plan({ port: { bridge: 'br-int', ovnPort: 'lsp' } });
    const [trouble] = await troubles(s, plan);
    expect(trouble).toMatchObject({ code: 7, message: expect.stringContaining('bridge "br-int" is not there') });
    expect(trouble?.message).toContain('ovn-controller');
    await ensureBridge(bound(s.ovs, plan, call()), { name: 'br-int' });
    expect(await troubles(s, plan)).toEqual([]);
  });

  it('on which another attachment holds the name is code 7, naming that attachment (bug B27, bug B28)', async () => {
    const s = await scene();
    const twin = s.plan({ key: keyOf('c0ffee00c0ff1111') });
    await ensureBridge(bound(s.ovs, twin, call()), twin.bridge);
    await ensurePort(bound(s.ovs, twin, call()), twin.port);
    expect(await troubles(s, s.plan())).toMatchObject([
      { code: 7, message: expect.stringContaining('"net:c0ffee00c0ff1111:net1"') },
    ]);
  });

  it('that could not make a socket of that name in server mode is code 7', async () => {
    const s = await scene();
    const plan = s.plan({ port: { mode: 'server' } });
    const left = join(s.ovsdb.rundir, plan.port.name);
    writeFileSync(left, '');
    expect(await troubles(s, plan)).toMatchObject([
      { code: 7, message: expect.stringContaining(`"${left}" exists already`) },
    ]);
    const database = s.plan({ port: { mode: 'server', name: 'db.sock', file: 'db.sock' } });
    expect((await troubles(s, database)).map(({ code }) => code)).toEqual([7]);
  });
});

describe('directories', () => {
  it.each(['client', 'server'] as const)(
    'that are files are refused with code 7 or 5 beside every other fault, in %s mode',
    async (mode) => {
      const s = await scene();
      const file = join(s.sharedDir, 'file');
      writeFileSync(file, '');
      const plan = s.plan({ port: { mode, directory: join(file, 'own') } });
      const below = { ...plan, socketDir: { ...plan.socketDir, base: file }, address: { program: 'no', path: [] } };
      const found = await troubles(s, below, join(file, 'data'));
      expect(found.map(({ code }) => code).sort()).toEqual([5, 7, 7]);
      for (const word of ['"sharedDir"', '"dataDir"', 'IPAM plugin "no"']) expect(messages(found)).toContain(word);
    },
  );

  it('of the kubelet that are missing are refused with the key that says where they are, not made', async () => {
    const s = await scene();
    const base = join(s.sharedDir, 'pods', 'uid', 'volumes');
    const { own: _, ...directory } = s.plan().socketDir;
    const found = await troubles(s, { ...s.plan(), socketDir: { ...directory, base, kubelet: true } });
    expect(found).toMatchObject([{ code: 7, message: expect.stringMatching(/emptyDir "shared-dir".*kubeletRootDir/) }]);
    expect(messages(found)).toContain(base);
    mkdirSync(base, { recursive: true });
    expect(await troubles(s, { ...s.plan(), socketDir: { ...directory, base, kubelet: true } })).toEqual([]);
  });

  it('that are missing will be made: the nearest one above them is judged', async () => {
    const s = await scene();
    const plan = s.plan({ port: { directory: join(s.sharedDir, 'a', 'b', 'own') } });
    expect(await troubles(s, plan, join(s.sharedDir, 'x', 'y', 'z'))).toEqual([]);
  });

  it('on two file systems are refused in server mode with the remedy: a socket cannot be renamed across (bug B9)', async () => {
    const s = await scene();
    const elsewhere = s.plan({ port: { mode: 'server', directory: '/proc/self/own' } });
    const found = await troubles(s, elsewhere);
    expect(found).toMatchObject([{ code: 7, message: expect.stringContaining('on another file system') }]);
    expect(messages(found)).toMatch(/use "client", or a "sharedDir"/);
  });
});

describe('every fault', () => {
  it('is named at once, each with its code, and nothing was touched', async () => {
    const s = await scene();
    const other = s.plan({ key: keyOf('c0ffee00c0ff1111') });
    await ensureBridge(bound(s.ovs, other, call()), other.bridge);
    await ensurePort(bound(s.ovs, other, call()), other.port);
    const before = [await tree(join(s.sharedDir, '..')), await s.ovsdb.tables()];
    const plan = s.plan({ port: { directory: `/tmp/${'p'.repeat(120)}` } });
    const spoilt: Plan = {
      ...plan,
      address: { program: 'no-such-ipam', path: ['/nowhere'] },
      socketDir: { ...plan.socketDir, group: 'no-such-group' },
    };
    const found = await troubles(s, spoilt, '/proc/data');
    const words = ['107', 'no-such-group', 'no-such-ipam', '"dataDir" "/proc/data"', 'net:c0ffee00c0ff1111:net1'];
    for (const word of words) expect(messages(found)).toContain(word);
    expect(found.map(({ code }) => code)).toEqual([7, 7, 7, 5, 7]);
    expect([await tree(join(s.sharedDir, '..')), await s.ovsdb.tables()]).toEqual(before);
  });
});
