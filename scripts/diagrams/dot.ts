/** A machine as a graph in Graphviz' language (dot). Pure. */
import type { Candidate, Guard, Machine, State, States, Transition } from '../../src/machines/steps.ts';
import { boxes, fonts, plain } from './look.ts';

/** The colours of ways: on, out of an operation that fails, and without an event. */
const colours = { on: '#1f6f43', out: '#a33327', plain } as const;

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly event: string;
  readonly guard?: Guard;
}

/** A state and the name that it has in the graph: inner ones have that of their outer one before it. */
interface Placed {
  readonly id: string;
  readonly name: string;
  readonly state: State;
}

const all = (transition: Transition | undefined): readonly Candidate[] =>
  transition === undefined ? [] : Array.isArray(transition) ? transition : [transition as Candidate];

const placed = (states: States, within = ''): Placed[] =>
  Object.entries(states).map(([name, state]) => ({ id: within + name, name, state }));

/** The inner state in which an outer one begins. */
const entryOf = (states: States, id: string): string =>
  states[id]?.initial === undefined ? id : `${id}/${states[id].initial}`;

export function dotOf({ id, initial, states }: Machine): string {
  const outer = placed(states);
  const lines = outer.flatMap((one) => (one.state.states ? cluster(one, one.state.states) : node(one)));
  const edges = outer.flatMap((one) => [
    ...edgesOf(one, (target) => entryOf(states, target)),
    ...placed(one.state.states ?? {}, `${one.id}/`).flatMap((inner) =>
      edgesOf(inner, (target) => `${one.id}/${target}`),
    ),
  ]);
  return [
    `digraph "${id}" {`,
    `graph [rankdir=TB ranksep=0.35 nodesep=0.45 bgcolor="white" ${fonts} fontsize=11];`,
    `node [${boxes} margin="0.2,0.06" color="${colours.plain}" ${fonts} fontsize=12];`,
    `edge [${fonts} fontsize=10 arrowsize=0.7];`,
    'start [shape=circle style=filled fillcolor=black label="" width=0.15];',
    `start -> "${initial}";`,
    ...lines,
    ...joined(edges),
    '}',
    '',
  ].join('\n');
}

function node({ id, name, state }: Placed): string {
  const isMoment = state.always !== undefined;
  const look =
    state.type === 'final' ? 'peripheries=2 fillcolor="#dfe7ef"' : isMoment ? 'shape=diamond fontsize=10' : '';
  return `"${id}" [label="${name}" ${look}];`;
}

const cluster = ({ id, name }: Placed, inner: States): string[] => [
  `subgraph "cluster_${id}" {`,
  `label="${name}" labeljust=l style="rounded" color="${colours.out}" fontcolor="${colours.out}";`,
  ...placed(inner, `${id}/`).map(node),
  '}',
];

function edgesOf({ id, state }: Placed, idOf: (target: string) => string): Edge[] {
  const edges = (event: string, transition: Transition | undefined, from = id): Edge[] =>
    all(transition).flatMap(({ target, guard }) =>
      // A transition without a target is a note to memory.
      target === undefined ? [] : [{ from, to: idOf(target), event, ...(guard && { guard }) }],
    );
  const ends = placed(state.states ?? {}, `${id}/`).filter(({ state: inner }) => inner.type === 'final');
  return [
    ...Object.entries(state.on ?? {}).flatMap(([event, transition]) => edges(event, transition)),
    ...edges('', state.always),
    ...ends.flatMap((end) => edges('', state.onDone, end.id)),
  ];
}

const guardText = (guard: Guard): string =>
  typeof guard === 'string' ? words(guard) : `${words(guard.type)} ${guard.params}`;

/** nothingOwed -> nothing owed */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** The events of one way as one edge: their labels are lines. */
function joined(edges: readonly Edge[]): string[] {
  const ways = new Map<string, Edge[]>();
  for (const edge of edges) {
    const way = `"${edge.from}" -> "${edge.to}"`;
    ways.set(way, [...(ways.get(way) ?? []), edge]);
  }
  return [...ways].map(([way, all]) => {
    // If an event leads here in any case, its other cases need no words.
    const always = new Set(all.flatMap(({ event, guard }) => (guard ? [] : [event])));
    const telling = all.filter(({ event, guard }) => !guard || !always.has(event));
    const labels = [...new Set(telling.map(labelOf))].filter(Boolean);
    const { colour, style } = lookOf(all);
    return `${way} [label="${labels.join('\\nor ')}" color="${colour}" fontcolor="${colour}" style=${style}];`;
  });
}

const labelOf = ({ from, event, guard }: Edge): string => {
  // A state bears its step's name, so the event need not say it again.
  const step = from.split('/').at(-1) ?? '';
  const said = event.startsWith(`${step}.`) ? event.slice(step.length + 1) : event;
  return [said, guard && `[${guardText(guard)}]`].filter(Boolean).join(' ');
};

function lookOf(edges: readonly Edge[]): { readonly colour: string; readonly style: string } {
  const has = (pattern: RegExp) => edges.some(({ event }) => pattern.test(event));
  if (has(/\.(ensured|removed)$|^begin$/)) return { colour: colours.on, style: 'solid' };
  return has(/^abandon$|\.(refused|displaced)$/)
    ? { colour: colours.out, style: 'dashed' }
    : { colour: colours.plain, style: 'solid' };
}
