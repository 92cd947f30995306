/** `vhost.socketfile` gives one name to one sandbox after the other: ovs-vswitchd may not have let go of it yet. */
import { lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Deadlines } from '../../../src/deadlines.ts';
import { ensureBridge } from '../../../src/effects/ovs/bridge.ts';
import { ensurePort, restorePort } from '../../../src/effects/ovs/port.ts';
import { removePort } from '../../../src/effects/ovs/port-removal.ts';
import { findPort, isPortLost } from '../../../src/effects/ovs/port-view.ts';
import { readSwitch } from '../../support/real/world.ts';
import { bound, call, keyOf, type Scene, scene, troubleOf, type WholePlan } from '../../support/stand-in/scene.ts';

const ensure = (s: Scene, plan: WholePlan, ours = call(), ovs = s.ovs) => ensurePort(bound(ovs, plan, ours), plan.port);

const portsOf = async ({ ovsdb }: Scene) => (await readSwitch(ovsdb)).ports;

/** A switch with the plan's bridge on it, and the plan's directory. */
async function prepared(changes: Parameters<Scene['plan']>[0] = {}, deadlines: Partial<Deadlines> = {}) {
  const s = await scene(deadlines);
  const plan = s.plan(changes);
  mkdirSync(plan.port.directory);
  await ensureBridge(bound(s.ovs, plan, call()), plan.bridge);
  return { s, plan };
}

describe('a name that another port had until a moment ago', () => {
  /** The old port is deleted while ovs-vswitchd stands still; the next one has its name, in a directory of its own. */
  async function handedOn(mode: 'client' | 'server', changes: Partial<Deadlines> = {}) {
    const { s, plan } = await prepared({ port: { mode, file: 's', name: 's' } }, changes);
    expect(await ensure(s, plan)).toMatchObject({ kind: 'ok' });
    s.ovsdb.faults.idle = true;
    await removePort(bound(s.ovs, plan, call()), {});
    const next = s.plan({ key: keyOf('beef0000beef0000'), port: { mode, file: 's', name: 's' } });
    mkdirSync(next.port.directory);
    return { s, plan, next, ours: s.another() };
  }
  /** Waits until the new row exists. */
  const goOnLater = ({ ovsdb }: Scene) => {
    ovsdb.faults.request = (_, params) => {
      if (JSON.stringify(params).includes('"cur_cfg"],"until"')) setImmediate(() => ovsdb.resume());
      return undefined;
    };
  };

  it('leads to its own socket, although ovs-vswitchd hears of both at once (client)', async () => {
    const { s, plan, next, ours } = await handedOn('client');
    expect(s.ovsdb.connectsTo('s')).toBe(join(plan.port.directory, 's'));
    goOnLater(s);
    expect(await ensure(s, next, call(), ours)).toMatchObject({ kind: 'ok' });
    expect(s.ovsdb.connectsTo('s')).toBe(join(next.port.directory, 's'));
    expect(await findPort(bound(ours, next, call()), next.port, {})).toEqual({ kind: 'ok' });
  });

  it('has a socket of its own, although ovs-vswitchd hears of both at once (server)', async () => {
    const { s, next, ours } = await handedOn('server');
    goOnLater(s);
    expect(await ensure(s, next, call(), ours)).toMatchObject({ kind: 'ok' });
    expect(lstatSync(join(next.port.directory, 's')).isSocket()).toBe(true);
    expect(await findPort(bound(ours, next, call()), next.port, {})).toEqual({ kind: 'ok' });
  });

  it('is kept by a row of ours until ovs-vswitchd has let go of it, so that no other port can take it', async () => {
    const { s, next } = await handedOn('client', { switchMs: 1_000 });
    expect(troubleOf(await ensure(s, next, call(), s.another()))).toMatchObject({
      code: 11,
      message: expect.stringContaining('ovs-vswitchd has applied'),
    });
    expect(await portsOf(s)).toMatchObject([{ name: 's', type: 'none', options: {} }]);
  });

  it('is not waited for if ovs-vswitchd has let go of it: one transaction makes the port', async () => {
    const { s, plan } = await prepared();
    let inserted = 0;
    s.ovsdb.faults.request = (_, params) => {
      inserted += Number(JSON.stringify(params).includes('"insert"'));
      return undefined;
    };
    expect(await ensure(s, plan)).toMatchObject({ kind: 'ok' });
    expect(inserted).toBe(1);
  });

  it('is lost if its put-back did not finish, and the next one puts it back', async () => {
    const { s, next, ours } = await handedOn('client', { switchMs: 1_000 });
    const first = s.another();
    expect((await ensure(s, next, call(), first)).kind).toBe('failed');
    first.close();
    s.ovsdb.resume();
    expect(await isPortLost(bound(ours, next, call()), next.port, {})).toBe(true);
    expect(await restorePort(bound(ours, next, call()), next.port)).toMatchObject({ kind: 'ok' });
    expect(await isPortLost(bound(ours, next, call()), next.port, {})).toBe(false);
    expect(s.ovsdb.connectsTo('s')).toBe(join(next.port.directory, 's'));
  });

  it.each(['drop-before-commit', 'drop-after-commit'] as const)(
    'is freed by a removal, wherever the call died that took it (%s)',
    async (kind) => {
      for (let nth = 1; ; nth++) {
        const { s, next, ours } = await handedOn('client');
        let [asked, died] = [0, false];
        s.ovsdb.faults.request = (method, params) => {
          if (JSON.stringify(params).includes('"cur_cfg"],"until"')) setImmediate(() => s.ovsdb.resume());
          if (method !== 'transact' || ++asked !== nth) return undefined;
          died = true;
          return { kind };
        };
        const outcome = await ensure(s, next, call(), ours).catch(() => undefined);
        expect({ nth, died }).toEqual({ nth, died: outcome?.kind !== 'ok' });
        if (!died) {
          expect(nth).toBeGreaterThan(5);
          break;
        }
        ours.close();
        s.ovsdb.faults = {};
        s.ovsdb.resume();
        await removePort(bound(s.another(), next, call()), {});
        s.ovsdb.resume();
        expect({ ports: await portsOf(s), to: s.ovsdb.connectsTo('s') }).toEqual({ ports: [], to: undefined });
      }
    },
  );
});
