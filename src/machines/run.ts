/**
 * Runs a machine on a call's path: one event in, the next state and the request out. It knows as much of xstate's rules as the
 * machines use, because loading xstate and making its machines costs a call more than its steps do (ADR 0009).
 *
 * xstate decides what is right: the tests build its machines of the same data, walk them by xstate/graph, and hold this file to them
 * (test/property/run.test.ts).
 */
import type { Request } from './protocol.ts';
import {
  type AttachmentEvent,
  type Candidate,
  type Context,
  changes,
  type Guard,
  guards,
  type State,
  type States,
  type Transition,
} from './steps.ts';

/** A machine in xstate's notation, with at most two levels of states. */
export interface Machine {
  readonly id: string;
  readonly context: Context;
  readonly initial: string;
  readonly states: States;
}

/** A machine's memory. `value` is xstate's: the state's name, or `{ outer: inner }`. */
export interface Snapshot {
  readonly value: string | { readonly [outer: string]: string };
  readonly context: Context;
}

/** The machine's answer to an event. */
export interface Heard {
  readonly snapshot: Snapshot;
  /** The effects that the machine asks for, to be performed at once. Empty: it waits for one that it has asked for, or rests. */
  readonly asked: readonly Request[];
}

export const initialState = ({ initial, context }: Machine): Snapshot => ({ value: initial, context });

/** @returns undefined for an event that the machine does not know in this state */
export function hear(machine: Machine, from: Snapshot, event: AttachmentEvent): Heard | undefined {
  const walk = new Walk(machine, from, event);
  return walk.take(({ on }) => on?.[event.type]) ? walk.toRest() : undefined;
}

/** The transitions that one event causes, one after the other. */
class Walk {
  readonly #machine: Machine;
  readonly #event: AttachmentEvent;
  #outer: string;
  #inner: string | undefined;
  #context: Context;
  readonly #asked: Request[] = [];

  constructor(machine: Machine, { value, context }: Snapshot, event: AttachmentEvent) {
    this.#machine = machine;
    this.#event = event;
    this.#context = context;
    [this.#outer, this.#inner] = typeof value === 'string' ? [value, undefined] : (Object.entries(value)[0] as never);
  }

  /** Goes on without an event, as long as the states say so. */
  toRest(): Heard {
    while (this.take(({ always }) => always) || this.#leaveEnd());
    const [outer, inner] = [this.#outer, this.#inner];
    return {
      snapshot: { value: inner === undefined ? outer : { [outer]: inner }, context: this.#context },
      asked: this.#asked,
    };
  }

  /** Takes the first possible transition, the inner state's before the outer one's. @returns whether there is one */
  take(transitionOf: (state: State) => Transition | undefined): boolean {
    const [outer, inner] = [this.#outerState, this.#innerState];
    const ofInner = inner && this.#choose(transitionOf(inner));
    if (ofInner) return this.#go(ofInner, (name) => this.#enterInner(name));
    const ofOuter = this.#choose(transitionOf(outer));
    return ofOuter !== undefined && this.#go(ofOuter, (name) => this.#enterOuter(name));
  }

  #leaveEnd(): boolean {
    if (this.#innerState?.type !== 'final') return false;
    const chosen = this.#choose(this.#outerState.onDone);
    return chosen !== undefined && this.#go(chosen, (name) => this.#enterOuter(name));
  }

  #choose(transition: Transition | undefined): Candidate | undefined {
    return [transition ?? []].flat().find(({ guard }) => guard === undefined || this.#holds(guard));
  }

  #holds(guard: Guard): boolean {
    const scene = { context: this.#context, event: this.#event };
    return typeof guard === 'string' ? guards[guard](scene) : guards[guard.type](scene, guard.params);
  }

  #go({ target, actions = [] }: Candidate, enter: (name: string) => void): true {
    for (const name of typeof actions === 'string' ? [actions] : actions) {
      const scene = { context: this.#context, event: this.#event };
      this.#context = { ...this.#context, ...changes[name](scene) };
    }
    if (target !== undefined) enter(target);
    return true;
  }

  #enterOuter(name: string): void {
    this.#outer = name;
    this.#inner = undefined;
    const { initial } = this.#outerState;
    this.#ask(this.#outerState);
    if (initial !== undefined) this.#enterInner(initial);
  }

  #enterInner(name: string): void {
    this.#inner = name;
    if (this.#innerState) this.#ask(this.#innerState);
  }

  #ask({ entry = [] }: State): void {
    for (const { params } of [entry].flat()) this.#asked.push(params({ context: this.#context }));
  }

  get #outerState(): State {
    return stateIn(this.#machine.states, this.#outer);
  }

  get #innerState(): State | undefined {
    return this.#inner === undefined ? undefined : stateIn(this.#outerState.states ?? {}, this.#inner);
  }
}

function stateIn(states: States, name: string): State {
  const state = states[name];
  if (!state) throw new Error(`a machine has no state "${name}"`);
  return state;
}
