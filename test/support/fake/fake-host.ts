/**
 * The effects of a node in memory. They do to a FakeWorld the changes that those in src/effects do to a switch, an address store
 * and a directory. One FakeHost is one process; several share a world.
 *
 * Owns: the meaning of each effect, and the faults. Does not own: the truth (fake-world.ts), the judgement (world-checker.ts).
 * An effect that the real node makes in more than one system call or transaction has a `during`: half of it is done.
 */
import { code, keyText, type PodRef, type Trouble } from '../../../src/attachment.ts';
import { remainingMs } from '../../../src/deadlines.ts';
import type { Host } from '../../../src/effects/host.ts';
import type {
  Call,
  Facts,
  Outcome,
  Plan,
  PodLookup,
  Recalled,
  Request,
  Step,
  Verb,
} from '../../../src/machines/protocol.ts';
import { FakeEffects } from './fake-effects.ts';
import { FakeEngine } from './fake-engine.ts';
import type { Half } from './fake-ports.ts';
import type { FakeWorld } from './fake-world.ts';
import { ProcessKilled } from './simulated-disk.ts';

type Moment = 'before' | 'during' | 'after';

/** The questions to the node beside the steps; each is a `find`. */
type Question = 'lookup' | 'preflight' | 'recall' | 'restorable';

/** A moment of one effect at which a process can die, a test can look, or another process can come between. */
export interface Instant {
  readonly step: Step | Question;
  readonly verb: Verb;
  readonly at: Moment;
  /** Absent if no plan is made yet. */
  readonly plan?: Plan;
}

/** A fault of one step and verb: at the first try, or always. */
export interface HostFault {
  readonly step: Step | Question;
  readonly verb: Verb;
  /** An answer with this code, no answer until the effect's time is up, or the death of the process. */
  readonly how: { readonly code: number } | 'hang' | 'crash';
  /** The part of the effect that has happened before the fault. Absent: nothing. */
  readonly at?: Moment;
  readonly forever?: boolean;
}

/** Thrown when half of the effect is done, with the facts of that half. */
class HalfDone extends Error {
  constructor(readonly facts: Facts[keyof Facts] | undefined) {
    super('half of it is done');
  }
}

interface Options {
  readonly faults?: readonly HostFault[];
  /** Called and awaited at every instant; it may change the world. */
  readonly watch?: (instant: Instant, world: FakeWorld) => void | Promise<void>;
  /** Called at the host's death, so that the process dies too. */
  readonly died?: () => void;
}

export class FakeHost {
  readonly #world: FakeWorld;
  readonly #options: Options;
  readonly #engine: FakeEngine;
  readonly #effects: FakeEffects;
  #faults: HostFault[];
  #dead: ProcessKilled | undefined;

  constructor(world: FakeWorld, options: Options = {}) {
    this.#world = world;
    this.#options = options;
    this.#faults = [...(options.faults ?? [])];
    this.#engine = new FakeEngine(world);
    this.#effects = new FakeEffects(world, this.#engine);
  }

  /** The host for the handlers. */
  get asHost(): Host {
    return {
      perform: (request, call) => this.#perform(request, call),
      lookUpPod: (_, ref, call) => this.#lookUpPod(ref, call),
      preflight: (plan, _dataDir, call) => this.#preflight(plan, call),
      roomTroubles: () => [],
      recall: (known, call) => this.#recall(known, call),
      readNetns: (path) => {
        const file = this.#world.netns.get(path);
        return file === undefined ? undefined : { path, file, directory: '1:1' };
      },
      judgeNetns: ({ path, file }) => {
        const now = this.#world.netns.get(path);
        return now === file ? 'alive' : 'gone';
      },
      isPortLost: (recorded, call) => this.#engine.isPortLost(recorded, call),
      restoreTrouble: async (recorded, call) =>
        (await this.#asked('restorable', call, recorded.plan)) ?? (await this.#engine.restoreTrouble(recorded, call)),
      forgetAway: () => false,
      collectAddresses: async (_, { stdin }, toldOf) => {
        const told = JSON.parse(toldOf(stdin));
        const valid = told['cni.dev/valid-attachments'] as readonly { containerID: string; ifname: string }[];
        const listed = new Set(valid.map(({ containerID, ifname }) => `${told.name}:${containerID}:${ifname}`));
        const { addresses } = this.#world;
        for (const [address, by] of addresses) {
          if (by.startsWith(`${told.name}:`) && !listed.has(by)) addresses.delete(address);
        }
        return [];
      },
      databaseAt: (ovsdb) => this.#engine.databaseAt(ovsdb),
      removeIdleBridges: (sought, call) => this.#engine.removeIdleBridges(sought, call),
      missingRights: async () => [],
      tell: async () => undefined,
      portsThere: (database, ports, end) => this.#engine.portsThere(database, ports, end),
      ownRows: (database, end) => this.#engine.ownRows(database, end),
      listPorts: (database, end) => this.#engine.listPorts(database, end),
      netnsTroubles: (path) =>
        this.#world.netns.has(path) ? [] : [{ code: code.invalidNetns, message: `"${path}" is no namespace` }],
      bootId: () => this.#world.boot,
      moment: () => `${this.#world.boot} 0`,
      close: () => undefined,
    } satisfies Host;
  }

  async #perform(request: Request, call: Call): Promise<Outcome> {
    const { step, verb, plan } = request;
    const instant = (at: Moment): Instant => ({ step, verb, plan, at });
    const changing = verb !== 'find';
    if (changing && call.instance === '' && verb === 'ensure')
      this.#world.violations.push(`${verb} ${step} for nobody`);
    const leave = changing ? this.#enterKey(keyText(plan.key)) : () => undefined;
    try {
      const fault = this.#take(step, verb);
      await this.#pass(instant('before'));
      if (fault && (fault.at ?? 'before') === 'before') return await this.#strike(fault, call);
      const outcome = await this.#act(request, call, async (made) => {
        await this.#pass(instant('during'));
        if (fault?.at !== 'during') return;
        if (fault.how === 'crash') await this.#strike(fault, call);
        throw new HalfDone(made);
      });
      // The fault comes after the effect and before its answer, so its result is unknown.
      const known = fault?.at === 'during' && outcome.kind === 'ok' ? outcome.facts : undefined;
      if (fault) return { ...(await this.#strike(fault, call)), ...(known && { facts: known }) };
      await this.#pass(instant('after'));
      return outcome;
    } finally {
      leave();
    }
  }

  async #act(request: Request, call: Call, half: Half): Promise<Outcome> {
    try {
      return await this.#effects.act(request, call, half);
    } catch (error) {
      if (error instanceof HalfDone) return { kind: 'ok', ...(error.facts && { facts: error.facts }) };
      throw error;
    }
  }

  async #strike(fault: HostFault, call: Pick<Call, 'end'>): Promise<Outcome> {
    if (fault.how === 'crash') throw this.#die(`killed ${fault.at ?? 'before'} ${fault.verb} ${fault.step}`);
    if (fault.how === 'hang') await new Promise((resolve) => setTimeout(resolve, remainingMs(call.end)));
    const answer = fault.how === 'hang' ? code.tryAgainLater : fault.how.code;
    const trouble = { code: answer, message: `cannot ${fault.verb} ${fault.step}: injected` };
    return { kind: 'failed', trouble, ...(fault.verb === 'find' && { unjudged: true }) };
  }

  #die(how: string): ProcessKilled {
    this.#dead = new ProcessKilled(how);
    this.#options.died?.();
    return this.#dead;
  }

  #take(step: HostFault['step'], verb: Verb): HostFault | undefined {
    const fault = this.#faults.find((one) => one.step === step && one.verb === verb);
    if (fault && !fault.forever) this.#faults = this.#faults.filter((one) => one !== fault);
    return fault;
  }

  async #pass(instant: Instant): Promise<void> {
    if (this.#dead) throw this.#dead;
    await this.#options.watch?.(instant, this.#world);
    if (this.#dead) throw this.#dead;
  }

  /** Only the lock holder acts on an attachment (I8); it may do two things at once. */
  #enterKey(key: string): () => void {
    const acting = actors(this.#world);
    const others = acting.get(key) ?? [];
    if (others.some((host) => host !== this)) this.#world.violations.push(`two processes act on ${key} at once`);
    acting.set(key, [...others, this]);
    return () => void acting.set(key, (acting.get(key) ?? []).toSpliced(0, 1));
  }

  /** Asks a question, which changes nothing. @returns the injected trouble */
  async #asked(step: Question, call: Pick<Call, 'end'>, plan?: Plan): Promise<Trouble | undefined> {
    const fault = this.#take(step, 'find');
    for (const at of ['before', 'during', 'after'] as const) {
      await this.#pass({ step, verb: 'find', at, ...(plan && { plan }) });
      const failure = fault && (fault.at ?? 'before') === at && (await this.#strike(fault, call));
      if (failure && failure.kind === 'failed') return failure.trouble;
    }
    return undefined;
  }

  async #lookUpPod(ref: PodRef, call: Pick<Call, 'end'>): Promise<PodLookup> {
    const trouble = await this.#asked('lookup', call);
    if (trouble) return { kind: 'refused', troubles: [trouble] };
    const pod = this.#world.pods.get(`${ref.namespace}/${ref.name}`);
    if (pod === undefined || (ref.uid !== undefined && ref.uid !== pod.uid)) {
      const trouble = { code: code.tryAgainLater, message: `there is no pod ${ref.name}` };
      return { kind: 'refused', troubles: [trouble] };
    }
    const place = { pod: { ...ref, uid: pod.uid }, mountPath: '/var/lib/cni/usrcni' };
    return { kind: 'found', place: { ...place, volume: { kind: 'emptyDir' } } };
  }

  /** Finds names and sockets that another attachment holds, and an unusable bridge. Reads only. */
  async #preflight(plan: Plan, call: Call): Promise<Trouble[]> {
    const trouble = await this.#asked('preflight', call, plan);
    if (trouble) return [trouble];
    const { pathTroubles, stateTroubles } = this.#engine.preflight;
    return [...pathTroubles(plan), ...(await stateTroubles(plan, call, () => call.end))];
  }

  async #recall(known: Plan, call: Call): Promise<Recalled> {
    const trouble = await this.#asked('recall', call, known);
    if (trouble) return { kind: 'unsettled', trouble };
    const port = await this.#engine.recall(known, call);
    if (port.kind === 'elsewhere') return port;
    if (port.kind === 'none') return { kind: 'known', plan: known, instance: call.instance, isProved: false };
    return { kind: 'known', plan: { ...known, ...port.plan }, instance: port.instance, isProved: true };
  }
}

const acting = new WeakMap<FakeWorld, Map<string, FakeHost[]>>();

function actors(world: FakeWorld): Map<string, FakeHost[]> {
  const found = acting.get(world) ?? new Map<string, FakeHost[]>();
  acting.set(world, found);
  return found;
}
