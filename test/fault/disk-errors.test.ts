/**
 * Every call on the disk fails, one after the other: alone, with all later ones of its kind, with all later ones whatever they
 * are. How many there are is counted in a run without a fault.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { diskKindsOf, fork } from '../support/crash-points.ts';
import { expectOk } from '../support/crash-scenarios.ts';
import { DurabilityRecorder } from '../support/durability.ts';
import { type Answer, type Attachment, FakeNode, podA, type Verb } from '../support/fake-node.ts';
import type { Fault } from '../support/simulated-disk.ts';
import { VirtualTime } from '../support/virtual-time.ts';
import { faultsOf, isGoing, lawsBroken, leftInWorld, leftOf, othersThan } from '../support/world-checker.ts';

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

/** What is wrong with this answer and what the call left, while the disk is still failing. */
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

  it.each([[], [sibling]].map((all) => [all.length, all] as const))(
    'ADD attaches, or refuses and takes everything back; nothing is made without a durable intent (I1, I2, I3), %i beside it',
    async (_, all) => {
      expect(await faultsOfAll(error, await nodeWith(...all), 'ADD', judgeAdd)).toEqual([]);
    },
  );

  it('DEL takes everything away or says what it could not; nothing is left once the disk is well (I4, B2, A24)', async () => {
    const from = await nodeWith(sibling, one);
    const judge: Judge = (node, answer) => [
      ...bug(answer),
      ...(answer.kind === 'ok' && !isGoing(one, node.disk) ? leftInWorld(one, node) : []),
    ];
    expect(await faultsOfAll(error, from, 'DEL', judge)).toEqual([]);
  });
});
