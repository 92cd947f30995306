/** `userspace agent`: the words of its command line, and the two kinds of processes that it consists of. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { messageOf } from '../attachment.ts';
import { readSmallFile } from '../os/bare.ts';
import { spawnOurselves } from '../os/native.ts';
import { agentDirectory, agentVariable } from './place.ts';
import { type SupervisorOptions, supervise } from './supervisor.ts';
import { type WorkerOptions, work } from './worker.ts';

/** So many that a slow fsync of some does not stop the others, and on a large node one for each processor. */
const workersMost = (): number => Math.min(32, Math.max(8, availableParallelism()));

export interface AgentOptions
  extends Pick<SupervisorOptions, 'pid' | 'uid' | 'isStopping'>,
    Pick<WorkerOptions, 'serve' | 'load' | 'enter'> {
  /** The words behind `userspace agent`. */
  readonly args: readonly string[];
  /** The value of the variable that names the directory. */
  readonly directory: string | undefined;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

const flags = { worker: { type: 'boolean', default: false }, workers: { type: 'string' } } as const;

/** A call opens some twenty files and programs' pipes. */
const filesLeast = 128;

/**
 * A worker has the agent's limits, and its calls would fail of them where their own processes do not.
 * @param limits the text of proc_pid_limits(5)
 */
function lackingLimit(limits: string): string | undefined {
  const soft = (name: string) => new RegExp(`^Max ${name} +(\\S+)`, 'm').exec(limits)?.[1];
  const files = soft('open files');
  if (files !== undefined && Number(files) < filesLeast)
    return `it may open only ${files} files (ulimit -n): at least ${filesLeast} are needed`;
  const size = soft('file size');
  if (size !== undefined && size !== 'unlimited') return `it may write only ${size} bytes to a file (ulimit -f)`;
  return undefined;
}

/** @returns the exit code: 0 when it was told to stop, or another agent has taken over; 1 it cannot listen; 2 wrong words */
export async function runAgent(options: AgentOptions): Promise<number> {
  const { args, stdout, stderr } = options;
  const wrong = (why: string) => {
    stderr(`userspace agent: ${why}\n"userspace help" lists the words.\n`);
    return 2;
  };
  let values: { worker: boolean; workers?: string };
  try {
    values = parseArgs({ args: [...args], options: flags, strict: true }).values;
  } catch (error) {
    return wrong(messageOf(error));
  }
  if (values.worker) {
    await work(options);
    return 0;
  }
  const workersMax = values.workers === undefined ? workersMost() : Number(values.workers);
  if (!Number.isSafeInteger(workersMax) || workersMax < 1) return wrong(`--workers "${values.workers}" is no count`);
  const directory = agentDirectory(options.directory);
  if (directory === undefined) return wrong(`${agentVariable} is "off": no call would ask this agent`);
  const lacking = lackingLimit(readSmallFile('/proc/self/limits'));
  if (lacking !== undefined) {
    stderr(`userspace agent: ${lacking}\n`);
    return 1;
  }
  try {
    options.enter('/');
    await supervise({
      ...options,
      directory,
      workersMax,
      start: (fd) => spawnOurselves(['agent', '--worker'], fd),
      ready: (socket) => stdout(`userspace agent: ready at ${socket}\n`),
      log: (line) => stderr(`userspace agent: ${line}\n`),
    });
    return 0;
  } catch (error) {
    stderr(`userspace agent: ${messageOf(error)}\n`);
    return 1;
  }
}
