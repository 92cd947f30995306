/** Shared parts of the tests that remove a port: attaching on a stand-in switch, looking, and changing as another tool. */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { ensureBridge } from '../../../src/effects/ovs/bridge.ts';
import { ensurePort } from '../../../src/effects/ovs/port.ts';
import { removePort } from '../../../src/effects/ovs/port-removal.ts';
import type { Outcome } from '../../../src/machines/protocol.ts';
import { readSwitch } from '../real/world.ts';
import { bound, call, type Scene, scene, type WholePlan } from './scene.ts';

/** Removes the port as a separate call, whose fence ends with it. */
export async function remove(s: Scene, plan: WholePlan, ours = call(), ovs = s.another()): Promise<Outcome> {
  try {
    return await removePort(bound(ovs, plan, ours), {});
  } finally {
    ovs.close();
  }
}

export const namesOf = async ({ ovsdb }: Scene) => (await readSwitch(ovsdb)).ports.map(({ name }) => name);
export const socketOf = ({ port }: WholePlan) => join(port.directory, port.file);

/** Bridge, directory and port of a plan; a client's application has made its socket. */
export async function attach(s: Scene, plan: WholePlan, ours = call()): Promise<void> {
  const ovs = s.another();
  mkdirSync(plan.port.directory, { recursive: true });
  await ensureBridge(bound(ovs, plan, ours), plan.bridge);
  expect((await ensurePort(bound(ovs, plan, ours), plan.port)).kind).toBe('ok');
  ovs.close();
  if (plan.port.mode === 'client') await listenAt(socketOf(plan));
}

/** A socket file, as an application makes it. */
export async function listenAt(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
}

export async function attached(changes: Parameters<Scene['plan']>[0] = {}) {
  const s = await scene();
  const plan = s.plan(changes);
  await attach(s, plan);
  return { s, plan };
}

export const setPort = ({ ovsdb }: Scene, name: string, row: object) =>
  ovsdb.database.transact([{ op: 'update', table: 'Port', where: [['name', '==', name]], row }], {
    ownsLock: () => true,
    waitedMs: 0,
  });
