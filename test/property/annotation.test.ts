/**
 * Calls of one attachment in a row, each with its lock. Some looked the pod up long before they had it. Some die with a write sent,
 * which the API server applies some calls later. The last call's answer is true, and a late write changes nothing of it.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureAnnotation, findAnnotation, removeAnnotation } from '../../src/effects/kubernetes/annotation.ts';
import type { Kubernetes } from '../../src/effects/kubernetes/api-server.ts';
import type { AnnotationPlan } from '../../src/machines/protocol.ts';
import { withSeed } from '../support/seed.ts';
import { namespace, tokenOf, writeKubeconfig } from '../support/stand-in/api.ts';
import type { Injection } from '../support/stand-in/api-faults.ts';
import { openApi, soon } from '../support/stand-in/scene.ts';
import { type Held, StandInApi } from '../support/stand-in/stand-in-api.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const runs = 300;
const key = { network: 'net', containerId: '0123456789abcdef', ifName: 'net1' };
/** A dead call does not repeat its request, which gets no answer, when its time is over. */
const patience = (dies = 0) => ({ end: soon(20_000), until: soon(dies > 0 ? 0 : 20_000) });
const never = async () => false;

interface Step {
  readonly verb: 'ADD' | 'DEL';
  /** How many calls before its own turn it looked the pod up; 0: it did not. */
  readonly early: number;
  /** With its n-th write sent it is dead; 0: it lives. */
  readonly dies: number;
  /** How many calls later the API server takes that write. */
  readonly late: number;
  /** An admission refuses the write of an ADD. */
  readonly refused: boolean;
  /** Another writer changes the pod before it. */
  readonly others: boolean;
}

const steps = fc.array(
  fc.record<Step>({
    verb: fc.constantFrom('ADD', 'DEL'),
    early: fc.nat(3),
    dies: fc.nat(2),
    late: fc.nat(3),
    refused: fc.boolean(),
    others: fc.boolean(),
  }),
  { minLength: 2, maxLength: 7 },
);

const denial = {
  kind: 'Status',
  status: 'Failure',
  reason: 'Invalid',
  message: 'admission webhook "guard.test" denied the request: no',
  code: 422,
};

let made = 0;

class Story {
  readonly #server: StandInApi;
  readonly #plan: AnnotationPlan;
  readonly #name: string;
  /** As much of a journal as decides here. */
  readonly #journal = { begun: false, settled: false, going: false };
  readonly #clients: Promise<Kubernetes>[] = [];
  readonly #sent: { readonly held: Held; readonly due: number }[] = [];
  #refusal: Injection | undefined;
  deaths = 0;
  refusals = 0;

  private constructor(server: StandInApi, kubeconfig: string, name: string, uid: string) {
    this.#server = server;
    this.#name = name;
    this.#plan = { kubeconfig, pod: { namespace, name, uid }, mappedDir: '/run/app/', data: { ...key } };
  }

  static async begin(server: StandInApi, kubeconfig: string): Promise<Story> {
    const name = `app-${++made}`;
    const { metadata } = await server.createPod({ name, annotations: { theirs: '0' } });
    return new Story(server, kubeconfig, name, metadata.uid);
  }

  async play(all: readonly Step[]): Promise<void> {
    for (const [turn, step] of all.entries()) {
      for (const [index, { early }] of all.entries()) if (index - early === turn && early > 0) await this.#look(index);
      await this.#land(turn);
      if (step.others) await this.#server.patchStatus(this.#name, { metadata: { annotations: { theirs: `${turn}` } } });
      await this.#expectWhatWasSaid();
      await this.#call(step, turn);
    }
    // A runtime repeats its call until it succeeds.
    await this.#live({ verb: 'DEL' }, all.length);
    await this.#expectWhatWasSaid();
    await this.#land(Number.POSITIVE_INFINITY);
    await this.#expectWhatWasSaid();
    await this.#server.deletePod(this.#name);
  }

  #client(index: number): Promise<Kubernetes> {
    this.#clients[index] ??= openApi(this.#plan.kubeconfig);
    return this.#clients[index];
  }

  #scene(api: Kubernetes, dies = 0) {
    return { api, key, plan: this.#plan, patience: patience(dies) };
  }

  async #look(index: number): Promise<void> {
    await (await this.#client(index)).pod(this.#plan.pod, patience());
  }

  async #land(turn: number): Promise<void> {
    for (const { held, due } of this.#sent) if (due <= turn) await held.deliver(false);
    this.#sent.splice(0, Number.POSITIVE_INFINITY, ...this.#sent.filter(({ due }) => due > turn));
  }

  async #call(step: Step, turn: number): Promise<void> {
    const held = step.dies > 0 ? this.#server.hold(step.dies - 1) : undefined;
    const life = this.#live(step, turn).then(() => 'lived');
    // A dead call gets no answers until the test is over.
    life.catch(() => undefined);
    const end = held ? Promise.race([life, held.received.then(() => 'died')]) : life;
    const how = await end.finally(() => {
      held?.cancel();
      this.#refusal?.end();
    });
    if (!held || how === 'lived') return;
    this.deaths++;
    this.#sent.push({ held, due: turn + 1 + step.late });
  }

  /** A call under its lock (verbs/add.ts): it first removes an attachment that exists. */
  async #live({ verb, dies = 0, refused = false }: Pick<Step, 'verb'> & Partial<Step>, index: number): Promise<void> {
    const api = await this.#client(index);
    const journal = this.#journal;
    if (journal.begun) {
      journal.going = true;
      const facts = journal.settled ? ({ settled: true } as const) : undefined;
      expect(await removeAnnotation(this.#scene(api, dies), facts)).toEqual({ kind: 'ok' });
      Object.assign(journal, { begun: false, settled: false, going: false });
    }
    if (verb === 'DEL') return;
    journal.begun = true;
    if (refused) this.#refusal = this.#server.inject({ kind: 'answer', code: 422, body: denial }, { verb: 'PATCH' });
    const outcome = await ensureAnnotation(this.#scene(api, dies), undefined, never);
    if (outcome.kind === 'ok') {
      journal.settled = true;
      return;
    }
    this.refusals++;
    // As for the machine: a step that made nothing is not begun, and a write on its way is a fact.
    const learnt = outcome.kind === 'failed' ? outcome : undefined;
    journal.settled = learnt?.facts !== undefined;
    journal.going = true;
    if (learnt?.made === 'nothing') Object.assign(journal, { begun: false, settled: false, going: false });
  }

  async #expectWhatWasSaid(): Promise<void> {
    const { begun, settled, going } = this.#journal;
    // Nothing was said yet of what comes of it.
    if (going || begun !== settled) return;
    const names = Object.keys(await this.#server.annotations(this.#name));
    if (!begun) return expect(names).toEqual(['theirs']);
    const api = await openApi(this.#plan.kubeconfig);
    expect(await findAnnotation(this.#scene(api), undefined)).toEqual({ kind: 'ok' });
  }
}

describe(withSeed('calls of one attachment, one after the other'), () => {
  let server: StandInApi | undefined;
  beforeAll(async () => {
    server = await StandInApi.start();
  });
  afterAll(() => server?.stop());

  it('leave the pod as the last one said, with any earlier look at the pod and any write of a dead call (bug B34)', async () => {
    if (!server) throw new Error('the stand-in is not running');
    const api = server;
    const kubeconfig = writeKubeconfig(temporaryDirectory(), api, { token: tokenOf('plugin') });
    let [deaths, refusals] = [0, 0];
    const property = fc.asyncProperty(steps, async (all) => {
      const story = await Story.begin(api, kubeconfig);
      await story.play(all);
      deaths += story.deaths;
      refusals += story.refusals;
    });
    await fc.assert(property, { numRuns: runs });
    console.log(`annotation: ${runs} runs, ${deaths} deaths with a write sent, ${refusals} writes refused`);
  });
});
