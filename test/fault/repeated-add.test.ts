/** ADD for an attachment that exists (docs/adr/0004): the recorded answer if all is as it was, else removal first. */
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { steps } from '../../src/machines/protocol.ts';
import type { Instant } from '../support/fake/fake-host.ts';
import {
  type Answer,
  type Attachment,
  bridge,
  directoryOf,
  FakeNode,
  infoFileOf,
  keyOf,
  netnsOf,
  podA,
  portOf,
  socketOf,
} from '../support/fake/fake-node.ts';
import { momentsIn } from '../support/fake/held-call.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, lawsBroken, leftOf, othersThan } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const one: Attachment = { containerId: podA, ifName: 'net1', mode: 'server', ipam: true, deviceInfo: true };

let node: FakeNode;
let first: Answer;

beforeEach(async () => {
  node = new FakeNode().withNetns(one);
  node.world.addOthers();
  first = await node.add(one);
});

/** The effects that change something, in order. */
const verbsOf = (moments: readonly Instant[]): string[] =>
  moments.filter(({ at }) => at === 'before').map(({ verb, step }) => `${verb} ${step}`);

async function again(asked: Attachment = one): Promise<{ answer: Answer; effects: string[] }> {
  let answer: Answer | undefined;
  const moments = await momentsIn(async (watch) => {
    answer = await node.add(asked, { watch });
  });
  if (!answer) throw new Error('no answer');
  return { answer, effects: verbsOf(moments) };
}

const removal = steps.toReversed().map((step) => `remove ${step}`);
const making = steps.map((step) => `ensure ${step}`);

describe('a repeated ADD', () => {
  it('answers what the first one answered and changes nothing, if boot, netns, plan and world are the same', async () => {
    const before = node.world.describe();
    expect(await again()).toEqual({ answer: first, effects: [] });
    expect(node.world.describe()).toBe(before);
  });

  const changes: readonly [what: string, change: (node: FakeNode) => Attachment | undefined][] = [
    ['another boot', ({ world }) => void world.reboot(false)],
    ['another boot that wiped /run', ({ world }) => void world.reboot(true)],
    ['another network namespace at the same path', ({ world }) => void world.netns.set(netnsOf(one), '4:1')],
    ['another VLAN', () => ({ ...one, vlan: 7 })],
    ['another mode', () => ({ ...one, mode: 'client' })],
    ['another socket name', () => ({ ...one, socketfile: 'sock0' })],
    ['no addresses asked for any more', () => ({ ...one, ipam: false })],
    [
      'the port gone',
      ({ world }) => {
        world.ports.delete(portOf(one));
        world.bridges.set(bridge, { instance: '0123456789abcdef', ports: [] });
        return undefined;
      },
    ],
    [
      'the port and its bridge gone',
      ({ world }) => {
        world.ports.delete(portOf(one));
        world.bridges.delete(bridge);
        return undefined;
      },
    ],
    ['the socket gone', ({ world }) => void world.files.delete(socketOf(one))],
    ['the device info gone', ({ world }) => void world.files.delete(infoFileOf(one))],
    [
      'the configuration data gone',
      ({ world }) => void world.files.delete(`${directoryOf(one)}/configData-${portOf(one)}.json`),
    ],
    ['the address given back', ({ world }) => void world.addresses.delete('192.0.2.2')],
  ];

  for (const [what, change] of changes) {
    it(`removes everything first and then starts again with ${what} (bug B6)`, async () => {
      const asked = change(node) ?? one;
      const others = othersThan([one], node);
      const { answer, effects } = await again(asked);
      expect(answer).toMatchObject({ kind: 'ok' });
      const wanted = making.filter((step) => asked.ipam || step !== 'ensure address');
      expect(effects).toEqual([...removal, ...wanted]);
      expect(faultsOf(asked, node, answer)).toEqual([]);
      expect(othersThan([one], node)).toBe(others);
      expect(await node.del(asked)).toMatchObject({ kind: 'ok' });
      expect([...leftOf(one, node), ...lawsBroken(node)]).toEqual([]);
    });
  }

  it.each(steps)(
    'that cannot be judged, because %s cannot be asked for, touches nothing and answers 11 (need N24)',
    async (step) => {
      const before = node.world.describe();
      for (const how of [{ code: 5 }, { code: 7 }, 'hang'] as const) {
        expect(await node.add(one, { host: [{ step, verb: 'find', how }] })).toMatchObject({
          kind: 'error',
          code: 11,
          message: expect.stringContaining(`cannot find ${step}: injected`),
        });
      }
      expect(node.world.describe()).toBe(before);
      expect(await again()).toEqual({ answer: first, effects: [] });
    },
  );

  it('with something that differs beside something that cannot be asked for waits until it can (need N24)', async () => {
    node.world.files.delete(infoFileOf(one));
    const before = node.world.describe();
    const silent = [{ step: 'address', verb: 'find', how: 'hang' }] as const;
    expect(await node.add(one, { host: silent })).toMatchObject({ kind: 'error', code: 11 });
    expect(node.world.describe()).toBe(before);
    expect((await again()).effects).toEqual([...removal, ...making]);
  });

  it('rolls back an ADD whose process died and starts again: nothing resumes halfway (case A19, bug B1)', async () => {
    const two: Attachment = { ...one, ifName: 'net2', deviceInfo: false };
    const moments = await momentsIn((watch) => node.add(two, { watch }));
    await node.del(two);
    for (const { step, verb, at } of moments) {
      expect(await node.add(two, { host: [{ step, verb, at, how: 'crash' }] })).toEqual({ kind: 'crashed' });
      const { answer, effects } = await again(two);
      expect(answer).toMatchObject({ kind: 'ok' });
      expect(effects.filter((effect) => effect.startsWith('ensure'))).toEqual(making.slice(0, -1));
      expect(faultsOf(two, node, answer)).toEqual([]);
      await node.del(two);
      expect(leftOf(two, node)).toEqual([]);
    }
    expect(faultsOf(one, node, first)).toEqual([]);
  });

  it('that cannot remove the leftovers answers 11, owes them, and makes nothing (case A32)', async () => {
    node.world.reboot(false);
    const down = { step: 'port', verb: 'remove', how: { code: 11 } } as const;
    let made = 0;
    const watch = ({ verb }: Instant) => void (verb === 'ensure' && made++);
    expect(await node.add(one, { host: [down], watch })).toMatchObject({ kind: 'error', code: 11 });
    expect(made).toBe(0);
    expect([...node.world.addresses.values()]).toContain(keyOf(one));
    expect(await node.recover()).toMatchObject({ recovered: [{ found: 'going', result: 'removed' }] });
    expect(leftOf(one, node)).toEqual([]);
  });
});

describe('ADD on a bridge that others take away', () => {
  const taken = (times: number) => {
    let left = times;
    return ({ step, verb, at }: Instant): void => {
      if (step === 'port' && verb === 'ensure' && at === 'before' && left-- > 0) node.world.bridges.delete(bridge);
    };
  };

  beforeEach(async () => {
    await node.del(one);
  });

  it.each([1, 2, 3])('makes it again when it went away %i times, and attaches (bug B42)', async (times) => {
    const answer = await node.add(one, { watch: taken(times) });
    expect(faultsOf(one, node, answer)).toEqual([]);
  });

  it('answers 11 when it went away once more, and leaves nothing', async () => {
    expect(await node.add(one, { watch: taken(4) })).toMatchObject({ kind: 'error', code: 11 });
    expect(leftOf(one, node)).toEqual([]);
  });
});
