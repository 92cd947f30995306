/**
 * The common parts of the machines: their context, the events they hear, the one action they know.
 *
 * A machine never acts. Entering a step's state gives one `request` action, which the pure `transition` of xstate returns as
 * plain data; drive/loop.ts performs it and answers with the step's event.
 *
 * Invariants
 *  MA1 A machine is at rest, or waits for exactly one request: no state has two.
 *  MA2 Every failure of a step that makes something leads into `removing`, and nowhere else.
 *  MA3 An ADD that gives up takes away only what it began: something planned and never tried may be another attachment's.
 *     (drive/past.ts says what has to be removed for a journal that is read back.)
 */
import { assign, setup } from 'xstate';
import type { Trouble } from '../attachment.ts';
import { type Facts, isMaking, type Outcome, type Plan, type Request, type Step, type Verb } from './protocol.ts';

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

export const attachment = setup({
  types: {} as { context: Context; events: AttachmentEvent },
  actions: {
    /** Returned by `transition`, never run. */
    request: (_, _request: Request) => {
      throw new Error('a machine does not act');
    },
    takePlan: assign(({ event }) =>
      event.type === 'begin'
        ? { plan: event.plan, facts: event.facts ?? {}, doubtful: [...(event.doubtful ?? [])] }
        : {},
    ),
    noteBegun: assign(({ context, event }) => ({ begun: [...new Set([...context.begun, stepOf(event)])] })),
    learn: assign(({ context, event }) =>
      'facts' in event && event.facts ? { facts: { ...context.facts, [stepOf(event)]: event.facts } } : {},
    ),
    fail: assign(({ event }) => ('trouble' in event ? { failure: event.trouble } : {})),
    /** A refusal says what its own attempt may have made. */
    noteMade: assign(({ context, event }) => {
      if (!('made' in event) || !event.made) return {};
      const step = stepOf(event);
      return event.made === 'nothing'
        ? { refused: [...context.refused, step] }
        : { doubtful: [...context.doubtful, step] };
    }),
    warn: assign(({ context, event }) => {
      const warning = 'warning' in event ? event.warning : 'trouble' in event ? event.trouble.message : undefined;
      return warning === undefined ? {} : { warnings: [...context.warnings, warning] };
    }),
    owe: assign(({ context, event }) =>
      'trouble' in event ? { owed: [...context.owed, { step: stepOf(event), trouble: event.trouble }] } : {},
    ),
    keepBegun: assign(({ context }) => ({ plan: begunPlan(context) })),
    countDisplacement: assign(({ context }) => ({ displacements: context.displacements + 1 })),
  },
  guards: {
    planned: ({ context, event }, step: Step) =>
      (event.type === 'begin' ? event.plan : context.plan)[step] !== undefined,
    bridgeMayReturn: ({ context: { plan, displacements } }) =>
      plan.bridge !== undefined && displacements < displacementsMax,
    doubtful: ({ context }, step: Step) => context.doubtful.includes(step),
    nothingOwed: ({ context }) => context.owed.length === 0,
  },
});

/** The entry action of a step's state. */
const ask = (step: Step, verb: Verb) =>
  ({
    type: 'request',
    params: ({ context: { plan, facts, doubtful } }: { context: Context }): Request => ({
      step,
      verb,
      plan,
      facts,
      ...(doubtful.length > 0 && { doubtful }),
    }),
  }) as const;

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

export const giveUp = { target: 'removing', actions: ['learn', 'fail', 'noteMade', 'keepBegun'] } as const;

/** A state that makes one thing and goes on to `next`. */
export const making = <N extends object, M extends object>(step: Step, next: N, more?: M) => ({
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
export const putting = <N extends object, F extends object>(
  step: Step,
  verb: 'ensure' | 'restore',
  next: N,
  refused: F,
) => ({
  entry: ask(step, verb),
  on: {
    [`${step}.begun`]: { actions: 'noteBegun' },
    [`${step}.ensured`]: next,
    [`${step}.refused`]: refused,
    [`${step}.displaced`]: toFailed,
    abandon: toFailed,
  },
});

export const toFailed = { target: 'failed', actions: 'fail' } as const;

/** A state that takes one thing away and goes on: to `next`, or, with a debt, to `owing`. A doubtful step leaves no debt. */
export const taking = <N extends string, O extends string>(step: Step, next: N, owing: O) => ({
  entry: ask(step, 'remove'),
  on: {
    [`${step}.removed`]: { target: next, actions: ['learn', 'warn'] },
    [`${step}.owed`]: [
      { guard: { type: 'doubtful', params: step }, target: next, actions: 'warn' },
      { target: owing, actions: 'owe' },
    ],
  },
});

/** The state after a put-back that failed: its row is removed, and the machine ends in `end` even if that fails. */
export const withdrawing = <E extends string>(step: Step, end: E) => ({
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
