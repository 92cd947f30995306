/**
 * How asking an IPAM plugin ended, and what its words mean: its result, its error object, and the few sentences by which plugins say
 * whether an address is held. The specification has no code for those.
 */
import { type Addresses, code, type Trouble } from '../../attachment.ts';
import { parseResult } from '../../cni/result.ts';
import type { AddressPlan } from '../../machines/protocol.ts';
import type { Finished } from '../../os/subprocess.ts';
import { notFoundMessage } from '../program.ts';

interface Ended {
  readonly stdout: string;
  /** null: by a signal, or it never ran. */
  readonly exitCode: number | null;
}

/** The plugin did not do what it was asked for. Its end tells what a refused ADD has made (madeBy). */
export interface Refusal extends Ended {
  /**
   * never ran: it could not be started, or was not asked again. overran: it was killed at its deadline. cut off: a signal ended it, or
   * a program of its own. refused: it ended by itself, and says why.
   */
  readonly kind: 'never ran' | 'overran' | 'cut off' | 'refused';
  readonly trouble: Trouble;
  /** Its error object's, else those on stderr. */
  readonly words: string;
}

export type IpamAnswer = (Ended & { readonly kind: 'done' }) | Refusal;

/** By what plugins say, and have no code for. */
const phrases = {
  /** Of an address that they do not hold: on a DEL, which the specification wants to succeed (case A13), and on a CHECK. */
  notHeld: [
    /did not find reserved ip/i,
    /failed to find address added by container/i,
    /(address|allocation|lease|reservation)(?: \S+){0,4} (?:was |is )?not found/i,
    /^no (address|allocation|lease|reservation) (found|for)\b/i,
  ],
  /** Of a CHECK that a program does not have; what it gave is taken as it is. */
  noCheck: [/unknown CNI_COMMAND/i, /not implemented/i],
  /**
   * host-local, on an ADD (allocator.go, Get) of an id that holds an address already, and of an address that an id holds, its own perhaps.
   * It has given nothing then, and its DEL goes by the id: it would release what that id holds, a living attachment's address.
   */
  heldAlready: [/duplicate allocation is not allowed/i, /requested ip address \S+ is not available/i],
} as const;

export const isSaid = (phrase: keyof typeof phrases, { words }: Refusal): boolean =>
  phrases[phrase].some((pattern) => pattern.test(words));

/** A shell's word for a program of its own that a signal ended: what that had done by then is not known. */
const signalledStatusMin = 129;

/** @param what the plugin and its command, as the trouble names them */
export function readAnswer(what: string, plan: AddressPlan, finished: Finished): IpamAnswer {
  const { exitCode, stdout, stderr, timedOut } = finished;
  const ended = { stdout, exitCode };
  const unstarted = spawnTrouble(what, plan, finished);
  if (unstarted) return { ...ended, kind: 'never ran', trouble: unstarted, words: '' };
  const error = readError(stdout);
  const words = error?.message ?? stderr.trim();
  if (timedOut) return { ...ended, kind: 'overran', trouble: overrunTrouble(what, finished), words };
  if (exitCode === 0) return { ...ended, kind: 'done' };
  const how = finished.signal ? `killed by ${finished.signal}` : `exit status ${exitCode}`;
  const trouble = {
    code: error?.code ?? code.internal,
    message: `${what}: ${error?.message ?? (words || how)}`,
    ...(error?.details && { details: error.details }),
  };
  const isCutOff = exitCode === null || (!error && exitCode >= signalledStatusMin);
  return { ...ended, kind: isCutOff ? 'cut off' : 'refused', trouble, words };
}

/** One that did not answer a moment ago. */
export const notAskedAgain = (what: string, silence: string): Refusal => ({
  stdout: '',
  exitCode: null,
  kind: 'never ran',
  trouble: { code: code.tryAgainLater, message: `${what}: ${silence}` },
  words: '',
});

function spawnTrouble(what: string, plan: AddressPlan, { spawnError }: Finished): Trouble | undefined {
  if (spawnError === undefined) return undefined;
  if (spawnError === 'ENOENT') return { code: code.invalidConfig, message: notFoundMessage(plan) };
  return { code: code.tryAgainLater, message: `${what}: cannot be run: ${spawnError}` };
}

function overrunTrouble(what: string, { isStuck }: Finished): Trouble {
  const end = isStuck ? ', and the kernel does not let it be killed' : '; it was killed';
  return { code: code.tryAgainLater, message: `${what}: no answer in time${end}` };
}

/** What an ADD that failed has made, as far as its end tells. Of one that was killed nothing is known: its removal is owed until it is done. */
export function madeBy(refusal: Refusal): { readonly made?: 'nothing' | 'doubtful' } {
  if (refusal.kind === 'never ran') return { made: 'nothing' };
  if (refusal.kind !== 'refused') return {};
  return { made: isSaid('heldAlready', refusal) ? 'nothing' : 'doubtful' };
}

/** The plugin's own error object. */
function readError(stdout: string): { code: number; message: string; details?: string } | undefined {
  try {
    const { code: number, msg, details } = JSON.parse(stdout);
    // 3 would tell the runtime that no DEL is needed: that is ours to say, never a delegate's.
    if (typeof number !== 'number' || typeof msg !== 'string') return undefined;
    return {
      code: number === 3 ? code.internal : number,
      message: msg,
      ...(typeof details === 'string' && { details }),
    };
  } catch {
    return undefined;
  }
}

/** @returns undefined if there is no address in it */
export function readAddresses(stdout: string): Addresses | undefined {
  try {
    const result = parseResult(JSON.parse(stdout));
    if (!result || result.ips.length === 0) return undefined;
    const ips = result.ips.map(({ interface: _, ...ip }) => ip);
    return { ips, routes: result.routes, ...(result.dns && { dns: result.dns }) };
  } catch {
    return undefined;
  }
}

/** @returns what a VERSION lists; nothing if that cannot be read */
export function readVersions({ exitCode, stdout }: IpamAnswer): readonly unknown[] {
  try {
    const { supportedVersions } = JSON.parse(stdout);
    return exitCode === 0 && Array.isArray(supportedVersions) ? supportedVersions : [];
  } catch {
    return [];
  }
}
