/**
 * CNI_COMMAND -> handler -> exactly one JSON document on stdout, or none (I9). The only writer of stdout on a CNI call.
 */
import { code, messageOf } from '../attachment.ts';
import { leaseVariable } from '../deadlines.ts';
import type { CniAnswer } from './deliver.ts';
import { CniError, toCniError } from './error.ts';
import { memberOf } from './leniency.ts';
import type { AddRequest, DelRequest, Environment } from './request.ts';
import { formatResult, type Result, supportedVersions } from './result.ts';
import type { GcRequest, StatusRequest } from './upkeep.ts';

export interface Handlers {
  add(request: AddRequest): Promise<Result>;
  check(request: AddRequest): Promise<void>;
  del(request: DelRequest): Promise<void>;
  gc(request: GcRequest): Promise<void>;
}

/** Loaded separately: STATUS needs no machine and no journal, and runtimes call it often. */
export type Status = (request: StatusRequest) => Promise<void>;

/** A call as it comes: the environment, and standard input. */
export interface CniCall {
  readonly env: Environment;
  /** Standard input to its end. @throws if it cannot be read. */
  readonly stdin: () => string;
  /** Receives what is said to people while the call works. Neither fails nor waits. */
  readonly stderr: (text: string) => void;
}

/** @param handlers loads them: VERSION needs none, and each call pays for what it loads. */
export async function answerOf(
  call: CniCall,
  handlers: () => Promise<Handlers>,
  status: () => Promise<Status>,
): Promise<CniAnswer> {
  let version = supportedVersions.at(-1) as string;
  let document: object | undefined;
  let exitCode = 0;
  try {
    const stdin = readStdin(call);
    version = versionOf(stdin) ?? version;
    document = await dispatch(call.env, stdin, handlers, status);
  } catch (thrown) {
    const error = toCniError(thrown);
    call.stderr(`userspace: ${call.env.CNI_COMMAND}: ${error.message}\n`);
    document = errorObject(error, version);
    exitCode = 1;
  }
  return { exitCode, stdout: document ? `${JSON.stringify(document, null, 2)}\n` : '' };
}

/**
 * A copy of this plugin, or a script around it, cannot be known by its file. As its own IPAM plugin it would start itself
 * endlessly.
 */
const startedByUs = `this plugin was started by a program that it started itself (${leaseVariable} is set): "ipam.type" must name an IPAM plugin, not this one, a copy of it or a script around it`;

async function dispatch(
  env: Environment,
  stdin: string,
  handlers: () => Promise<Handlers>,
  status: () => Promise<Status>,
): Promise<object | undefined> {
  const command = env.CNI_COMMAND ?? '';
  if (command === 'VERSION') return { cniVersion: versionOf(stdin) ?? supportedVersions.at(-1), supportedVersions };
  if (env[leaseVariable] !== undefined) throw new CniError(code.invalidConfig, startedByUs);
  if (command === 'STATUS' || command === 'GC') {
    const { parseGc, parseStatus } = await import('./upkeep.ts');
    if (command === 'GC') await (await handlers()).gc(parseGc(env, stdin));
    else await (await status())(parseStatus(env, stdin));
    return undefined;
  }
  if (!['ADD', 'CHECK', 'DEL'].includes(command)) {
    throw new CniError(code.invalidEnvironment, `unknown CNI_COMMAND: ${command}`);
  }
  const { parseAdd, parseCheck, parseDel } = await import('./request.ts');
  if (command === 'DEL') {
    const request = parseDel(env, stdin);
    await (await handlers()).del(request);
    return undefined;
  }
  if (command === 'CHECK') {
    const request = parseCheck(env, stdin);
    await (await handlers()).check(request);
    return undefined;
  }
  const request = parseAdd(env, stdin);
  return formatResult(await (await handlers()).add(request), request.config.cniVersion);
}

function readStdin({ stdin }: CniCall): string {
  try {
    return stdin();
  } catch (error) {
    throw new CniError(code.io, `cannot read stdin: ${messageOf(error)}`);
  }
}

function versionOf(stdin: string): string | undefined {
  try {
    const cniVersion = memberOf(JSON.parse(stdin), 'cniVersion');
    return typeof cniVersion === 'string' && cniVersion !== '' ? cniVersion : undefined;
  } catch {
    return undefined;
  }
}

const errorObject = (error: CniError, cniVersion: string) => ({
  cniVersion,
  code: error.code,
  msg: error.message,
  ...(error.details && { details: error.details }),
});
