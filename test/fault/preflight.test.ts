/**
 * An ADD that waits before its first effect, for the API server, or for the switch's answer on the owner of a name. Its journal is
 * there before the first wait, so that a DEL finds it. It is gone when the ADD is refused, or after a DEL or recover if it died.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Disk } from '../../src/journal/disk.ts';
import { diskKindsOf, explore, fork, watched } from '../support/fake/crash-points.ts';
import type { HostFault, Instant } from '../support/fake/fake-host.ts';
import { type Attachment, dataDir, FakeNode, journalOf, podA } from '../support/fake/fake-node.ts';
import { everyMomentIn, heldAt, placeText, until } from '../support/fake/held-call.ts';
import type { SimulatedDisk } from '../support/fake/simulated-disk.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, isGoing, lawsBroken, leftOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const one: Attachment = {
  containerId: podA,
  ifName: 'net1',
  mode: 'client',
  ipam: true,
  deviceInfo: true,
  pod: 'app',
};
const ok = { kind: 'ok' };
const tryAgain = { kind: 'error', code: 11 };

const newNode = (): FakeNode => new FakeNode().withNetns(one);

const questions = ['lookup', 'preflight'] as const;
const moments = ['before', 'during', 'after'] as const;

/** The answers to the questions: none, a bad one, a late one. */
const refusals: readonly HostFault[] = questions.flatMap((step) =>
  moments.flatMap((at) => [
    { step, verb: 'find', how: { code: 7 }, at } as const,
    { step, verb: 'find', how: 'hang', at } as const,
  ]),
);

const counted = { windows: 0, ends: 0, nodes: 0, judged: 0, met: 0, marks: 0 };

afterAll(() => {
  const { windows, ends, nodes, judged, met, marks } = counted;
  console.log(
    `pre-flights: ${windows} windows, ${ends} with every end in them; ${nodes} different nodes found, ${judged} follow-ups judged; ` +
      `${met} meetings with a DEL, ${marks} marks between two system calls`,
  );
});

function expectGone(node: FakeNode, what: unknown): void {
  expect([what, ...leftOf(one, node), ...lawsBroken(node)]).toEqual([what]);
}

/** Holds the ADD where a DEL finds its journal: an earlier DEL comes before the ADD. */
async function heldAdd(node: FakeNode, place: Pick<Instant, 'step' | 'verb' | 'at'>, host: readonly HostFault[] = []) {
  const add = await heldAt(place, (watch) => node.add(one, { watch, host }));
  let turns = 0;
  await until(() => node.disk.spawn().lookup(journalOf(one)) !== undefined || turns++ > 100);
  if (turns > 100) throw new Error(`an ADD that waits ${placeText(place)} has no journal`);
  return add;
}

let places: readonly Instant[];

beforeAll(async () => {
  places = await everyMomentIn((watch) => newNode().add(one, { watch }));
  expect(places.map(placeText)).toEqual(expect.arrayContaining(['during find lookup', 'during find preflight']));
});

describe('an ADD that is killed while it waits in its pre-flight', () => {
  const deaths = questions.flatMap((step) =>
    moments.map((at): HostFault => ({ step, verb: 'find', how: 'crash', at })),
  );

  it.each(deaths.map((death) => [placeText({ ...death, at: death.at ?? 'before' }), death] as const))(
    '(%s) leaves a journal that the next call, whichever it is, takes away or goes on from',
    async (_, death) => {
      for (const verb of ['recover', 'DEL', 'GC'] as const) {
        const node = newNode();
        expect(await node.add(one, { host: [death] })).toEqual({ kind: 'crashed' });
        expect(await node.call(verb, one)).toMatchObject(ok);
        expectGone(node, verb);
      }
      const node = newNode();
      await node.add(one, { host: [death] });
      const answer = await node.add(one);
      expect(faultsOf(one, node, answer)).toEqual([]);
    },
  );
});

describe('an ADD that is refused by its pre-flight', () => {
  it.each(refusals.map((refusal) => [placeText({ ...refusal, at: refusal.at ?? 'before' }), refusal] as const))(
    '(%s) leaves nothing, not even its journal; killed in any window it leaves nothing that recovery or DEL do not take',
    async (_, refusal) => {
      const from = newNode();
      const found = await explore(from, 'ADD', one, { host: [refusal] });
      expect(found.answer).toMatchObject({ kind: 'error', code: refusal.how === 'hang' ? 11 : 7 });
      expectGone(found.end, 'refused');
      counted.windows += found.windows;
      counted.ends += found.ends;
      counted.nodes += found.crashes.length;
      for (const { how, node } of found.crashes) {
        for (const verb of ['recover', 'DEL'] as const) {
          counted.judged++;
          const after = fork(node);
          expect(await after.call(verb, one)).toMatchObject(ok);
          expectGone(after, [how, verb]);
        }
      }
    },
  );
});

describe('kind 4: a DEL that comes while an ADD waits in its pre-flight, or in any window after it', () => {
  it('and waits for it answers success, the ADD 11, and nothing is there, in either order of their ends', async () => {
    for (const place of places) {
      for (const waits of [true, false]) {
        counted.met++;
        const node = newNode();
        const add = await heldAdd(node, place);
        const del = node.del(one);
        if (waits) expect(await del).toMatchObject(ok);
        else await until(() => isGoing(one, node.disk));
        add.open();
        const answers = [await add.answer, await del];
        expect([placeText(place), waits, ...answers]).toMatchObject([placeText(place), waits, tryAgain, ok]);
        expectGone(node, [placeText(place), waits]);
      }
    }
  });

  it('which is then refused: the ADD answers its refusal, the DEL success, and nothing is there', async () => {
    for (const refusal of refusals) {
      const { step, at = 'before' } = refusal;
      for (const place of places.filter(
        (one_) => one_.step === step && moments.indexOf(one_.at) <= moments.indexOf(at),
      )) {
        for (const waits of [true, false]) {
          counted.met++;
          const node = newNode();
          const add = await heldAdd(node, place, [refusal]);
          const del = node.del(one);
          if (waits) expect(await del).toMatchObject(ok);
          else await until(() => isGoing(one, node.disk));
          add.open();
          const answers = [await add.answer, await del];
          expect([placeText(place), ...answers]).toMatchObject([placeText(place), { kind: 'error' }, ok]);
          // The ADD holds the lock, so it removes the marked journal. If its time was up, a recovery does.
          if (refusal.how === 'hang') expect(await node.recover()).toMatchObject(ok);
          expectGone(node, [placeText(place), refusal]);
        }
      }
    }
  });

  it('which then dies: the DEL answers success, and the next call takes the leftovers', async () => {
    for (const step of questions) {
      for (const at of moments) {
        for (const next of ['recover', 'DEL', 'ADD'] as const) {
          counted.met++;
          const node = newNode();
          const death: HostFault = { step, verb: 'find', how: 'crash', at };
          const place = { step, verb: 'find', at: 'before' } as const;
          const add = await heldAdd(node, place, [death]);
          expect(await node.del(one)).toMatchObject(ok);
          add.open();
          expect(await add.answer).toEqual({ kind: 'crashed' });
          expect(await node.call(next, one)).toMatchObject(next === 'ADD' ? tryAgain : ok);
          expectGone(node, [step, at, next]);
        }
      }
    }
  });

  it('and sets its mark between any two system calls of a refused ADD does not wait for ever: its mark stays, or it begins again', async () => {
    const refusal: HostFault = { step: 'preflight', verb: 'find', how: { code: 7 } };
    const from = newNode();
    let calls = 0;
    await from.add(one, { host: [refusal], through: (disk) => watched(disk, () => void calls++) });
    expect(calls).toBeGreaterThan((await diskKindsOf(newNode(), 'DEL', one)).indexOf('tryLock'));
    for (let call = 0; call < calls; call++) {
      counted.marks++;
      const node = newNode();
      let marked = false;
      const answer = await node.add(one, {
        host: [refusal],
        through: (disk) =>
          interrupted(disk, call, () => {
            marked = markedByAnother(disk);
          }),
      });
      expect(answer).toMatchObject({ kind: 'error' });
      if (marked && node.disk.spawn().lookup(journalOf(one)))
        expect([call, isGoing(one, node.disk)]).toEqual([call, true]);
      expect(await node.del(one)).toMatchObject(ok);
      expectGone(node, call);
    }
  });
});

/** Runs something right before the n-th call on the disk. */
function interrupted(disk: SimulatedDisk, call: number, by: () => void): Disk {
  let calls = 0;
  return watched(disk, () => {
    if (calls++ === call) by();
  });
}

/** Marks as a DEL does before it waits for the lock. @returns false if it would have to make the data directory first */
function markedByAnother(disk: SimulatedDisk): boolean {
  const process = disk.spawn();
  if (process.lookup(dataDir) === undefined) return false;
  const fd = process.open(journalOf(one), 'a+', 0o600);
  process.chmod(fd, 0o1714);
  process.fsync(fd);
  process.processDeath();
  return true;
}
