import { afterAll, describe, expect, it } from 'vitest';
import type { AttachmentKey } from '../../src/attachment.ts';
import type { Plan } from '../../src/machines/protocol.ts';
import type { RecoveryHost } from '../../src/recovery/options.ts';
import { chmod, rewrite } from '../support/fake/damage.ts';
import { FakeHost } from '../support/fake/fake-host.ts';
import { FakeNode, journalOf, otherDataDir, portOf } from '../support/fake/fake-node.ts';
import { attachedNode, clock, forRecovery, locked, one, recovered } from '../support/fake/recovery-parts.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, isGoing, leftOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const down = { step: 'port', verb: 'remove', how: { code: 11 }, forever: true } as const;

async function owedNode(): Promise<FakeNode> {
  const node = await attachedNode();
  await node.del(one, { host: [down] });
  return node;
}

async function interruptedNode(): Promise<FakeNode> {
  const node = new FakeNode().withNetns(one);
  await node.add(one, { host: [{ step: 'publication', verb: 'ensure', how: 'crash' }] });
  return node;
}

/** The same host, but for one answer. */
const hostOf = ({ world }: FakeNode, changes: Partial<RecoveryHost>): RecoveryHost => ({
  ...new FakeHost(world).asHost,
  ...changes,
});

describe('the report on an attachment that recovery keeps', () => {
  it('is "attached", and no more', async () => {
    expect(await recovered(await attachedNode())).toEqual({
      key: 'net-a:c0ffee00c0ffee00:net1',
      found: 'attached',
      result: 'kept',
      owed: [],
    });
  });

  it('names a mode of its journal that is none of ours', async () => {
    const node = await attachedNode();
    chmod(one, node, 0o755);
    const note = 'the mode 0755 of its journal is none of ours, and means nothing';
    expect(await recovered(node)).toMatchObject({ found: 'attached', result: 'kept', note });
  });

  it('says that the switch could not be asked', async () => {
    const node = await attachedNode();
    const host = hostOf(node, { isPortLost: () => Promise.reject(new Error('no answer')) });
    const note = expect.stringContaining('switch could not be asked');
    expect(await recovered(node, undefined, { host })).toMatchObject({
      found: 'attached',
      result: 'not looked at',
      note,
    });
  });

  it('says that its namespace cannot be judged', async () => {
    const node = await attachedNode();
    const host = hostOf(node, { judgeNetns: () => 'unknown' });
    const note = expect.stringContaining('DEL will remove it');
    expect(await recovered(node, undefined, { host })).toMatchObject({ found: 'unjudged', result: 'kept', note });
  });

  it('is "damaged" for a journal that cannot be read', async () => {
    const node = await attachedNode();
    rewrite(one, node, new TextEncoder().encode('not a journal\n'));
    expect(await recovered(node)).toMatchObject({ found: 'damaged', result: 'kept' });
  });
});

describe('a port that the switch has lost', () => {
  const lost = async () => {
    const node = await attachedNode();
    node.world.loseSwitch();
    return node;
  };

  it('waits until everything else is done', async () => {
    const node = await lost();
    const answer = await recovered(node, forRecovery({ putBack: 'later' }));
    expect(answer).toMatchObject({ found: 'lost', result: 'kept' });
    expect(node.world.ports.size).toBe(0);
  });

  it('is put back', async () => {
    const node = await lost();
    expect(await recovered(node)).toMatchObject({ found: 'lost', result: 'restored', owed: [] });
    expect(faultsOf(one, node)).toEqual([]);
  });

  it('would be put back, says a dry run, and changes nothing', async () => {
    const node = await lost();
    expect(await recovered(node, forRecovery({ dryRun: true }))).toMatchObject({ found: 'lost', result: 'restored' });
    expect(node.world.ports.size).toBe(0);
  });

  it('is owed, with the reason, where it cannot be', async () => {
    const node = await lost();
    node.world.setDaemon('away');
    const owed = [{ step: 'port', message: expect.stringContaining('ovs-vswitchd') }];
    expect(await recovered(node)).toMatchObject({ found: 'lost', result: 'owed', owed });
  });

  it('goes, if a DEL came while it was put back', async () => {
    const node = await lost();
    const host = new FakeHost(node.world, {
      watch: ({ step, verb, at }) => {
        if (step === 'port' && verb === 'restore' && at === 'after') chmod(one, node, 0o1714);
      },
    }).asHost;
    expect(await recovered(node, undefined, { host })).toMatchObject({ found: 'going', result: 'removed' });
    expect(leftOf(one, node)).toEqual([]);
  });
});

describe('an attachment that is to be removed', () => {
  it.each([
    ['interrupted', interruptedNode],
    ['going', owedNode],
    [
      'abandoned',
      async () => {
        const node = await attachedNode();
        node.world.netns.clear();
        return node;
      },
    ],
    [
      'rebooted',
      async () => {
        const node = await attachedNode();
        node.world.reboot(false);
        return node;
      },
    ],
  ] as const)('(%s) is removed, and would be in a dry run', async (found, make) => {
    const node = await make();
    const before = node.world.describe();
    expect(await recovered(node, forRecovery({ dryRun: true }))).toMatchObject({ found, result: 'removed' });
    expect(node.world.describe()).toBe(before);
    expect(await recovered(node)).toMatchObject({ found, result: 'removed', owed: [] });
    expect(leftOf(one, node)).toEqual([]);
  });

  it('(empty) is looked at twice, because an ADD may be about to lock it', async () => {
    const node = new FakeNode().withNetns(one);
    await node.add(one, { host: [{ step: 'preflight', verb: 'find', how: 'crash' }] });
    let looks = 0;
    const host = hostOf(node, { close: () => void looks++ });
    expect(await recovered(node, undefined, { host })).toMatchObject({ found: 'empty', result: 'removed' });
    expect(looks).toBe(2);
    expect(leftOf(one, node)).toEqual([]);
  });

  it('is owed step by step, marked, and due again after a pause', async () => {
    const node = await attachedNode();
    node.world.reboot(false);
    const answer = await recovered(node, undefined, { faults: [down] });
    const owed = [{ step: 'port', message: expect.stringContaining('cannot remove port') }];
    expect(answer).toMatchObject({ found: 'rebooted', result: 'owed', owed });
    expect(isGoing(one, node.disk)).toBe(true);
    expect(node.disk.spawn().lookup(journalOf(one))?.mtimeMs).toBe(BigInt(clock().getTime()));
  });

  it('is owed as "journal" where that cannot be marked or unlinked', async () => {
    const node = await interruptedNode();
    for (const call of ['chmod', 'unlink'] as const) {
      const disk = node.disk.spawn();
      disk.inject({ call, nth: 1, how: { error: 'EIO' } });
      const owed = [{ step: 'journal', message: expect.stringContaining('EIO') }];
      expect(await recovered(node, undefined, { disk })).toMatchObject({ found: 'interrupted', result: 'owed', owed });
    }
  });

  it('is owed where neither its journal nor its name tells its key', async () => {
    const node = await owedNode();
    const process = node.disk.spawn();
    const name = '0123456789abcdef::cccccccccccc:net1.journal';
    const path = journalOf(one).replace(/[^/]*$/, name);
    const fd = process.open(path, 'a+', 0o600);
    process.write(fd, new TextEncoder().encode('not a journal\n'));
    process.setAttribute(fd);
    process.chmod(fd, 0o1714);
    process.processDeath();
    const { recovered: all } = (await node.recover()) as unknown as { recovered: { key: string; owed: unknown[] }[] };
    const owed = [{ step: 'journal', message: expect.stringContaining('neither it nor its name') }];
    expect(all.find(({ key }) => key.includes('::'))).toMatchObject({ result: 'owed', owed });
    expect(node.disk.spawn().lookup(path)).toBeDefined();
  });

  it('says that an address may be held where nothing tells of one', async () => {
    const node = await attachedNode();
    const process = node.disk.spawn();
    process.unlink(journalOf(one));
    const answer = await recovered(node, {
      why: 'orphan',
      key: { network: 'net-a', containerId: one.containerId, ifName: 'net1' },
    });
    const note = 'an address that it had may still be held by its IPAM plugin';
    expect(answer).toMatchObject({ found: 'orphan', result: 'removed', note });
    expect(node.world.ports.size).toBe(0);
  });

  it('is owed, and not touched, where it was made through another data directory', async () => {
    const node = await attachedNode();
    const key = { network: 'net-a', containerId: one.containerId, ifName: 'net1' };
    const more = { dataDir: otherDataDir, instance: 'eeeeeeeeeeeeeeee' };
    node.disk.spawn().mkdir(otherDataDir, 0o700);
    const before = node.world.describe();
    const owed = [{ step: 'port', message: expect.stringContaining('made through') }];
    expect(await recovered(node, { why: 'orphan', key }, more)).toMatchObject({ result: 'owed', owed });
    expect(node.world.describe()).toBe(before);
  });
});

describe('a purpose', () => {
  const planOf = (key: AttachmentKey): Plan => ({ key, ovsdb: '', request: { stdin: '', env: {} } });
  const since = (ms: number) =>
    ({ why: 'gc', calledAt: new Date(clock().getTime() + ms).toISOString(), planOf }) as const;

  it('"debt" leaves everything but removals that were begun', async () => {
    expect(await recovered(await attachedNode(), { why: 'debt' })).toBeUndefined();
    expect(await recovered(await interruptedNode(), { why: 'debt' })).toBeUndefined();
    expect(await recovered(await owedNode(), { why: 'debt' })).toMatchObject({ found: 'going', result: 'removed' });
  });

  it('"stale" removes an attachment that was at rest when GC was called, and keeps a later one', async () => {
    const node = await attachedNode();
    expect(await recovered(node, since(-1))).toMatchObject({ found: 'attached', result: 'kept' });
    expect(await recovered(node, since(1))).toMatchObject({ found: 'stale', result: 'removed' });
    expect(leftOf(one, node)).toEqual([]);
  });

  it('"orphan" leaves an attachment that was begun since its port was seen', async () => {
    const node = await attachedNode();
    const key = { network: 'net-a', containerId: one.containerId, ifName: 'net1' };
    expect(await recovered(node, { why: 'orphan', key })).toBeUndefined();
    expect(node.world.ports.has(portOf(one))).toBe(true);
  });
});

describe('a journal', () => {
  it('that another process holds is "held", and that process is named; as "going", it is a debt (need N15)', async () => {
    const holder = { pid: 7, command: 'userspace', since: '2025-01-17T11:59:00.000Z' };
    for (const [make, found] of [
      [attachedNode, 'held'],
      [owedNode, 'going'],
    ] as const) {
      const node = await make();
      const journal = await locked(node);
      const asked: string[] = [];
      const holderOf = (path: string) => {
        asked.push(path);
        return holder;
      };
      expect(await recovered(node, forRecovery({ holderOf }))).toMatchObject({
        found,
        result: 'held',
        owed: [],
        holder,
      });
      expect(asked).toEqual([journalOf(one)]);
      journal.close();
    }
  });

  it('that went away is not reported', async () => {
    expect(await recovered(new FakeNode())).toBeUndefined();
  });

  it('that cannot be opened is owed, and the others still get their turn', async () => {
    const node = await attachedNode();
    const disk = node.disk.spawn();
    disk.inject({ call: 'open', nth: 1, how: { error: 'EIO' } });
    const owed = [{ step: 'journal', message: expect.stringContaining('cannot open the journal') }];
    expect(await recovered(node, undefined, { disk })).toMatchObject({ found: 'unreadable', result: 'owed', owed });
  });
});
