/**
 * The executable: a CNI plugin when CNI_COMMAND is set, otherwise the agent or a command for people. The only file that says
 * `process.`.
 */
import { version } from '../package.json' with { type: 'json' };
import { askAgent } from './agent/ask.ts';
import { agentDirectory, agentVariable } from './agent/place.ts';
import { sendReport, stepsMax } from './agent/report.ts';
import type { Served, ServedCall } from './agent/worker.ts';
import { type CniAnswer, deliver } from './cni/deliver.ts';
import type { Environment } from './cni/request.ts';
import { answerMs, leaseVariable, type Moment, now } from './deadlines.ts';
import type { DoneStep, RecoveryReport } from './figures/report.ts';
import { sinceBootMs } from './os/bare.ts';
import { Outlet, readToEnd } from './os/streams.ts';
import type { CniCall, Status } from './verbs/calls.ts';

// A hardened runtime's umask must not take from a group what the configuration gives it.
process.umask(0o022);

const [out, err] = [new Outlet(1), new Outlet(2)];
const clock = (): Date => new Date();
const random = (): string => crypto.randomUUID().replaceAll('-', '').slice(0, 16);

interface Making {
  /** The process that waits for the answer; undefined: this one was started for the call. */
  readonly caller?: ServedCall;
  /** Receives each step of the call. */
  readonly steps: DoneStep[];
}

async function make(call: CniCall, { caller, steps }: Making): Promise<CniAnswer> {
  const { answerOf, handlers } = await import('./verbs/calls.ts');
  const { stderr } = call;
  const verbs = async () => {
    const { createNode } = await import('./node.ts');
    return handlers((request, scope) =>
      createNode(
        request,
        { clock, random, stderr, done: (step) => steps.push(step), ...(caller && { caller }) },
        scope,
      ),
    );
  };
  const status = async (): Promise<Status> => (await import('./verbs/status.ts')).statusOf;
  return await answerOf(call, verbs, status);
}

interface Made {
  readonly env: Environment;
  readonly answer: CniAnswer;
  readonly steps: readonly DoneStep[];
  /** By this process's clock, which begins with it. */
  readonly began: Moment;
}

/** Tells the meter of a call, once its caller has the answer. VERSION is not worth a word. */
function reportCall({ env, answer, steps, began }: Made): void {
  const { CNI_COMMAND: verb = '', [agentVariable]: setting } = env;
  if (verb === 'VERSION') return;
  const code = answer.exitCode === 0 ? 0 : Number(JSON.parse(answer.stdout).code);
  sendReport(setting, { kind: 'call', verb, code, ms: now() - began, steps: steps.slice(0, stepsMax) });
}

/** The answer to a call whose fate is not known: the agent was told to act, and may still do so. */
async function unanswered(call: CniCall): Promise<CniAnswer> {
  const { answerOf, CniError, code } = await import('./verbs/calls.ts');
  const silent = () => Promise.reject(new CniError(code.tryAgainLater, agentSilent));
  return await answerOf(call, silent, silent);
}

const agentSilent =
  'the agent has taken this call and does not answer in time: "systemctl restart userspace-agent" if it hangs; the call may be repeated';

/** Waits at its end until the answer is read, but not until stderr is. */
async function serveRuntime(): Promise<number> {
  dropOldLease();
  const { env } = process;
  const stderr = (text: string) => err.offer(text);
  const stdout = (text: string): Promise<boolean> => {
    out.queue(text);
    return out.finish(now() + answerMs);
  };
  const call = { env, stdin: readInput(), stderr };
  const asked = askAgent({ ...call, ageMs: now });
  if (asked.kind === 'answered' && asked.answer.stderr !== '') stderr(asked.answer.stderr);
  const steps: DoneStep[] = [];
  const answer =
    asked.kind === 'answered' ? asked.answer : await (asked.kind === 'none' ? make(call, { steps }) : unanswered(call));
  const exitCode = await deliver(answer, env.CNI_COMMAND, { stdout, stderr });
  // A worker reports the call that it has answered.
  if (asked.kind !== 'answered') reportCall({ env, answer, steps, began: 0 });
  return exitCode;
}

/** An IPAM program can leave a daemon that starts us after the program's time is up: such a caller is like any other. */
function dropOldLease(): void {
  const lease = process.env[leaseVariable];
  if (lease !== undefined && Number.parseInt(lease, 10) < sinceBootMs()) delete process.env[leaseVariable];
}

/** Standard input, read now. @returns its text, or throws the error that reading it gave */
function readInput(): () => string {
  try {
    const text = readToEnd(0);
    return () => text;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

async function serveAgent(): Promise<number> {
  const { runAgent } = await import('./agent/agent.ts');
  let isStopping = false;
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => (isStopping = true));
  return await runAgent({
    args: process.argv.slice(3),
    directory: process.env[agentVariable],
    pid: process.pid,
    uid: process.geteuid?.() ?? 0,
    clock,
    isStopping: () => isStopping,
    stdout: (text) => out.queue(text),
    stderr: (text) => err.offer(text),
    load: async () => {
      const [{ isUnderWay }] = await Promise.all([
        import('./node.ts'),
        import('./verbs/calls.ts'),
        import('./verbs/add-check.ts'),
        import('./verbs/del.ts'),
        import('./cni/request.ts'),
      ]);
      return isUnderWay;
    },
    enter: (directory) => process.chdir(directory),
    serve,
    figures: async (places) => {
      const [{ figuresOf }, { createCliNode }] = await Promise.all([import('./figures/node.ts'), import('./node.ts')]);
      const edges = { pid: process.pid, uid: process.geteuid?.() ?? 0, agentDir: undefined };
      return figuresOf(createCliNode(clock, edges, process.env.CNI_PATH), version, places);
    },
  });
}

async function serveDaemonset(): Promise<number> {
  const { runDaemonset } = await import('./daemonset/daemonset.ts');
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop.abort());
  return await runDaemonset({
    args: process.argv.slice(3),
    env: process.env,
    pid: process.pid,
    stdin: () => readToEnd(0),
    stop: stop.signal,
    log: (line) => err.offer(`userspace daemonset: ${line}\n`),
  });
}

/** One call of another process. */
async function serve(caller: ServedCall): Promise<Served> {
  const { env, stdin } = caller.request;
  const said: string[] = [];
  const call = { env, stdin: () => stdin, stderr: (text: string) => void said.push(text) };
  const { actFor } = await import('./os/native.ts');
  actFor(env);
  const steps: DoneStep[] = [];
  const answer = await make(call, { caller, steps });
  const afterwards = () => reportCall({ env, answer, steps, began: caller.began });
  return { ...answer, stderr: said.join(''), afterwards };
}

/**
 * A pager that does not read, or has ended, does not delay a recovery: output that it did not take is written when the work is
 * done.
 */
async function servePeople(): Promise<number> {
  const { runCli } = await import('./cli/cli.ts');
  const { createCliNode } = await import('./node.ts');
  const { charsetOf } = await import('./cli/text.ts');
  const { isTerminal, terminalColumns } = await import('./os/native.ts');
  const [interactive, columns] = isTerminal(1) ? [!process.env.NO_COLOR, terminalColumns(1)] : [false, undefined];
  const say = { stdout: (text: string) => out.queue(text), stderr: (text: string) => err.queue(text) };
  const charset = charsetOf(process.env);
  const ended = () =>
    new Promise<void>((end) => ['SIGINT', 'SIGTERM'].map((signal) => process.once(signal, () => end())));
  const page = { interactive, ...(columns && { columns }), charset };
  const written = () => out.finish(Number.POSITIVE_INFINITY);
  const terminal = { args: process.argv.slice(2), ...say, ...page, written, ended, version };
  const agentDir = agentDirectory(process.env[agentVariable]);
  const report = (recovery: RecoveryReport) => sendReport(process.env[agentVariable], recovery);
  const edges = { pid: process.pid, uid: process.geteuid?.() ?? 0, agentDir, report };
  const exitCode = await runCli(terminal, createCliNode(clock, edges, process.env.CNI_PATH));
  await out.finish(Number.POSITIVE_INFINITY);
  if (out.fault) err.queue(`userspace: standard output cannot be written (${out.fault}): what it was to say is lost\n`);
  await err.finish(Number.POSITIVE_INFINITY);
  return out.fault ? exitCode || 1 : exitCode;
}

/** These two stay. Asked for help, they are like any other word of a person. */
const residents = new Map([
  ['agent', serveAgent],
  ['daemonset', serveDaemonset],
]);
const isHelp = process.argv.some((word) => word === '--help' || word === '-h');
const resident = isHelp ? undefined : residents.get(process.argv[2] ?? '');
const way = process.env.CNI_COMMAND ? serveRuntime : (resident ?? servePeople);
process.exit(await way());
