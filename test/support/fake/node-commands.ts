/**
 * Calls on a fake node as fast-check's commands, and the model of their results. An attachment is attached, absent or owed; after a
 * death or a failed disk it is unclear which.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { steps } from '../../../src/machines/protocol.ts';
import { type Choose, choices } from './choices.ts';
import type { HostFault } from './fake-host.ts';
import { type Answer, type Attachment, FakeNode, type Fate, podA } from './fake-node.ts';
import type { Fault } from './simulated-disk.ts';
import { faultsOf, headerOf, isGoing, lawsBroken, leftInWorld, leftOf, othersThan } from './world-checker.ts';

/** Two interfaces of one pod in one directory, and two other pods; all on one bridge. */
const attachments: readonly Attachment[] = [
  { containerId: podA, ifName: 'net1', mode: 'server', ipam: true, deviceInfo: true },
  { containerId: podA, ifName: 'net2', mode: 'client', ipam: true, deviceInfo: false },
  { containerId: 'beef00beef00beef', ifName: 'net1', mode: 'client', ipam: false, deviceInfo: true },
  { containerId: 'face00face00face', ifName: 'net1', mode: 'server', ipam: true, deviceInfo: false },
];

type State =
  | { readonly is: 'absent' | 'owed' | 'unclear' }
  | { readonly is: 'attached'; readonly answer: Answer; readonly boot: string };

export class Model {
  readonly states: State[] = attachments.map(() => ({ is: 'absent' }));
}

export class Real {
  node: FakeNode;
  readonly #others: string;

  constructor() {
    this.node = new FakeNode().withNetns(...attachments);
    this.node.world.addOthers();
    this.#others = this.others;
  }

  /** Starts the machine again on the remains of a power cut. */
  powerCut(choose: Choose): void {
    const { disk, world, now } = this.node;
    this.node = new FakeNode(disk.powerCut(choose), world);
    // The wall clock has a battery. If it were set back, debts would wait for that much longer.
    this.node.now = now;
    this.node.world.reboot(false);
  }

  /** The things that no call here may touch, with the same text in every boot. */
  get others(): string {
    return othersThan(attachments, this.node).replaceAll(/boot-\d+/g, 'boot');
  }

  /** Checks the laws that hold after every call. */
  expectLaws({ states }: Model): void {
    expect(lawsBroken(this.node)).toEqual([]);
    expect(this.others).toBe(this.#others);
    states.forEach((state, index) => {
      const one = attachmentOf(index);
      const what = [one.containerId, one.ifName, state.is];
      if (state.is === 'attached')
        expect([...what, ...faultsOf(one, this.node, state.answer, state.boot)]).toEqual(what);
      if (state.is === 'absent') expect([...what, ...ownLeft(one, this.node)]).toEqual(what);
      if (state.is === 'owed') expect([...what, isGoing(one, this.node.disk)]).toEqual([...what, true]);
    });
  }
}

function attachmentOf(index: number): Attachment {
  const one = attachments[index];
  if (!one) throw new Error(`there is no attachment ${index}`);
  return one;
}

/** Unused shared things are not counted: an attachment that is owed or unclear may still have to remove them. */
const ownLeft = (one: Attachment, node: FakeNode): string[] =>
  leftOf(one, node).filter((thing) => !/^(idle bridge|empty directory)/.test(thing));

interface Trouble {
  readonly host?: readonly HostFault[];
  readonly disk?: readonly Fault[];
  /** The power fails with the process. */
  readonly cut?: Choose | undefined;
}

type NodeCommand = fc.AsyncCommand<Model, Real>;

abstract class OnOne implements NodeCommand {
  constructor(
    readonly index: number,
    readonly trouble: Trouble = {},
  ) {}

  get one(): Attachment {
    return attachmentOf(this.index);
  }

  check = (): boolean => true;

  async run(model: Model, real: Real): Promise<void> {
    counted.commands++;
    const { host, disk, cut } = this.trouble;
    // Long enough for every debt to be due again.
    real.node.now = new Date(real.node.now.getTime() + 300_000);
    const answer = await this.call(real.node, { host: host ?? [], disk: disk ?? [] }, model);
    if (answer.kind === 'crashed') {
      counted.crashes++;
      if (cut) real.powerCut(cut);
      model.states[this.index] = { is: 'unclear' };
    } else this.judge(answer, model, real);
    this.settle(model, real);
    real.expectLaws(model);
  }

  /** Updates the model for the call's effects on other attachments. */
  settle(_model: Model, _real: Real): void {}

  abstract call(node: FakeNode, fate: Fate, model: Model): Promise<Answer>;
  abstract judge(answer: Answer, model: Model, real: Real): void;

  toString(): string {
    const { host, disk, cut } = this.trouble;
    const bad = [host, disk, cut && String(cut)].filter(Boolean);
    return `${this.constructor.name}(${this.index}${bad.length > 0 ? `, ${JSON.stringify(bad)}` : ''})`;
  }
}

export const counted = { commands: 0, crashes: 0 };

class Add extends OnOne {
  call = (node: FakeNode, fate: Fate) => node.add(this.one, fate);

  judge(answer: Answer, model: Model, { node }: Real): void {
    const before = model.states[this.index];
    if (answer.kind === 'ok') {
      expect(before?.is).not.toBe('owed');
      if (before?.is === 'attached' && before.boot === node.world.boot) expect(answer).toEqual(before.answer);
      model.states[this.index] = { is: 'attached', answer, boot: node.world.boot };
      return;
    }
    const untroubled = !this.trouble.host && !this.trouble.disk;
    if (untroubled)
      expect([before?.is, answer]).toMatchObject([expect.not.stringMatching('absent|attached'), { code: 11 }]);
    if (untroubled) expect(ownLeft(this.one, node)).toEqual([]);
    model.states[this.index] = afterFailure(this.one, this.trouble, node);
  }
}

class Del extends OnOne {
  call = (node: FakeNode, fate: Fate) => node.del(this.one, fate);

  judge(answer: Answer, model: Model, { node }: Real): void {
    if (!this.trouble.disk) expect(answer).toMatchObject({ kind: 'ok' });
    model.states[this.index] = afterFailure(this.one, this.trouble, node);
    const untroubled = !this.trouble.host && !this.trouble.disk;
    if (!untroubled) return;
    expect(model.states[this.index]).toEqual({ is: 'absent' });
    // It has paid the debts of others.
    for (const [index, { is }] of model.states.entries()) {
      if (is === 'owed') expect(ownLeft(attachmentOf(index), node)).toEqual([]);
    }
  }

  /** A DEL in trouble may have paid the debts of others, or not. */
  override settle({ states }: Model, { node }: Real): void {
    for (const [index, { is }] of states.entries()) {
      if (is === 'owed' && !isGoing(attachmentOf(index), node.disk)) states[index] = { is: 'absent' };
    }
  }
}

/** After a failed disk any state is possible; after every other failure the attachment is absent or owed. */
function afterFailure(one: Attachment, { disk }: Trouble, node: FakeNode): State {
  if (disk) return { is: 'unclear' };
  return { is: isGoing(one, node.disk) ? 'owed' : 'absent' };
}

class Check extends OnOne {
  call(node: FakeNode, fate: Fate, { states }: Model): Promise<Answer> {
    const state = states[this.index];
    return node.check(this.one, state?.is === 'attached' ? state.answer : anyResult, fate);
  }

  judge(answer: Answer, model: Model): void {
    const state = model.states[this.index];
    if (state?.is === 'attached') expect(answer).toMatchObject({ kind: 'ok' });
    if (state?.is === 'absent' || state?.is === 'owed') expect(answer).toMatchObject({ kind: 'error', code: 100 });
  }
}

const anyResult: Answer = { kind: 'ok', result: { interfaces: [], ips: [], routes: [] } };

class Recover implements NodeCommand {
  check = (): boolean => true;

  async run(model: Model, real: Real): Promise<void> {
    counted.commands++;
    const { node } = real;
    // Sandboxes of another boot are dead.
    const isOld = (index: number) => headerOf(attachmentOf(index), node.disk)?.boot !== node.world.boot;
    const old = model.states.map((_, index) => isOld(index));
    expect(await node.recover()).toMatchObject({ kind: 'ok' });
    model.states.forEach((state, index) => {
      if (state.is === 'absent' || (state.is === 'attached' && !old[index])) return;
      const one = attachmentOf(index);
      const isKept = state.is === 'unclear' && headerOf(one, node.disk) !== undefined;
      if (isKept) expect(faultsOf(one, node)).toEqual([]);
      else model.states[index] = { is: 'absent' };
    });
    real.expectLaws(model);
  }

  toString = (): string => 'Recover()';
}

/** Removes everything, and expects that nothing is left of any attachment. */
export async function expectCleanEnd(real: Real): Promise<void> {
  expect(await real.node.recover()).toMatchObject({ kind: 'ok' });
  for (const one of attachments) expect(await real.node.del(one)).toMatchObject({ kind: 'ok' });
  for (const one of attachments) expect([...leftOf(one, real.node), ...leftInWorld(one, real.node)]).toEqual([]);
  expect(lawsBroken(real.node)).toEqual([]);
}

const ats = ['before', 'during', 'after'] as const;

const hostFaults = fc.record({
  step: fc.constantFrom(...steps),
  verb: fc.constantFrom('ensure', 'remove' as const),
  how: fc.oneof(fc.record({ code: fc.constantFrom(5, 7, 11, 999) }), fc.constant('hang' as const)),
  at: fc.constantFrom(...ats),
  forever: fc.boolean(),
});

const deaths: fc.Arbitrary<Trouble> = fc.record({
  disk: fc.tuple(
    fc.record({
      call: fc.constant('every' as const),
      nth: fc.integer({ min: 1, max: 110 }),
      how: fc.constant('crash' as const),
    }),
  ),
  cut: fc.option(choices, { nil: undefined }),
});

const deathsInEffects: fc.Arbitrary<Trouble> = fc.record({
  host: fc.tuple(
    fc.record({
      step: fc.constantFrom(...steps),
      verb: fc.constantFrom('ensure', 'remove' as const),
      how: fc.constant('crash' as const),
      at: fc.constantFrom(...ats),
    }),
  ),
  cut: fc.option(choices, { nil: undefined }),
});

const troubles: fc.Arbitrary<Trouble> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 2, arbitrary: deaths },
  { weight: 1, arbitrary: deathsInEffects },
  { weight: 1, arbitrary: fc.array(hostFaults, { minLength: 1, maxLength: 2 }).map((host) => ({ host })) },
);

const indices = fc.nat(attachments.length - 1);

export const commands: fc.Arbitrary<Iterable<NodeCommand>> = fc.commands(
  [
    fc.tuple(indices, troubles).map(([index, trouble]) => new Add(index, trouble)),
    fc.tuple(indices, troubles).map(([index, trouble]) => new Del(index, trouble)),
    indices.map((index) => new Check(index)),
    fc.constant(new Recover()),
  ],
  { maxCommands: 30, size: 'max' },
);
