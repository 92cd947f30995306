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

  it.each(['client', 'server'] as const)('goes by the _uuid that the journal has, in %s mode', async (mode) => {
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

  it('goes by its name with its socket where no row is recorded', async () => {
    const { s, plan } = await attached();
    setPort(s, plan.port.name, uncertain);
    expect(await remove(s, plan)).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
  });

  it('is left, and owed, where nothing tells whose it is', async () => {
    const { s, plan } = await attached({ port: { mode: 'server' } });
    setPort(s, plan.port.name, uncertain);
    expect(await remove(s, plan)).toMatchObject({ kind: 'failed', trouble: { code: 11 } });
    expect(await namesOf(s)).toEqual([plan.port.name]);
  });

  it('is another’s where the journal of a living attachment names its socket, and so is the socket', async () => {
    const { s, plan } = await attached();
    setPort(s, plan.port.name, uncertain);
    const outcome = await remove(s, plan, call(5_000, { isAnothersSocket: (socket) => socket === socketOf(plan) }));
    expect(outcome).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([plan.port.name]);
    expect(existsSync(socketOf(plan))).toBe(true);
  });
});

describe('kind 1: what an earlier try of a removal has done', () => {
  it('is not done again: the name and the socket may be the next sandbox’s by now', async () => {
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

  it('is done again to a row that bears our own marks, which a restored database brought back, and to no socket', async () => {
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

describe('kind 1: a socket that no application of ours can have made', () => {
  it('stays in a directory that others share, row or no row', async () => {
    const { s, plan } = await attached();
    const stays = { ...plan, port: { ...plan.port, socketStays: true as const } };
    expect(await remove(s, stays)).toMatchObject({ kind: 'ok' });
    expect(await namesOf(s)).toEqual([]);
    expect(existsSync(socketOf(plan))).toBe(true);
  });
});
