/**
 * Two sandboxes of one pod, one after the other, with one fixed socket in a directory that is the pod's and not ours. With any end
 * of the first one's removal, and any time of a retry, the second keeps its socket and its port.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { HostFault } from '../support/fake/fake-host.ts';
import {
  type Answer,
  type Attachment,
  FakeNode,
  type Fate,
  keyOf,
  podA,
  portOf,
  socketOf,
} from '../support/fake/fake-node.ts';
import { type FakePort, switchDir } from '../support/fake/fake-world.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, lawsBroken, leftOf, recordsOf } from '../support/fake/world-checker.ts';
import { withSeed } from '../support/seed.ts';

afterAll(new VirtualTime().install());

const numRuns = process.env.CRASH_POINTS === 'all' ? 10_000 : 200;

const counted = { events: 0, beside: 0, deaths: 0, owed: 0 };

type Mode = Attachment['mode'];

/** The old sandbox, the new one, and a pod that has nothing to do with them. */
function castOf(mode: Mode, ipam: boolean) {
  const base = { ifName: 'net1', mode, deviceInfo: false };
  const old: Attachment = { ...base, containerId: podA, ipam, pod: 'app', socketfile: 'vhost.sock' };
  const next: Attachment = { ...old, containerId: 'beef00beef00beef' };
  const other: Attachment = { ...base, containerId: 'face00face00face', ipam: true };
  return { old, next, other };
}

class Scene {
  readonly node: FakeNode;
  readonly cast: ReturnType<typeof castOf>;
  #isNextAttached = false;
  #isStrangerThere = false;
  #backup: FakePort | undefined;

  private constructor(mode: Mode, ipam: boolean) {
    this.cast = castOf(mode, ipam);
    this.node = new FakeNode().withNetns(this.cast.old, this.cast.next, this.cast.other);
  }

  static async of(mode: Mode, ipam: boolean): Promise<Scene> {
    const scene = new Scene(mode, ipam);
    expect(await scene.node.add(scene.cast.old)).toMatchObject({ kind: 'ok' });
    scene.#listen(scene.cast.old);
    return scene;
  }

  /** In the switch's client mode the application makes the socket, over anything at its path. */
  #listen(one: Attachment): void {
    const socket = { kind: 'socket', by: keyOf(one), text: 'app' } as const;
    if (one.mode === 'client') this.node.world.files.set(socketOf(one), socket);
  }

  get #row(): FakePort | undefined {
    const row = this.node.world.ports.get(portOf(this.cast.next));
    return row?.by === keyOf(this.cast.next) ? row : undefined;
  }

  async run(event: Event): Promise<void> {
    counted.events++;
    if (this.#isNextAttached) counted.beside++;
    // Long enough for every debt to be due again.
    this.node.now = new Date(this.node.now.getTime() + 300_000);
    const hadRow = this.#row !== undefined;
    await this.#happen(event);
    if (this.#isStrangerThere)
      expect([event, this.node.world.files.get(socketOf(this.cast.old))?.by]).toEqual([event, 'admin']);
    if (!this.#isNextAttached) return;
    const isLost = event.kind === 'lose next' || !hadRow;
    const { next } = this.cast;
    expect([event, this.node.world.files.get(socketOf(next))?.by]).toEqual([event, keyOf(next)]);
    const isOfLostPort = (fault: string) => isLost && this.#row === undefined && fault.includes('port');
    // The old one's, which is owed: both are in the annotations of one pod.
    const isOfOld = (fault: string) => fault.startsWith('extra: annotation removing-');
    // Made by a put-back that was interrupted: the next one moves it.
    const isAhead = (fault: string) => fault.startsWith(`extra: socket ${switchDir}/`);
    const isKnown = (fault: string) => isOfLostPort(fault) || isOfOld(fault) || isAhead(fault);
    const faults = faultsOf(next, this.node).filter((fault) => !isKnown(fault));
    expect([event, ...faults, ...lawsBroken(this.node)]).toEqual([event]);
  }

  async #happen(event: Event): Promise<void> {
    const { node, cast } = this;
    const { old, next, other } = cast;
    switch (event.kind) {
      case 'DEL old':
        return this.#count(await node.del(old, event.fate));
      case 'recover':
        return this.#count(await node.recover(event.fate));
      case 'GC':
        return this.#count(await node.call('GC', old, { ...event.fate, valid: [next, other] }));
      case 'ADD and DEL other':
        await node.add(other);
        return this.#count(await node.del(other, event.fate));
      case 'lose old':
        return this.#lose(old);
      case 'lose next':
        this.#backup = this.#row ?? this.#backup;
        return this.#lose(next);
      case 'next comes back':
        return this.#restore();
      case 'a stranger listens':
        return this.#strangerListens();
      case 'ADD next':
        return await this.#attachNext();
    }
  }

  /** A socket of no attachment: nothing names it. It comes when the removal of the old port is recorded. */
  #strangerListens(): void {
    const { old } = this.cast;
    const { world, disk } = this.node;
    const isRecorded = recordsOf(old, disk).some(
      ({ step, verb, outcome }) => step === 'port' && verb === 'remove' && outcome?.kind === 'ok',
    );
    if (old.mode === 'server' || this.#isNextAttached || !isRecorded || world.files.has(socketOf(old))) return;
    world.files.set(socketOf(old), { kind: 'socket', by: 'admin', text: 'theirs' });
    this.#isStrangerThere = true;
  }

  async #attachNext(): Promise<void> {
    const { next } = this.cast;
    if (this.#isNextAttached) return;
    const answer = await this.node.add(next);
    if (answer.kind === 'error') expect([7, 11]).toContain(answer.code);
    if (answer.kind !== 'ok') return;
    this.#isNextAttached = true;
    this.#isStrangerThere = false;
    this.#listen(next);
  }

  /** Another tool deletes the row. */
  #lose(one: Attachment): void {
    const { ports, bridges, files } = this.node.world;
    const name = portOf(one);
    if (ports.get(name)?.by !== keyOf(one)) return;
    if (files.get(`${switchDir}/${name}`)?.text === ports.get(name)?.uuid) files.delete(`${switchDir}/${name}`);
    ports.delete(name);
    for (const [bridge, found] of bridges)
      bridges.set(bridge, { ...found, ports: found.ports.filter((port) => port !== name) });
  }

  /** The database comes back from a backup. */
  #restore(): void {
    const { ports, bridges } = this.node.world;
    const [name, row] = [portOf(this.cast.next), this.#backup];
    const bridge = bridges.get('br-pods');
    if (!row || !bridge || ports.has(name)) return;
    ports.set(name, row);
    bridges.set('br-pods', { ...bridge, ports: [...bridge.ports, name] });
  }

  #count(answer: Answer): void {
    if (answer.kind === 'crashed') counted.deaths++;
    const { old } = this.cast;
    if (leftOf(old, this.node).length > 0) counted.owed++;
  }

  /** Its own removal takes it, in either order of the two removals. */
  async end(oldFirst: boolean): Promise<void> {
    const { node, cast } = this;
    const { old, next, other } = cast;
    for (const one of oldFirst ? [old, next, other] : [next, other, old])
      expect(await node.del(one)).toMatchObject({ kind: 'ok' });
    expect([old, next, other].flatMap((one) => leftOf(one, node))).toEqual([]);
    expect(lawsBroken(node)).toEqual([]);
  }
}

type Event =
  | { readonly kind: 'DEL old' | 'recover' | 'GC' | 'ADD and DEL other'; readonly fate: Fate }
  | { readonly kind: 'lose old' | 'lose next' | 'next comes back' | 'ADD next' | 'a stranger listens' };

const steps = ['address', 'socketDir', 'bridge', 'port', 'publication'] as const;

const hostFault: fc.Arbitrary<HostFault> = fc.record({
  step: fc.constantFrom(...steps),
  verb: fc.constantFrom('remove', 'remove', 'restore', 'ensure', 'withdraw' as const),
  how: fc.oneof({ weight: 3, arbitrary: fc.constant({ code: 11 }) }, fc.constantFrom('crash', 'hang' as const)),
  at: fc.constantFrom('before', 'during', 'after' as const),
  forever: fc.boolean(),
});

/** On a full disk no completed step is recorded. */
const full = { call: 'write', nth: 1, how: { error: 'ENOSPC' }, forever: true } as const;

const fates: fc.Arbitrary<Fate> = fc.record({
  host: fc.oneof(fc.constant([]), fc.array(hostFault, { minLength: 1, maxLength: 3 })),
  disk: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, fc.constant([full])),
});

const events: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('DEL old', 'DEL old', 'recover', 'GC', 'ADD and DEL other' as const),
      fate: fates,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('lose old', 'lose next', 'next comes back', 'ADD next', 'a stranger listens' as const),
    }),
  },
);

describe(withSeed('kind 1: a removal that fails and is tried again at any moment'), () => {
  it('never takes the socket or the port of the next sandbox, which has the same name; its own removal leaves nothing', async () => {
    const property = fc.asyncProperty(
      fc.constantFrom<Mode>('client', 'server'),
      fc.boolean(),
      fc.boolean(),
      fates,
      fc.array(events, { minLength: 2, maxLength: 12, size: 'max' }),
      fc.boolean(),
      async (mode, ipam, strangerFirst, fate, later, oldFirst) => {
        const scene = await Scene.of(mode, ipam);
        // A runtime makes the next sandbox after it has asked for the removal of the old one.
        const first: Event[] = [{ kind: 'DEL old', fate }, { kind: 'lose old' }];
        const then: Event = { kind: strangerFirst ? 'a stranger listens' : 'ADD next' };
        for (const event of [...first, then, ...later]) await scene.run(event);
        await scene.end(oldFirst);
      },
    );
    await fc.assert(property, { numRuns });
    const { events: happened, beside, deaths, owed } = counted;
    console.log(
      `exact removals: ${numRuns} runs, ${happened} events, ${beside} beside the next sandbox, ${deaths} deaths, ${owed} times the old one was still owed`,
    );
  });
});
