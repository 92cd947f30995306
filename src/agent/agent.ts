/** `userspace agent`: reads its command line, and runs as the supervisor, as one of its workers (`--worker`) or as its meter (`--meter`). */
import { availableParallelism, constants, setPriority } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../attachment.ts';
import { defaultOvsdb } from '../cni/config/defaults.ts';
import { sleep } from '../deadlines.ts';
import type { NodeFigures, NodePlaces } from '../figures/node.ts';
import { readSmallFile } from '../os/bare.ts';
import { type OwnProcess, spawnOurselves } from '../os/native.ts';
import type { HttpPlace } from '../os/servers.ts';
import { Metering } from './metering.ts';
import { metricsPlace } from './metrics-place.ts';
import { agentDirectory, agentVariable } from './place.ts';
import { Recoveries } from './recoveries.ts';
import { type SupervisorOptions, supervise } from './supervisor.ts';
import { SwitchWatch } from './switch-watch.ts';
import { type WorkerOptions, work } from './worker.ts';

/** One worker for each processor, but at least 8, so that some can wait for a slow fsync while others go on, and at most 32. */
const usualWorkersMax = (): number => Math.min(32, Math.max(8, availableParallelism()));

export interface AgentOptions
  extends Pick<SupervisorOptions, 'pid' | 'uid' | 'isStopping'>,
    Pick<WorkerOptions, 'serve' | 'load' | 'enter'> {
  /** The words after `userspace agent`. */
  readonly args: readonly string[];
  /** The value of the variable that names the socket's directory. */
  readonly directory: string | undefined;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly clock: () => Date;
  /** Loads what a meter looks at. */
  readonly figures: (places: NodePlaces) => Promise<NodeFigures>;
}

const flags = {
  worker: { type: 'boolean', default: false },
  workers: { type: 'string' },
  recover: { type: 'boolean', default: false },
  'recover-every': { type: 'string' },
  events: { type: 'boolean', default: false },
  'data-dir': { type: 'string' },
  ovsdb: { type: 'string' },
  kubeconfig: { type: 'string' },
  metrics: { type: 'string' },
  meter: { type: 'boolean', default: false },
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof flags }>>['values'];

/** The words of an agent, understood. */
interface Understood {
  readonly values: Flags;
  readonly workersMax: number;
  /** The path of the database's socket. */
  readonly socket: string;
  readonly recoverMs: number | undefined;
  readonly place: HttpPlace | undefined;
}

/** @throws an Error that names the wrong word */
function understand(args: readonly string[]): Understood {
  const { values } = parseArgs({ args: [...args], options: flags, strict: true });
  const { ovsdb = defaultOvsdb, 'recover-every': every, metrics, workers } = values;
  const needing = values.events ? 'events' : every === undefined ? undefined : 'recover-every';
  if (needing && !values.recover) throw new Error(`--${needing} needs --recover`);
  const socket = /^unix:(\/.+)$/.exec(ovsdb)?.[1];
  if (socket === undefined) throw new Error(`--ovsdb "${ovsdb}" is not unix: and an absolute path`);
  if (every !== undefined && !/^\d{1,6}$/.test(every))
    throw new Error(`--recover-every "${every}" is no number of seconds`);
  const workersMax = workers === undefined ? usualWorkersMax() : Number(workers);
  if (!Number.isSafeInteger(workersMax) || workersMax < 1) throw new Error(`--workers "${workers}" is no count`);
  const recoverMs = every === undefined ? undefined : Number(every) * 1_000;
  return { values, workersMax, socket, recoverMs, place: metrics === undefined ? undefined : metricsPlace(metrics) };
}

function recoveriesOf(words: Understood, log: (line: string) => void, metering: Metering | undefined): Recoveries {
  const { values, socket, recoverMs: pauseMs } = words;
  const passedOn = [...wordsOf(values), ...(values.events ? ['--events'] : [])];
  return new Recoveries({
    ...(pauseMs !== undefined && { pauseMs }),
    watch: new SwitchWatch(socket),
    start: (more) => givingWay(spawnOurselves(['recover', ...more, ...passedOn])),
    log,
    isHeld: () => metering?.isReady === false,
  });
}

/** The places that this agent was told, for what it starts: that leaves the working directory, as the agent does. */
function wordsOf(values: Flags): string[] {
  const places = (['data-dir', 'kubeconfig'] as const).flatMap((name) =>
    values[name] === undefined ? [] : [`--${name}`, resolve(values[name])],
  );
  return [...(values.ovsdb === undefined ? [] : ['--ovsdb', values.ovsdb]), ...places];
}

/** Makes a process give way to everything that starts pods. */
function givingWay(process: OwnProcess): OwnProcess {
  setPriority(process.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  return process;
}

/** @param metrics the address, as it was said */
function meteringOf(values: Flags, metrics: string, log: (line: string) => void): Metering {
  const words = ['agent', '--meter', '--metrics', metrics, ...wordsOf(values)];
  // Its kubeconfig may name a program, which needs our environment.
  return new Metering({ start: (fd) => givingWay(spawnOurselves(words, fd, 'environment')), log });
}

/** How long the meter may take to write its counters when the agent ends. */
const meterEndMs = 2_000;

/** The open files that a worker must be allowed. A call opens about twenty at a time, pipes of its programs included. */
const openFilesMin = 128;

/**
 * The reason why this process may not be an agent. Its workers inherit its limits, and calls would fail that succeed in their own
 * processes.
 * @param limits the text of proc_pid_limits(5)
 */
function limitTrouble(limits: string): string | undefined {
  const soft = (name: string) => new RegExp(`^Max ${name} +(\\S+)`, 'm').exec(limits)?.[1];
  const files = soft('open files');
  if (files !== undefined && Number(files) < openFilesMin)
    return `it may open only ${files} files (ulimit -n): at least ${openFilesMin} are needed`;
  const size = soft('file size');
  if (size !== undefined && size !== 'unlimited') return `it may write only ${size} bytes to a file (ulimit -f)`;
  return undefined;
}

/**
 * @returns the exit code: 0 if it was told to stop, had to end (SU2) or was a worker; 1 if its limits are too narrow
 * or it cannot listen; 2 if its words are wrong
 */
export async function runAgent(options: AgentOptions): Promise<number> {
  const { args, stdout, stderr } = options;
  const wrong = (why: string) => {
    stderr(`userspace agent: ${why}\n"userspace agent --help" lists the words.\n`);
    return 2;
  };
  let words: Understood;
  try {
    words = understand(args);
  } catch (error) {
    return wrong(messageOf(error));
  }
  const { values, workersMax, place } = words;
  if (values.worker) {
    await work(options);
    return 0;
  }
  const directory = agentDirectory(options.directory);
  if (directory === undefined)
    return wrong(`${agentVariable} is "${options.directory}", and no absolute path: no call would ask this agent`);
  const log = (line: string) => stderr(`userspace agent: ${line}\n`);
  try {
    if (values.meter && place) {
      await runMeter({ ...options, directory, values, place, log });
      return 0;
    }
    const trouble = limitTrouble(readSmallFile('/proc/self/limits'));
    if (trouble !== undefined) throw new Error(trouble);
    const metering = values.metrics === undefined ? undefined : meteringOf(values, values.metrics, log);
    const recoveries = values.recover ? recoveriesOf(words, log, metering) : undefined;
    options.enter('/');
    await supervise({
      ...options,
      directory,
      workersMax,
      start: (fd) => spawnOurselves(['agent', '--worker'], fd),
      ready: (socket) => stdout(`userspace agent: ready at ${socket}\n`),
      chores: [recoveries ?? [], metering ?? []].flat(),
      log,
    });
    await Promise.race([metering?.ended, sleep(meterEndMs)]);
    metering?.kill();
    return 0;
  } catch (error) {
    log(messageOf(error));
    return 1;
  }
}

interface MeterWords extends AgentOptions {
  readonly directory: string;
  readonly values: Flags;
  readonly place: HttpPlace;
  readonly log: (line: string) => void;
}

/** Loads its code here, because no other process of the agent needs it. */
async function runMeter({ directory, values, place, log, clock, figures, enter }: MeterWords): Promise<void> {
  const { meter } = await import('./meter.ts');
  const { 'data-dir': dataDir, ovsdb, kubeconfig } = values;
  const looked = await figures({ dataDir, ovsdb, kubeconfig });
  enter('/');
  await meter({ directory, place, figures: looked, clock, log });
}
