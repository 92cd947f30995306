import { afterAll, describe, expect, it } from 'vitest';
import { now } from '../../src/deadlines.ts';
import type { Entry } from '../../src/drive/entry.ts';
import { judge, keyOf, type Witness } from '../../src/recovery/judge.ts';
import type { Found } from '../../src/recovery/words.ts';
import { bytesOf, chmod, rewrite } from '../support/fake/damage.ts';
import { FakeNode, journalOf, keyOf as keyTextOf } from '../support/fake/fake-node.ts';
import { attachedNode, locked, one } from '../support/fake/recovery-parts.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { instance } from '../support/instance.ts';

afterAll(new VirtualTime().install());

const witness: Witness = {
  bootId: () => 'boot-1',
  judgeNetns: () => 'alive',
  isPortLost: async () => false,
};
const call = { instance: 'ffffffffffffffff', end: now() + 1_000 };

async function judged(node: FakeNode, changes: Partial<Witness> = {}) {
  const journal = await locked(node);
  try {
    return await judge(journal, { ...witness, ...changes }, call);
  } finally {
    journal.close();
  }
}

/** Keeps only the first records. */
function cutTo(node: FakeNode, count: number): void {
  const bytes = bytesOf(one, node);
  const ends = [...bytes.keys()].filter((at) => bytes[at] === 0x0a);
  rewrite(one, node, bytes.subarray(0, (ends[count - 1] ?? -1) + 1));
}

/** Takes away the attribute of an attachment at rest. */
async function begun(): Promise<FakeNode> {
  const node = new FakeNode().withNetns(one);
  await node.add(one, { host: [{ step: 'port', verb: 'ensure', how: 'crash' }] });
  return node;
}

/** Restores the journal as a backup does, in another file. */
async function copied(): Promise<FakeNode> {
  const node = await begun();
  const bytes = bytesOf(one, node);
  const process = node.disk.spawn();
  process.unlink(journalOf(one));
  process.processDeath();
  rewrite(one, node, bytes);
  return node;
}

async function owed(): Promise<FakeNode> {
  const node = await attachedNode();
  await node.del(one, { host: [{ step: 'port', verb: 'remove', how: { code: 11 } }] });
  return node;
}

function fromBytes(node: FakeNode, change: (text: string) => string): FakeNode {
  rewrite(one, node, new TextEncoder().encode(change(new TextDecoder().decode(bytesOf(one, node)))));
  return node;
}

describe('an attachment is judged', () => {
  const cases: readonly [found: Found, why: string, make: () => Promise<FakeNode>, changes?: Partial<Witness>][] = [
    ['attached', 'at rest, its namespace there, and its port', attachedNode],
    ['lost', 'at rest, and the switch has not its port', attachedNode, { isPortLost: async () => true }],
    ['abandoned', 'its namespace is gone', attachedNode, { judgeNetns: () => 'gone' }],
    ['unjudged', 'its namespace cannot be judged from here', attachedNode, { judgeNetns: () => 'unknown' }],
    ['rebooted', 'it is of another boot', attachedNode, { bootId: () => 'boot-2' }],
    [
      'rebooted',
      'it is of another boot, and damaged',
      async () => {
        const node = await attachedNode();
        cutTo(node, 2);
        return node;
      },
      { bootId: () => 'boot-2' },
    ],
    ['interrupted', 'its ADD was interrupted', begun],
    ['damaged', 'its ADD was interrupted in another file, and a living pod may have a later answer', copied],
    [
      'interrupted',
      'its ADD was interrupted in another file, and its namespace is gone',
      copied,
      { judgeNetns: () => 'gone' },
    ],
    ['going', 'it bears the mark', owed],
    [
      'going',
      'its records tell of a removal, with any later mode',
      async () => {
        const node = await owed();
        chmod(one, node, 0o755);
        return node;
      },
    ],
    ['going', 'it bears the mark, and is of another boot', owed, { bootId: () => 'boot-2' }],
    [
      'empty',
      'nothing was ever written to it',
      async () => {
        const node = new FakeNode().withNetns(one);
        await node.add(one, { host: [{ step: 'preflight', verb: 'find', how: 'crash' }] });
        return node;
      },
    ],
    [
      'damaged',
      'a record in its middle is garbage',
      async () => fromBytes(await attachedNode(), (text) => text.replace('"intent"', '"rotten"')),
    ],
    [
      'damaged',
      'it was at rest, and its last records are gone',
      async () => {
        const node = await attachedNode();
        cutTo(node, 3);
        return node;
      },
    ],
    [
      'newer',
      'another version wrote it (need N15)',
      async () => {
        const node = await begun();
        const journal = await locked(node);
        const [header] = journal.records;
        journal.restart();
        journal.append({ ...(header as Entry), machine: 9 } as Entry);
        journal.close();
        return node;
      },
    ],
  ];

  it.each(cases)('"%s": %s', async (found, _, make, changes) => {
    expect(await judged(await make(), changes)).toMatchObject({ found });
  });

  it('"attached" where the switch cannot be asked: a port that was not seen to be lost is not put back', async () => {
    const isPortLost = () => Promise.reject(new Error('no answer'));
    expect(await judged(await attachedNode(), { isPortLost })).toMatchObject({ found: 'attached', isUnasked: true });
  });

  it('by the id in its header, and by the row in its records', async () => {
    const asked: unknown[] = [];
    await judged(await attachedNode(), {
      isPortLost: async ({ facts }, { instance: by }) => {
        asked.push([facts.port && 'uuid' in facts.port && facts.port.uuid, by]);
        return false;
      },
    });
    expect(asked).toEqual([['row-1', instance]]);
  });
});

describe('the key of a journal', () => {
  const name = `${keyTextOf(one)}.journal`;
  const key = { network: 'net-a', containerId: one.containerId, ifName: 'net1' };

  it('is the header’s, else the one that its name spells out', async () => {
    const journal = await locked(await attachedNode());
    expect(keyOf('0123456789abcdef::c0ffee:net1.journal', journal)).toEqual(key);
    expect(keyOf(name, { records: [] })).toEqual(key);
    journal.close();
  });

  it('is unknown where neither tells it', () => {
    expect(keyOf('0123456789abcdef::c0ffee:net1.journal', { records: [] })).toBeUndefined();
  });
});
