/**
 * Journals that were damaged, and modes that were changed, while their attachments live: nothing dies, nothing restarts. A lost
 * record is not a reason to remove a living pod's network.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { steps } from '../../src/machines/protocol.ts';
import { bytesOf, chmod, type Damage, damages, modes, rewrite } from '../support/fake/damage.ts';
import { type Answer, type Attachment, FakeNode, keyOf, podA, portOf, socketOf } from '../support/fake/fake-node.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, isGoing, lawsBroken, leftOf, othersThan } from '../support/fake/world-checker.ts';
import { withSeed } from '../support/seed.ts';

afterAll(new VirtualTime().install());

const everything = process.env.CRASH_POINTS === 'all';
const runsOf = (usual: number): number => (everything ? usual * 100 : usual);

const base = { ifName: 'net1', deviceInfo: false } as const;
const shapes: readonly Attachment[] = [
  { ...base, containerId: podA, mode: 'server', ipam: true, deviceInfo: true },
  { ...base, containerId: podA, mode: 'client', ipam: true },
  { ...base, containerId: podA, mode: 'client', ipam: true, pod: 'app', socketfile: 'vhost.sock' },
  { ...base, containerId: podA, mode: 'client', ipam: false },
];
const other: Attachment = { ...base, containerId: 'beef00beef00beef', mode: 'client', ipam: true };

interface Scene {
  readonly node: FakeNode;
  readonly one: Attachment;
  readonly answer: Answer;
}

/** @param restored the switch lost it once, and it was put back */
async function attached(one: Attachment, restored = false): Promise<Scene> {
  const node = new FakeNode().withNetns(one, other);
  node.world.addOthers();
  const answer = await node.add(one);
  expect(answer).toMatchObject({ kind: 'ok' });
  expect(await node.add(other)).toMatchObject({ kind: 'ok' });
  if (one.mode === 'client') node.world.files.set(socketOf(one), { kind: 'socket', by: keyOf(one), text: 'app' });
  if (restored) {
    node.world.loseSwitch();
    expect(await node.recover()).toMatchObject({ recovered: [{ result: 'restored' }, { result: 'restored' }] });
  }
  return { node, one, answer };
}

/** Expects all that was made, and its application's socket. */
function expectAlive({ node, one, answer }: Scene, what: unknown): void {
  expect([what, ...faultsOf(one, node, answer), ...lawsBroken(node)]).toEqual([what]);
  expect([what, node.world.files.get(socketOf(one))?.by]).toEqual([what, keyOf(one)]);
}

async function expectGoneByDel({ node, one }: Scene, what: unknown): Promise<void> {
  const others = othersThan([one], node);
  expect(await node.del(one)).toMatchObject({ kind: 'ok' });
  expect([what, ...leftOf(one, node), ...lawsBroken(node)]).toEqual([what]);
  expect(othersThan([one], node)).toBe(others);
}

/** The calls that a node makes by itself, and those for other attachments. */
type Deed = 'recover' | 'recover --dry-run' | 'GC of another' | 'DEL of another' | 'ADD of another';

const deeds = fc.array(
  fc.constantFrom<Deed>('recover', 'recover', 'recover --dry-run', 'GC of another', 'DEL of another', 'ADD of another'),
  { minLength: 1, maxLength: 5 },
);

async function happen(deed: Deed, { node, one }: Scene): Promise<Answer> {
  node.now = new Date(node.now.getTime() + 300_000);
  switch (deed) {
    case 'recover':
      return await node.recover();
    case 'recover --dry-run':
      return await node.recover({ dryRun: true });
    case 'GC of another':
      return await node.call('GC', other, { valid: [one] });
    case 'DEL of another':
      return await node.del(other);
    case 'ADD of another':
      return await node.add(other);
  }
}

const counted = { damages: 0, deeds: 0, modes: 0, marked: 0 };

afterAll(() => {
  const { damages: damaged, deeds: happened, modes: changed, marked } = counted;
  console.log(
    `damaged journals: ${damaged} damages and ${changed} modes of living attachments, ${marked} of owed ones, ${happened} deeds judged`,
  );
});

describe(withSeed('kind 2: a journal that was damaged behind its first record while its attachment lives'), () => {
  it('is kept by recovery, GC and DEL of others, with port, address and socket; its own DEL leaves nothing', async () => {
    const property = fc.asyncProperty(
      fc.constantFrom(...shapes),
      fc.boolean(),
      damages,
      fc.option(modes, { nil: undefined }),
      deeds,
      async (shape, restored, damage: Damage, mode, all) => {
        counted.damages++;
        const scene = await attached(shape, restored);
        rewrite(shape, scene.node, damage(bytesOf(shape, scene.node)));
        if (mode !== undefined) chmod(shape, scene.node, mode);
        for (const deed of all) {
          counted.deeds++;
          await happen(deed, scene);
          expectAlive(scene, deed);
        }
        await expectGoneByDel(scene, 'DEL');
      },
    );
    await fc.assert(property, { numRuns: runsOf(120) });
  });

  it('is read by recover --dry-run alone, which changes no byte of it', async () => {
    const property = fc.asyncProperty(fc.constantFrom(...shapes), damages, async (shape, damage: Damage) => {
      const { node } = await attached(shape);
      const bytes = damage(bytesOf(shape, node));
      rewrite(shape, node, bytes);
      expect(await node.recover({ dryRun: true })).toMatchObject({ kind: 'ok' });
      expect(bytesOf(shape, node)).toEqual(bytes);
    });
    await fc.assert(property, { numRuns: runsOf(40) });
  });
});

describe(withSeed('kind 4: any mode that a chmod of the whole data directory can leave'), () => {
  it('removes nothing that lives, with any recovery or removal beside it', async () => {
    const property = fc.asyncProperty(fc.constantFrom(...shapes), modes, deeds, async (shape, mode, all) => {
      counted.modes++;
      const scene = await attached(shape);
      for (const one of [shape, other]) chmod(one, scene.node, mode);
      for (const deed of all) {
        counted.deeds++;
        await happen(deed, scene);
        expectAlive(scene, [mode.toString(8), deed]);
      }
      await expectGoneByDel(scene, mode.toString(8));
    });
    await fc.assert(property, { numRuns: runsOf(80) });
  });

  it('lets no removal be forgotten that has written a record: recovery completes it', async () => {
    const property = fc.asyncProperty(
      fc.constantFrom(...shapes),
      modes,
      fc.constantFrom(...steps.toReversed()),
      fc.constantFrom({ code: 11 }, 'crash' as const),
      async (shape, mode, step, how) => {
        counted.marked++;
        const { node } = await attached(shape);
        await node.del(shape, { host: [{ step, verb: 'remove', how }] });
        if (leftOf(shape, node).length === 0) return;
        expect(isGoing(shape, node.disk)).toBe(true);
        chmod(shape, node, mode);
        expect(await node.recover()).toMatchObject({ kind: 'ok' });
        expect([mode.toString(8), ...leftOf(shape, node)]).toEqual([mode.toString(8)]);
        expect(faultsOf(other, node)).toEqual([]);
      },
    );
    await fc.assert(property, { numRuns: runsOf(50) });
  });

  it('but the mark itself, which every call keeps, and which the next DEL pays if its switch allows it', async () => {
    const down = { step: 'port', verb: 'remove', how: { code: 11 }, forever: true } as const;
    const calls = fc.array(fc.constantFrom('recover', 'DEL', 'ADD', 'GC' as const), { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(fc.constantFrom(...shapes), calls, async (shape, all) => {
      counted.marked++;
      const { node } = await attached(shape);
      for (const call of ['DEL', ...all] as const) {
        await node.call(call, shape, { host: [down] });
        expect([call, isGoing(shape, node.disk), node.world.ports.has(portOf(shape))]).toEqual([call, true, true]);
      }
      node.now = new Date(node.now.getTime() + 300_000);
      expect(await node.del(other)).toMatchObject({ kind: 'ok' });
      expect(leftOf(shape, node)).toEqual([]);
    });
    await fc.assert(property, { numRuns: runsOf(40) });
  });
});
