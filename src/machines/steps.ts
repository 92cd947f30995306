/**
 * The common parts of the machines: their context, the events they hear, and how an event changes the context.
 *
 * A machine is plain data in xstate's notation, and it never acts. Entering a step's state gives one `request`, plain data too
 * (run.ts); drive/loop.ts performs it and answers with the step's event.
 *
 * Invariants
 *  MA1 A machine is at rest, or waits for one request. A DEL of an annotated pod waits for two at once: the annotation's and the port's.
 *  MA2 Every failure of a step that makes something leads into `removing`, and nowhere else.
 *  MA3 An ADD that gives up takes away only what it began: something planned and never tried may be another attachment's.
 *     (drive/past.ts says what has to be removed for a journal that is read back.)
 */
import type { Trouble } from '../attachment.ts';
import {
  type Facts,
  isAnnotation,
  isMaking,
  type Outcome,
  type Plan,
  type Request,
  type Step,
  type Verb,
} from './protocol.ts';

export interface Context {
  readonly plan: Plan;
  readonly facts: Facts;
  /** The steps whose effect may have happened: their intent was recorded. */
  readonly begun: readonly Step[];
  /** The steps that were refused, and made nothing. */
  readonly refused: readonly Step[];
  /** The steps that may have made nothing (see Request). */
  readonly doubtful: readonly Step[];
  /** Why an ADD does not attach. */
  readonly failure: Trouble | undefined;
  /** The steps that this removal could not take away, and why. */
  readonly owed: readonly Owed[];
  /** Things that a removal could not do, and need not do. */
  readonly warnings: readonly string[];
  /** How often the bridge went away between its step and the port's. */
  readonly displacements: number;
}

export interface Owed {
  readonly step: Step;
  readonly trouble: Trouble;
}

export type AttachmentEvent =
  | { readonly type: 'begin'; readonly plan: Plan; readonly facts?: Facts; readonly doubtful?: readonly Step[] }
  /** The step's intent is recorded; its effect may happen from now on. */
  | { readonly type: `${Step}.begun` }
  | { readonly type: `${Step}.ensured`; readonly facts?: Facts[keyof Facts] }
  | {
      readonly type: `${Step}.refused`;
      readonly trouble: Trouble;
      readonly made?: 'nothing' | 'doubtful';
      readonly facts?: Facts[keyof Facts];
    }
  | { readonly type: `${Step}.displaced`; readonly trouble: Trouble }
  | { readonly type: `${Step}.removed`; readonly facts?: Facts[keyof Facts]; readonly warning?: string }
  | { readonly type: `${Step}.owed`; readonly trouble: Trouble }
  /** An ADD must not go on: its attachment is to be removed, its disk failed, or its time is up. */
  | { readonly type: 'abandon'; readonly trouble: Trouble };

/** A bridge that goes away this often is in dispute between others (code 11: try again later). */
const displacementsMax = 3;

export const nothingYet: Context = {
  plan: { key: { network: '', containerId: '', ifName: '' }, ovsdb: '', request: { stdin: '', env: {} } },
  facts: {},
  begun: [],
  refused: [],
  doubtful: [],
  failure: undefined,
  owed: [],
  warnings: [],
  displacements: 0,
};

const stepOf = (event: AttachmentEvent): Step => event.type.split('.')[0] as Step;

/** The basis of every decision: what the machine remembers, and the event that it hears. */
interface Scene {
  readonly context: Context;
  readonly event: AttachmentEvent;
}

type Change = Partial<Context>;

/** How an event changes what the machine remembers. */
export const changes = {
  takePlan: ({ event }: Scene): Change =>
    event.type === 'begin' ? { plan: event.plan, facts: event.facts ?? {}, doubtful: [...(event.doubtful ?? [])] } : {},
  noteBegun: ({ context, event }: Scene): Change => ({ begun: [...new Set([...context.begun, stepOf(event)])] }),
  learn: ({ context, event }: Scene): Change =>
    'facts' in event && event.facts ? { facts: { ...context.facts, [stepOf(event)]: event.facts } } : {},
  fail: ({ event }: Scene): Change => ('trouble' in event ? { failure: event.trouble } : {}),
  /** A refusal says what its own attempt may have made. */
  noteMade: ({ context, event }: Scene): Change => {
    if (!('made' in event) || !event.made) return {};
    const step = stepOf(event);
    return event.made === 'nothing'
      ? { refused: [...context.refused, step] }
      : { doubtful: [...context.doubtful, step] };
  },
  warn: ({ context, event }: Scene): Change => {
    const warning = 'warning' in event ? event.warning : 'trouble' in event ? event.trouble.message : undefined;
    return warning === undefined ? {} : { warnings: [...context.warnings, warning] };
  },
  owe: ({ context, event }: Scene): Change =>
    'trouble' in event ? { owed: [...context.owed, { step: stepOf(event), trouble: event.trouble }] } : {},
  keepBegun: ({ context }: Scene): Change => ({ plan: begunPlan(context) }),
  countDisplacement: ({ context }: Scene): Change => ({ displacements: context.displacements + 1 }),
};

export const guards = {
  planned: ({ context, event }: Scene, step: Step): boolean =>
    (event.type === 'begin' ? event.plan : context.plan)[step] !== undefined,
  bridgeMayReturn: ({ context: { plan, displacements } }: Scene): boolean =>
    plan.bridge !== undefined && displacements < displacementsMax,
  annotated: ({ context }: Scene): boolean => isAnnotation(context.plan.publication),
  doubtful: ({ context }: Scene, step: Step): boolean => context.doubtful.includes(step),
  owes: ({ context }: Scene, step: Step): boolean => context.owed.some((debt) => debt.step === step),
  nothingOwed: ({ context }: Scene): boolean => context.owed.length === 0,
};

type ChangeName = keyof typeof changes;

export type Guard =
  | 'bridgeMayReturn'
  | 'annotated'
  | 'nothingOwed'
  | { readonly type: 'planned' | 'doubtful' | 'owes'; readonly params: Step };

/** One way out of a state, if its guard holds. Without a target the machine stays. */
export interface Candidate {
  readonly target?: string;
  readonly guard?: Guard;
  readonly actions?: ChangeName | readonly ChangeName[];
}

export type Transition = Candidate | readonly Candidate[];

/** Entering a state asks for an effect. */
export interface Asking {
  readonly type: 'request';
  readonly params: (scene: Pick<Scene, 'context'>) => Request;
}

export interface State {
  readonly type?: 'final';
  readonly entry?: Asking | readonly Asking[];
  readonly on?: { readonly [event: string]: Transition };
  /** Taken without an event. */
  readonly always?: Transition;
  readonly initial?: string;
  readonly states?: States;
  /** Taken when the inner states have come to a final one. */
  readonly onDone?: Transition;
}

export interface States {
  readonly [name: string]: State;
}

/** The entry of a step's state. */
const ask = (step: Step, verb: Verb): Asking => ({
  type: 'request',
  params: ({ context: { plan, facts, doubtful } }) => ({
    step,
    verb,
    plan,
    facts,
    ...(doubtful.length > 0 && { doubtful }),
  }),
});

/** The members of an ADD's plan that are not steps. A new one does not compile without its line here. */
const besideSteps: { readonly [name in Exclude<keyof Plan, Step | 'predecessor'>]: true } = {
  key: true,
  ovsdb: true,
  database: true,
  request: true,
};

/** The plan of what an ADD that gives up has to take away (MA3). A DEL instead takes away its whole plan. */
export function begunPlan({ plan, begun, refused }: Pick<Context, 'plan' | 'begun' | 'refused'>): Plan {
  const isMade = (step: Step) => begun.includes(step) && !refused.includes(step);
  const isBegun = (name: string) => Object.hasOwn(besideSteps, name) || isMade(name as Step);
  return neverUsed(Object.fromEntries(Object.entries(plan).filter(([name]) => isBegun(name))) as unknown as Plan);
}

/**
 * The plan of an attachment whose ADD never answered. In client mode the application makes the socket, and it was not started, so a
 * socket in a shared directory is another's. Below a directory with this container's name, everything is still this attachment's.
 */
export function neverUsed(plan: Plan): Plan {
  const { port, socketDir } = plan;
  if (port?.mode !== 'client' || socketDir?.own !== undefined) return plan;
  return { ...plan, port: { ...port, socketStays: true } };
}

export const giveUp: Candidate = { target: 'removing', actions: ['learn', 'fail', 'noteMade', 'keepBegun'] };

/** A state that makes one thing and goes on to `next`. */
export const making = (step: Step, next: Transition, more?: State['on']): State => ({
  entry: ask(step, 'ensure'),
  on: {
    [`${step}.begun`]: { actions: 'noteBegun' },
    [`${step}.ensured`]: next,
    [`${step}.refused`]: giveUp,
    abandon: giveUp,
    ...more,
  },
});

/** A state that puts one thing back and goes on to `next`, or to `refused`. */
export const putting = (step: Step, verb: 'ensure' | 'restore', next: Transition, refused: Transition): State => ({
  entry: ask(step, verb),
  on: {
    [`${step}.begun`]: { actions: 'noteBegun' },
    [`${step}.ensured`]: next,
    [`${step}.refused`]: refused,
    [`${step}.displaced`]: toFailed,
    abandon: toFailed,
  },
});

export const toFailed: Candidate = { target: 'failed', actions: 'fail' };

/** The ways on to `next` from a thing that is being taken away, with or without a debt. A doubtful step leaves none. */
const taken = (step: Step, next: string): NonNullable<State['on']> => ({
  [`${step}.removed`]: { target: next, actions: ['learn', 'warn'] },
  [`${step}.owed`]: [
    { guard: { type: 'doubtful', params: step }, target: next, actions: 'warn' },
    { target: next, actions: 'owe' },
  ],
});

/** A state that takes one thing away. */
export const taking = (step: Step, next: string): State => ({ entry: ask(step, 'remove'), on: taken(step, next) });

/** A state that takes two things away at once. It goes on to a state of `stillTaking` for the one that ends last. */
export const takingBoth = (one: Step, other: Step, left: { readonly one: string; readonly other: string }): State => ({
  entry: [ask(one, 'remove'), ask(other, 'remove')],
  on: { ...taken(one, left.other), ...taken(other, left.one) },
});

/** A state that waits for the second of them. */
export const stillTaking = (step: Step, next: string): State => ({ on: taken(step, next) });

/** The state after a put-back that failed: its row is removed, and the machine ends in `end` even if that fails. */
export const withdrawing = (step: Step, end: string): State => ({
  entry: ask(step, 'withdraw'),
  on: { [`${step}.removed`]: { target: end }, [`${step}.owed`]: { target: end } },
});

/** The event that tells a machine of an effect's outcome. */
export function eventOf({ step, verb }: Pick<Request, 'step' | 'verb'>, outcome: Outcome): AttachmentEvent {
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
