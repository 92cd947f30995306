/** Every step that makes something fails, hangs, or does half of its work; then every step that takes something away. */
import { afterAll, describe, expect, it } from 'vitest';
import { steps } from '../../src/machines/protocol.ts';
import type { HostFault, Instant } from '../support/fake/fake-host.ts';
import { type Attachment, FakeNode, keyOf, netnsOf, podA } from '../support/fake/fake-node.ts';
import { momentsIn } from '../support/fake/held-call.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, isGoing, lawsBroken, leftOf, othersThan } from '../support/fake/world-checker.ts';

const time = new VirtualTime();
afterAll(time.install());

const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'server', ipam: true, deviceInfo: true };
const sibling: Attachment = { ...one, ifName: 'net2', deviceInfo: false };
const stranger: Attachment = { ...one, containerId: 'beef00beef00beef' };

const ats = ['before', 'during', 'after'] as const;
const ok = { kind: 'ok' };

async function nodeWith(...all: readonly Attachment[]): Promise<FakeNode> {
  const node = new FakeNode().withNetns(one, stranger);
  node.world.addOthers();
  for (const each of all) expect(await node.add(each)).toMatchObject(ok);
  return node;
}

describe('an ADD with a step that fails', () => {
  for (const at of ats) {
    it(`takes everything back, answers the step's code and leaves nothing, if it fails ${at} its effect (I3, case A36, bug B4)`, async () => {
      for (const step of steps) {
        const node = await nodeWith(sibling);
        const before = node.world
          .clone()
          .describe()
          .replace(/row-\d+/g, '');
        const answer = await node.add(one, { host: [{ step, verb: 'ensure', how: { code: 77 }, at }] });
        expect([step, answer]).toMatchObject([step, { kind: 'error', code: 77 }]);
        expect([step, ...leftOf(one, node), ...lawsBroken(node)]).toEqual([step]);
        expect(node.world.describe().replace(/row-\d+/g, '')).toBe(before);
      }
    });
  }

  it('leaves a DEL that succeeds with nothing to do (case A15)', async () => {
    for (const step of steps) {
      const node = await nodeWith();
      await node.add(one, { host: [{ step, verb: 'ensure', how: { code: 77 }, at: 'after' }] });
      expect(await node.del(one)).toMatchObject(ok);
      expect(leftOf(one, node)).toEqual([]);
    }
  });

  it('ends within its deadline and leaves nothing, if the step hangs (I10, case A44, bug B38)', async () => {
    for (const step of steps) {
      for (const at of ats) {
        const node = await nodeWith(sibling);
        const began = time.now;
        const changes = { deadlines: { addMs: 5_000, rollbackMs: 2_000 } };
        const answer = await node.add(one, { changes, host: [{ step, verb: 'ensure', how: 'hang', at }] });
        expect([step, answer]).toMatchObject([step, { kind: 'error', code: 11 }]);
        expect(time.now - began).toBeLessThanOrEqual(5_000);
        expect([step, ...leftOf(one, node)]).toEqual([step]);
      }
    }
  });

  it('owes a part that its rollback cannot remove: marked, held, and finished by DEL or recover (I3, case A32)', async () => {
    for (const last of ['DEL', 'recover'] as const) {
      for (const step of steps) {
        const node = await nodeWith(sibling);
        const refused: HostFault = { step: 'deviceInfo', verb: 'ensure', how: { code: 77 }, at: 'after' };
        const answer = await node.add(one, { host: [refused, { step, verb: 'remove', how: { code: 11 } }] });
        expect(answer).toMatchObject({ kind: 'error', code: 77 });
        expect([step, isGoing(one, node.disk)]).toEqual([step, true]);
        expect(leftOf(one, node).length).toBeGreaterThan(step === 'bridge' ? 0 : 1);
        expect(await node.call(last, one)).toMatchObject(ok);
        expect([step, ...leftOf(one, node)]).toEqual([step]);
      }
    }
  });
});

it('an ADD whose namespace was replaced while it worked takes everything back: recovery would judge it by the old one', async () => {
  const node = new FakeNode().withNetns(one);
  const watch = ({ step, verb, at }: Instant): void => {
    if (step === 'publication' && verb === 'ensure' && at === 'after') node.world.netns.set(netnsOf(one), '4:999');
  };
  expect(await node.add(one, { watch })).toMatchObject({ kind: 'error', code: 8 });
  expect(leftOf(one, node)).toEqual([]);
});

describe('a DEL with a step that fails', () => {
  it('goes on with the others, succeeds, and owes the rest until DEL or recover has removed it (I4, case A24, bug B2, bug B7)', async () => {
    for (const last of ['DEL', 'recover', 'ADD'] as const) {
      for (const step of steps) {
        const node = await nodeWith(sibling, one);
        const tried: string[] = [];
        const watch = ({ verb, step: at }: Instant) => void (verb === 'remove' && tried.push(at));
        expect(await node.del(one, { watch, host: [{ step, verb: 'remove', how: { code: 11 } }] })).toMatchObject(ok);
        const waiting = step === 'port' ? ['bridge', 'socketDir', 'address'] : [];
        expect([step, [...new Set(tried)].sort()]).toEqual([step, steps.filter((s) => !waiting.includes(s)).sort()]);
        expect([step, isGoing(one, node.disk)]).toEqual([step, true]);
        const answer = await node.call(last, one);
        expect(answer).toMatchObject(last === 'ADD' ? { kind: 'error', code: 11 } : ok);
        expect([step, ...leftOf(one, node), ...lawsBroken(node)]).toEqual([step]);
        expect(faultsOf(sibling, node)).toEqual([]);
      }
    }
  });

  it('ends within its deadline, succeeds and owes the rest, if the step hangs (I10, case A44, bug B38)', async () => {
    for (const step of steps) {
      for (const at of ats) {
        const node = await nodeWith(one);
        const began = time.now;
        const changes = { deadlines: { delMs: 3_000 } };
        expect(await node.del(one, { changes, host: [{ step, verb: 'remove', how: 'hang', at }] })).toMatchObject(ok);
        expect(time.now - began).toBeLessThanOrEqual(3_000);
        expect([step, isGoing(one, node.disk)]).toEqual([step, true]);
        expect(await node.recover()).toMatchObject({ recovered: [{ found: 'going', result: 'removed' }] });
        expect([step, ...leftOf(one, node)]).toEqual([step]);
      }
    }
  });

  it('holds the address as long as the port is there, so that no other pod gets it; then gives it back (case A32)', async () => {
    const node = await nodeWith(one);
    const held = [...node.world.addresses].find(([, by]) => by === keyOf(one))?.[0];
    const down: HostFault = { step: 'port', verb: 'remove', how: { code: 11 }, forever: true };
    for (const verb of ['DEL', 'DEL', 'recover', 'ADD'] as const) await node.call(verb, one, { host: [down] });
    expect(node.world.addresses.get(held ?? '')).toBe(keyOf(one));
    const added = await node.add(stranger);
    expect(faultsOf(stranger, node, added)).toEqual([]);
    expect(await node.recover({ host: [down] })).toMatchObject({
      recovered: [{}, { result: 'owed', owed: [{ step: 'port' }] }],
    });
    const order: string[] = [];
    const watch = ({ step, verb, at }: Instant) => void (verb === 'remove' && at === 'after' && order.push(step));
    expect(await node.recover({ watch })).toMatchObject({ recovered: [{ result: 'kept' }, { result: 'removed' }] });
    expect(order.indexOf('port')).toBeLessThan(order.indexOf('address'));
    expect(leftOf(one, node)).toEqual([]);
  });

  it('is retried by another DEL after its own removal, the one tried least recently first', async () => {
    const third: Attachment = { ...stranger, ifName: 'net3' };
    const node = await nodeWith(one, stranger, third);
    const down: HostFault = { step: 'port', verb: 'remove', how: { code: 11 } };
    await node.del(one, { host: [down] });
    await node.del(stranger, { host: [down, { ...down, step: 'address' }] });
    expect([isGoing(one, node.disk), isGoing(stranger, node.disk)]).toEqual([true, true]);
    const order: string[] = [];
    const watch = ({ step, plan, at }: Instant) =>
      void (step === 'port' && at === 'after' && order.push(`${plan?.key.containerId} ${plan?.key.ifName}`));
    expect(await node.del(third, { watch })).toMatchObject(ok);
    expect(order).toEqual([third, one, stranger].map(({ containerId, ifName }) => `${containerId} ${ifName}`));
    for (const each of [one, stranger, third]) expect(leftOf(each, node)).toEqual([]);
  });

  it('succeeds and removes everything by a configuration that ADD would refuse (bug B22)', async () => {
    const refused = [
      { host: { engine: 'vpp', iftype: 'memif' } },
      { host: undefined, container: undefined, sharedDir: undefined },
      { ipam: { type: 7 }, deadlines: 'soon', sharedDir: '../up' },
    ];
    for (const changes of refused) {
      const node = await nodeWith(one);
      const others = othersThan([one], node);
      expect(await node.del(one, { changes })).toMatchObject(ok);
      expect(leftOf(one, node)).toEqual([]);
      expect(othersThan([one], node)).toBe(others);
    }
  });
});

describe('names that belong to others', () => {
  it('make ADD answer 7 and stay as they are, whether they are seen before the first effect or only by the switch (I6, I7)', async () => {
    const named: Attachment = { ...one, socketfile: 'sock0' };
    const rival: Attachment = { ...sibling, socketfile: 'sock0' };
    const node = await nodeWith(rival);
    const before = node.world.describe();
    expect(await node.add(named)).toMatchObject({ kind: 'error', code: 7 });
    expect(node.world.describe()).toBe(before);
    expect(leftOf(named, node)).toEqual([]);

    const late = await nodeWith();
    let come = false;
    const watch = async ({ step, at }: Instant): Promise<void> => {
      if (step !== 'port' || at !== 'before' || come) return;
      come = true;
      expect(await late.add(rival)).toMatchObject(ok);
    };
    expect(await late.add(named, { watch })).toMatchObject({ kind: 'error', code: 7 });
    expect(leftOf(named, late)).toEqual([]);
    expect(faultsOf(rival, late)).toEqual([]);
    expect((await momentsIn((see) => late.del(named, { watch: see }))).length).toBeGreaterThan(0);
    expect(faultsOf(rival, late)).toEqual([]);
  });
});
