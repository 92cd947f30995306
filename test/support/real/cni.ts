/**
 * Calls the executable as a container runtime does (environment, network configuration on stdin, answer on stdout), and as a
 * person does (arguments).
 */
import { execa } from 'execa';
import { shuffled } from '../fake/shuffled.ts';
import { cniPath, executable } from '../requirements.ts';
import { byItself, wayVariable } from './way.ts';

/** Above the plugin's own deadlines: reached only by a call that hangs. */
const hangMs = 90_000;

export interface Call {
  readonly containerId?: string | undefined;
  readonly ifName?: string | undefined;
  readonly netns?: string | undefined;
  /** An object is sent as JSON, a string as it is. */
  readonly config?: unknown;
  readonly args?: string | undefined;
  /** CNI_PATH. */
  readonly path?: string | undefined;
}

export interface CallOptions {
  /**
   * The words before the executable, such as strace and its arguments. They trace, limit or move the call's own process, which therefore
   * asks no agent, whichever way the suite's calls go: there would be no work in it that they could reach.
   */
  readonly under?: readonly string[];
  /** Added to the environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly program?: string;
}

export interface Answer {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as the one JSON document it has to be. @throws if it is not one, or not alone. */
  readonly json: Json;
}

// biome-ignore lint/suspicious/noExplicitAny: the tests look into foreign JSON, and a wrong path fails them.
export type Json = any;

function environment(command: string | undefined, call: Call): Record<string, string> {
  const entries = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: call.containerId,
    CNI_IFNAME: call.ifName,
    CNI_NETNS: call.netns,
    CNI_ARGS: call.args,
    CNI_PATH: call.path ?? cniPath,
    PATH: process.env.PATH,
    ...wayVariable(),
  };
  return Object.fromEntries(
    Object.entries(entries).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** Starts a call and returns the process, so that a test can kill it. */
export function start(command: string, call: Call, options: CallOptions = {}) {
  const { env, stdin } = shuffled({
    env: { ...environment(command, call), ...(options.under && byItself.env), ...options.env },
    config: call.config ?? {},
  });
  const [program = '', ...args] = [...(options.under ?? []), options.program ?? executable];
  return execa(program, args, {
    env: Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined)),
    extendEnv: false,
    input: stdin,
    reject: false,
    timeout: hangMs,
    stripFinalNewline: false,
  });
}

export async function cni(command: string, call: Call, options: CallOptions = {}): Promise<Answer> {
  return answer(await start(command, call, options));
}

/** A command for people. */
/** @param under the words before the executable */
export async function run(
  args: readonly string[],
  env: Record<string, string> = {},
  under: readonly string[] = [],
): Promise<Answer> {
  const [program = executable, ...words] = [...under, executable, ...args];
  const options = { env: { PATH: process.env.PATH ?? '', ...env }, extendEnv: false, reject: false } as const;
  return answer(
    await execa(program, words, { ...options, timeout: hangMs, stdin: 'ignore', stripFinalNewline: false }),
  );
}

/** A program's end, as execa tells it. */
export interface Ended {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export function answer(result: Ended): Answer {
  const { exitCode, signal, stdout, stderr } = result;
  if (result.timedOut) throw new Error(`the executable hung for ${hangMs} ms; stderr: ${stderr}`);
  return {
    exitCode,
    signal,
    stdout,
    stderr,
    get json() {
      try {
        return JSON.parse(stdout);
      } catch (cause) {
        throw new Error(`stdout is not one JSON document: ${JSON.stringify(stdout)}; stderr: ${stderr}`, { cause });
      }
    },
  };
}
