/**
 * The end of a call of an IPAM plugin and the meaning of its words: its result, its error object, and the few sentences that tell
 * whether it holds an address. The specification has no code for those.
 */
import { type Addresses, code, type Trouble } from '../../attachment.ts';
import { parseResult } from '../../cni/result.ts';
import type { AddressPlan } from '../../machines/protocol.ts';
import type { Finished } from '../../os/subprocess.ts';
import { notFoundMessage } from '../program.ts';

interface Ended {
  readonly stdout: string;
  /** null: a signal ended it, or it never ran. */
  readonly exitCode: number | null;
}

/** The plugin did not do its work. The way it ended tells what a failed ADD has made (madeBy). */
export interface Refusal extends Ended {
  /**
   * never ran: it could not be started, or was not asked again. overran: it was killed at its deadline. cut off: a signal ended it
   * or a program that it started. refused: it ended by itself and tells why.
   */
  readonly kind: 'never ran' | 'overran' | 'cut off' | 'refused';
  readonly trouble: Trouble;
  /** The message of its error object, else its stderr. */
  readonly words: string;
}

export type IpamAnswer = (Ended & { readonly kind: 'done' }) | Refusal;

/** Sentences of plugins for which there is no code. */
const phrases = {
  /** The plugin holds no such address: on a DEL, which the specification wants to succeed (case A13), and on a CHECK. */
  notHeld: [
    /did not find reserved ip/i,
    /failed to find address added by container/i,
    /(address|allocation|lease|reservation)(?: \S+){0,4} (?:was |is )?not found/i,
    /^no (address|allocation|lease|reservation) (found|for)\b/i,
  ],
  /** The program has no CHECK, so the address that it gave is taken as it is. */
  noCheck: [/unknown CNI_COMMAND/i, /not implemented/i],
  /**
   * host-local (allocator.go, Get), on an ADD if the id already holds an address, or if an id, perhaps this one, holds the wanted
   * address. It has then given nothing. A DEL must not follow, because it goes by the id and would release a living attachment's
   * address.
   */
  heldAlready: [/duplicate allocation is not allowed/i, /requested ip address \S+ is not available/i],
} as const;

export const isSaid = (phrase: keyof typeof phrases, { words }: Refusal): boolean =>
  phrases[phrase].some((pattern) => pattern.test(words));

/** A shell's exit status if a signal ended the program that it ran. It is not known what that program had done. */
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

/** The refusal of a plugin that did not answer a moment ago. */
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

/**
 * Tells what a failed ADD has made, by the way it ended. After a kill nothing is known, so the removal is owed until it succeeds.
 */
export function madeBy(refusal: Refusal): { readonly made?: 'nothing' | 'doubtful' } {
  if (refusal.kind === 'never ran') return { made: 'nothing' };
  if (refusal.kind !== 'refused') return {};
  return { made: isSaid('heldAlready', refusal) ? 'nothing' : 'doubtful' };
}

/** The plugin's own error object. */
function readError(stdout: string): { code: number; message: string; details?: string } | undefined {
  try {
    const { code: number, msg, details } = JSON.parse(stdout);
    // Code 3 would tell the runtime that no DEL is needed. Only this plugin may decide that, not its delegate.
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

/** @returns undefined if the result holds no address */
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

/** @returns the versions that a VERSION lists; none if the list is unreadable */
export function readVersions({ exitCode, stdout }: IpamAnswer): readonly unknown[] {
  try {
    const { supportedVersions } = JSON.parse(stdout);
    return exitCode === 0 && Array.isArray(supportedVersions) ? supportedVersions : [];
  } catch {
    return [];
  }
}
