/**
 * The common parts of the machines: their context, the events they hear, and how an event changes the context.
 *
 * A machine is plain data in xstate's notation, and it never acts. Entering a state gives the requests of that state, plain data too
 * (run.ts). drive/loop.ts performs each of them, and answers with an event of its step.
 *
 * Invariants
 *  MA1 A machine is at rest, or waits for the outcome of one request. Only a removal with an annotation waits for two: the annotation's
 *     and the port's.
 *  MA2 Every refused step of an ADD leads into `removing`, and nowhere else. (A put-back has no `removing`: restore.ts.)
 *  MA3 An ADD that gives up takes away only what it began, because a thing that it planned and never tried may be another attachment's.
 *     (For a journal that is read back, drive/past.ts says what has to be removed.)
 */
import type { Trouble } from '../attachment.ts';
import type {
  AskingOf,
  CandidateOf,
  EventOf,
  MachineOf,
  Rules,
  SceneOf,
  StateOf,
  StatesOf,
  StepFamily,
  TransitionOf,
} from './notation.ts';
import { type Call, type Facts, isAnnotation, type Plan, type Request, type Step, type Verb } from './protocol.ts';

export interface Context {
  readonly plan: Plan;
  readonly facts: Facts;
  /** The steps whose intent was recorded, so that their effect may have happened. */
  readonly begun: readonly Step[];
  /** The steps that were refused and are known to have made nothing. */
  readonly refused: readonly Step[];
  /** The steps of which nothing says that they made something (Request.doubtful). */
  readonly doubtful: readonly Step[];
  /** The reason why an ADD does not attach, or why a put-back failed. */
  readonly failure: Trouble | undefined;
  /** The steps that this removal could not take away, with the reason. */
  readonly owed: readonly Owed[];
  /** Faults of a removal that leave no debt, because no retry could mend them. */
  readonly warnings: readonly string[];
  /** The number of times that the bridge went away between its step and the port's. */
  readonly displacements: number;
}

export interface Owed {
  readonly step: Step;
  readonly trouble: Trouble;
}

/** The first event of each machine. */
interface Begin {
  readonly type: 'begin';
  readonly plan: Plan;
  readonly facts?: Facts;
  readonly doubtful?: readonly Step[];
}

/** The family of the machines that attach. */
export interface Attaching extends StepFamily {
  readonly step: Step;
  readonly fact: Facts[keyof Facts];
  readonly event: Begin;
  readonly context: Context;
  readonly request: Request;
  readonly call: Omit<Call, 'end'>;
  readonly guard: Guard;
  readonly change: ChangeName;
}

export type AttachmentEvent = EventOf<Attaching>;
export type Machine = MachineOf<Attaching>;
export type State = StateOf<Attaching>;
export type States = StatesOf<Attaching>;
export type Transition = TransitionOf<Attaching>;
export type Candidate = CandidateOf<Attaching>;
type Scene = SceneOf<Attaching>;
type Change = Partial<Context>;

/** The displacements after which an ADD gives up with code 11: others keep making and deleting the bridge. */
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

/** The ways in which an event changes a machine's memory. */
export const changes = {
  takePlan: ({ event }: Scene): Change =>
    event.type === 'begin' ? { plan: event.plan, facts: event.facts ?? {}, doubtful: [...(event.doubtful ?? [])] } : {},
  noteBegun: ({ context, event }: Scene): Change => ({ begun: [...new Set([...context.begun, stepOf(event)])] }),
  learn: ({ context, event }: Scene): Change =>
    'facts' in event && event.facts ? { facts: { ...context.facts, [stepOf(event)]: event.facts } } : {},
  fail: ({ event }: Scene): Change => ('trouble' in event ? { failure: event.trouble } : {}),
  /** Remembers what a refused step may have made, if its event says so. */
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

/** The conditions of transitions. */
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

/** The meaning of a name in a transition. */
export const rules: Rules<Attaching> = {
  holds: (guard, scene) => (typeof guard === 'string' ? guards[guard](scene) : guards[guard.type](scene, guard.params)),
  change: (name, scene) => changes[name](scene),
};

/** The request for one verb of a step. */
const ask = (step: Step, verb: Verb): AskingOf<Attaching> => ({
  type: 'request',
  params: ({ context: { plan, facts, doubtful } }) => ({
    step,
    verb,
    plan,
    facts,
    ...(doubtful.length > 0 && { doubtful }),
  }),
});

/** The members of an ADD's plan that are not steps. The type makes the compiler ask for each new one. */
const besideSteps: { readonly [name in Exclude<keyof Plan, Step | 'predecessor'>]: true } = {
  key: true,
  ovsdb: true,
  database: true,
  request: true,
};

/** The part of the plan that an ADD has to take away when it gives up (MA3). A DEL takes away the whole plan. */
export function begunPlan({ plan, begun, refused }: Pick<Context, 'plan' | 'begun' | 'refused'>): Plan {
  const isMade = (step: Step) => begun.includes(step) && !refused.includes(step);
  const isBegun = (name: string) => Object.hasOwn(besideSteps, name) || isMade(name as Step);
  return keepForeignSocket(
    Object.fromEntries(Object.entries(plan).filter(([name]) => isBegun(name))) as unknown as Plan,
  );
}

/**
 * Tells the removal to leave a socket at the port's path, for an attachment whose ADD never answered. In client mode the application makes
 * the socket. The application was never started, so a socket in a shared directory is another attachment's. In a directory of this
 * attachment's own the socket is removed with everything else.
 */
export function keepForeignSocket(plan: Plan): Plan {
  const { port, socketDir } = plan;
  if (port?.mode !== 'client' || socketDir?.own !== undefined) return plan;
  return { ...plan, port: { ...port, socketStays: true } };
}

/** The way of an ADD into the removal of all that it began. */
export const giveUp: Candidate = { target: 'removing', actions: ['learn', 'fail', 'noteMade', 'keepBegun'] };

/** A state of an ADD that makes one thing. @param more further transitions */
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

/** A state of a put-back that makes one thing again. @param refused the way on if the step is refused */
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

/** The transitions to `next` once a removal has ended. One that failed leaves a debt, unless its step is doubtful. */
const taken = (step: Step, next: string): NonNullable<State['on']> => ({
  [`${step}.removed`]: { target: next, actions: ['learn', 'warn'] },
  [`${step}.owed`]: [
    { guard: { type: 'doubtful', params: step }, target: next, actions: 'warn' },
    { target: next, actions: 'owe' },
  ],
});

/** A state that takes one thing away and then goes on to `next`. */
export const taking = (step: Step, next: string): State => ({ entry: ask(step, 'remove'), on: taken(step, next) });

/**
 * A state that takes two things away at once. When the first removal has ended, the machine goes on to a state that waits for the other.
 * @param left the states (`stillTaking`) in which only `one`, or only `other`, is left to wait for
 */
export const takingBoth = (one: Step, other: Step, left: { readonly one: string; readonly other: string }): State => ({
  entry: [ask(one, 'remove'), ask(other, 'remove')],
  on: { ...taken(one, left.other), ...taken(other, left.one) },
});

/** A state that waits for the second of two removals, which was asked for before. */
export const stillTaking = (step: Step, next: string): State => ({ on: taken(step, next) });

/** The state after a put-back that failed: removes the row that it made, and ends in `end` even if that fails. */
export const withdrawing = (step: Step, end: string): State => ({
  entry: ask(step, 'withdraw'),
  on: { [`${step}.removed`]: { target: end }, [`${step}.owed`]: { target: end } },
});
