/**
 * A node with many attachments, whose journals the product's own verbs have written: in memory, in virtual time, and then copied to a
 * directory. So every screen of it is the same in every run.
 */
import { createHash } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { journalSuffix } from '../../src/attachment.ts';
import type { Disk } from '../../src/journal/disk.ts';
import { listJournals } from '../../src/journal/store.ts';
import type { Step } from '../../src/machines/protocol.ts';
import { type Attachment, dataDir, FakeNode, type Fate, portOf } from './fake/fake-node.ts';
import { VirtualTime } from './fake/virtual-time.ts';

/** How long each step takes, in milliseconds. */
const took: Readonly<Record<Step, number>> = {
  address: 31.4,
  socketDir: 0.6,
  bridge: 2.2,
  port: 18.9,
  publication: 6.3,
  deviceInfo: 0.4,
};

const began = Date.parse('2025-01-17T12:00:00.000Z');
const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000] as const;

/** The time at which a person looks. */
export const lookedAt = new Date(began + 3 * day);

const networks = ['dpdk-net', 'storage', 'dpdk-net'] as const;

const one = (index: number): Attachment => ({
  containerId: createHash('sha256').update(String(index)).digest('hex'),
  ifName: index % 4 === 3 ? 'net2' : 'net1',
  mode: index % 3 === 0 ? 'server' : 'client',
  ipam: true,
  deviceInfo: false,
  pod: `app-${index}`,
});

const networkOf = (index: number): string => networks[index % networks.length] ?? '';

const nameOf = (index: number): string =>
  `${networkOf(index)}:${one(index).containerId}:${one(index).ifName}${journalSuffix}`;

/** The attachments with a story, by their index. */
export const told = { owed: 3, putBack: 4, adding: 6, damaged: 7, died: 8 } as const;

/** The container of a story, as a person types it. */
export const idOf = (story: keyof typeof told | number): string =>
  one(typeof story === 'number' ? story : told[story]).containerId.slice(0, 12);

class Story {
  readonly node = new FakeNode();
  #passed = 0;

  constructor(time: VirtualTime) {
    Object.defineProperty(this.node, 'now', { get: () => new Date(began + this.#passed + time.now) });
  }

  later(ms: number): void {
    this.#passed += ms;
  }

  /** @param slow how much longer than usual everything takes */
  fate(index: number, more: Fate = {}, slow = 1): Fate {
    const watch: Fate['watch'] = async ({ step, verb, at, plan }) => {
      // A step that is not planned any more has nothing to do.
      if (at === 'before' && verb !== 'find' && plan?.[step as Step] !== undefined)
        await new Promise((done) => setTimeout(done, took[step as Step] * slow));
    };
    return { changes: { name: networkOf(index) }, watch, ...more };
  }

  async add(index: number, more: Fate = {}): Promise<void> {
    this.later(20 * second);
    this.node.withNetns(one(index));
    await this.node.add(one(index), this.fate(index, more, 1 + (index % 5) / 4));
  }
}

const killed = { step: 'port', verb: 'ensure', how: 'crash', at: 'during' } as const;

/** @returns the disk with the journals of so many attachments */
async function played(count: number): Promise<Disk> {
  const time = new VirtualTime();
  const restore = time.install();
  try {
    const story = new Story(time);
    const few = Math.min(count, 10);
    const late: readonly number[] = [told.adding, told.died];
    for (let index = 0; index < few; index++) if (!late.includes(index)) await story.add(index);
    if (count > few) await losePort(story);
    for (let index = few; index < count; index++) await story.add(index);
    if (count > few) {
      story.later(day);
      await story.add(told.died, { host: [killed] });
      await oweAddress(story);
      await story.add(told.adding, { host: [killed] });
    }
    return story.node.disk.spawn();
  } finally {
    restore();
  }
}

/** The switch loses a port. The first recovery dies while it puts it back, and the second one does it. */
async function losePort(story: Story): Promise<void> {
  const { node } = story;
  story.later(hour);
  node.world.ports.delete(portOf(one(told.putBack)));
  const [watched, dying] = [story.fate(0), { step: 'port', verb: 'restore', how: 'crash', at: 'before' }] as const;
  await node.recover({ ...watched, host: [dying] });
  story.later(5 * minute);
  await node.recover(watched);
}

/** A DEL that the switch does not answer, a recovery that finds the pool away, and one after the clock was set back. */
async function oweAddress(story: Story): Promise<void> {
  const index = told.owed;
  const { node } = story;
  const poolAway = { step: 'address', verb: 'remove', how: { code: 11 }, forever: true } as const;
  await node.del(one(index), story.fate(index, { host: [{ step: 'port', verb: 'remove', how: 'hang' }] }));
  story.later(5 * minute);
  await node.recover(story.fate(index, { host: [poolAway] }));
  story.later(-2 * hour);
  await node.recover(story.fate(index, { host: [poolAway] }));
}

/** Writes the journals of a node with so many attachments into a directory, one of them damaged. */
export async function fillNode(directory: string, count: number): Promise<void> {
  const disk = await played(count);
  for (const name of listJournals(disk, dataDir, journalSuffix)) {
    const fd = disk.open(join(dataDir, name), 'r');
    const [bytes, { mode }] = [disk.read(fd), disk.stat(fd)];
    disk.close(fd);
    const whole = Buffer.from(bytes).toString();
    const text = count > 1 && name === nameOf(told.damaged) ? whole.replace('"step":"port"', '"step":"pork"') : whole;
    const path = join(directory, name);
    writeFileSync(path, text);
    chmodSync(path, Number(mode) & 0o7777);
  }
}
