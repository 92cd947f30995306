/**
 * Folds events through a machine by xstate's pure `transition`, as a reader of a journal does, and keeps the machine's pending
 * request.
 */
import { type AnyMachineSnapshot, initialTransition, type SnapshotFrom, transition } from 'xstate';
import { type Facts, type Plan, type Request, type Step, steps } from '../../../src/machines/protocol.ts';
import type { AttachmentEvent, Context } from '../../../src/machines/steps.ts';
import { xstateMachines } from './xstate-machines.ts';

export const machines = { add: xstateMachines.add, del: xstateMachines.del } as const;

export type Machine = (typeof machines)[keyof typeof machines];
export type Snapshot = SnapshotFrom<Machine>;

export interface Folded {
  readonly snapshot: Snapshot;
  /** The requests that the machine waits for; one stays until its step has an outcome. */
  readonly pending: readonly Request[];
  /** All requests so far. */
  readonly asked: readonly Request[];
}

export const trouble = { code: 11, message: 'the switch does not answer' };

/** The facts of the steps that later steps need. */
export const factsOf: Facts = {
  address: { ips: [{ address: '192.0.2.7/24' }], routes: [] },
  bridge: { created: true },
  port: { uuid: '00000000-0000-4000-8000-000000000001', ofport: 1 },
};

const wholePlan: Required<Omit<Plan, 'predecessor' | 'database'>> = {
  key: { network: 'net', containerId: 'c0ffee', ifName: 'net1' },
  ovsdb: 'unix:/run/db.sock',
  request: { stdin: '{}', env: { CNI_IFNAME: 'net1' } },
  address: { program: 'host-local', path: ['/opt/cni/bin'] },
  socketDir: { base: '/shared', own: 'c0ffee', hold: '.hold' },
  bridge: { name: 'br0' },
  port: { bridge: 'br0', name: 'c0ffee-net1', mode: 'client', directory: '/shared', file: 'sock', vlan: {}, marks: {} },
  publication: { directory: '/shared', file: 'configData.json', data: {} },
  deviceInfo: { path: '/info.json', mode: 'server', socket: '/shared/sock' },
};

/** A whole plan without some steps. */
export function planWithout(...absent: readonly ('address' | 'bridge' | 'deviceInfo')[]): Plan {
  const plan: { -readonly [name in keyof Plan]: Plan[name] } = { ...wholePlan };
  for (const step of absent) delete plan[step];
  return plan;
}

/** The plan with an annotation in place of the file. */
export const annotated = (plan: Plan): Plan => ({
  ...plan,
  publication: {
    kubeconfig: '/kubeconfig',
    pod: { namespace: 'default', name: 'pod' },
    mappedDir: '/shared/',
    data: {},
  },
});

/** The steps that are in a plan. */
export const plannedOf = (plan: Plan): Step[] => steps.filter((step) => plan[step] !== undefined);

export const begin = (plan: Plan = planWithout(), facts?: Facts): AttachmentEvent => ({
  type: 'begin',
  plan,
  ...(facts && { facts }),
});

export const ensured = (step: Step): AttachmentEvent => {
  const facts = factsOf[step as keyof Facts];
  return { type: `${step}.ensured`, ...(facts && { facts }) };
};

/** A step announced and made, as the loop records it. */
export const made = (step: Step): AttachmentEvent[] => [{ type: `${step}.begun` }, ensured(step)];

/** All steps of a plan made, in order. */
export const allMade = (plan: Plan = planWithout()): AttachmentEvent[] => plannedOf(plan).flatMap(made);

export const abandon: AttachmentEvent = { type: 'abandon', trouble };
export const refused = (step: Step): AttachmentEvent => ({ type: `${step}.refused`, trouble });
export const displaced: AttachmentEvent = { type: 'port.displaced', trouble };
export const removed = (step: Step, facts?: Facts[keyof Facts]): AttachmentEvent => ({
  type: `${step}.removed`,
  ...(facts && { facts }),
});
export const owed = (step: Step): AttachmentEvent => ({ type: `${step}.owed`, trouble });

export const initial = (machine: Machine): Folded => ({
  snapshot: initialTransition(machine)[0] as Snapshot,
  pending: [],
  asked: [],
});

/** @throws if the machine does not know the event in its state, or asks for a thing that it waits for. */
export function hear(machine: Machine, { snapshot, pending, asked }: Folded, event: AttachmentEvent): Folded {
  if (!snapshot.can(event)) throw new Error(`"${event.type}" is not heard in ${JSON.stringify(snapshot.value)}`);
  const [next, actions] = transition(machine, snapshot as never, event);
  const requests = actions.map(({ type, params }) => {
    if (type !== 'request') throw new Error(`the machine wants "${type}"`);
    return params as unknown as Request;
  });
  const moved = JSON.stringify(next.value) !== JSON.stringify(snapshot.value);
  // An ADD that gives up waits no more for the step that it has asked for.
  const left = moved
    ? pending.filter(({ step }) => event.type !== 'abandon' && !event.type.startsWith(`${step}.`))
    : pending;
  if (left.some(({ step }) => requests.some((request) => request.step === step))) throw new Error('asked for twice');
  return { snapshot: next as Snapshot, pending: [...left, ...requests], asked: [...asked, ...requests] };
}

export const folded = (machine: Machine, events: readonly AttachmentEvent[]): Folded =>
  events.reduce((state, event) => hear(machine, state, event), initial(machine));

/** Answers removal requests until the machine rests; the steps of `failing` stay owed. */
export function removedFrom(machine: Machine, from: Folded, failing: readonly Step[] = [], facts: Facts = {}): Folded {
  let state = from;
  for (let [next] = state.pending; next?.verb === 'remove'; [next] = state.pending) {
    const { step } = next;
    state = hear(machine, state, failing.includes(step) ? owed(step) : removed(step, facts[step as keyof Facts]));
  }
  return state;
}

/** `ensure port`, `remove address` …, in the order of asking. */
export const wordsOf = (requests: readonly Request[]): string[] => requests.map(({ verb, step }) => `${verb} ${step}`);

export const contextOf = (snapshot: Pick<AnyMachineSnapshot, 'context'>): Context => snapshot.context as Context;
