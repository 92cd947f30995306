/**
 * The delegated IPAM plugin (CNI SPEC section 4): same environment, same standard input, its error passed on as it is.
 *
 * A delegated ADD is the one effect that can not be repeated: host-local refuses a second one. Nothing here tries: an ADD that was
 * interrupted is taken back by DEL, which every IPAM plugin must be able to repeat.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Addresses, type AttachmentKey, code, keyText, type Trouble } from '../../attachment.ts';
import { parseResult, versionIn } from '../../cni/result.ts';
import { type Deadlines, sleep, within } from '../../deadlines.ts';
import type { AddressPlan, Call, CallText, Outcome } from '../../machines/protocol.ts';
import { endOrphans } from '../../os/processes.ts';
import { type Finished, run } from '../../os/subprocess.ts';
import { type Away, askedBefore } from '../away.ts';
import { isOurselves, programIn, programOrElsewhere, unfitIn, usualDirectories } from '../program.ts';
import { throughGate } from './gate.ts';

/** The plugin is being replaced on disk: the kernel refuses to run a file that is open for writing (libcni tries again too). */
const busyTriesMax = 5;
const busyPauseMs = 200;

/** What plugins say of an address that they do not hold: on a DEL, which the specification wants to succeed (A13), and on a CHECK. */
const notHeld =
  /did not find reserved ip|failed to find address added by container|(address|allocation|lease|reservation)(?: \S+){0,4} (?:was |is )?not found|^no (address|allocation|lease|reservation) (found|for)\b/i;

/** What a program says that has no CHECK; what it gave is taken as it is. */
const knowsNoCheck = /unknown CNI_COMMAND|not implemented/i;

/**
 * What host-local says on an ADD (allocator.go, Get) of an id that holds an address already, and of an address that an id holds, its own
 * perhaps. It has given nothing then, and its DEL goes by the id: it would release what that id holds, a living attachment's address.
 */
const heldAlready = /duplicate allocation is not allowed|requested ip address \S+ is not available/i;

/** A shell's word for a program of its own that a signal ended: what that had done by then is not known. */
const signalledStatusMin = 129;

/** What an IPAM program is asked with. */
export interface Asked {
  readonly plan: AddressPlan;
  readonly text: CallText;
  readonly call: Call;
  readonly deadlines: Deadlines;
  /** The attachment; absent where a whole network is meant. */
  readonly key?: AttachmentKey;
  /** Directories where to look too, if the plan's have the program no more. */
  readonly elsewhere?: readonly string[];
  /** What did not answer in time a moment ago is not asked again. */
  readonly away?: Away;
}

/** Where the program of an address that exists is: an upgrade may have moved it. */
export const findProgram = ({ plan, elsewhere = [] }: Pick<Asked, 'plan' | 'elsewhere'>): string | undefined =>
  programOrElsewhere(plan, elsewhere);

/** For an ADD, which takes the program where its own CNI_PATH has it, and nowhere else. */
export function programTroubles(plan: AddressPlan): Trouble[] {
  const { trouble } = programOf(plan);
  return trouble ? [trouble] : [];
}

function programOf(plan: AddressPlan): { readonly file?: string; readonly trouble?: Trouble } {
  const file = programIn(plan);
  if (file === undefined) return { trouble: { code: code.invalidConfig, message: notFound(plan) } };
  return isOurselves(file) ? { trouble: { code: code.invalidConfig, message: itself(plan) } } : { file };
}

function notFound(plan: AddressPlan): string {
  const { program, path } = plan;
  const unfit = unfitIn(plan);
  if (unfit) return `IPAM plugin "${program}" cannot be run: ${unfit}`;
  const where =
    path === usualDirectories
      ? `the usual directories (${path.join(', ')})`
      : `CNI_PATH's directories ${JSON.stringify(path)}`;
  return `IPAM plugin "${program}" is in none of ${where}: install it or correct "ipam.type"`;
}

const itself = ({ program }: AddressPlan): string =>
  `"ipam.type" "${program}" is this plugin itself, which gives no addresses: name an IPAM plugin there`;

export async function ensureAddress(asked: Asked & { readonly key: AttachmentKey }): Promise<Outcome> {
  const { plan, key, call, deadlines } = asked;
  const { file, trouble: refused } = programOf(plan);
  if (refused) return { kind: 'failed', trouble: refused, made: 'nothing' };
  const ask = (gate?: number) => delegate('ADD', asked, file, gate);
  const { dataDir } = call;
  const { network } = key;
  const end = within(call.end, deadlines.lockMs);
  const finished =
    dataDir === undefined
      ? await ask()
      : await throughGate({ dataDir, network, program: plan.program, how: 'together', end }, ask);
  if ('kind' in finished) return finished;
  const trouble = troubleOf('ADD', plan, finished);
  if (trouble) return { kind: 'failed', trouble, ...madeBy(finished) };
  const addresses = readAddresses(finished.stdout);
  if (addresses) return { kind: 'ok', facts: addresses };
  const message = `IPAM plugin "${plan.program}" answered ADD without an address`;
  return { kind: 'failed', trouble: { code: code.invalidConfig, message, details: finished.stdout.slice(0, 500) } };
}

/** What an ADD that failed has made, as far as its end tells. Of one that was killed nothing is known: its removal is owed until it is done. */
function madeBy({ spawnError, timedOut, exitCode, stdout, stderr }: Finished): { made?: 'nothing' | 'doubtful' } {
  if (spawnError) return { made: 'nothing' };
  if (timedOut || exitCode === null) return {};
  const own = readError(stdout);
  if (!own && exitCode >= signalledStatusMin) return {};
  return { made: heldAlready.test(own?.message ?? stderr) ? 'nothing' : 'doubtful' };
}

/** What is known of an address that is to be released. */
export interface Release {
  /** It was given: the program answered its ADD. */
  readonly isGiven: boolean;
  /** The program refused its ADD: it is asked once more, as the specification wants it, and whatever it answers is no debt. */
  readonly isDoubtful: boolean;
}

export async function removeAddress(
  asked: Asked & { readonly key: AttachmentKey },
  { isGiven, isDoubtful }: Release,
): Promise<Outcome> {
  const { plan, key } = asked;
  const file = findProgram(asked);
  if (file !== undefined && isOurselves(file)) return { kind: 'ok', warning: itself(plan) };
  // Its ADD may be at work still, in a session of its own and without any of our descriptors: it would allocate after the DEL.
  if (!isGiven && !isDoubtful) await endOrphans(keyText(key));
  const less = withoutIp(asked);
  const first = await releasing(asked, file);
  const trouble = first && less && (await releasing(less, file)) === undefined ? undefined : first;
  if (!trouble) return { kind: 'ok' };
  if (!isDoubtful) return { kind: 'failed', trouble };
  return { kind: 'ok', warning: `${trouble.message}; its ADD was refused too, so that it is taken to hold no address` };
}

/** @returns undefined once the address is held no more */
async function releasing(asked: Asked, file: string | undefined): Promise<Trouble | undefined> {
  const finished = await delegate('DEL', asked, file);
  return notHeld.test(saidIn(finished)) ? undefined : troubleOf('DEL', asked.plan, finished);
}

const saidIn = ({ stdout, stderr }: Finished): string => readError(stdout)?.message ?? stderr.trim();

/**
 * A DEL goes by container and interface. The address that its ADD was to ask for is read all the same, and one that the program cannot
 * read ("IP=a,b" of two families, for host-local) fails that DEL for ever.
 * @returns undefined where none is asked for
 */
function withoutIp<T extends Asked>(asked: T): T | undefined {
  const { CNI_ARGS: args = '' } = asked.text.env;
  const others = args.split(';').filter((arg) => !arg.startsWith('IP='));
  if (others.length === args.split(';').length) return undefined;
  return { ...asked, text: { ...asked.text, env: { ...asked.text.env, CNI_ARGS: others.join(';') } } };
}

/** Only a program that says that the address is not there has judged: its store may be broken, and the address in use. */
export async function checkAddress(asked: Asked): Promise<Outcome> {
  const finished = await delegate('CHECK', asked, findProgram(asked));
  const trouble = troubleOf('CHECK', asked.plan, finished);
  if (!trouble || trouble.code === code.incompatibleVersion) return { kind: 'ok' };
  const said = finished.timedOut ? '' : saidIn(finished);
  if (knowsNoCheck.test(said)) return { kind: 'ok' };
  return { kind: 'failed', trouble, ...(!notHeld.test(said) && { unjudged: true }) };
}

/** The version that GC and STATUS came with. */
const upkeepVersion = '1.1.0';

/** @returns what its VERSION lists; nothing if that cannot be read */
async function versionsOf(asked: Asked, file: string | undefined): Promise<readonly unknown[]> {
  const { exitCode, stdout, spawnError } = await delegate('VERSION', asked, file);
  // One that cannot be run is no old one: what it is asked next says so.
  if (spawnError) return [upkeepVersion, versionIn(asked.text.stdin)];
  try {
    const { supportedVersions } = JSON.parse(stdout);
    return exitCode === 0 && Array.isArray(supportedVersions) ? supportedVersions : [];
  } catch {
    return [];
  }
}

const knows = async (asked: Asked, file: string | undefined): Promise<boolean> =>
  (await versionsOf(asked, file)).includes(upkeepVersion);

/** As an ADD would find the program, and with the version that its ADD would have. @param asked for a network of any version */
export async function addressStatus(asked: Asked): Promise<Trouble[]> {
  const { plan, text } = asked;
  const { file, trouble: missing } = programOf(plan);
  if (missing) return [{ ...missing, code: code.notAvailable }];
  const versions = await versionsOf(asked, file);
  const version = versionIn(text.stdin);
  if (versions.length > 0 && !versions.includes(version)) {
    const message = `IPAM plugin "${plan.program}" takes the versions ${versions.join(', ')}, and "cniVersion" is ${version}: name one of those there, or install a newer plugin`;
    return [{ code: code.notAvailable, message }];
  }
  if (!versions.includes(upkeepVersion)) return [];
  const isOld = version !== upkeepVersion;
  const stdin = isOld ? JSON.stringify({ ...JSON.parse(text.stdin), cniVersion: upkeepVersion }) : text.stdin;
  const finished = await delegate('STATUS', { ...asked, text: { ...text, stdin } }, file);
  const trouble = troubleOf('STATUS', plan, finished);
  return trouble ? [finished.spawnError ? { ...trouble, code: code.notAvailable } : trouble] : [];
}

/** Hands a GC on (CNI SPEC: MUST). @param toldOf what it is told of a stdin, asked for when no ADD is under way */
export async function collectAddresses(
  asked: Asked & { readonly network: string },
  toldOf: (stdin: string) => string,
): Promise<Trouble[]> {
  const { plan, text, call, network } = asked;
  const file = findProgram(asked);
  if (file !== undefined && isOurselves(file)) return [{ code: code.invalidConfig, message: itself(plan) }];
  if (!(await knows(asked, file))) return [];
  const ask = (gate?: number) => delegate('GC', { ...asked, text: { ...text, stdin: toldOf(text.stdin) } }, file, gate);
  const { dataDir, end } = call;
  const finished =
    dataDir === undefined
      ? await ask()
      : await throughGate({ dataDir, network, program: plan.program, how: 'alone', end }, ask);
  const trouble = 'kind' in finished ? finished.trouble : troubleOf('GC', plan, finished);
  return trouble ? [trouble] : [];
}

const neverStarted: Finished = {
  exitCode: null,
  signal: null,
  timedOut: false,
  stdout: '',
  stderr: '',
  spawnError: 'ENOENT',
};

const interpreterMissing = 'the interpreter that its first line names is missing (ENOENT)';

/** How a program ended; or, of one that was not asked again, what is known of it. */
type Answered = Finished & { readonly silence?: string };

/** @param gate a lock that the program has to keep, beside the attachment's */
async function delegate(command: string, asked: Asked, file: string | undefined, gate?: number): Promise<Answered> {
  const { plan, text, call, deadlines, key } = asked;
  if (file === undefined) return neverStarted;
  const known = asked.away?.known(file);
  if (known) return { ...neverStarted, silence: askedBefore(known.message) };
  for (let attempt = 1; ; attempt++) {
    const finished = await run({
      file,
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        ...text.env,
        ...found(plan, file, text),
        CNI_COMMAND: command,
      },
      stdin: text.stdin,
      end: within(call.end, deadlines.ipamMs),
      locks: [call.lockFd, gate].filter((fd) => fd !== undefined),
      purpose: key ? keyText(key) : command,
    });
    if (finished.timedOut) asked.away?.note(file, new Error('no answer in time; it was killed'));
    if (finished.spawnError === 'ENOENT' && existsSync(file)) return { ...finished, spawnError: interpreterMissing };
    if (finished.spawnError !== 'ETXTBSY' || attempt >= busyTriesMax) return finished;
    await sleep(busyPauseMs);
  }
}

/** Of a program that moved: what it calls itself in turn moved with it. */
function found({ path }: AddressPlan, file: string, { env }: CallText): { CNI_PATH?: string } {
  const directory = dirname(file);
  return path.includes(directory) ? {} : { CNI_PATH: [directory, env.CNI_PATH].filter(Boolean).join(':') };
}

/** The plugin's own error object where it gave one, else what is known of how it ended. */
function troubleOf(command: string, plan: AddressPlan, finished: Answered): Trouble | undefined {
  const { exitCode, signal, timedOut, isStuck, spawnError, silence, stdout, stderr } = finished;
  const what = `IPAM plugin "${plan.program}" ${command}`;
  if (silence) return { code: code.tryAgainLater, message: `${what}: ${silence}` };
  if (spawnError === 'ENOENT') return { code: code.invalidConfig, message: notFound(plan) };
  if (spawnError) return { code: code.tryAgainLater, message: `${what}: cannot be run: ${spawnError}` };
  if (isStuck)
    return {
      code: code.tryAgainLater,
      message: `${what}: no answer in time, and the kernel does not let it be killed`,
    };
  if (timedOut) return { code: code.tryAgainLater, message: `${what}: no answer in time; it was killed` };
  if (exitCode === 0) return undefined;
  const own = readError(stdout);
  const how = signal ? `killed by ${signal}` : `exit status ${exitCode}`;
  return {
    code: own?.code ?? code.internal,
    message: `${what}: ${own?.message ?? (stderr.trim() || how)}`,
    ...(own?.details && { details: own.details }),
  };
}

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

function readAddresses(stdout: string): Addresses | undefined {
  try {
    const result = parseResult(JSON.parse(stdout));
    if (!result || result.ips.length === 0) return undefined;
    const ips = result.ips.map(({ interface: _, ...ip }) => ip);
    return { ips, routes: result.routes, ...(result.dns && { dns: result.dns }) };
  } catch {
    return undefined;
  }
}
