import { existsSync, mkdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { waitUntilReleased } from '../../../src/effects/ovs/applied.ts';
import { ensureBridge } from '../../../src/effects/ovs/bridge.ts';
import { ensurePort } from '../../../src/effects/ovs/port.ts';
import { removePort } from '../../../src/effects/ovs/port-removal.ts';
import { attached, namesOf, remove, setPort, socketOf } from '../../support/stand-in/port-parts.ts';
import { bound, call, scene, sought } from '../../support/stand-in/scene.ts';

describe('kind 2: a port whose marks another tool has cleared', () => {
  const uncertain = { external_ids: ['map', []] };

  it.each(['client', 'server'] as const)('is removed by the _uuid in the journal, in %s mode', async (mode) => {
    const s = await scene();
    const plan = s.plan({ port: { mode } });
    const ovs = s.another();
    mkdirSync(plan.port.directory, { recursive: true });
    await ensureBridge(bound(ovs, plan, call()), plan.bridge);
    const made = await ensurePort(bound(ovs, plan, call()), plan.port);
    ovs.close();
    const facts = { port: made.kind === 'ok' ? (made.facts as { uuid: string; ofport: number }) : { goneAt: 0 } };
    setPort(s, plan.port.name, uncertain);
    expect(await removePort(bound(s.another(), plan, call()), facts)).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
  });

  it('is removed by its name and its socket if no row is recorded', async () => {
    const { s, plan } = await attached();
    setPort(s, plan.port.name, uncertain);
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
  });

  it('stays, and is owed, if nothing tells its owner', async () => {
    const { s, plan } = await attached({ port: { mode: 'server' } });
    setPort(s, plan.port.name, uncertain);
    expect(await remove(s, plan)).toMatchObject({ kind: 'failed', trouble: { code: 11 } });
    expect(await namesOf(s)).toEqual([plan.port.name]);
  });

  it('is another’s if the journal of a living attachment names its socket, and so is the socket', async () => {
    const { s, plan } = await attached();
    setPort(s, plan.port.name, uncertain);
    const outcome = await remove(s, plan, call(5_000, { isAnothersSocket: (socket) => socket === socketOf(plan) }));
    expect(outcome).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([plan.port.name]);
    expect(existsSync(socketOf(plan))).toBe(true);
  });
});

describe('kind 1: the work of an earlier try of a removal', () => {
  it('is not repeated, because the next sandbox may have the name and the socket', async () => {
    const { s, plan } = await attached();
    const again = sought(plan, { port: { goneAt: 7 } });
    setPort(s, plan.port.name, {
      external_ids: ['map', Object.entries({ owner: 'userspace-cni', key: 'net:next:net1' })],
    });
    expect(await removePort(bound(s.another(), again.plan, call()), again.facts)).toEqual({
      kind: 'ok',
      facts: { goneAt: 7 },
    });
    expect(await namesOf(s)).toEqual([plan.port.name]);
    expect(existsSync(socketOf(plan))).toBe(true);
  });

  it('is repeated for a row with our marks, which a restored database brought back, but for no socket', async () => {
    const { s, plan } = await attached();
    const again = sought(plan, { port: { goneAt: 0 } });
    expect(await removePort(bound(s.another(), again.plan, call()), again.facts)).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
    expect(existsSync(socketOf(plan))).toBe(true);
  });

  it('does not make the address of a port wait for a database that never had the port', async () => {
    const { s, plan } = await attached();
    expect(await waitUntilReleased(bound(s.another(), plan, call()), 1_000_000)).toEqual({ kind: 'ok' });
  });
});

describe('kind 1: a socket that our application cannot have made', () => {
  it('stays in a shared directory, with and without a row', async () => {
    const { s, plan } = await attached();
    const stays = { ...plan, port: { ...plan.port, socketStays: true as const } };
    expect(await remove(s, stays)).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
    expect(existsSync(socketOf(plan))).toBe(true);
  });
});
