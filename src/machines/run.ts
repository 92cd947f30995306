/**
 * Runs a machine in a call: takes one event, and returns the next state and the requests. It has only those rules of xstate that the
 * machines use, because loading xstate and making its machines costs a call an eighth of its processor time (ADR 0009).
 *
 * xstate's own behaviour is the reference. The tests build xstate's machines from the same data, and compare both after each event
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

/** A machine's state and memory. `value` has xstate's form: the state's name, or `{ outer: inner }`. */
export interface Snapshot {
  readonly value: string | { readonly [outer: string]: string };
  readonly context: Context;
}

/** The machine's answer to an event. */
export interface Heard {
  readonly snapshot: Snapshot;
  /** The effects to perform now, side by side. If there are none, the machine waits for an earlier one, or rests. */
  readonly asked: readonly Request[];
}

export const initialState = ({ initial, context }: Machine): Snapshot => ({ value: initial, context });

/** Tells a machine of an event. @returns undefined if the machine does not know that event in this state */
export function hear(machine: Machine, from: Snapshot, event: AttachmentEvent): Heard | undefined {
  const walk = new Walk(machine, from, event);
  return walk.take(({ on }) => on?.[event.type]) ? walk.toRest() : undefined;
}

/** The walk of a machine through all transitions that one event causes. */
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

  /** Takes transitions that need no event, until there are none. */
  toRest(): Heard {
    while (this.take(({ always }) => always) || this.#leaveEnd());
    const [outer, inner] = [this.#outer, this.#inner];
    return {
      snapshot: { value: inner === undefined ? outer : { [outer]: inner }, context: this.#context },
      asked: this.#asked,
    };
  }

  /** Takes the first transition whose guard holds. The inner state comes before the outer one. @returns whether there is one */
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
