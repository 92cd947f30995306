/**
 * The delegated IPAM plugin (CNI SPEC section 4): same environment, same standard input, its error passed on as it is.
 *
 * A delegated ADD is the one effect that can not be repeated: host-local refuses a second one. Nothing here tries: an ADD that was
 * interrupted is taken back by DEL, which every IPAM plugin must be able to repeat.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Addresses, code, type Trouble } from '../attachment.ts';
import { parseResult } from '../cni/result.ts';
import { type Deadlines, sleep, within } from '../deadlines.ts';
import type { AddressPlan, Call, CallText, Outcome } from '../machines/protocol.ts';
import { throughGate } from './gate.ts';
import { type Finished, run } from './subprocess.ts';

/** The plugin is being replaced on disk: the kernel refuses to run a file that is open for writing (libcni tries again too). */
const busyTriesMax = 5;
const busyPauseMs = 200;

/** What plugins say on a DEL of an address they do not hold (A13). The specification wants success. */
const alreadyReleased =
  /did not find reserved ip|(address|allocation|lease|reservation)(?: \S+){0,4} (?:was |is )?not found|^no (address|allocation|lease|reservation) (found|for)\b/i;

/** The first regular file of that name in CNI_PATH: root's directories, so a synchronous look is safe. */
export function findProgram({ program, path }: AddressPlan): string | undefined {
  return path.map((directory) => join(directory, program)).find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

export function programTroubles(plan: AddressPlan): Trouble[] {
  return findProgram(plan) ? [] : [{ code: code.invalidConfig, message: notFound(plan) }];
}

const notFound = ({ program, path }: AddressPlan): string =>
  `IPAM plugin "${program}" is in none of CNI_PATH's directories ${JSON.stringify(path)}: install it or correct "ipam.type"`;

export async function ensureAddress(
  plan: AddressPlan,
  text: CallText,
  call: Call,
  deadlines: Deadlines,
): Promise<Outcome> {
  const ask = (gate?: number) => delegate('ADD', plan, text, call, deadlines, gate);
  const patience = within(call.end, deadlines.lockMs);
  const finished =
    call.dataDir === undefined ? await ask() : await throughGate(call.dataDir, 'together', patience, ask);
  if ('kind' in finished) return finished;
  const trouble = troubleOf('ADD', plan, finished);
  if (trouble) return { kind: 'failed', trouble };
  const addresses = readAddresses(finished.stdout);
  if (addresses) return { kind: 'ok', facts: addresses };
  const message = `IPAM plugin "${plan.program}" answered ADD without an address`;
  return { kind: 'failed', trouble: { code: code.invalidConfig, message, details: finished.stdout.slice(0, 500) } };
}

export async function removeAddress(
  plan: AddressPlan,
  text: CallText,
  call: Call,
  deadlines: Deadlines,
): Promise<Outcome> {
  const finished = await delegate('DEL', plan, text, call, deadlines);
  const trouble = troubleOf('DEL', plan, finished);
  const said = readError(finished.stdout)?.message ?? finished.stderr.trim();
  return !trouble || alreadyReleased.test(said) ? { kind: 'ok' } : { kind: 'failed', trouble };
}

export async function checkAddress(
  plan: AddressPlan,
  text: CallText,
  call: Call,
  deadlines: Deadlines,
): Promise<Outcome> {
  const trouble = troubleOf('CHECK', plan, await delegate('CHECK', plan, text, call, deadlines));
  // A version that knows no CHECK: what it gave is taken as it is.
  if (trouble?.code === code.incompatibleVersion) return { kind: 'ok' };
  return trouble ? { kind: 'failed', trouble } : { kind: 'ok' };
}

/** GC and STATUS came with 1.1.0: whether a program knows them is asked by its VERSION. */
async function knows(plan: AddressPlan, text: CallText, call: Call, deadlines: Deadlines): Promise<boolean> {
  const { exitCode, stdout } = await delegate('VERSION', plan, text, call, deadlines);
  try {
    return exitCode === 0 && JSON.parse(stdout).supportedVersions.includes('1.1.0');
  } catch {
    return false;
  }
}

export async function addressStatus(
  plan: AddressPlan,
  text: CallText,
  call: Call,
  deadlines: Deadlines,
): Promise<Trouble[]> {
  if (!findProgram(plan)) return [{ code: code.notAvailable, message: notFound(plan) }];
  if (!(await knows(plan, text, call, deadlines))) return [];
  const trouble = troubleOf('STATUS', plan, await delegate('STATUS', plan, text, call, deadlines));
  return trouble ? [trouble] : [];
}

/** Hands a GC on (CNI SPEC: MUST). @param toldOf what it is told of a stdin, asked for when no ADD is under way */
export async function collectAddresses(
  plan: AddressPlan,
  text: CallText,
  toldOf: (stdin: string) => string,
  call: Call,
  deadlines: Deadlines,
): Promise<Trouble[]> {
  if (!(await knows(plan, text, call, deadlines))) return [];
  const ask = (gate?: number) => delegate('GC', plan, { ...text, stdin: toldOf(text.stdin) }, call, deadlines, gate);
  const finished = call.dataDir === undefined ? await ask() : await throughGate(call.dataDir, 'alone', call.end, ask);
  const trouble = 'kind' in finished ? finished.trouble : troubleOf('GC', plan, finished);
  return trouble ? [trouble] : [];
}

async function delegate(
  command: string,
  plan: AddressPlan,
  text: CallText,
  call: Call,
  deadlines: Deadlines,
  gate?: number,
): Promise<Finished> {
  const file = findProgram(plan);
  const nothing: Finished = {
    exitCode: null,
    signal: null,
    timedOut: false,
    stdout: '',
    stderr: '',
    spawnError: 'ENOENT',
  };
  for (let attempt = 1; file; attempt++) {
    const finished = await run({
      file,
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...text.env, CNI_COMMAND: command },
      stdin: text.stdin,
      end: within(call.end, deadlines.ipamMs),
      locks: [call.lockFd, gate].filter((fd) => fd !== undefined),
    });
    if (finished.spawnError !== 'ETXTBSY' || attempt >= busyTriesMax) return finished;
    await sleep(busyPauseMs);
  }
  return nothing;
}

/** The plugin's own error object where it gave one, else what is known of how it ended. */
function troubleOf(command: string, plan: AddressPlan, finished: Finished): Trouble | undefined {
  const { exitCode, signal, timedOut, spawnError, stdout, stderr } = finished;
  const what = `IPAM plugin "${plan.program}" ${command}`;
  if (spawnError === 'ENOENT') return { code: code.invalidConfig, message: notFound(plan) };
  if (spawnError) return { code: code.tryAgainLater, message: `${what}: cannot be run: ${spawnError}` };
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
