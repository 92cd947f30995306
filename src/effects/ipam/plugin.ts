/**
 * The delegated IPAM plugin (CNI SPEC section 4). Its error is passed on as it is.
 *
 * A delegated ADD is the one effect that cannot be repeated, because host-local refuses a second one. So an interrupted ADD is
 * undone by DEL, which every IPAM plugin must be able to repeat.
 */
import { type AttachmentKey, code, keyText, type Trouble } from '../../attachment.ts';
import { versionIn } from '../../cni/result.ts';
import { within } from '../../deadlines.ts';
import type { Outcome } from '../../machines/protocol.ts';
import { endOrphans } from '../../os/processes.ts';
import { type Failed, ok } from '../outcome.ts';
import { findProgram, isOurselves, ourselvesMessage, ownProgram } from '../program.ts';
import { type IpamAnswer, isSaid, madeBy, readAddresses, readVersions } from './answer.ts';
import { Delegate, type IpamCall } from './delegate.ts';
import { type Passage, throughGate } from './gate.ts';

type AttachmentCall = IpamCall & { readonly key: AttachmentKey };

/** Finds the program of an address that was given. */
const findDelegate = (asked: IpamCall): { readonly file: string | undefined; readonly delegate: Delegate } => {
  const file = findProgram(asked.plan, asked.elsewhere);
  return { file, delegate: new Delegate(asked, file) };
};

/** Asks through the gate, which only a data directory has. */
async function askThroughGate(
  { plan, call }: IpamCall,
  passage: Pick<Passage, 'network' | 'how' | 'end'>,
  ask: (gate?: number) => Promise<IpamAnswer>,
): Promise<IpamAnswer | Failed> {
  const { dataDir } = call;
  return dataDir === undefined ? await ask() : await throughGate({ dataDir, program: plan.program, ...passage }, ask);
}

export async function ensureAddress(asked: AttachmentCall): Promise<Outcome> {
  const { plan, key, call, deadlines } = asked;
  const program = ownProgram(plan);
  if (program.kind === 'unusable') return { kind: 'failed', trouble: program.trouble, made: 'nothing' };
  const delegate = new Delegate(asked, program.file);
  const passage = { network: key.network, how: 'together', end: within(call.end, deadlines.lockMs) } as const;
  const answer = await askThroughGate(asked, passage, (gate) => delegate.ask('ADD', gate));
  if (answer.kind === 'failed') return answer;
  if (answer.kind !== 'done') return { kind: 'failed', trouble: answer.trouble, ...madeBy(answer) };
  const addresses = readAddresses(answer.stdout);
  if (addresses) return { kind: 'ok', facts: addresses };
  const message = `IPAM plugin "${plan.program}" answered ADD without an address`;
  return { kind: 'failed', trouble: { code: code.invalidConfig, message, details: answer.stdout.slice(0, 500) } };
}

/** The knowledge about an address that is to be released. */
export interface Release {
  /** The program answered the ADD with an address. */
  readonly isGiven: boolean;
  /** The program refused the ADD. It is asked for a DEL once, as the specification wants it, and a failure leaves no debt. */
  readonly isDoubtful: boolean;
}

export async function removeAddress(asked: AttachmentCall, { isGiven, isDoubtful }: Release): Promise<Outcome> {
  const { plan, key } = asked;
  const { file, delegate } = findDelegate(asked);
  if (file !== undefined && isOurselves(file)) return { kind: 'ok', warning: ourselvesMessage(plan) };
  // The ADD's program may still run in its own session, without our descriptors. It would allocate an address after the DEL.
  if (!isGiven && !isDoubtful) await endOrphans(keyText(key));
  const trouble = await release(delegate);
  if (!trouble) return ok;
  const less = delegate.withoutIp();
  if (less && !(await release(less))) return ok;
  if (!isDoubtful) return { kind: 'failed', trouble };
  return { kind: 'ok', warning: `${trouble.message}; its ADD was refused too, so that it is taken to hold no address` };
}

/** @returns undefined if the address is no longer held */
async function release(delegate: Delegate): Promise<Trouble | undefined> {
  const answer = await delegate.ask('DEL');
  return answer.kind === 'done' || isSaid('notHeld', answer) ? undefined : answer.trouble;
}

/**
 * Only a program that reports the address missing has judged. After another error the address may be in use and the store broken.
 */
export async function checkAddress(asked: IpamCall): Promise<Outcome> {
  const answer = await findDelegate(asked).delegate.ask('CHECK');
  if (answer.kind === 'done' || answer.trouble.code === code.incompatibleVersion) return ok;
  const { trouble } = answer;
  // The words of a killed program are not a judgement.
  if (answer.kind === 'overran') return { kind: 'failed', trouble, unjudged: true };
  if (isSaid('noCheck', answer)) return ok;
  return { kind: 'failed', trouble, ...(!isSaid('notHeld', answer) && { unjudged: true }) };
}

/** The CNI version that introduced GC and STATUS. */
const upkeepVersion = '1.1.0';

async function askVersions(delegate: Delegate, stdin: string): Promise<readonly unknown[]> {
  const answer = await delegate.ask('VERSION');
  // A program that cannot be run is not an old one. The next question to it reports that.
  return answer.kind === 'never ran' ? [upkeepVersion, versionIn(stdin)] : readVersions(answer);
}

/** Finds the program as an ADD would, and checks the version that its ADD would have. @param asked for a network of any version */
export async function addressStatus(asked: IpamCall): Promise<Trouble[]> {
  const { plan, text } = asked;
  const program = ownProgram(plan);
  if (program.kind === 'unusable') return [{ ...program.trouble, code: code.notAvailable }];
  const delegate = new Delegate(asked, program.file);
  const versions = await askVersions(delegate, text.stdin);
  const version = versionIn(text.stdin);
  if (versions.length > 0 && !versions.includes(version)) {
    const message = `IPAM plugin "${plan.program}" takes the versions ${versions.join(', ')}, and "cniVersion" is ${version}: name one of those there, or install a newer plugin`;
    return [{ code: code.notAvailable, message }];
  }
  if (!versions.includes(upkeepVersion)) return [];
  const isOld = version !== upkeepVersion;
  const stdin = isOld ? JSON.stringify({ ...JSON.parse(text.stdin), cniVersion: upkeepVersion }) : text.stdin;
  const answer = await delegate.withStdin(stdin).ask('STATUS');
  if (answer.kind === 'done') return [];
  return [answer.kind === 'never ran' ? { ...answer.trouble, code: code.notAvailable } : answer.trouble];
}

/** Passes a GC on (CNI SPEC: MUST). @param rewriteStdin makes the program's stdin, and runs while no ADD is under way */
export async function collectAddresses(
  asked: IpamCall & { readonly network: string },
  rewriteStdin: (stdin: string) => string,
): Promise<Trouble[]> {
  const { plan, text, call, network } = asked;
  const { file, delegate } = findDelegate(asked);
  if (file !== undefined && isOurselves(file)) return [{ code: code.invalidConfig, message: ourselvesMessage(plan) }];
  if (!(await askVersions(delegate, text.stdin)).includes(upkeepVersion)) return [];
  const passage = { network, how: 'alone', end: call.end } as const;
  const ask = (gate?: number) => delegate.withStdin(rewriteStdin(text.stdin)).ask('GC', gate);
  const answer = await askThroughGate(asked, passage, ask);
  return answer.kind === 'done' ? [] : [answer.trouble];
}
