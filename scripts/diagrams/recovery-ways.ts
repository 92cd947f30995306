/**
 * The ways from a state of `list` over a finding of `recover` to its result. They are found by going them: the product's own code reads
 * and recovers each kind of journal on each kind of node, in memory.
 */
import { readAttachment } from '../../src/cli/attachments.ts';
import type { AttachmentState } from '../../src/cli/words.ts';
import type { Entry } from '../../src/drive/entry.ts';
import type { RecoveryHost, Visit } from '../../src/recovery/options.ts';
import type { Fate, Found } from '../../src/recovery/words.ts';
import { explore, fork } from '../../test/support/fake/crash-points.ts';
import { bytesOf, rewrite } from '../../test/support/fake/damage.ts';
import { FakeHost, type HostFault } from '../../test/support/fake/fake-host.ts';
import { FakeNode, journalOf } from '../../test/support/fake/fake-node.ts';
import { attachedNode, forRecovery, locked, one, recovered } from '../../test/support/fake/recovery-parts.ts';
import type { SimulatedDisk } from '../../test/support/fake/simulated-disk.ts';
import { VirtualTime } from '../../test/support/fake/virtual-time.ts';

export interface Way {
  /** `no journal`: `list` has no line for it. */
  readonly state: AttachmentState | typeof noJournal;
  readonly found: Found;
  readonly fate: Fate;
}

export const noJournal = 'no journal';

// ---- the journals

/** The bytes of an attachment's journal, changed as a disk or a person may change them. */
async function rewritten(change: (bytes: Uint8Array) => Uint8Array): Promise<FakeNode> {
  const node = await attachedNode();
  rewrite(one, node, change(bytesOf(one, node)));
  return node;
}

/** Another file with the same bytes, as a backup makes it, of an ADD that was at work. */
async function copied(from: FakeNode): Promise<FakeNode> {
  const node = fork(from);
  const bytes = bytesOf(one, node);
  removeJournal(node);
  rewrite(one, node, bytes);
  return node;
}

function removeJournal({ disk }: FakeNode): void {
  const process = disk.spawn();
  process.unlink(journalOf(one));
  process.processDeath();
}

async function ofAnotherRelease(): Promise<FakeNode> {
  const node = await attachedNode();
  const journal = await locked(node);
  const [header] = journal.records;
  journal.restart();
  journal.append({ ...(header as Entry), machine: 9 } as Entry);
  journal.close();
  return node;
}

const refusal: HostFault = { step: 'port', verb: 'remove', how: { code: 11 }, forever: true };

/** What each window of an ADD and of a DEL leaves, and what else may be found on a node. */
async function journals(): Promise<FakeNode[]> {
  const attached = await attachedNode();
  const adding = await explore(new FakeNode().withNetns(one), 'ADD', one);
  const removing = await explore(attached, 'DEL', one);
  const owed = await explore(attached, 'DEL', one, { host: [refusal] });
  const crashed = [adding, removing, owed].flatMap(({ crashes }) => crashes.filter(({ powerCut }) => !powerCut));
  const begun = crashed.find(({ how }) => how.startsWith('killed after ensure port'))?.node;
  if (!begun) throw new Error('no ADD died after its port');
  const orphan = await attachedNode();
  removeJournal(orphan);
  return [
    attached,
    owed.end,
    ...crashed.map(({ node }) => node),
    await copied(begun),
    await ofAnotherRelease(),
    await rewritten((bytes) => bytes.subarray(0, bytes.indexOf(0x0a) + 1)),
    await rewritten(() => new TextEncoder().encode('not a journal\n')),
    orphan,
  ];
}

// ---- the nodes

/** What a recovery meets on a node. */
interface Meeting {
  readonly world?: (node: FakeNode) => void;
  readonly host?: Partial<RecoveryHost>;
  readonly faults?: readonly HostFault[];
  readonly visit?: Visit;
  readonly by?: 'another process' | 'a broken disk';
}

const gc: Visit = {
  why: 'gc',
  calledAt: '9999',
  planOf: (key) => ({ key, ovsdb: 'unix:/run/openvswitch/db.sock', request: { stdin: '', env: {} } }),
};

const meetings: readonly Meeting[] = [
  {},
  { world: ({ world }) => world.reboot(false) },
  { world: ({ world }) => world.reboot(false), faults: [refusal] },
  { world: ({ world }) => world.netns.clear() },
  { world: ({ world }) => world.netns.clear(), faults: [refusal] },
  { world: ({ world }) => world.loseSwitch() },
  { world: ({ world }) => world.loseSwitch(), visit: forRecovery({ putBack: 'later' }) },
  {
    world: ({ world }) => {
      world.loseSwitch();
      world.setDaemon('away');
    },
  },
  { host: { judgeNetns: () => 'unknown' } },
  { host: { isPortLost: () => Promise.reject(new Error('no answer')) } },
  { faults: [refusal] },
  { visit: gc },
  { visit: gc, faults: [refusal] },
  { by: 'another process' },
  { by: 'a broken disk' },
];

async function wayOf(from: FakeNode, { world, host = {}, faults = [], visit, by }: Meeting): Promise<Way | undefined> {
  const node = fork(from);
  world?.(node);
  const disk = node.disk.spawn();
  const holder = by === 'another process' ? hold(node) : undefined;
  if (by === 'a broken disk') disk.inject({ call: 'open', nth: 1, how: { error: 'EIO' }, forever: true });
  const state = readAttachment(disk, journalOf(one), holder)?.attachment.state;
  if (state === undefined) return await wayOfOrphan(node, faults);
  const task = { disk, host: { ...new FakeHost(node.world, { faults }).asHost, ...host } };
  const report = await recovered(node, visit, task);
  return report && { state, found: report.found, fate: report.result };
}

/** Takes the journal's lock, and keeps it. */
function hold({ disk }: FakeNode) {
  const process: SimulatedDisk = disk.spawn();
  if (process.lookup(journalOf(one)) !== undefined) process.tryLock(process.open(journalOf(one), 'r+'));
  return { pid: 1, command: 'userspace', since: '' };
}

/** Without a journal only a whole recovery finds the port, by its marks. */
async function wayOfOrphan(node: FakeNode, faults: readonly HostFault[]): Promise<Way | undefined> {
  const answer = await node.recover({ host: faults });
  const [report] = (answer.kind === 'ok' && answer.recovered) || [];
  return report && { state: noJournal, found: report.found, fate: report.result };
}

/** Every different way, in no order. */
export async function recoveryWays(): Promise<Way[]> {
  const endVirtualTime = new VirtualTime().install();
  try {
    const ways = new Map<string, Way>();
    for (const node of await journals()) {
      for (const meeting of meetings) {
        const way = await wayOf(node, meeting);
        if (way) ways.set(JSON.stringify(way), way);
      }
    }
    return [...ways.values()];
  } finally {
    endVirtualTime();
  }
}
