/** Parts for the tests of recovery: a fake node's journals, opened as recovery opens them, and its tasks. */
import { now } from '../../../src/deadlines.ts';
import type { Entry } from '../../../src/drive/entry.ts';
import { openJournal } from '../../../src/drive/past.ts';
import type { Journal } from '../../../src/journal/journal.ts';
import { asChecked } from '../../../src/plan/result.ts';
import { recoverOne, reportUnreadable } from '../../../src/recovery/one.ts';
import type { Recovered, Task, Visit } from '../../../src/recovery/options.ts';
import { instance } from '../instance.ts';
import { FakeHost, type HostFault } from './fake-host.ts';
import { type Attachment, dataDir, FakeNode, journalOf, keyOf, podA } from './fake-node.ts';

export const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'server', ipam: true, deviceInfo: false };

export const clock = (): Date => new Date('2025-01-17T12:00:00.000Z');

export async function attachedNode(of: Attachment = one): Promise<FakeNode> {
  const node = new FakeNode().withNetns(of);
  const answer = await node.add(of);
  if (answer.kind !== 'ok') throw new Error(JSON.stringify(answer));
  return node;
}

export async function locked({ disk }: FakeNode, of: Attachment = one): Promise<Journal<Entry>> {
  const journal = openJournal(disk.spawn(), journalOf(of), { create: true, clock });
  if ((await journal?.lock(now() + 1_000)) !== 'held' || !journal) throw new Error('the lock is not to be had');
  return journal;
}

export interface Asked extends Partial<Task> {
  readonly faults?: readonly HostFault[];
}

type RecoveryVisit = Extract<Visit, { why: 'recovery' }>;

export const forRecovery = (changes: Partial<RecoveryVisit> = {}): RecoveryVisit => ({
  why: 'recovery',
  putBack: 'now',
  asChecked,
  dryRun: false,
  ...changes,
});

/** As recover, GC and DEL do it. */
export async function recovered(
  node: FakeNode,
  visit: Visit = forRecovery(),
  { faults = [], ...more }: Asked = {},
  of: Attachment = one,
): Promise<Recovered | undefined> {
  const task: Task = {
    disk: node.disk.spawn(),
    host: new FakeHost(node.world, { faults }).asHost,
    clock,
    dataDir,
    ovsdb: 'unix:/run/openvswitch/db.sock',
    removeMs: 1_000,
    instance,
    ...more,
  };
  const name = `${keyOf(of)}.journal`;
  return await reportUnreadable(name, () => recoverOne(name, task, visit));
}
