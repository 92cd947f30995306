/** The instance id at every point where a call can die, and after any power cut (ST1). */
import { describe, expect, it } from 'vitest';
import { now } from '../../src/deadlines.ts';
import { ensureInstance, readInstance } from '../../src/journal/store.ts';
import { everyChoice, keepAll } from '../support/fake/choices.ts';
import { ProcessKilled, SimulatedDisk } from '../support/fake/simulated-disk.ts';

const dataDir = '/var/cni/userspace';

/** The answer of a call; undefined if it died. */
async function told(disk: SimulatedDisk, id: string): Promise<string | undefined> {
  try {
    return await ensureInstance(disk, dataDir, () => id.repeat(16), now() + 1_000);
  } catch (error) {
    if (error instanceof ProcessKilled) return undefined;
    throw error;
  }
}

/** Every state the disk can be in when power returns. */
function fates(disk: SimulatedDisk): SimulatedDisk[] {
  const seen: SimulatedDisk[] = [];
  everyChoice((choose) => seen.push(disk.powerCut(choose)));
  return seen;
}

/** A disk on which a call died before its n-th system call; undefined if it came to its end before. */
async function diedAt(call: number, disk: SimulatedDisk, id: string): Promise<SimulatedDisk | undefined> {
  disk.inject({ call: 'every', nth: call, how: 'crash' });
  return (await told(disk, id)) === undefined ? disk : undefined;
}

describe('the instance id after a death at every system call', () => {
  it('that a call got is the one that every later call gets, after any power cut', async () => {
    let points = 0;
    let cuts = 0;
    for (let first = 1; ; first++) {
      const disk = await diedAt(first, new SimulatedDisk(['/var']), 'a');
      if (!disk) break;
      points++;
      for (const found of [disk.processDeath(), ...fates(disk)]) {
        const id = await told(found, 'b');
        for (const after of fates(found)) {
          cuts++;
          expect(readInstance(after, dataDir)).toBe(id);
          expect(await told(after, 'c')).toBe(id);
        }
      }
    }
    console.log(`instance id: ${points} crash points, ${cuts} power cuts`);
  });

  it('that a call got outlives the death of every later call on its way, and a power cut after that', async () => {
    const states: SimulatedDisk[] = [];
    for (let first = 1; ; first++) {
      const disk = await diedAt(first, new SimulatedDisk(['/var']), 'a');
      if (!disk) break;
      const found = disk.processDeath();
      await told(found, 'b');
      states.push(...fates(found));
    }
    for (const state of states) {
      const id = readInstance(state, dataDir);
      for (let later = 1; ; later++) {
        const dead = await diedAt(later, state.powerCut(keepAll), 'c');
        if (!dead) break;
        for (const found of [dead.processDeath(), ...fates(dead)]) expect(await told(found, 'd')).toBe(id);
      }
    }
  });

  it('is whole or not there, and a second death on the way to it changes nothing', async () => {
    for (let first = 1; ; first++) {
      const disk = await diedAt(first, new SimulatedDisk(['/var']), 'a');
      if (!disk) break;
      for (let second = 1; ; second++) {
        const again = await diedAt(second, disk.powerCut(keepAll), 'b');
        if (!again) break;
        const found = again.processDeath();
        const id = await told(found, 'c');
        expect(id).toMatch(/^(a{16}|b{16}|c{16})$/);
        for (const after of fates(found)) expect(await told(after, 'd')).toBe(id);
      }
    }
  });
});
