/**
 * Calls for one attachment that meet. Every interleaving is made by hand: one process is held at a moment of an effect, the other
 * comes, the first goes on. The moments are those that were seen in a run of the call.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Disk } from '../../src/journal/disk.ts';
import { loseAll } from '../support/fake/choices.ts';
import { diskKindsOf, fork, watched } from '../support/fake/crash-points.ts';
import type { Instant } from '../support/fake/fake-host.ts';
import { type Answer, type Attachment, dataDir, FakeNode, journalOf, podA } from '../support/fake/fake-node.ts';
import { heldAt, momentsIn, placeText, until } from '../support/fake/held-call.ts';
import type { SimulatedDisk } from '../support/fake/simulated-disk.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, isGoing, lawsBroken, leftOf } from '../support/fake/world-checker.ts';
import { withSeed } from '../support/seed.ts';

afterAll(new VirtualTime().install());

const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'server', ipam: true, deviceInfo: true };
const sibling: Attachment = { ...one, ifName: 'net2', deviceInfo: false };
const other: Attachment = { ...one, containerId: 'beef00beef00beef', mode: 'client', deviceInfo: false };

/** Runs of the property. */
const interleavings = 150;

const newNode = (): FakeNode => new FakeNode().withNetns(one, other);

async function attached(...all: readonly Attachment[]): Promise<FakeNode> {
  const node = newNode();
  for (const each of all) expect(await node.add(each)).toMatchObject({ kind: 'ok' });
  return node;
}

const ok = { kind: 'ok' };
const tryAgain = { kind: 'error', code: 11 };

/** Expects that nothing of it is left, and that no law was broken on the way. */
function expectGone(node: FakeNode, ...all: readonly Attachment[]): void {
  expect(all.flatMap((each) => leftOf(each, node))).toEqual([]);
  expect(lawsBroken(node)).toEqual([]);
}

/** Runs something right before the n-th call on the disk. */
function interrupted(disk: SimulatedDisk, call: number, by: (disk: SimulatedDisk) => void): Disk {
  let calls = 0;
  return watched(disk, () => {
    if (calls++ === call) by(disk);
  });
}

/** Marks as a DEL does before it waits for the lock. @returns false if it would have to make the data directory first */
function markedByAnother(each: Attachment, disk: SimulatedDisk): boolean {
  const process = disk.spawn();
  if (process.lookup(dataDir) === undefined) return false;
  const fd = process.open(journalOf(each), 'a+', 0o600);
  process.chmod(fd, 0o1714);
  process.fsync(fd);
  process.processDeath();
  return true;
}

let moments: { add: Instant[]; del: Instant[] };

beforeAll(async () => {
  const node = newNode();
  moments = {
    add: await momentsIn((watch) => node.add(one, { watch })),
    del: await momentsIn((watch) => node.del(one, { watch })),
  };
});

describe('DEL while ADD is at work', () => {
  it('ADD sees the going mark before its next intent and before its answer, takes everything back and answers 11', async () => {
    expect(moments.add.map(placeText)).toContain('after ensure deviceInfo');
    for (const place of moments.add) {
      const node = newNode();
      const made: string[] = [];
      let marked = false;
      const add = await heldAt(place, (pass) =>
        node.add(one, {
          watch: async (instant) => {
            if (marked && instant.at === 'before' && instant.verb === 'ensure') made.push(placeText(instant));
            await pass(instant);
          },
        }),
      );
      const del = node.del(one);
      await until(() => isGoing(one, node.disk));
      marked = true;
      add.open();
      expect([placeText(place), await add.answer, await del]).toMatchObject([placeText(place), tryAgain, ok]);
      expect(made).toEqual([]);
      expectGone(node, one);
    }
  });

  it('DEL that waits in vain touches nothing and answers success; when ADD ends, nothing is left (I4, I8)', async () => {
    for (const place of moments.add) {
      const node = newNode();
      const add = await heldAt(place, (watch) => node.add(one, { watch }));
      const before = node.world.describe();
      expect(await node.del(one)).toMatchObject(ok);
      expect(node.world.describe()).toBe(before);
      expect(isGoing(one, node.disk)).toBe(true);
      add.open();
      expect(await add.answer).toMatchObject(tryAgain);
      expectGone(node, one);
    }
  });

  it('if the ADD dies after a DEL waited in vain, the next lock holder removes the leftovers (I4)', async () => {
    for (const place of moments.add.filter(({ at }) => at === 'before')) {
      for (const next of ['recover', 'DEL', 'ADD'] as const) {
        const node = newNode();
        const { step, verb } = place;
        const crash = { step, verb, how: 'crash', at: 'after' } as const;
        const add = await heldAt(place, (watch) => node.add(one, { watch, host: [crash] }));
        expect(await node.del(one)).toMatchObject(ok);
        add.open();
        expect(await add.answer).toEqual({ kind: 'crashed' });
        expect(await node.call(next, one)).toMatchObject(next === 'ADD' ? tryAgain : ok);
        expectGone(node, one);
      }
    }
  });

  it('a mark before any system call of ADD is seen or kept, never cleared (I4)', async () => {
    const asked: readonly Attachment[] = [one, { ...one, vlan: 7 }];
    for (const [index, again] of asked.entries()) {
      const from = index === 0 ? newNode() : await attached(one);
      const kinds = await diskKindsOf(from, 'ADD', again);
      let seen = 0;
      for (const call of kinds.keys()) {
        const node = fork(from);
        let marked = false;
        const mark = (disk: SimulatedDisk): void => {
          marked = markedByAnother(one, disk);
        };
        const answer = await node.add(again, { through: (disk) => interrupted(disk, call, mark) });
        const place = `before call ${call}, ${kinds[call]}`;
        if (answer.kind === 'error') expect([place, answer.code, leftOf(one, node)]).toEqual([place, 11, []]);
        else if (marked) expect([place, isGoing(one, node.disk)]).toEqual([place, true]);
        if (answer.kind === 'error') seen++;
        expect(await node.recover()).toMatchObject(ok);
        if (marked) expectGone(node, one);
      }
      expect(seen).toBeGreaterThan(10);
    }
  });

  it('ADD that finds the going mark finishes the removal and answers 11; the next ADD starts from the beginning', async () => {
    const node = await attached(one);
    await node.del(one, { host: [{ step: 'port', verb: 'remove', how: { code: 11 } }] });
    expect(isGoing(one, node.disk)).toBe(true);
    expect(await node.add(one)).toMatchObject(tryAgain);
    expectGone(node, one);
    const answer = await node.add(one);
    expect(faultsOf(one, node, answer)).toEqual([]);
  });

  it('ADD never clears the mark of a removal that it cannot finish', async () => {
    const node = await attached(one);
    const down = { step: 'port', verb: 'remove', how: { code: 11 }, forever: true } as const;
    await node.del(one, { host: [down] });
    expect(await node.add(one, { host: [down] })).toMatchObject(tryAgain);
    expect(isGoing(one, node.disk)).toBe(true);
    expect(await node.recover()).toMatchObject(ok);
    expectGone(node, one);
  });

  it('ADD that cannot finish the removal of a dead DEL owes it durably, with the name of its journal', async () => {
    const calls = await diskKindsOf(newNode(), 'DEL', one);
    for (let nth = 1; nth <= calls.length; nth++) {
      const node = newNode();
      await node.del(one, { disk: [{ call: 'every', nth, how: 'crash' }] });
      const refused = { step: 'address', verb: 'remove', how: { code: 5 } } as const;
      const answer = await node.add(one, { host: [refused] });
      const after = node.disk.powerCut(loseAll);
      expect([nth, isGoing(one, after)]).toEqual([nth, answer.kind === 'error' && isGoing(one, node.disk)]);
    }
  });
});

describe('ADD while DEL is at work', () => {
  it('ADD that waited for a DEL answers 11, and the ADD after it starts from the beginning', async () => {
    for (const place of moments.del) {
      const node = await attached(one);
      const del = await heldAt(place, (watch) => node.del(one, { watch }));
      const add = node.add(one);
      del.open();
      expect([placeText(place), await del.answer, await add]).toMatchObject([placeText(place), ok, tryAgain]);
      expectGone(node, one);
      const answer = await node.add(one);
      expect(faultsOf(one, node, answer)).toEqual([]);
    }
  });
});

describe('DEL while DEL is at work', () => {
  it('both succeed, one of them removes, and nothing is left (I5, I8)', async () => {
    for (const place of moments.del) {
      const node = await attached(one);
      const first = await heldAt(place, (watch) => node.del(one, { watch }));
      const effects: Instant[] = [];
      const second = node.del(one, { watch: (instant) => void effects.push(instant) });
      first.open();
      expect([await first.answer, await second]).toMatchObject([ok, ok]);
      expect(effects).toEqual([]);
      expectGone(node, one);
    }
  });

  it('the second that waits in vain succeeds too, and the first finishes', async () => {
    for (const place of moments.del) {
      const node = await attached(one);
      const first = await heldAt(place, (watch) => node.del(one, { watch }));
      expect(await node.del(one)).toMatchObject(ok);
      first.open();
      expect(await first.answer).toMatchObject(ok);
      expectGone(node, one);
    }
  });
});

describe('recover while others are at work', () => {
  it('leaves an ADD alone that holds its lock, and the ADD attaches (I8)', async () => {
    for (const place of moments.add) {
      const node = newNode();
      const add = await heldAt(place, (watch) => node.add(one, { watch }));
      expect(await node.recover()).toMatchObject({ recovered: [{ result: 'held' }] });
      add.open();
      const answer = await add.answer;
      expect(faultsOf(one, node, answer)).toEqual([]);
      expect(lawsBroken(node)).toEqual([]);
    }
  });

  it('leaves a DEL alone that holds its lock; so does a DEL that pays the debts of others (I8)', async () => {
    for (const place of moments.del) {
      const node = await attached(one, other);
      const del = await heldAt(place, (watch) => node.del(one, { watch }));
      expect((await node.recover()) as unknown).toMatchObject({ recovered: [{ result: 'kept' }, { result: 'held' }] });
      expect(await node.del(other)).toMatchObject(ok);
      del.open();
      expect(await del.answer).toMatchObject(ok);
      expectGone(node, one, other);
    }
  });
});

describe('CHECK', () => {
  it('changes nothing, and names an attachment that is going as not attached (code 100)', async () => {
    const node = await attached();
    const added = await node.add(one);
    const before = node.world.describe();
    expect(await node.check(one, added)).toMatchObject(ok);
    expect(node.world.describe()).toBe(before);
    await node.del(one, { host: [{ step: 'port', verb: 'remove', how: { code: 11 } }] });
    expect(await node.check(one, added)).toMatchObject({ kind: 'error', code: 100 });
  });
});

describe(withSeed('any interleaving of calls for attachments that share a bridge and a directory'), () => {
  it('leaves every one attached or gone, as its last call said, and no two processes at one attachment (I7, I8, bug B23, bug B42)', async () => {
    const scripts = fc.constantFrom<('ADD' | 'DEL')[]>(['ADD'], ['ADD', 'DEL'], ['DEL', 'ADD'], ['ADD', 'DEL', 'ADD']);
    let calls = 0;
    const property = fc.asyncProperty(fc.scheduler(), scripts, scripts, scripts, async (scheduler, ...all) => {
      const node = newNode();
      const attachments = [one, sibling, other];
      const watch = (instant: Instant): Promise<void> => scheduler.schedule(Promise.resolve(), placeText(instant));
      const lives = all.map(async (verbs, index) => {
        const each = attachments[index] as Attachment;
        let answer: Answer | undefined;
        for (const verb of verbs) {
          calls++;
          answer = await node.call(verb, each, { watch });
          expect(answer).toMatchObject(ok);
        }
        return { each, verb: verbs.at(-1), answer };
      });
      const ends = await scheduler.waitFor(Promise.all(lives));
      const attachedNow = ends.filter(({ verb }) => verb === 'ADD');
      for (const { each, answer } of attachedNow) expect(faultsOf(each, node, answer)).toEqual([]);
      for (const { each, verb } of ends) if (verb === 'DEL') expect(leftOf(each, node)).toEqual([]);
      expect(lawsBroken(node)).toEqual([]);
      for (const { each } of attachedNow) expect(await node.del(each)).toMatchObject(ok);
      expectGone(node, ...attachments);
    });
    await fc.assert(property, { numRuns: interleavings });
    console.log(`interleavings: ${interleavings} runs, ${calls} calls`);
  });

  it('of one attachment: ADD and DEL at once end attached after a late ADD, else gone; every DEL succeeds (I4, I8)', async () => {
    const property = fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.constantFrom('ADD', 'DEL', 'recover' as const), { minLength: 2, maxLength: 5 }),
      async (scheduler, verbs) => {
        const node = newNode();
        const watch = (instant: Instant): Promise<void> => scheduler.schedule(Promise.resolve(), placeText(instant));
        const answers = await scheduler.waitFor(
          Promise.all(verbs.map(async (verb) => ({ verb, answer: await node.call(verb as 'ADD', one, { watch }) }))),
        );
        for (const { verb, answer } of answers) {
          expect(answer).toMatchObject(verb === 'ADD' && answer.kind === 'error' ? tryAgain : ok);
        }
        expect(lawsBroken(node)).toEqual([]);
        const left = leftOf(one, node);
        if (left.length > 0) expect(faultsOf(one, node)).toEqual([]);
        expect(await node.del(one)).toMatchObject(ok);
        expectGone(node, one);
      },
    );
    await fc.assert(property, { numRuns: 300 });
  });
});
