/**
 * The calls in which a crash comes, and the calls that follow it. world-checker.ts judges the result; this file only says the
 * order.
 */
import { type Crash, type Explored, explore, fingerprint, fork } from './crash-points.ts';
import { type Answer, type Attachment, FakeNode, keyOf, podA, portOf, socketOf, type Verb } from './fake-node.ts';
import { switchDir } from './fake-world.ts';
import { faultsOf, headerOf, isGoing, lawsBroken, leftOf, othersThan } from './world-checker.ts';

/** A node's shape: the attachment's configuration, and whether another interface of its pod is there already. */
export interface Shape {
  readonly title: string;
  readonly one: Attachment;
  readonly sibling: boolean;
}

const base = { containerId: podA, ifName: 'net1' } as const;

export const shapes: readonly Shape[] = [
  {
    title: 'server mode, IPAM, device info, alone',
    one: { ...base, mode: 'server', ipam: true, deviceInfo: true },
    sibling: false,
  },
  {
    title: 'server mode, beside a sibling',
    one: { ...base, mode: 'server', ipam: false, deviceInfo: false },
    sibling: true,
  },
  {
    title: 'client mode, IPAM, beside a sibling',
    one: { ...base, mode: 'client', ipam: true, deviceInfo: false },
    sibling: true,
  },
  {
    title: 'client mode in an emptyDir, annotated, beside a sibling',
    one: { ...base, mode: 'client', ipam: true, deviceInfo: false, pod: 'app' },
    sibling: true,
  },
  { title: 'client mode, alone', one: { ...base, mode: 'client', ipam: false, deviceInfo: false }, sibling: false },
];

/** Another interface of the same pod: it shares bridge and directory. */
const siblingOf = (one: Attachment): Attachment => ({
  ...one,
  ifName: 'net2',
  ipam: true,
  deviceInfo: false,
});

/** The call in which the crash comes, and the node it is made on. */
export interface Deed {
  readonly title: string;
  readonly verb: Verb;
  readonly from: FakeNode;
  /** The attachment as this call configures it; other calls use the shape's. */
  readonly asked: Attachment;
}

/** Requires success, because the scenario cannot go on otherwise. */
export function expectOk(answer: Answer): void {
  if (answer.kind !== 'ok') throw new Error(`the scenario cannot be set up: ${JSON.stringify(answer)}`);
}

async function emptyNode({ one, sibling }: Shape): Promise<FakeNode> {
  const node = new FakeNode().withNetns(one);
  node.world.addOthers();
  if (sibling) expectOk(await node.add(siblingOf(one)));
  return node;
}

async function attachedNode(shape: Shape): Promise<FakeNode> {
  const node = await emptyNode(shape);
  expectOk(await node.add(shape.one));
  // In the switch's client mode the application creates the socket.
  if (shape.one.mode === 'client') {
    node.world.files.set(socketOf(shape.one), { kind: 'socket', by: keyOf(shape.one), text: 'app' });
  }
  return node;
}

export async function deedsOn(shape: Shape): Promise<Deed[]> {
  const { one } = shape;
  const interrupted = await emptyNode(shape);
  await interrupted.add(one, { host: [{ step: 'publication', verb: 'ensure', how: 'crash' }] });
  const wiped = await attachedNode(shape);
  wiped.world.loseSwitch();
  const halfRemoved = await attachedNode(shape);
  await halfRemoved.del(one, { host: [{ step: 'port', verb: 'remove', how: 'crash', at: 'during' }] });
  return [
    { title: 'ADD', verb: 'ADD', from: await emptyNode(shape), asked: one },
    {
      title: 'ADD again with another VLAN',
      verb: 'ADD',
      from: await attachedNode(shape),
      asked: { ...one, vlan: 7 },
    },
    { title: 'DEL', verb: 'DEL', from: await attachedNode(shape), asked: one },
    { title: 'GC', verb: 'GC', from: await attachedNode(shape), asked: one },
    { title: 'recover after a dead ADD', verb: 'recover', from: interrupted, asked: one },
    { title: 'recover after the switch lost its database', verb: 'recover', from: wiped, asked: one },
    { title: 'recover after a dead DEL', verb: 'recover', from: halfRemoved, asked: one },
  ];
}

export type FollowUp = 'ADD' | 'DEL' | 'recover';
export const followUps: readonly FollowUp[] = ['ADD', 'DEL', 'recover'];

/** The faults after a crash and its follow-up, at every point that can be judged; empty if all is well. */
export async function faultsAfter(crash: Crash, followUp: FollowUp, one: Attachment): Promise<string[]> {
  const node = fork(crash.node);
  // Recovery after a reboot releases another boot's attachments, the sibling too; a DEL finishes a half-removed one.
  const sibling = siblingOf(one);
  const released = followUp === 'recover' && isOfAnotherBoot(sibling, node);
  const putBack = followUp === 'recover' && !released && hasLostPort(sibling, node);
  const gone = released || putBack || isGoing(sibling, node.disk) ? [sibling] : [];
  const before = othersThan([one, ...gone], node);
  const answer = await node.call(followUp, one);
  const faults = [
    ...judge(node, followUp, answer, one),
    ...(released ? leftOf(sibling, node) : []),
    ...(putBack ? faultsOf(sibling, node) : []),
  ];
  if (followUp !== 'DEL' && faults.length === 0) {
    const del = await node.call('DEL', one);
    faults.push(...judge(node, 'DEL', del, one).map((fault) => `then DEL: ${fault}`));
  }
  const after = othersThan([one, ...gone], node);
  if (after !== before) faults.push(`others: ${before} became ${after}`);
  return [...faults, ...lawsBroken(node), ...(node.leaked > 0 ? ['a descriptor was left open'] : [])];
}

const hasLostPort = (one: Attachment, { disk, world }: FakeNode): boolean =>
  headerOf(one, disk) !== undefined &&
  (!world.ports.has(portOf(one)) || world.files.has(`${switchDir}/${portOf(one)}`));

function isOfAnotherBoot(one: Attachment, node: FakeNode): boolean {
  const header = headerOf(one, node.disk);
  return header !== undefined && header.boot !== node.world.boot;
}

function judge(node: FakeNode, verb: FollowUp, answer: Answer, one: Attachment): string[] {
  if (answer.kind === 'crashed') return ['it crashed by itself'];
  if (answer.kind === 'error') {
    const known = verb === 'ADD' && answer.code === 11 ? [] : [`${verb} answers ${answer.code}: ${answer.message}`];
    return [...known, ...leftOf(one, node)];
  }
  if (verb === 'ADD') return faultsOf(one, node, answer);
  if (verb === 'recover' && kept(answer, one)) return keptFaults(one, node);
  return leftOf(one, node);
}

const kept = (answer: Answer, one: Attachment): boolean =>
  answer.kind === 'ok' &&
  ['kept', 'restored'].includes(answer.recovered?.find(({ key }) => key === keyOf(one))?.result ?? '');

/** The faults of a kept attachment. One of another boot must not be kept, because none of its sandboxes lives. */
function keptFaults(one: Attachment, node: FakeNode): string[] {
  if (headerOf(one, node.disk)?.boot !== node.world.boot) return ['it is kept, and of another boot'];
  const [asAsked, other] = [faultsOf(one, node), faultsOf({ ...one, vlan: 7 }, node)];
  return other.length === 0 ? [] : asAsked;
}

/** A fault if the same call once more changes anything (I5). */
export async function faultsOfRepeating(crash: Crash, verb: FollowUp, one: Attachment): Promise<string[]> {
  const once = fork(crash.node);
  await once.call(verb, one);
  const again = fork(once);
  await again.call(verb, one);
  return fingerprint(again) === fingerprint(once) ? [] : [`a second ${verb} changed something`];
}

export interface Crashed {
  readonly deed: Deed;
  readonly found: Explored;
}

/** Every call of a shape and the remains of a crash in it; computed once, on first use. */
export function crashesOn(shape: Shape): () => Promise<readonly Crashed[]> {
  const find = async () => {
    const all: Crashed[] = [];
    for (const deed of await deedsOn(shape)) all.push({ deed, found: await explore(deed.from, deed.verb, deed.asked) });
    return all;
  };
  let once: Promise<readonly Crashed[]> | undefined;
  return () => {
    once ??= find();
    return once;
  };
}
