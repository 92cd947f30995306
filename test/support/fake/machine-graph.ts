/**
 * The whole graph of a machine by xstate/graph: every state that it can reach by the events that the loop can send.
 */
import { type AnyStateNode, type AnyTransitionDefinition, getMicrosteps, getNextTransitions } from 'xstate';
import { type AdjacencyMap, getAdjacencyMap } from 'xstate/graph';
import { isAnnotation, type Plan, type Step, steps } from '../../../src/machines/protocol.ts';
import type { AttachmentEvent } from '../../../src/machines/steps.ts';
import {
  abandon,
  annotated,
  begin,
  contextOf,
  displaced,
  ensured,
  type Folded,
  hear,
  initial,
  type Machine,
  owed,
  plannedOf,
  planWithout,
  refused,
  removed,
  type Snapshot,
} from './machine-events.ts';

/** Every combination of the steps that a plan may lack; the bridge, which only a port of OVN's lacks, alone. */
export const everyPlan: readonly Plan[] = [
  planWithout(),
  planWithout('address'),
  planWithout('deviceInfo'),
  planWithout('bridge'),
  planWithout('address', 'deviceInfo'),
  annotated(planWithout('deviceInfo')),
];

interface Standing {
  /** `idle`, `ready`, a final state, or the state of one step or two. */
  readonly state: string;
  readonly removing: boolean;
  /** The steps that the machine waits for. */
  readonly steps: readonly Step[];
}

/** The states of a removal that are not named after their one step. */
const underWay: { readonly [state: string]: readonly Step[] } = {
  publicationAndPort: ['publication', 'port'],
  publicationLeft: ['publication'],
  portLeft: ['port'],
};

export function standing({ value }: Pick<Snapshot, 'value'>): Standing {
  if (typeof value !== 'string') {
    const state: string = value.removing;
    return { state, removing: true, steps: underWay[state] ?? [state as Step] };
  }
  return { state: value, removing: false, steps: steps.filter((step) => (value as string) === step) };
}

/** The events that the loop may send to a machine in this state. A step is announced before its outcome. */
export function heardIn(snapshot: Snapshot, plans: readonly Plan[]): AttachmentEvent[] {
  const { state, removing, steps: pending } = standing(snapshot);
  const step = state as Step;
  if (snapshot.status === 'done') return [];
  if (state === 'idle') return [...plans.map((plan) => begin(plan)), ...doubtfulBeginnings(snapshot, plans)];
  if (state === 'ready') return [abandon];
  if (removing) return pending.flatMap((one) => [removed(one), owed(one)]);
  if (!contextOf(snapshot).begun.includes(step)) return [{ type: `${step}.begun` }, abandon];
  const refusals = ([undefined, 'doubtful', 'nothing'] as const).map((made) => ({
    ...refused(step),
    ...(made && { made }),
  }));
  return [ensured(step), ...refusals, abandon, ...(step === 'port' ? [displaced] : [])];
}

/** A removal without any sign that there is something to remove. */
function doubtfulBeginnings({ machine }: Snapshot, plans: readonly Plan[]): AttachmentEvent[] {
  return machine.id === 'del' ? plans.map((plan) => ({ ...begin(plan), doubtful: steps })) : [];
}

/**
 * Drops the reason of giving up and the facts of steps, because no transition depends on them: so the graph is finite and small.
 */
export function whatDecides(snapshot: Snapshot): string {
  const { plan, begun, owed: debts, displacements, doubtful } = contextOf(snapshot);
  const debtors = debts.map(({ step }) => step);
  const planned = [plannedOf(plan), isAnnotation(plan.publication)];
  return JSON.stringify([snapshot.value, planned, begun, debtors, displacements, doubtful]);
}

const options = (plans: readonly Plan[]) => ({
  events: (snapshot: Snapshot) => heardIn(snapshot, plans),
  serializeState: whatDecides,
  serializeEvent: ({ type, ...payload }: AttachmentEvent) =>
    'plan' in payload
      ? `${type} ${plannedOf(payload.plan)} ${isAnnotation(payload.plan.publication)} ${payload.doubtful ?? ''}`
      : `${type} ${'made' in payload ? payload.made : ''}`,
});

/** One state of a graph and every event that leads on from it. */
export interface Vertex {
  readonly state: Snapshot;
  readonly edges: readonly { readonly event: AttachmentEvent; readonly to: Snapshot }[];
}

export function graphOf(machine: Machine, plans = everyPlan): Vertex[] {
  type Found = AdjacencyMap<Snapshot, AttachmentEvent>;
  const map = getAdjacencyMap(machine as never, options(plans) as never) as Found as Record<string, Found[never]>;
  return Object.values(map).map(({ state, transitions }) => ({
    state,
    edges: Object.values(transitions as Record<string, (typeof transitions)[never]>).map(({ event, state: to }) => ({
      event,
      to,
    })),
  }));
}

/** One way through a machine: its events, and the machine at their end. */
export interface Walk {
  readonly events: readonly AttachmentEvent[];
  readonly end: Folded;
}

/** Every beginning of every path through the graph that visits no state twice; `visit` is called once for each. */
export function everySimpleWalk(machine: Machine, visit: (walk: Walk) => void, plans = everyPlan): void {
  const seen = new Set<string>();
  const walk = (events: readonly AttachmentEvent[], end: Folded): void => {
    const here = whatDecides(end.snapshot);
    if (seen.has(here)) return;
    visit({ events, end });
    seen.add(here);
    for (const event of heardIn(end.snapshot, plans)) walk([...events, event], hear(machine, end, event));
    seen.delete(here);
  };
  walk([], initial(machine));
}

/** All transitions a machine defines: of every state, for every event, every guarded branch. */
export function transitionsOf(machine: Machine): AnyTransitionDefinition[] {
  const below = (node: AnyStateNode): AnyTransitionDefinition[] => [
    ...[...node.transitions.values()].flat(),
    ...(node.always ?? []),
    ...Object.values(node.states).flatMap(below),
  ];
  return below(machine.root as unknown as AnyStateNode);
}

/** The transitions that this event takes in this state, up to the next state of rest. */
export function takenBy(machine: Machine, snapshot: Snapshot, event: AttachmentEvent): AnyTransitionDefinition[] {
  const heard = machine.getTransitionData(snapshot as never, event) as unknown as AnyTransitionDefinition[];
  const states = getMicrosteps(machine, snapshot as never, event).map(([state]) => state);
  const silent = states.slice(1).map((state, index) => {
    const before = states[index];
    const candidates = before ? getNextTransitions(before as never).filter(({ eventType }) => isSilent(eventType)) : [];
    return candidates.find(({ target }) => target?.every((node) => (state._nodes as unknown[]).includes(node)));
  });
  return [...heard, ...silent.filter((transition) => transition !== undefined)];
}

/** Eventless transitions, and those at the end of an inner state: xstate takes them by itself. */
const isSilent = (eventType: string): boolean => eventType === '' || eventType.startsWith('xstate.done.');
