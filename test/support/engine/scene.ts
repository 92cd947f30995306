/**
 * Where the cases of an engine (../engine-cases.ts) play: a switch, a shared directory beside it, and the other parties that change both.
 * Each engine has a scene of its own kind: fake/engine-scene.ts, stand-in/engine-scene.ts.
 */
import { expect } from 'vitest';
import { holdFileName, portName, shortId } from '../../../src/attachment.ts';
import { FailedAttempt } from '../../../src/effects/attempt.ts';
import { type Engine, EngineFailure } from '../../../src/effects/engine.ts';
import { NothingMade, troubleOf } from '../../../src/effects/outcome.ts';
import { type Call, type Facts, isMadePort, type Outcome, type Verb } from '../../../src/machines/protocol.ts';
import { instance } from '../instance.ts';
import { keyOf, type PlanChanges, planAt, soon, type WholePlan } from '../stand-in/scene.ts';

export type Mode = 'client' | 'server';

/** Columns that another tool writes. */
export interface Written {
  readonly tag?: number;
  /** All of its external_ids. */
  readonly marks?: { readonly [name: string]: string };
  /** The socket that the switch connects to. */
  readonly path?: string;
}

export interface EngineScene {
  readonly ovsdb: string;
  readonly sharedDir: string;
  /** The path of a network namespace that lives, and one of none. */
  readonly liveNetns: string;
  readonly goneNetns: string;
  /** The names of this scene's rows begin with it: a real switch has the rows of other scenes too. */
  readonly prefix: string;
  makeDirectory(path: string): void;
  /** A socket, as an application or a switch makes one. */
  makeSocket(path: string): Promise<void>;
  makeFile(path: string): void;
  remove(path: string): void;
  hasSocket(path: string): boolean;
  /** Where this switch makes the socket of a port in server mode. */
  switchSocketOf(port: string): string;
  bridges(): Promise<string[]>;
  /** Without the bridges' own. */
  ports(): Promise<string[]>;
  /** Another tool makes a bridge that bears no mark. */
  makeBridge(name: string, datapath?: 'netdev' | 'system'): Promise<void>;
  /** Another tool makes a port that bears no mark. */
  makePort(bridge: string, name: string, path: string): Promise<void>;
  movePort(name: string, bridge: string): Promise<void>;
  removeBridge(name: string): Promise<void>;
  removePort(name: string): Promise<void>;
  writePort(name: string, written: Written): Promise<void>;
  /** Another tool takes all marks from a bridge. */
  clearBridge(name: string): Promise<void>;
  /** The daemon of the switch stops applying what it is told, or goes on. */
  setDaemon(state: 'running' | 'away'): void;
  /** The switch cannot be asked any more, or can again. */
  setDatabase(state: 'running' | 'away'): Promise<void>;
}

/** One case, said once for every engine. */
export interface EngineCase {
  readonly title: string;
  readonly run: (engine: Engine, scene: EngineScene) => Promise<void>;
  /** Why the engine in memory cannot answer it. */
  readonly notForFake?: string;
}

export const otherInstance = 'f'.repeat(16);

/** @param ms until it must have answered */
export const callOf = (more: Partial<Call> = {}, ms = 20_000): Call => ({ instance, end: soon(ms), ...more });

/** Another attachment of the scene for each letter. */
const keyIn = ({ prefix }: EngineScene, letter = 'a') => keyOf(`${prefix}${letter.repeat(8)}`);

export const bridgeIn = ({ prefix }: EngineScene): string => `${prefix}br`;

export function planIn(scene: EngineScene, changes: PlanChanges & { readonly letter?: string } = {}): WholePlan {
  const { letter, ...rest } = changes;
  const all = { key: keyIn(scene, letter), bridge: bridgeIn(scene), ...rest };
  return planAt(scene.ovsdb, scene.sharedDir, all);
}

export const socketOf = ({ port }: WholePlan): string => `${port.directory}/${port.file}`;

/** An outcome as two engines have to agree on it. */
export interface Seen {
  readonly kind: Outcome['kind'];
  readonly code?: number;
  readonly made?: string;
  readonly unjudged?: true;
  /** Their names. */
  readonly facts?: readonly string[];
}

const keysOf = (facts: object | undefined) => (facts ? { facts: Object.keys(facts).sort() } : {});

/** An error becomes an outcome, as host.ts makes one of it. */
export async function outcomeOf(action: Promise<Outcome>): Promise<Seen> {
  try {
    const outcome = await action;
    if (outcome.kind === 'ok') return { kind: 'ok', ...keysOf(outcome.facts) };
    if (outcome.kind === 'displaced') return { kind: 'displaced', code: outcome.trouble.code };
    const { trouble, made, unjudged, facts } = outcome;
    return {
      kind: 'failed',
      code: trouble.code,
      ...(made && { made }),
      ...(unjudged && { unjudged }),
      ...keysOf(facts),
    };
  } catch (error) {
    const attempt = error instanceof FailedAttempt ? error : undefined;
    const isNothing = error instanceof NothingMade;
    const why = attempt ? attempt.cause : isNothing ? error.why : error;
    const { code } = why instanceof EngineFailure ? why.trouble : troubleOf(why);
    return { kind: 'failed', code, ...(isNothing && { made: 'nothing' }), ...keysOf(attempt?.facts) };
  }
}

type StepFacts = Facts[keyof Facts];

export const done = { kind: 'ok' } as const;
export const refused = (code: number): Seen => ({ kind: 'failed', code });

/** One step, by its parts. */
export const perform = (
  engine: Engine,
  what: `${Verb} ${'bridge' | 'port'}`,
  plan: WholePlan,
  { facts = {}, call = callOf() }: { readonly facts?: Facts; readonly call?: Call } = {},
): Promise<Outcome> => {
  const [verb, of] = what.split(' ') as [Verb, 'bridge' | 'port'];
  return engine.perform({ step: of, verb, plan, facts }, call);
};

/** The facts of a step that has to go well. */
export async function factsOf<T extends StepFacts>(action: Promise<Outcome>): Promise<T> {
  const outcome = await action;
  expect(outcome).toMatchObject({ kind: 'ok' });
  return (outcome.kind === 'ok' ? outcome.facts : undefined) as T;
}

/** The facts that a journal would have of an attachment. */
type Attached = Required<Pick<Facts, 'bridge' | 'port'>>;

/** Bridge and port of a plan; a client's application has made its socket. */
export async function attach(engine: Engine, scene: EngineScene, plan: WholePlan, call = callOf()): Promise<Attached> {
  scene.makeDirectory(plan.port.directory);
  const bridge = await factsOf<Facts['bridge']>(perform(engine, 'ensure bridge', plan, { call }));
  const port = await factsOf<Facts['port']>(perform(engine, 'ensure port', plan, { call }));
  if (plan.port.mode === 'client') await scene.makeSocket(socketOf(plan));
  if (!bridge || !isMadePort(port)) throw new Error('it told nothing of what it made');
  return { bridge, port };
}

/** The troubles that a pre-flight finds on the switch: codes, and all words as one text. */
export async function preflightOf(engine: Engine, plan: WholePlan, call = callOf()) {
  const troubles = await engine.preflight.stateTroubles(plan, call, () => call.end);
  return { codes: troubles.map(({ code }) => code), words: troubles.map(({ message }) => message).join() };
}

/** The names that a plan of the scene has, spelled by its key. */
export const namesOf = ({ key }: WholePlan) => ({ port: portName(key), own: shortId(key), hold: holdFileName(key) });
