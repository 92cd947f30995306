/**
 * The notation of machines, which is xstate's. The steps, facts and requests of a machine are those of its family: the attachments'
 * (steps.ts), or that of another plugin (docs/library.md).
 */
import type { Trouble } from '../attachment.ts';
import { isMaking, type Outcome, type Verb } from './protocol.ts';

/** The types of a family of machines. There is no value of this type: it only lets the compiler check a machine's words. */
export interface StepFamily {
  /** A union of the names of its steps. */
  readonly step: string;
  /** A fact that a step leaves for a later one, or for its removal. */
  readonly fact: unknown;
  /** The events beside those of the steps, such as the first one. */
  readonly event: { readonly type: string };
  /** The memory of a machine. */
  readonly context: object;
  /** The members of a request beside its step and its verb. */
  readonly request: object;
  /** The surroundings of an effect, beside its request and its deadline. */
  readonly call: object;
  /** A union of the conditions of transitions. */
  readonly guard: unknown;
  /** A union of the names of changes of the memory. */
  readonly change: string;
}

export type RequestOf<F extends StepFamily> = F['request'] & { readonly step: F['step']; readonly verb: Verb };

export type EventOf<F extends StepFamily> = F['event'] | StepEvent<F['step'], F['fact']>;

/** The events by which the loop tells a machine of its steps. */
export type StepEvent<S extends string, Fact> =
  /** The step's intent is recorded; its effect may happen from now on. */
  | { readonly type: `${S}.begun` }
  | { readonly type: `${S}.ensured`; readonly facts?: Fact }
  | {
      readonly type: `${S}.refused`;
      readonly trouble: Trouble;
      /** As in the outcome (protocol.ts). Absent: the step may have made something. */
      readonly made?: 'nothing' | 'doubtful';
      readonly facts?: Fact;
    }
  | { readonly type: `${S}.displaced`; readonly trouble: Trouble }
  | { readonly type: `${S}.removed`; readonly facts?: Fact; readonly warning?: string }
  | { readonly type: `${S}.owed`; readonly trouble: Trouble }
  /** Nothing more may be made: the thing is going, its caller has gone, its disk failed, or its time is up. */
  | { readonly type: 'abandon'; readonly trouble: Trouble };

/** Everything that a decision depends on: the machine's memory, and the event that it hears. */
export interface SceneOf<F extends StepFamily> {
  readonly context: F['context'];
  readonly event: EventOf<F>;
}

/** The meaning of the names in a family's transitions. */
export interface Rules<F extends StepFamily> {
  holds(guard: F['guard'], scene: SceneOf<F>): boolean;
  change(name: F['change'], scene: SceneOf<F>): Partial<F['context']>;
}

/** One way out of a state, if its guard holds. Without a target the machine stays. */
export interface CandidateOf<F extends StepFamily> {
  readonly target?: string;
  readonly guard?: F['guard'];
  readonly actions?: F['change'] | readonly F['change'][];
}

export type TransitionOf<F extends StepFamily> = CandidateOf<F> | readonly CandidateOf<F>[];

/** A request that a machine makes when it enters a state. */
export interface AskingOf<F extends StepFamily> {
  readonly type: 'request';
  readonly params: (scene: Pick<SceneOf<F>, 'context'>) => RequestOf<F>;
}

export interface StateOf<F extends StepFamily> {
  readonly type?: 'final';
  readonly entry?: AskingOf<F> | readonly AskingOf<F>[];
  readonly on?: { readonly [event: string]: TransitionOf<F> };
  /** Taken without an event, as soon as its guard holds. */
  readonly always?: TransitionOf<F>;
  readonly initial?: string;
  readonly states?: StatesOf<F>;
  /** Taken when the inner state is final. */
  readonly onDone?: TransitionOf<F>;
}

export interface StatesOf<F extends StepFamily> {
  readonly [name: string]: StateOf<F>;
}

/** A machine, with at most two levels of states. */
export interface MachineOf<F extends StepFamily> {
  readonly id: string;
  readonly rules: Rules<F>;
  readonly context: F['context'];
  readonly initial: string;
  readonly states: StatesOf<F>;
}

/** Tells that a step's intent is recorded. */
export const begunOf = <S extends string>(step: S): StepEvent<S, never> => ({ type: `${step}.begun` });

/** Turns an effect's outcome into the event that tells a machine of it. */
export function eventOf<S extends string, Fact>(
  { step, verb }: { readonly step: S; readonly verb: Verb },
  outcome: Outcome<Fact>,
): StepEvent<S, Fact> {
  const removing = !isMaking(verb);
  if (outcome.kind === 'ok') {
    const { facts, warning } = outcome;
    if (removing) return { type: `${step}.removed`, ...(facts && { facts }), ...(warning && { warning }) };
    return { type: `${step}.ensured`, ...(facts && { facts }) };
  }
  const { trouble } = outcome;
  if (removing) return { type: `${step}.owed`, trouble };
  if (outcome.kind === 'displaced') return { type: `${step}.displaced`, trouble };
  const { made, facts } = outcome;
  return { type: `${step}.refused`, trouble, ...(made && { made }), ...(facts && { facts }) };
}
