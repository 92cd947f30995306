/**
 * Every window of one call in which a process can die or the power can fail, and the node after each of them.
 *
 * The call runs once, undisturbed. At every call on the disk and every moment of an effect the node is copied, as the next process
 * would find it. So nothing is counted by hand, and no code of the dead process can run on.
 * Unsynced data is lost only if the power fails during the process that wrote it. A second process that reads such data and then
 * loses it is tried by real deaths (`dieInTurn`).
 */
import { hash } from 'node:crypto';
import type { Disk } from '../../../src/journal/disk.ts';
import { type Choose, keepAll, loseAll, nulTail } from './choices.ts';
import { type Answer, type Attachment, FakeNode, type Fate, type Verb } from './fake-node.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import { describeDisk } from './world-checker.ts';

/** A state that a crash may leave, and how often it does. */
export interface Crash {
  readonly node: FakeNode;
  /** The first way to it, for the reader of a failure. */
  readonly how: string;
  /** The number of windows and ends that lead to it. */
  times: number;
  readonly powerCut: boolean;
}

export interface Explored {
  readonly answer: Answer;
  /** The node after the call. */
  readonly end: FakeNode;
  readonly windows: number;
  /** Windows times the ways to end in each of them. */
  readonly ends: number;
  /** Different nodes that are found after a crash. */
  readonly crashes: readonly Crash[];
}

const powerCuts: readonly { name: string; choose: Choose; wiped: boolean }[] = [
  { name: 'power cut, unsynced lost, memory file systems wiped', choose: loseAll, wiped: true },
  { name: 'power cut, names and sizes kept', choose: nulTail, wiped: false },
  { name: 'power cut, everything had reached the disk', choose: keepAll, wiped: false },
];

const changing = new Set<keyof Disk>([
  'open',
  'write',
  'fsync',
  'truncate',
  'chmod',
  'unlink',
  'mkdir',
  'fsyncDirectory',
]);

/** A copy to go on with: no process holds a lock on it, and everything on its disk is durable. */
export const fork = ({ disk, world }: FakeNode): FakeNode => new FakeNode(disk.powerCut(keepAll), world.clone());

export function fingerprint({ disk, world }: FakeNode): string {
  return hash('sha1', describeDisk(disk) + world.describe(), 'base64');
}

/** Runs a call on a copy of the node and collects what each crash would have left. */
export async function explore(from: FakeNode, verb: Verb, one: Attachment, fate: Fate = {}): Promise<Explored> {
  const end = fork(from);
  const collection = new Collection(end);
  const answer = await end.call(verb, one, {
    ...fate,
    through: (disk) => watched(disk, (name, torn) => collection.onDiskCall(name, torn)),
    watch: async (instant, world) => {
      const { step, verb: doing, at } = instant;
      collection.see(`${at} ${doing} ${step}`, doing !== 'find' && at !== 'before');
      await fate.watch?.(instant, world);
    },
  });
  collection.see('before the answer', true);
  return { answer, end, ...collection.result };
}

class Collection {
  readonly #node: FakeNode;
  readonly #crashes = new Map<string, Crash>();
  #windows = 0;
  #ends = 0;
  /** The result of the last look, which is valid as long as nothing changes. */
  #last: Crash[] = [];
  #changed = true;

  constructor(node: FakeNode) {
    this.#node = node;
  }

  get result() {
    return { windows: this.#windows, ends: this.#ends, crashes: [...this.#crashes.values()] };
  }

  /** Before a call on the disk; a write may also be torn. */
  onDiskCall(name: keyof Disk, torn: Torn | undefined): void {
    this.see(`before ${name}`, false);
    if (torn) {
      for (const bytes of new Set([1, Math.floor(torn.bytes.length / 2), torn.bytes.length - 1])) {
        const node = fork(this.#node);
        const process = node.disk.spawn();
        process.write(process.open(torn.path, 'a+'), torn.bytes.subarray(0, bytes));
        process.processDeath();
        this.#windows++;
        this.#count(this.#add({ node, how: `killed after ${bytes} bytes of a write`, times: 0, powerCut: false }));
      }
    }
    this.#changed ||= changing.has(name);
  }

  see(where: string, changed: boolean): void {
    this.#windows++;
    if (this.#changed || changed) this.#last = this.#look(where);
    this.#changed = false;
    for (const crash of this.#last) this.#count(crash);
  }

  #look(where: string): Crash[] {
    const { disk, world } = this.#node;
    const killed = { node: fork(this.#node), how: `killed ${where}`, times: 0, powerCut: false };
    const cuts = powerCuts.map(({ name, choose, wiped }): Crash => {
      const node = new FakeNode(disk.powerCut(choose), world.clone());
      node.world.reboot(wiped);
      return { node, how: `${name}, ${where}`, times: 0, powerCut: true };
    });
    return [killed, ...cuts].map((crash) => this.#add(crash));
  }

  #add(crash: Crash): Crash {
    const print = fingerprint(crash.node);
    const known = this.#crashes.get(print) ?? crash;
    this.#crashes.set(print, known);
    return known;
  }

  #count(crash: Crash): void {
    this.#ends++;
    crash.times++;
  }
}

interface Torn {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The disk for the product; it announces each call. */
export function watched(disk: SimulatedDisk, announce: (name: keyof Disk, torn?: Torn) => void): Disk {
  const paths = new Map<number, string>();
  return new Proxy<Disk>(disk, {
    get: (_, property) => {
      const name = property as keyof Disk;
      return (...args: never[]) => {
        const [fd, bytes] = args as unknown as [number, Uint8Array];
        const path = paths.get(fd);
        announce(name, name === 'write' && path !== undefined ? { path, bytes } : undefined);
        const result = (disk[name] as (...args: never[]) => unknown)(...args);
        if (name === 'open') paths.set(result as number, args[0] as unknown as string);
        return result;
      };
    },
  });
}

/** The calls on the disk that a call makes, in order; a loop over its deaths has to cover them all. */
export async function diskKindsOf(from: FakeNode, verb: Verb, one: Attachment): Promise<(keyof Disk)[]> {
  const kinds: (keyof Disk)[] = [];
  const through = (disk: SimulatedDisk) => watched(disk, (name) => kinds.push(name));
  await fork(from).call(verb, one, { through });
  return kinds;
}

export interface Death {
  readonly verb: Verb;
  readonly one: Attachment;
  /** The number of the call on the disk before which the process dies. */
  readonly call: number;
}

/**
 * A node on which processes really died, one after the other, before the power failed. The unsynced data of both is lost, even if
 * the second process has read the first one's.
 */
export async function dieInTurn(from: FakeNode, deaths: readonly Death[], choose: Choose): Promise<FakeNode> {
  const node = fork(from);
  for (const { verb, one, call } of deaths)
    await node.call(verb, one, { disk: [{ call: 'every', nth: call, how: 'crash' }] });
  const found = new FakeNode(node.disk.powerCut(choose), node.world.clone());
  found.world.reboot(false);
  return found;
}
