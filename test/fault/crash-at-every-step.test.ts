import { afterAll, describe, expect, it } from 'vitest';
import type { Crash } from '../support/fake/crash-points.ts';
import {
  type Crashed,
  crashesOn,
  type FollowUp,
  faultsAfter,
  faultsOfRepeating,
  followUps,
  shapes,
} from '../support/fake/crash-scenarios.ts';
import type { Attachment } from '../support/fake/fake-node.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { recordsOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const counted = { windows: 0, ends: 0, nodes: 0, followed: 0 };

afterAll(() => {
  const { windows, ends, nodes, followed } = counted;
  console.log(
    `crash windows: ${windows} single, ${ends} with every end in them; ${nodes} different nodes found, ${followed} follow-ups judged`,
  );
});

const titles: Record<FollowUp, string> = {
  ADD: 'ADD again attaches exactly, or answers 11 with nothing left; its DEL leaves nothing (I3, I4, case A19, bug B6)',
  DEL: 'DEL leaves nothing of it, and all else as it was (I4, I6, I7, bug B1, bug B5, case A24, case A25)',
  recover: 'recover keeps it whole or leaves nothing; its DEL leaves nothing (I4, I6, I7, bug B1, bug B2)',
};

describe.each(shapes.map((shape) => [shape.title, shape] as const))(
  'after a death or a power cut in any window of ADD, DEL and recover: %s',
  (_, shape) => {
    const crashes = crashesOn(shape);
    const { one } = shape;

    /** The first faults that judging every crash brings up, each with the way to it. */
    async function faults(judge: (crash: Crash) => Promise<string[]>): Promise<string[]> {
      const faulty: string[] = [];
      for (const { deed, found } of await crashes()) {
        for (const crash of found.crashes) {
          counted.followed++;
          for (const fault of await judge(crash)) faulty.push(`${deed.title}, ${crash.how}: ${fault}`);
          if (faulty.length >= 5) return faulty;
        }
      }
      return faulty;
    }

    for (const followUp of followUps) {
      it(titles[followUp], async () => {
        expect(await faults((crash) => faultsAfter(crash, followUp, one))).toEqual([]);
      });
    }

    it('DEL;DEL = DEL and recover;recover = recover (I5)', async () => {
      expect(await faults((crash) => faultsOfRepeating(crash, 'DEL', one))).toEqual([]);
      expect(await faults((crash) => faultsOfRepeating(crash, 'recover', one))).toEqual([]);
    });

    it('every step of ADD was found with its intent alone, with its effect, and with its outcome (I1)', async () => {
      const all = await crashes();
      for (const { found } of all) {
        counted.windows += found.windows;
        counted.ends += found.ends;
        counted.nodes += found.crashes.length;
      }
      const [add] = all;
      if (!add) throw new Error('no ADD was explored');
      const intents = recordsOf(one, add.found.end.disk).filter(({ kind }) => kind === 'intent');
      expect(intents.length).toBeGreaterThan(3);
      // The sibling has made the bridge already, so that step changes nothing.
      const effectOf = (step: string | undefined) => (step === 'bridge' && shape.sibling ? [] : ['effect']);
      const expected = intents.map(({ step }) => [step, 'intent', ...effectOf(step), 'outcome']);
      expect(intents.map(({ step }) => [step, ...momentsOf(step, one, add)])).toEqual(expected);
    });
  },
);

/** How killed ADDs were found to have left a step. */
function momentsOf(step: string | undefined, one: Attachment, { found }: Crashed): string[] {
  const killed = found.crashes.filter(({ powerCut }) => !powerCut).map(({ node }) => node);
  const endingIn = (kind: string) =>
    killed.filter(({ disk }) => {
      const last = recordsOf(one, disk).at(-1);
      return last?.kind === kind && last.step === step;
    });
  const worlds = new Set(endingIn('intent').map(({ world }) => world.describe()));
  return [
    ...(worlds.size > 0 ? ['intent'] : []),
    ...(worlds.size > 1 ? ['effect'] : []),
    ...(endingIn('outcome').length > 0 ? ['outcome'] : []),
  ];
}
