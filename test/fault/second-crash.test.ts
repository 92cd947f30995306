/**
 * A second crash inside the follow-up of the first. All pairs of windows would take too long for a commit. The seed in the title
 * picks the first crashes, and each is followed through all windows of its follow-up; CRASH_POINTS=all picks every one.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type Choose, choices } from '../support/fake/choices.ts';
import { type Crash, dieInTurn, diskKindsOf, explore, fingerprint } from '../support/fake/crash-points.ts';
import { crashesOn, deedsOn, type FollowUp, faultsAfter, followUps, shapes } from '../support/fake/crash-scenarios.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { withSeed } from '../support/seed.ts';

afterAll(new VirtualTime().install());

const everyPair = process.env.CRASH_POINTS === 'all';
const followedPerShape = 60;
const deathsPerShape = 300;

const counted = { pairs: 0, followed: 0, possible: 0, judged: 0, deaths: 0 };

afterAll(() => {
  const { pairs, followed, possible, judged, deaths } = counted;
  console.log(
    `second crashes: ${pairs} pairs of windows, behind ${followed} of ${possible} first crashes and follow-ups; ` +
      `${judged} different nodes judged; ${deaths} real deaths in turn`,
  );
});

interface Pair {
  readonly deed: string;
  readonly crash: Crash;
  readonly followUp: FollowUp;
}

/** The asked number of crashes, picked by the seed. */
const picked = <T>(all: readonly T[], count: number): T[] =>
  fc.sample(fc.shuffledSubarray([...all], { minLength: Math.min(count, all.length) }), 1)[0]?.slice(0, count) ?? [];

describe.each(shapes.map((shape) => [shape.title, shape] as const))(
  withSeed('after a second crash, in any window of what followed the first: %s'),
  (_, shape) => {
    const crashes = crashesOn(shape);
    const { one } = shape;

    it('DEL leaves nothing of it, and all else as it was (I4, I5, I7)', async () => {
      const pairs = (await crashes()).flatMap(({ deed, found }) =>
        found.crashes.flatMap((crash) => followUps.map((followUp): Pair => ({ deed: deed.title, crash, followUp }))),
      );
      const judged = new Set<string>();
      const faulty: string[] = [];
      const followed = everyPair ? pairs : picked(pairs, followedPerShape);
      for (const { deed, crash, followUp } of followed) {
        const second = await explore(crash.node, followUp, one);
        counted.pairs += crash.times * second.ends;
        for (const last of second.crashes) {
          const print = fingerprint(last.node);
          if (judged.has(print)) continue;
          judged.add(print);
          const faults = await faultsAfter(last, 'DEL', one);
          faulty.push(...faults.map((fault) => `${deed}, ${crash.how}; ${followUp}, ${last.how}; DEL: ${fault}`));
        }
        expect(faulty).toEqual([]);
      }
      counted.followed += followed.length;
      counted.possible += pairs.length;
      counted.judged += judged.size;
    }, 900_000);

    it('the same when both processes died before the power failed (I1, I2)', async () => {
      for (const deed of await deedsOn(shape)) {
        const { length: calls } = await diskKindsOf(deed.from, deed.verb, deed.asked);
        const draws = fc.record({
          first: fc.integer({ min: 1, max: calls }),
          followUp: fc.constantFrom(...followUps),
          second: fc.integer({ min: 1, max: calls }),
          choose: choices as fc.Arbitrary<Choose>,
        });
        for (const { first, followUp, second, choose } of fc.sample(draws, deathsPerShape / 5)) {
          const deaths = [
            { verb: deed.verb, one: deed.asked, call: first },
            { verb: followUp, one, call: second },
          ];
          const node = await dieInTurn(deed.from, deaths, choose);
          const how = `${deed.title}, killed before call ${first}; ${followUp}, killed before call ${second}; ${choose}`;
          counted.deaths += deaths.length;
          expect([how, ...(await faultsAfter({ node, how, times: 1, powerCut: true }, 'DEL', one))]).toEqual([how]);
        }
      }
    });
  },
);
