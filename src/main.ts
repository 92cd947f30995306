/**
 * The executable: a CNI plugin when CNI_COMMAND is set, a command for people otherwise. The only file that says `process.`.
 */
import { version } from '../package.json' with { type: 'json' };
import { runCniCommand, type Status } from './cni/command.ts';
import { answerMs, leaseVariable, now } from './deadlines.ts';
import { isTerminal, sinceBootMs, terminalColumns } from './os/native.ts';
import { Outlet, readToEnd } from './os/streams.ts';
import { handlers } from './verbs/handlers.ts';

// A hardened runtime's umask must not take from a group what the configuration gives it.
process.umask(0o022);

// An IPAM program can leave a daemon that starts us after the program's time is up: such a caller is like any other.
const lease = process.env[leaseVariable];
if (lease !== undefined && Number.parseInt(lease, 10) < sinceBootMs()) delete process.env[leaseVariable];

const [out, err] = [new Outlet(1), new Outlet(2)];
const clock = (): Date => new Date();
const random = (): string => crypto.randomUUID().replaceAll('-', '').slice(0, 16);

async function verbs() {
  const { createNode } = await import('./node.ts');
  const edges = { clock, random, stderr: (text: string) => err.offer(text) };
  return handlers((request, scope) => createNode(request, edges, scope));
}

async function status(): Promise<Status> {
  const { statusOf } = await import('./verbs/status.ts');
  return statusOf;
}

/** Waits at its end until the answer is read, but not until stderr is. */
async function serveRuntime(): Promise<number> {
  const stdout = (text: string): Promise<boolean> => {
    out.queue(text);
    return out.finish(now() + answerMs);
  };
  const streams = { env: process.env, stdin: () => readToEnd(0), stdout, stderr: (text: string) => err.offer(text) };
  return await runCniCommand(streams, verbs, status);
}

/**
 * A pager that does not read, or has ended, does not delay a recovery: output that it did not take is written when the work is
 * done.
 */
async function servePeople(): Promise<number> {
  const { runCli } = await import('./cli/cli.ts');
  const { createCliNode } = await import('./node.ts');
  const [interactive, columns] = isTerminal(1) ? [!process.env.NO_COLOR, terminalColumns(1)] : [false, undefined];
  const say = { stdout: (text: string) => out.queue(text), stderr: (text: string) => err.queue(text) };
  const terminal = { args: process.argv.slice(2), ...say, interactive, ...(columns && { columns }), version };
  const identity = { pid: process.pid, uid: process.geteuid?.() ?? 0 };
  const exitCode = await runCli(terminal, createCliNode(clock, identity, process.env.CNI_PATH));
  for (const outlet of [out, err]) await outlet.finish(Number.POSITIVE_INFINITY);
  return exitCode;
}

process.exit(await (process.env.CNI_COMMAND ? serveRuntime() : servePeople()));
