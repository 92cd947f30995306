/**
 * A step of an attachment: request -> outcome. Every exception that a step throws becomes an outcome here.
 */
import { type Deadlines, type Moment, within } from '../deadlines.ts';
import {
  type AddressPlan,
  type Call,
  type Elsewhere,
  type FilePlan,
  isAnnotation,
  type Outcome,
  type Request,
  type Step,
  type Verb,
} from '../machines/protocol.ts';
import { FailedAttempt } from './attempt.ts';
import type { Away } from './away.ts';
import { type Engine, EngineFailure, type EngineRequest } from './engine.ts';
import { ensureDeviceInfo, findDeviceInfo, removeDeviceInfo } from './files/device-info.ts';
import { ensurePublication, findPublication, removePublication } from './files/published-file.ts';
import { ensureSocketDir, findSocketDir, removeSocketDir } from './files/socket-dir.ts';
import { checkAddress, ensureAddress, removeAddress } from './ipam/plugin.ts';
import type { ApiServers } from './kubernetes/api-servers.ts';
import { Mismatch, NothingMade, ok, troubleOf } from './outcome.ts';

/** The parts that effects are made with. */
export interface Means {
  readonly engine: Engine;
  readonly api: ApiServers;
  readonly deadlines: Deadlines;
  readonly elsewhere: Elsewhere;
  readonly away: Away;
}

/** One step, asked for by one call. */
interface Performance {
  readonly means: Means;
  readonly request: Request;
  readonly call: Call;
  /** The end of all work in directories that are not root's own. */
  readonly nearby: Moment;
}

/** Total: a bug becomes an outcome too, so that the begun steps are taken back as after any other failure. */
export async function perform(means: Means, request: Request, call: Call): Promise<Outcome> {
  const { step, verb } = request;
  try {
    return await performers[step]({ means, request, call, nearby: within(call.end, means.deadlines.directoryMs) });
  } catch (error) {
    const attempt = error instanceof FailedAttempt ? error : undefined;
    const madeNothing = error instanceof NothingMade;
    const why = attempt ? attempt.cause : madeNothing ? error.why : error;
    const trouble = why instanceof EngineFailure ? why.trouble : troubleOf(why);
    return {
      kind: 'failed',
      trouble: { ...trouble, message: `cannot ${verb} ${step}: ${trouble.message}` },
      ...(attempt && { facts: attempt.facts }),
      ...(madeNothing && { made: 'nothing' }),
      // A difference that was seen is an answer: every other failure of a look leaves the world unknown.
      ...(verb === 'find' && !(error instanceof Mismatch) && { unjudged: true }),
    };
  }
}

const performers: { readonly [S in Step]: (performance: Performance) => Promise<Outcome> } = {
  address: performAddress,
  socketDir: performSocketDir,
  bridge: (performance) => performByEngine(performance, 'bridge'),
  port: (performance) => performByEngine(performance, 'port'),
  publication: performPublication,
  deviceInfo: performDeviceInfo,
};

async function performByEngine({ means, request, call }: Performance, step: EngineRequest['step']): Promise<Outcome> {
  return await means.engine.perform({ ...request, step }, call);
}

/** The verbs that every step knows. */
type Plain = Exclude<Verb, 'restore' | 'withdraw'>;

/** The verbs of the port as the other steps would perform them. */
const plain: Record<Verb, Plain> = {
  ensure: 'ensure',
  restore: 'ensure',
  remove: 'remove',
  withdraw: 'remove',
  find: 'find',
};

/** A part that is not in the plan needs no work. */
const performPart = <T>(
  verb: Verb,
  part: T | undefined,
  acts: Record<Plain, (part: T) => Promise<Outcome>>,
): Promise<Outcome> => (part === undefined ? Promise.resolve(ok) : acts[plain[verb]](part));

async function performAddress({ means, request, call }: Performance): Promise<Outcome> {
  const { engine, deadlines, elsewhere, away } = means;
  const { plan, facts } = request;
  const asked = (part: AddressPlan) => ({
    ...{ plan: part, text: plan.request, key: plan.key },
    ...{ call, deadlines, elsewhere: elsewhere.path ?? [], away },
  });
  return await performPart(request.verb, plan.address, {
    ensure: (part) => ensureAddress(asked(part)),
    remove: async (part) => {
      const released = await engine.released(plan, facts.port, call.end);
      if (released.kind !== 'ok') return released;
      const isDoubtful = request.doubtful?.includes('address') === true;
      return await removeAddress(asked(part), { isGiven: facts.address !== undefined, isDoubtful });
    },
    find: (part) => checkAddress(asked(part)),
  });
}

async function performSocketDir({ means, request, nearby }: Performance): Promise<Outcome> {
  const { way } = means.engine;
  const { plan } = request;
  return await performPart(request.verb, plan.socketDir, {
    ensure: async (part) => {
      const made = await ensureSocketDir(part, nearby);
      return made.kind === 'ok' ? await way.open(plan, nearby) : made;
    },
    remove: (part) => removeSocketDir(part, nearby),
    find: async (part) => {
      const found = await findSocketDir(part, nearby);
      return found.kind === 'ok' ? await way.find(plan, nearby) : found;
    },
  });
}

async function performPublication(performance: Performance): Promise<Outcome> {
  const { means, request, call, nearby } = performance;
  const { verb, plan, facts } = request;
  const { publication } = plan;
  if (isAnnotation(publication)) {
    const { begun } = call;
    const isLater = async (containerId: string) =>
      begun !== undefined && (await means.engine.isLaterSandbox(plan, { containerId, moment: begun }, call));
    return await means.api.annotate({ annotation: publication, request, call, isLater });
  }
  return await performPart<FilePlan>(verb, publication, {
    ensure: (part) => ensurePublication(part, { ...ownerOf(performance), addresses: facts.address }),
    remove: (part) => removePublication(part, plan.key, nearby),
    find: (part) => findPublication(part, facts.address, nearby),
  });
}

async function performDeviceInfo(performance: Performance): Promise<Outcome> {
  const { request, nearby } = performance;
  const owner = ownerOf(performance);
  return await performPart(request.verb, request.plan.deviceInfo, {
    ensure: (part) => ensureDeviceInfo(part, owner.findHolder, nearby),
    remove: (part) => removeDeviceInfo(part, owner),
    find: (part) => findDeviceInfo(part, nearby),
  });
}

const ownerOf = ({ means, request: { plan }, call, nearby }: Performance) => ({
  key: plan.key,
  findHolder: means.engine.otherHolder(plan, call),
  end: nearby,
});
