/**
 * Journals as each format wrote them, kept for ever (test/golden/journals-vN): an upgrade or a downgrade strands no pod. A new
 * format gets a new directory here; the old ones stay as they are.
 */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { Entry } from '../../src/drive/entry.ts';
import { fold } from '../../src/drive/past.ts';
import { encode, type Stamped } from '../../src/journal/record.ts';
import type { Instant } from '../support/fake/fake-host.ts';
import { type Attachment, FakeNode, journalOf, podA } from '../support/fake/fake-node.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { leftOf, othersThan } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const base = { containerId: podA, ifName: 'net1', ipam: true, deviceInfo: false } as const;
const server: Attachment = { ...base, mode: 'server', deviceInfo: true, vlan: 7 };
const client: Attachment = { ...base, mode: 'client' };
const pod: Attachment = { ...base, mode: 'client', pod: 'app' };

type Made = (node: FakeNode) => Promise<unknown>;

/** The story of each, and its state. */
const golden: readonly [name: string, one: Attachment, made: Made, state: string, fate: string | undefined][] = [
  ['attached-server', server, (node) => node.add(server), 'attached', 'kept'],
  ['attached-client', client, (node) => node.add(client), 'attached', 'kept'],
  ['attached-in-a-pod', pod, (node) => node.add(pod), 'attached', 'kept'],
  ['interrupted', client, (node) => node.add(client, dying('publication', 'ensure')), 'adding', 'removed'],
  [
    'going',
    client,
    async (node) => [await node.add(client), await node.del(client, dying('port', 'remove'))],
    'going',
    'removed',
  ],
  [
    'going-in-a-pod',
    pod,
    async (node) => [await node.add(pod), await node.del(pod, annotationLast)],
    'going',
    'removed',
  ],
  ['owed', client, async (node) => [await node.add(client), await node.del(client, refused)], 'going', 'removed'],
  [
    'restored',
    server,
    async (node) => [await node.add(server), node.world.loseSwitch(), await node.recover()],
    'attached',
    'kept',
  ],
  [
    'restoring',
    server,
    async (node) => [await node.add(server), node.world.loseSwitch(), await node.recover(dying('port', 'restore'))],
    'attached',
    'restored',
  ],
];

function dying(step: 'port' | 'publication', verb: 'ensure' | 'remove' | 'restore') {
  return {
    host: [{ step, verb, how: 'crash' as const, at: verb === 'restore' ? ('during' as const) : ('before' as const) }],
  };
}
/** The port is removed while the annotation's removal is under way, and then the process dies. */
const annotationLast = {
  ...dying('publication', 'remove'),
  watch: async ({ step, verb, at }: Instant) => {
    if (step === 'publication' && verb === 'remove' && at === 'before') await new Promise(setImmediate);
  },
};
const refused = { host: [{ step: 'port' as const, verb: 'remove' as const, how: { code: 11 }, forever: true }] };

const textOf = (name: string): string =>
  readFileSync(new URL(`../golden/journals-v1/${name}`, import.meta.url), 'utf8');

const entriesOf = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Entry & Stamped);

function write(one: Attachment, { disk }: FakeNode, text: string): void {
  const process = disk.spawn();
  const fd = process.open(journalOf(one), 'a+', 0o600);
  process.truncate(fd, 0);
  process.write(fd, new TextEncoder().encode(text));
  process.fsync(fd);
  process.processDeath();
}

/** The same story under another header, its checksums true again. */
function retold(text: string, header: object): string {
  let chain = 0;
  const lines = entriesOf(text).map((entry, index) => {
    const { crc: _, chain: __, ...record } = entry as Entry & Stamped & { crc: string; chain: string };
    const encoded = encode({ ...record, ...(index === 0 && header) } as object & Stamped, chain);
    chain = encoded.chain;
    return new TextDecoder().decode(encoded.line);
  });
  return lines.join('');
}

describe.each(golden)('a journal of format 1, %s', (name, one, made, state, fate) => {
  const node = async (text = textOf(name)): Promise<FakeNode> => {
    const fresh = new FakeNode().withNetns(one);
    fresh.world.addOthers();
    await made(fresh);
    write(one, fresh, text);
    return fresh;
  };

  it(`says that it is ${state}`, () => {
    expect(fold(entriesOf(textOf(name)))?.state).toBe(state);
  });

  it('is removed by DEL, and nothing is left', async () => {
    const fresh = await node();
    const others = othersThan([one], fresh);
    expect(await fresh.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, fresh)).toEqual([]);
    expect(othersThan([one], fresh)).toBe(others);
  });

  it(`is ${fate} by recover`, async () => {
    const fresh = await node();
    expect(await fresh.recover()).toMatchObject({ recovered: [{ result: fate }] });
    expect(await fresh.del(one)).toMatchObject({ kind: 'ok' });
    expect(leftOf(one, fresh)).toEqual([]);
  });

  it.each([{ machine: 2 }, { format: 2 }])(
    'and yet of a newer one, %j, is removed by its header and its marks',
    async (header) => {
      const fresh = await node(retold(textOf(name), header));
      expect(await fresh.add(one)).toMatchObject({ kind: 'error', code: 11 });
      expect(await fresh.del(one)).toMatchObject({ kind: 'ok' });
      expect(leftOf(one, fresh)).toEqual([]);
    },
  );
});
