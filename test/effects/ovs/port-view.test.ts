import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { holdFileName } from '../../../src/attachment.ts';
import { bootId } from '../../../src/effects/netns.ts';
import { ensureBridge } from '../../../src/effects/ovs/bridge.ts';
import { ensurePort } from '../../../src/effects/ovs/port.ts';
import { heldTroubles, selectHolders } from '../../../src/effects/ovs/port-holder.ts';
import { removePort } from '../../../src/effects/ovs/port-removal.ts';
import { findPort, isPortLost } from '../../../src/effects/ovs/port-view.ts';
import { isLaterSandbox, recallPort } from '../../../src/effects/ovs/recall.ts';
import type { Switch } from '../../../src/effects/ovs/switch.ts';
import type { PortPlan } from '../../../src/machines/protocol.ts';
import { readSwitch } from '../../support/real/world.ts';
import {
  bound,
  call,
  keyOf,
  planAt,
  type Scene,
  scene,
  troubleOf,
  type WholePlan,
} from '../../support/stand-in/scene.ts';

const everything: Partial<PortPlan> = {
  vlan: { tag: 7, trunks: [2, 1], mode: 'native-tagged' },
  mtu: 1400,
  policingRate: 9,
  policingBurst: 8,
  ovnPort: 'lsp',
};

async function attached(port: Partial<PortPlan> = {}) {
  const s = await scene();
  const plan = s.plan({ port });
  mkdirSync(plan.port.directory);
  await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
  expect((await ensurePort(bound(s.ovs, plan, call()), plan.port)).kind).toBe('ok');
  return { s, plan };
}

const find = (s: Scene, plan: WholePlan) => findPort(bound(s.ovs, plan, call()), plan.port, {});

const update = ({ ovsdb }: Scene, table: string, name: string, row: object) =>
  ovsdb.database.transact([{ op: 'update', table, where: [['name', '==', name]], row }], {
    ownsLock: () => true,
    waitedMs: 0,
  });

describe('looking at a port', () => {
  it.each([
    ['with everything', everything],
    ['with nothing', {}],
    ['in server mode', { mode: 'server' } as const],
  ])('%s finds it as it was made, although its link is down (case A3)', async (_, port) => {
    const { s, plan } = await attached(port);
    expect(s.ovsdb.dump('Interface').find(({ name }) => name === plan.port.name)).toMatchObject({ link_state: 'down' });
    expect(await find(s, plan)).toEqual({ kind: 'ok' });
  });

  it('ignores other writers’ values, and an OVN port that the plan does not ask for (need N5)', async () => {
    for (const port of [everything, {}]) {
      const { s, plan } = await attached(port);
      const ids = ['iface-id', 'lsp'];
      await update(s, 'Interface', plan.port.name, { external_ids: ['map', [ids, ['ovn-installed', 'true']]] });
      expect(await find(s, plan)).toEqual({ kind: 'ok' });
    }
  });

  it.each([
    ['Port', { tag: 8 }, 'tag is "8" instead of "7"'],
    ['Port', { trunks: ['set', [1]] }, 'trunks is "1" instead of "1 2"'],
    ['Interface', { external_ids: ['map', [['iface-id', 'x']]] }, 'iface-id is "x" instead of "lsp"'],
    ['Interface', { external_ids: ['map', []] }, 'iface-id is "" instead of "lsp"'],
    ['Port', { vlan_mode: 'access' }, 'vlan_mode is "access" instead of "native-tagged"'],
    ['Port', { tag: ['set', []] }, 'tag is "" instead of "7"'],
    ['Interface', { type: 'internal' }, 'type is "internal" instead of "dpdkvhostuserclient"'],
    ['Interface', { mtu_request: 9000 }, 'mtu_request is "9000" instead of "1400"'],
    ['Interface', { ingress_policing_rate: 1 }, 'ingress_policing_rate is "1" instead of "9"'],
    ['Interface', { ingress_policing_burst: 0 }, 'ingress_policing_burst is "0" instead of "8"'],
    ['Interface', { options: ['map', [['vhost-server-path', '/x']]] }, 'vhost-server-path is "/x" instead of'],
    ['Interface', { error: 'no such device' }, 'error is "no such device"'],
    ['Interface', { ofport: -1 }, 'it has no ofport'],
  ])('names the drift: %s %j (case A7)', async (table, row, words) => {
    const { s, plan } = await attached(everything);
    update(s, table, plan.port.name, row);
    expect(troubleOf(await find(s, plan))).toMatchObject({ code: 100, message: expect.stringContaining(words) });
  });

  it('names all drift at once', async () => {
    const { s, plan } = await attached(everything);
    update(s, 'Port', plan.port.name, { tag: 8 });
    update(s, 'Interface', plan.port.name, { mtu_request: 9000 });
    const { message } = troubleOf(await find(s, plan));
    for (const word of [plan.port.name, 'tag', 'mtu_request']) expect(message).toContain(word);
  });

  it('names a port that is gone, and one that has our name without our marks', async () => {
    const { s, plan } = await attached();
    update(s, 'Port', plan.port.name, { external_ids: ['map', []] });
    expect(troubleOf(await find(s, plan)).message).toContain('its marks (external_ids) are gone');
    await s.ovsdb.removeBridge('br0');
    expect(troubleOf(await find(s, plan)).message).toContain('is gone');
  });

  it('names another bridge that it is on', async () => {
    const { s, plan } = await attached();
    update(s, 'Bridge', 'br0', { name: 'br7' });
    expect(troubleOf(await find(s, plan)).message).toContain('bridge is "br7" instead of "br0"');
  });

  it('in server mode names a socket that is gone: the application has nothing to connect to', async () => {
    const { s, plan } = await attached({ mode: 'server' });
    const socket = join(plan.port.directory, plan.port.file);
    rmSync(socket);
    expect(troubleOf(await find(s, plan)).message).toContain(`socket "${socket}" is gone`);
  });

  it('in client mode does not look for the socket: the application may not have made it yet (case A3)', async () => {
    const { s, plan } = await attached();
    rmSync(plan.port.directory, { recursive: true });
    expect(await find(s, plan)).toEqual({ kind: 'ok' });
  });
});

describe('the holder of a name or a socket', () => {
  const troubles = async (s: Scene, { port, ...plan }: WholePlan, ours = call()) => {
    const ovs = bound(s.ovs, plan, ours);
    return heldTroubles(ovs, port, await ovs.read(selectHolders(plan, port)));
  };

  it('does not exist on an empty switch, and is never this attachment itself', async () => {
    const s = await scene();
    expect(await troubles(s, s.plan())).toEqual([]);
    const { s: t, plan } = await attached();
    expect(await troubles(t, plan)).toEqual([]);
  });

  it('is the attachment with the same first 12 characters, by its whole key (bug B27)', async () => {
    const { s, plan } = await attached();
    const twin = planAt(s.ovsdb.ovsdb, s.sharedDir, { key: keyOf(`${plan.key.containerId.slice(0, 12)}ffff`) });
    expect(await troubles(s, twin)).toEqual([
      { code: 7, message: expect.stringContaining('held by attachment "net:c0ffee00c0ffee00:net1"') },
    ]);
  });

  it('is the attachment that uses the socket under another name (bug B28)', async () => {
    const { s, plan } = await attached({ file: 'own.sock' });
    const second = s.plan({
      key: keyOf('beef0000beef0000'),
      port: { file: 'own.sock', directory: plan.port.directory },
    });
    expect(await troubles(s, second)).toEqual([
      { code: 7, message: expect.stringContaining('held by attachment "net:c0ffee00c0ffee00:net1"') },
    ]);
  });

  it('is another instance of ours on the same switch', async () => {
    const { s, plan } = await attached();
    expect(await troubles(s, plan, call(5_000, { instance: 'f'.repeat(16) }))).toHaveLength(1);
  });

  it('is a port of an administrator', async () => {
    const { s, plan } = await attached();
    update(s, 'Port', plan.port.name, { external_ids: ['map', [['owner', 'admin']]] });
    expect(await troubles(s, plan)).toEqual([{ code: 7, message: expect.stringContaining('a port that is not ours') }]);
  });

  it('is an interface of a bond of an administrator', async () => {
    const { s, plan } = await attached();
    update(s, 'Port', plan.port.name, { name: 'bond0', external_ids: ['map', []] });
    expect(await troubles(s, plan)).toEqual([
      { code: 7, message: expect.stringContaining('an interface that is not ours') },
    ]);
  });
});

describe('recalling an attachment from its marks', () => {
  it('gives bridge, directory, hold file and publication as they were made', async () => {
    const { s, plan } = await attached();
    expect(await recallPort(bound(s.ovs, plan, call()))).toEqual({
      kind: 'own',
      instance: call().instance,
      plan: {
        bridge: { name: 'br0' },
        socketDir: { base: s.sharedDir, own: plan.port.directory, hold: holdFileName(plan.key) },
        publication: { directory: plan.port.directory, file: plan.publication.file, data: {} },
      },
    });
  });

  it('kind 2: reports a port of this key that was made through another data directory (case A22)', async () => {
    const { s, plan } = await attached();
    const foreign = call(5_000, { instance: 'f'.repeat(16), dataDir: '/other' });
    expect(await recallPort(bound(s.another(), plan, foreign))).toMatchObject({
      kind: 'elsewhere',
      trouble: { code: 7 },
    });
    expect(await recallPort(bound(s.another(), { ...plan, key: keyOf('other') }, call()))).toEqual({ kind: 'none' });
  });
});

describe('a transaction that a dead call had sent and the database has not taken yet', () => {
  /** The dead call has the fence, and its insertion lands once another call has asked for the fence. */
  async function dead() {
    const s = await scene();
    const plan = s.plan();
    mkdirSync(plan.port.directory);
    const [one, ours] = [s.another(), s.another()];
    await ensureBridge(bound(one, plan, call()), plan.bridge);
    const landed = new Promise<void>((resolve) => {
      s.ovsdb.faults.request = (method) => {
        if (method !== 'lock') return undefined;
        s.ovsdb.faults.request = () => undefined;
        setImmediate(async () => {
          await ensurePort(bound(one, plan, call()), plan.port);
          one.close();
          resolve();
        });
        return undefined;
      };
    });
    return { s, plan, ours, landed };
  }

  it.each<[string, (ovs: Switch, plan: WholePlan) => Promise<unknown>, unknown]>([
    ['CHECK', (ovs, plan) => findPort(bound(ovs, plan, call()), plan.port, {}), { kind: 'ok' }],
    ['a put-back', (ovs, plan) => isPortLost(bound(ovs, plan, call()), plan.port, {}), false],
    [
      'a removal without a journal',
      (ovs, plan) => recallPort(bound(ovs, plan, call())),
      { kind: 'own', plan: { bridge: { name: 'br0' } } },
    ],
  ])('is waited for by %s, before it looks (I8)', async (_, look, seen) => {
    const { plan, ours, landed } = await dead();
    const answer = await look(ours, plan);
    await landed;
    if (typeof seen === 'object') expect(answer).toMatchObject(seen as object);
    else expect(answer).toBe(seen);
  });

  it('is removed by the removal that came after it (I8)', async () => {
    const { s, plan, ours, landed } = await dead();
    await removePort(bound(ours, plan, call()), {});
    await landed;
    expect((await readSwitch(s.ovsdb)).ports).toEqual([]);
  });
});

describe('the later sandbox of a pod', () => {
  const at = (ms: number, boot = bootId()) => `${boot} ${String(ms).padStart(12, '0')}`;

  it.each<[string, string, string, boolean]>([
    ['began later', at(2), '/proc/self/ns/net', true],
    ['began earlier', at(0), '/proc/self/ns/net', false],
    ['began in another boot', at(2, 'f'.repeat(36)), '/proc/self/ns/net', false],
    ['began at a time of day, of an earlier version', '2099-01-01T00:00:00.000Z', '/proc/self/ns/net', false],
    ['no longer has a namespace', at(2), '/nowhere', false],
  ])('is judged right for one that %s', async (_, begun, netns, expected) => {
    const s = await scene();
    const other = s.plan({ key: keyOf('beef0000beef0000'), port: { marks: { netns } } });
    mkdirSync(other.port.directory);
    await ensureBridge(bound(s.ovs, other, call()), other.bridge);
    await ensurePort(bound(s.ovs, other, call(5_000, { begun })), other.port);
    expect(await isLaterSandbox(bound(s.another(), s.plan(), call()), other.key.containerId, at(1))).toBe(expected);
  });
});
