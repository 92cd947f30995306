/**
 * Calls through another data directory for an attachment that was made through the node's own: an edited configuration, or the
 * three keys of Multus that mean the default. They answer 7 and touch nothing, in any window of their death, and in any window of
 * the attachment's own calls.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { explore, fork } from '../support/fake/crash-points.ts';
import {
  type Attachment,
  attachmentShapes,
  FakeNode,
  journalOf,
  keyOf,
  otherDataDir,
  portOf,
  socketOf,
} from '../support/fake/fake-node.ts';
import { everyMomentIn, heldAt, placeText } from '../support/fake/held-call.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, lawsBroken, leftOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

/** The requests of a runtime that knows the attachment. */
const throughAnother = (one: Attachment) => ({ elsewhere: true, valid: [one] }) as const;
const refused = { kind: 'error', code: 7 };
const ok = { kind: 'ok' };

const counted = { windows: 0, ends: 0, nodes: 0, met: 0 };

afterAll(() => {
  const { windows, ends, nodes, met } = counted;
  console.log(
    `another data directory: ${windows} windows, ${ends} with every end in them; ${nodes} different nodes found; ${met} meetings with calls of its own`,
  );
});

async function attached(one: Attachment): Promise<FakeNode> {
  const node = new FakeNode().withNetns(one);
  node.world.addOthers();
  expect(await node.add(one)).toMatchObject(ok);
  if (one.mode === 'client') node.world.files.set(socketOf(one), { kind: 'socket', by: keyOf(one), text: 'app' });
  return node;
}

/** The files of the other directory, beside its id. */
function journalsElsewhere({ disk }: FakeNode): string[] {
  const process = disk.spawn();
  if (process.lookup(otherDataDir) === undefined) return [];
  return process.list(otherDataDir).filter((name) => name !== 'instance');
}

const titleOf = ({ mode, pod }: Attachment): string => `${mode} mode${pod ? ' in an emptyDir' : ''}`;

describe.each(attachmentShapes.map((one) => [titleOf(one), one] as const))(
  'kind 2: an attachment made through another data directory (%s)',
  (_, one) => {
    const elsewhere = throughAnother(one);

    it.each(['DEL', 'ADD', 'GC', 'recover'] as const)(
      'is not touched by a %s that dies in any window; its own DEL leaves nothing',
      async (verb) => {
        const from = await attached(one);
        const before = from.world.describe();
        const found = await explore(from, verb, one, elsewhere);
        expect(found.answer).toMatchObject(verb === 'DEL' || verb === 'ADD' ? refused : ok);
        expect([found.end.world.describe(), journalsElsewhere(found.end)]).toEqual([before, []]);
        counted.windows += found.windows;
        counted.ends += found.ends;
        counted.nodes += found.crashes.length;
        for (const { how, node, powerCut } of found.crashes) {
          if (!powerCut) expect([how, node.world.describe()]).toEqual([how, before]);
          if (powerCut) {
            expect(await node.recover()).toMatchObject(ok);
            expect([how, ...leftOf(one, node)]).toEqual([how]);
            continue;
          }
          // No later call touches the attachment because of files that this one left in its own directory.
          for (const next of ['recover', 'GC', 'DEL'] as const) {
            const again = fork(node);
            await again.call(next, one, elsewhere);
            expect([how, next, ...faultsOf(one, again), ...lawsBroken(again)]).toEqual([how, next]);
          }
          expect(await node.del(one)).toMatchObject(ok);
          expect([how, ...leftOf(one, node)]).toEqual([how]);
          expect(await node.call('DEL', one, elsewhere)).toMatchObject(ok);
          expect([how, ...leftOf(one, node), ...journalsElsewhere(node)]).toEqual([how]);
        }
      },
    );

    it('is not touched while an ADD of its own goes on behind its port, or a DEL of its own before it', async () => {
      const moments = {
        ADD: await everyMomentIn(async (watch) => new FakeNode().withNetns(one).add(one, { watch })),
        DEL: await everyMomentIn(async (watch) => (await attached(one)).del(one, { watch })),
      };
      for (const own of ['ADD', 'DEL'] as const) {
        for (const place of moments[own]) {
          for (const verb of ['DEL', 'ADD'] as const) {
            const node = own === 'ADD' ? new FakeNode().withNetns(one) : await attached(one);
            const call = await heldAt(place, (watch) => node.call(own, one, { watch }));
            const before = node.world.describe();
            // Before there is a row, nothing says which directory has the key.
            if (node.world.ports.has(portOf(one))) {
              counted.met++;
              expect(await node.call(verb, one, elsewhere)).toMatchObject(refused);
              expect([placeText(place), node.world.describe()]).toEqual([placeText(place), before]);
              expect(journalsElsewhere(node)).toEqual([]);
            }
            call.open();
            const answer = await call.answer;
            expect(answer).toMatchObject(ok);
            if (own === 'ADD') expect(faultsOf(one, node, answer)).toEqual([]);
            else expect(leftOf(one, node)).toEqual([]);
          }
        }
      }
    });

    it('stays its own when its directory lost the file "instance": the journal tells the id, and the mark the path', async () => {
      const node = await attached(one);
      const process = node.disk.spawn();
      process.unlink(journalOf(one).replace(/[^/]*$/, 'instance'));
      process.processDeath();
      expect(await node.call('DEL', one, elsewhere)).toMatchObject(refused);
      expect(await node.recover()).toMatchObject({ recovered: [{ result: 'kept' }] });
      expect(faultsOf(one, node)).toEqual([]);
      expect(await node.del(one)).toMatchObject(ok);
      expect(leftOf(one, node)).toEqual([]);
    });
  },
);
