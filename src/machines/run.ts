/**
 * Runs a machine in a call: takes one event, and returns the next state and the requests. It has only those rules of xstate that the
 * machines use, because loading xstate and making its machines costs a call an eighth of its processor time (ADR 0009).
 *
 * xstate's own behaviour is the reference. The tests build xstate's machines from the same data, and compare both after each event
 * (test/property/run.test.ts).
 */
import type {
  CandidateOf,
  EventOf,
  MachineOf,
  RequestOf,
  SceneOf,
  StateOf,
  StatesOf,
  StepFamily,
  TransitionOf,
} from './notation.ts';

/** A machine's state and memory. `value` has xstate's form: the state's name, or `{ outer: inner }`. */
export interface SnapshotOf<F extends StepFamily> {
  readonly value: string | { readonly [outer: string]: string };
  readonly context: F['context'];
}

/** The machine's answer to an event. */
export interface Heard<F extends StepFamily> {
  readonly snapshot: SnapshotOf<F>;
  /** The effects to perform now, side by side. If there are none, the machine waits for an earlier one, or rests. */
  readonly asked: readonly RequestOf<F>[];
}

export const initialState = <F extends StepFamily>({ initial, context }: MachineOf<F>): SnapshotOf<F> => ({
  value: initial,
  context,
});

/** Tells a machine of an event. @returns undefined if the machine does not know that event in this state */
export function hear<F extends StepFamily>(
  machine: MachineOf<F>,
  from: SnapshotOf<F>,
  event: EventOf<F>,
): Heard<F> | undefined {
  const walk = new Walk(machine, from, event);
  return walk.take(({ on }) => on?.[event.type]) ? walk.toRest() : undefined;
}

/** The walk of a machine through all transitions that one event causes. */
class Walk<F extends StepFamily> {
  readonly #machine: MachineOf<F>;
  readonly #event: EventOf<F>;
  #outer: string;
  #inner: string | undefined;
  #context: F['context'];
  readonly #asked: RequestOf<F>[] = [];

  constructor(machine: MachineOf<F>, { value, context }: SnapshotOf<F>, event: EventOf<F>) {
    this.#machine = machine;
    this.#event = event;
    this.#context = context;
    [this.#outer, this.#inner] = typeof value === 'string' ? [value, undefined] : (Object.entries(value)[0] as never);
  }

  /** Takes transitions that need no event, until there are none. */
  toRest(): Heard<F> {
    while (this.take(({ always }) => always) || this.#leaveEnd());
    const [outer, inner] = [this.#outer, this.#inner];
    return {
      snapshot: { value: inner === undefined ? outer : { [outer]: inner }, context: this.#context },
      asked: this.#asked,
    };
  }

  /** Takes the first transition whose guard holds. The inner state comes before the outer one. @returns whether there is one */
  take(transitionOf: (state: StateOf<F>) => TransitionOf<F> | undefined): boolean {
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

  #choose(transition: TransitionOf<F> | undefined): CandidateOf<F> | undefined {
    const { rules } = this.#machine;
    return [transition ?? []].flat().find(({ guard }) => guard === undefined || rules.holds(guard, this.#scene));
  }

  #go({ target, actions = [] }: CandidateOf<F>, enter: (name: string) => void): true {
    for (const name of typeof actions === 'string' ? [actions] : actions) {
      this.#context = { ...this.#context, ...this.#machine.rules.change(name, this.#scene) };
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

  #ask({ entry = [] }: StateOf<F>): void {
    for (const { params } of [entry].flat()) this.#asked.push(params({ context: this.#context }));
  }

  get #scene(): SceneOf<F> {
    return { context: this.#context, event: this.#event };
  }

  get #outerState(): StateOf<F> {
    return stateIn(this.#machine.states, this.#outer);
  }

  get #innerState(): StateOf<F> | undefined {
    return this.#inner === undefined ? undefined : stateIn(this.#outerState.states ?? {}, this.#inner);
  }
}

function stateIn<F extends StepFamily>(states: StatesOf<F>, name: string): StateOf<F> {
  const state = states[name];
  if (!state) throw new Error(`a machine has no state "${name}"`);
  return state;
}
