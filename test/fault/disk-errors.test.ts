/**
 * Every call on the disk fails, one after the other: alone, with all later calls of its kind, with all later calls. A run without a
 * fault counts them.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { loseAll } from '../support/fake/choices.ts';
import { diskKindsOf, fork } from '../support/fake/crash-points.ts';
import { expectOk } from '../support/fake/crash-scenarios.ts';
import { DurabilityRecorder } from '../support/fake/durability.ts';
import { type Answer, type Attachment, FakeNode, podA, type Verb } from '../support/fake/fake-node.ts';
import { HeldCall, momentsIn, placeText } from '../support/fake/held-call.ts';
import type { Fault } from '../support/fake/simulated-disk.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, isGoing, lawsBroken, leftInWorld, leftOf, othersThan } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'server', ipam: true, deviceInfo: false };
const sibling: Attachment = { ...one, ifName: 'net2', mode: 'client' };

async function nodeWith(...all: readonly Attachment[]): Promise<FakeNode> {
  const node = new FakeNode().withNetns(one);
  node.world.addOthers();
  for (const each of all) expectOk(await node.add(each));
  return node;
}

interface Failure {
  readonly how: string;
  readonly fault: Fault;
}

/** Each call of the run, in three ways. */
async function failuresOf(error: string, from: FakeNode, verb: Verb): Promise<Failure[]> {
  const kinds = await diskKindsOf(from, verb, one);
  return kinds.flatMap((call, index) => {
    const nth = index + 1;
    const ofKind = kinds.slice(0, nth).filter((kind) => kind === call).length;
    const what = `call ${nth}, ${call}, fails with ${error}`;
    const how = { error };
    return [
      { how: what, fault: { call: 'every', nth, how } },
      { how: `${what}, and every later one of its kind`, fault: { call, nth: ofKind, how, forever: true } },
      { how: `${what}, and every later one`, fault: { call: 'every', nth, how, forever: true } },
    ] satisfies Failure[];
  });
}

/** The faults of this answer and of the leftovers of the call, while the disk is still failing. */
type Judge = (node: FakeNode, answer: Answer, recorder: DurabilityRecorder) => string[];

async function faultsOfAll(error: string, from: FakeNode, verb: Verb, judge: Judge): Promise<string[]> {
  const found: string[] = [];
  const others = othersThan([one], from);
  for (const { how, fault } of await failuresOf(error, from, verb)) {
    const node = fork(from);
    const recorder = new DurabilityRecorder(one);
    const { through, watch } = recorder;
    const answer = await node.call(verb, one, { disk: [fault], through, watch });
    if (verb === 'ADD' && answer.kind === 'ok') recorder.answered();
    const faults = [...judge(node, answer, recorder), ...recorder.faults, ...lawsBroken(node)];
    if (othersThan([one], node) !== others) faults.push('others were touched');
    // The disk is well again: the runtime's DEL, or a recovery and then the runtime's DEL.
    for (const verbs of [['DEL'], ['recover', 'DEL']] as const) {
      const healed = fork(node);
      for (const next of verbs) {
        const then = await healed.call(next, one);
        if (then.kind !== 'ok') faults.push(`then ${next} answers ${JSON.stringify(then)}`);
      }
      faults.push(...leftOf(one, healed).map((thing) => `after ${verbs}: ${thing}`));
    }
    // A runtime that was told success does not come again.
    if (verb === 'DEL' && answer.kind === 'ok') {
      const healed = fork(node);
      await healed.recover();
      faults.push(...leftOf(one, healed).map((thing) => `after recover alone: ${thing}`));
    }
    found.push(...faults.map((fault_) => `${how}: ${JSON.stringify(answer)}: ${fault_}`));
  }
  return found;
}

const errors = ['EIO', 'ENOSPC', 'EROFS'];

const bug = (answer: Answer): string[] =>
  answer.kind === 'crashed' || (answer.kind === 'error' && answer.code === 999)
    ? ['a failing disk was taken for a bug']
    : [];

describe.each(errors)('a disk whose calls fail with %s', (error) => {
  const judgeAdd: Judge = (node, answer) => [
    ...bug(answer),
    ...(answer.kind === 'ok' ? faultsOf(one, node, answer) : leftInWorld(one, node)),
  ];

  const nodes = [
    ['alone', []],
    ['beside a sibling', [sibling]],
  ] as const;

  it.each(nodes)(
    'ADD %s attaches, or refuses and takes everything back, and makes nothing without a durable intent (I1, I2, I3)',
    async (_, all) => {
      expect(await faultsOfAll(error, await nodeWith(...all), 'ADD', judgeAdd)).toEqual([]);
    },
  );

  it('DEL takes everything away or names the rest; nothing is left once the disk is well (I4, bug B2, case A24)', async () => {
    const from = await nodeWith(sibling, one);
    const judge: Judge = (node, answer) => [
      ...bug(answer),
      ...(answer.kind === 'ok' && !isGoing(one, node.disk) ? leftInWorld(one, node) : []),
    ];
    expect(await faultsOfAll(error, from, 'DEL', judge)).toEqual([]);
  });

  it('recover of a dead ADD takes it away or names the rest (I4)', async () => {
    const from = await nodeWith(sibling);
    await from.add(one, { host: [{ step: 'publication', verb: 'ensure', how: 'crash' }] });
    expect(await faultsOfAll(error, from, 'recover', (_, answer) => bug(answer))).toEqual([]);
  });
});

describe('a DEL that cannot open the journal', () => {
  it.each(['EIO', 'EMFILE'])(
    'never acts beside the ADD that holds it: it fails, or its answer comes true (%s, I4, I8)',
    async (error) => {
      const from = await nodeWith(sibling);
      const moments = await momentsIn((watch) => fork(from).add(one, { watch }));
      for (const place of moments) {
        for (const nth of [1, 2]) {
          const node = fork(from);
          const held = new HeldCall(place);
          const add = node.add(one, { watch: held.watch });
          await held.reached;
          const fault: Fault = { call: 'open', nth, how: { error } };
          const del = await node.del(one, { disk: [fault] });
          held.open();
          await add;
          expect([placeText(place), ...lawsBroken(node)]).toEqual([placeText(place)]);
          if (del.kind === 'ok') expect([placeText(place), ...leftOf(one, node)]).toEqual([placeText(place)]);
          await node.del(one);
          expect(leftOf(one, node)).toEqual([]);
        }
      }
    },
  );
});

describe('a file system that is read-only', () => {
  it('makes ADD refuse with nothing touched, and lets DEL take away everything but the journal (I3, I4)', async () => {
    const node = await nodeWith(sibling, one);
    const others = othersThan([one], node);
    node.disk.readOnly = true;
    const before = node.world.describe();
    expect(await node.add({ ...one, ifName: 'net3' })).toMatchObject({ kind: 'error', code: 5 });
    expect(node.world.describe()).toBe(before);
    await node.del(one);
    expect([...leftInWorld(one, node), ...lawsBroken(node)]).toEqual([]);
    expect(othersThan([one], node)).toBe(others);
    node.disk.readOnly = false;
    expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, node)).toEqual([]);
  });

  it('lets DEL succeed where nothing was ever attached', async () => {
    const node = new FakeNode();
    node.disk.readOnly = true;
    expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftInWorld(one, node)).toEqual([]);
  });
});

describe('a full file system', () => {
  const full: Fault[] = (['write', 'mkdir'] as const).map((call) => ({
    call,
    nth: 1,
    how: { error: 'ENOSPC' },
    forever: true,
  }));

  it('makes ADD refuse before the first effect, and DEL work as usual (I3, I4)', async () => {
    const node = await nodeWith(one);
    const before = node.world.describe();
    expect(await node.add(sibling, { disk: full })).toMatchObject({ kind: 'error', code: 5 });
    expect(node.world.describe()).toBe(before);
    expect(await node.del(one, { disk: full })).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, node)).toEqual([]);
  });

  it('lets DEL owe durably the parts that the switch keeps, without a byte written (I4)', async () => {
    const node = await nodeWith(one);
    const down = { step: 'port', verb: 'remove', how: { code: 11 } } as const;
    expect(await node.del(one, { disk: full, host: [down] })).toMatchObject({ kind: 'ok' });
    const after = new FakeNode(node.disk.powerCut(loseAll), node.world);
    expect(isGoing(one, after.disk)).toBe(true);
    expect(await after.recover()).toMatchObject({ recovered: [{ found: 'going', result: 'removed' }] });
    expect(leftOf(one, after)).toEqual([]);
  });

  it('makes an ADD whose records no longer fit roll itself back, short writes included (I2, I3)', async () => {
    const kinds = await diskKindsOf(await nodeWith(), 'ADD', one);
    const writes = kinds.filter((kind) => kind === 'write').length;
    expect(writes).toBeGreaterThan(10);
    for (let nth = 1; nth <= writes; nth++) {
      for (const short of [0, 1, 40]) {
        const node = await nodeWith();
        const recorder = new DurabilityRecorder(one);
        const { through, watch } = recorder;
        const disk: Fault[] = [
          { call: 'write', nth, how: { short } },
          { call: 'write', nth: nth + 1, how: { error: 'ENOSPC' }, forever: true },
        ];
        const answer = await node.add(one, { disk, through, watch });
        expect([nth, answer, leftOf(one, node)]).toMatchObject([nth, { kind: 'error', code: 5 }, []]);
        expect(recorder.faults).toEqual([]);
      }
    }
  });
});

describe('a recover that cannot read one journal', () => {
  it('handles the others, and that one when it can be read', async () => {
    const node = await nodeWith();
    for (const each of [one, sibling])
      await node.add(each, { host: [{ step: 'port', verb: 'ensure', how: 'crash', at: 'after' }] });
    // The first open is that of the instance file.
    await node.recover({ disk: [{ call: 'open', nth: 2, how: { error: 'EIO' } }] });
    expect(leftOf(sibling, node)).toEqual([]);
    expect(await node.recover()).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, node)).toEqual([]);
  });
});
