/** The predecessor's bugs on the file system and with programs, each by its number. No root is needed. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defaultDeadlines, now } from '../../../src/deadlines.ts';
import { ensureDeviceInfo, removeDeviceInfo } from '../../../src/effects/files/device-info.ts';
import { ensurePublication, removePublication } from '../../../src/effects/files/published-file.ts';
import { ensureSocketDir, removeSocketDir } from '../../../src/effects/files/socket-dir.ts';
import { createHost } from '../../../src/effects/host.ts';
import { ensureAddress, removeAddress } from '../../../src/effects/ipam/plugin.ts';
import { ensureBridge } from '../../../src/effects/ovs/bridge.ts';
import { map, named, select } from '../../../src/effects/ovs/operations.ts';
import { ensurePort } from '../../../src/effects/ovs/port.ts';
import { removePredecessors } from '../../../src/effects/ovs/predecessor.ts';
import { isBehind, selectSwitch } from '../../../src/effects/ovs/root-row.ts';
import type { Plan } from '../../../src/machines/protocol.ts';
import { bound, call, keyOf, noHolder, type Scene, scene } from '../../support/stand-in/scene.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'userspace-effects-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const soon = () => now() + 2_000;
const key = { network: 'net-a', containerId: '0123456789abcdef', ifName: 'net1' };
const dirPlan = (hold = '.hold') => ({ base: join(root, 'pods'), own: join(root, 'pods', '0123456789ab'), hold });

describe('the socket directory', () => {
  test('goes with the last attachment that shares it, never before, and its base stays (bug B23, bug B16)', async () => {
    await ensureSocketDir(dirPlan('.one'), soon());
    await ensureSocketDir(dirPlan('.two'), soon());
    await removeSocketDir(dirPlan('.one'), soon());
    expect(readdirSync(dirPlan().own)).toEqual(['.two']);
    await removeSocketDir(dirPlan('.two'), soon());
    await removeSocketDir(dirPlan('.two'), soon());
    expect(readdirSync(dirPlan().base)).toEqual([]);
  });

  test('is made by an ADD however often a sibling takes it away meanwhile (bug B23)', async () => {
    const others = async () => {
      for (let round = 0; round < 200; round++) {
        await ensureSocketDir(dirPlan('.other'), soon());
        await removeSocketDir(dirPlan('.other'), soon());
      }
    };
    const mine = async () => {
      for (let round = 0; round < 200; round++) {
        expect(await ensureSocketDir(dirPlan('.mine'), soon())).toEqual({ kind: 'ok' });
        expect(readdirSync(dirPlan().own)).toContain('.mine');
        await removeSocketDir(dirPlan('.mine'), soon());
      }
    };
    await Promise.all([others(), mine()]);
    expect(readdirSync(dirPlan().base)).toEqual([]);
  });

  test('lets the configured group create sockets, and no other user (bug B33)', async () => {
    await ensureSocketDir({ ...dirPlan(), group: String(process.getgid?.() ?? 0) }, soon());
    expect(statSync(dirPlan().own).mode & 0o777).toBe(0o770);
    expect(statSync(dirPlan().base).mode & 0o020).toBe(0);
  });

  test('that a pod replaced by a link leads nowhere: nothing is made or removed behind it (bug B30)', async () => {
    const canary = join(root, 'canary');
    mkdirSync(canary);
    mkdirSync(dirPlan().base);
    symlinkSync(canary, dirPlan().own);
    expect((await ensureSocketDir(dirPlan(), soon())).kind).toBe('failed');
    expect(await removeSocketDir(dirPlan(), soon())).toEqual({ kind: 'ok' });
    expect(readdirSync(canary)).toEqual([]);
    expect(readdirSync(dirPlan().base)).toEqual(['0123456789ab']);
  });
});

describe('the publication', () => {
  const plan = () => ({ directory: root, file: 'configData.json', data: { containerId: 'x' } });

  test.each(['configData.json', '.hash.tmp'])('never writes through a link at its name %s (bug B30)', async (name) => {
    const canary = join(root, 'canary');
    writeFileSync(canary, 'untouched');
    const temporary = `.${(await import('../../../src/attachment.ts')).keyHash(key)}.tmp`;
    symlinkSync(canary, join(root, name === '.hash.tmp' ? temporary : name));
    await ensurePublication(plan(), { key, addresses: undefined, findHolder: noHolder, end: soon() }).catch(
      () => undefined,
    );
    expect(readFileSync(canary, 'utf8')).toBe('untouched');
  });

  test('I10 is not held up by a FIFO at its name, and leaves what is not ours', async () => {
    execFileSync('mkfifo', [join(root, 'configData.json')]);
    expect(await removePublication(plan(), key, soon())).toEqual({ kind: 'ok' });
    expect(readdirSync(root)).toEqual(['configData.json']);
  });
});

describe('device information', () => {
  const plan = (file: string) => ({ path: join(root, file), mode: 'server' as const, socket: `/s/${file}` });

  test('of net1 is removed without that of net1.100, and with what a killed call left of it (bug B13)', async () => {
    await ensureDeviceInfo(plan('id_net1'), noHolder, soon());
    await ensureDeviceInfo(plan('id_net1.100'), noHolder, soon());
    writeFileSync(join(root, 'id_net1.12345'), readFileSync(join(root, 'id_net1'), 'utf8').slice(0, 20));
    await removeDeviceInfo(plan('id_net1'), { key, findHolder: noHolder, end: soon() });
    expect(readdirSync(root)).toEqual(['id_net1.100']);
  });
});

describe('an IPAM program', () => {
  const program = (body: string) => {
    writeFileSync(join(root, 'ipam'), `#!/bin/sh\n${body}\n`);
    chmodSync(join(root, 'ipam'), 0o755);
    return { program: 'ipam', path: [root] };
  };
  const text = { stdin: '{"name": "net-a"}', env: { CNI_CONTAINERID: 'x' } };
  const call = () => ({ instance: '', end: soon() });
  const impatient = { ...defaultDeadlines, ipamMs: 100 };

  test('that hangs is ended at its deadline, and the error says so (bug B38, case A44)', async () => {
    const outcome = await ensureAddress({
      plan: program('exec sleep 600'),
      text,
      key,
      call: call(),
      deadlines: impatient,
    });
    expect(outcome).toMatchObject({
      kind: 'failed',
      trouble: { code: 11, message: expect.stringContaining('in time') },
    });
  });

  test('is heard: its own error object, or else the end of its stderr (bug B38)', async () => {
    const own = program(`echo '{"code":7,"msg":"no range"}'; exit 1`);
    expect(await ensureAddress({ plan: own, text, key, call: call(), deadlines: defaultDeadlines })).toMatchObject({
      trouble: { code: 7, message: expect.stringContaining('no range') },
    });
    const mute = program('echo broken >&2; exit 3');
    expect(await ensureAddress({ plan: mute, text, key, call: call(), deadlines: defaultDeadlines })).toMatchObject({
      trouble: { message: expect.stringContaining('broken') },
    });
  });

  test('gets the configuration byte for byte and its command alone changed', async () => {
    const body = `cat > "${root}/stdin"; env > "${root}/env"; echo '{"ips":[{"address":"10.0.0.2/24"}]}'`;
    const outcome = await ensureAddress({ plan: program(body), text, key, call: call(), deadlines: defaultDeadlines });
    expect(outcome).toMatchObject({ kind: 'ok', facts: { ips: [{ address: '10.0.0.2/24' }] } });
    expect(readFileSync(join(root, 'stdin'), 'utf8')).toBe(text.stdin);
    expect(readFileSync(join(root, 'env'), 'utf8')).toMatch(/CNI_COMMAND=ADD/);
  });

  test('that no longer knows the address has released it; bug B4: one without an address is refused (case A13)', async () => {
    const forgetful = program(`echo '{"code":999,"msg":"Did not find reserved IP for container x"}'; exit 1`);
    expect(
      await removeAddress(
        { plan: forgetful, text, key, call: call(), deadlines: defaultDeadlines },
        { isGiven: true, isDoubtful: false },
      ),
    ).toEqual({ kind: 'ok' });
    const empty = program(`echo '{"ips":[]}'`);
    expect((await ensureAddress({ plan: empty, text, key, call: call(), deadlines: defaultDeadlines })).kind).toBe(
      'failed',
    );
  });
});

describe('before anything is touched', () => {
  test('every fault of the world is named at once: a path over 107 bytes, a group, a program, the database (bug B31, case A5)', async () => {
    const host = createHost(defaultDeadlines);
    const directory = join(root, 'd'.repeat(100));
    const plan: Plan = {
      key,
      ovsdb: `unix:${root}/none.sock`,
      request: { stdin: '', env: {} },
      address: { program: 'none', path: [root] },
      socketDir: { base: root, own: directory, hold: '.h', group: 'no such group' },
      port: { bridge: 'b', name: 's', mode: 'client', directory, file: 's', vlan: {}, marks: {} },
    };
    const troubles = await host.preflight(plan, join(root, 'data'), { instance: '', end: soon() });
    expect(troubles.map(({ code }) => code)).toEqual([7, 7, 7, 11]);
    expect(troubles.map(({ message }) => message).join('\n')).toMatch(/107.*no such group.*"none".*none\.sock/s);
    expect(readdirSync(root)).toEqual([]);
  });
});

describe('the remains of the predecessor', () => {
  /** Its state file, and its directories. */
  const left = (directory: string, name: string) => {
    const stateFile = join(root, 'local.json');
    writeFileSync(stateFile, JSON.stringify({ vhostname: name }));
    return { stateFile, directories: [directory] };
  };

  test.each(['client', 'server'] as const)(
    'I7 its DEL leaves the socket of a pod that came later and has a port of ours there (%s)',
    async (mode) => {
      const s = await scene();
      const plan = s.plan({
        key: keyOf('beef0000beef0000'),
        port: { mode, name: 'v1', file: 'v1', directory: s.sharedDir },
      });
      await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
      await ensurePort(bound(s.ovs, plan, call()), plan.port);
      const socket = join(s.sharedDir, 'v1');
      const server = mode === 'client' ? createServer().listen(socket) : undefined;
      const old = left(s.sharedDir, 'v1');
      await removePredecessors(bound(s.another(), s.plan(), call()), old);
      expect(readdirSync(s.sharedDir)).toContain('v1');
      expect(readdirSync(root)).toEqual([]);
      server?.close();
    },
  );

  test('its address waits for ovs-vswitchd as that of a port of ours does, whether the port was there or gone by then (case A32)', async () => {
    const s = await scene();
    const plan = s.plan({ port: { name: 'v1', file: 'v1', directory: s.sharedDir } });
    await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
    await ensurePort(bound(s.ovs, plan, call()), plan.port);
    const unmark = { op: 'update', table: 'Port', where: [['name', '==', 'v1']], row: { external_ids: ['map', []] } };
    await s.ovs.read(plan, [unmark], soon());
    s.ovsdb.faults.idle = true;
    s.ovs.close();
    const host = createHost(defaultDeadlines);
    const { port: _, ...others } = plan;
    const old = { ...others, predecessor: left(s.sharedDir, 'v1') };
    const asked: unknown[] = [];
    for (let round = 0; round < 2; round++)
      asked.push(await host.perform({ step: 'port', verb: 'remove', plan: old, facts: {} }, call()));
    host.close();
    const [root] = await s.ovs.read(plan, [selectSwitch], soon());
    const waiting = { kind: 'ok', facts: { goneAt: root?.rows?.[0]?.next_cfg } };
    expect(asked).toEqual([waiting, waiting]);
    expect(isBehind(root?.rows?.[0])).toBe(true);
  });

  test('its socket goes although its port is gone, and nothing else in the directory', async () => {
    const s = await scene();
    const servers = ['v1', 'v11'].map((name) => createServer().listen(join(s.sharedDir, name)));
    await removePredecessors(bound(s.ovs, s.plan(), call()), left(s.sharedDir, 'v1'));
    expect(readdirSync(s.sharedDir)).toEqual(['v11']);
    for (const server of servers) server.close();
  });

  /** A port of the predecessor's, made as ours without its marks. */
  async function predecessorsPort(s: Scene, name: string, directory: string) {
    mkdirSync(directory, { recursive: true });
    const plan = s.plan({ port: { name, file: name, directory } });
    await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
    await ensurePort(bound(s.ovs, plan, call()), plan.port);
    const unmark = { op: 'update', table: 'Port', where: [['name', '==', name]], row: { external_ids: ['map', []] } };
    await s.ovs.read(plan, [unmark], soon());
    s.ovs.close();
    return plan;
  }
  const portsOf = async (s: Scene) => (await s.ovs.read(s.plan(), [select('Port', [], ['name'])], soon()))[0]?.rows;

  test('kind 2: the directory that it made for its mount goes after a reboot, where its row alone says so', async () => {
    const s = await scene();
    const directory = join(root, 'base', '5b0d9e2a-6d5c-4c40-9d0e-0123456789ab');
    const plan = await predecessorsPort(s, 'v1', directory);
    await removePredecessors(bound(s.another(), plan, call()), left(s.sharedDir, 'v1'));
    expect(readdirSync(join(root, 'base'))).toEqual([]);
  });

  test('kind 2: its state file stays as long as a port may be what it spoke of', async () => {
    const s = await scene();
    const plan = await predecessorsPort(s, 'v1', s.sharedDir);
    const old = left(s.sharedDir, 'v1');
    writeFileSync(old.stateFile, '{"vhostna');
    await expect(removePredecessors(bound(s.another(), plan, call()), old)).rejects.toThrow(/v1.*remove the file/);
    expect(readdirSync(root)).toEqual(['local.json']);
  });

  test('kind 1: a port that a later attachment has made again under the same name stays', async () => {
    const s = await scene();
    const plan = await predecessorsPort(s, 'v1', s.sharedDir);
    const old = left(s.sharedDir, 'v1');
    writeFileSync(join(root, 'local-beef0000beef-net1.json'), '{"vhostname":"v1"}');
    utimesSync(old.stateFile, 1, 1);
    await removePredecessors(bound(s.another(), plan, call()), old);
    expect(await portsOf(s)).toContainEqual({ name: 'v1' });
    expect(readdirSync(root)).toEqual(['local-beef0000beef-net1.json']);
  });

  test('kind 2: what a removal knows by the row is in the state file before the row goes', async () => {
    const s = await scene();
    const directory = join(root, 'base', '5b0d9e2a-6d5c-4c40-9d0e-0123456789ab');
    const plan = await predecessorsPort(s, 'v1', directory);
    const path = map({ 'vhost-server-path': join(directory, 'v2') });
    await s.ovs.read(
      plan,
      [
        { op: 'insert', table: 'Interface', row: { name: 'v2', options: path }, 'uuid-name': 'i' },
        { op: 'insert', table: 'Port', row: { name: 'v2', interfaces: named('i') }, 'uuid-name': 'p' },
        { op: 'mutate', table: 'Bridge', where: [], mutations: [['ports', 'insert', named('p')]] },
      ],
      soon(),
    );
    const old = left(s.sharedDir, 'v1');
    await expect(removePredecessors(bound(s.another(), plan, call()), old)).rejects.toThrow(/port "v2"/);
    expect(await portsOf(s)).not.toContainEqual({ name: 'v1' });
    expect(JSON.parse(readFileSync(old.stateFile, 'utf8'))).toMatchObject({ vhostname: 'v1', boundTo: [directory] });
  });
});
