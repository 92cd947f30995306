/**
 * The real node: the parts that the handlers and the commands are handed, put together once.
 */
import type { CliNode } from './cli/command-line.ts';
import type { Basics } from './cni/config/config.ts';
import { defaultShortDir } from './cni/config/defaults.ts';
import { defaultDeadlines, type Moment, now } from './deadlines.ts';
import { createHost, type Host } from './effects/host.ts';
import { owesAnswer } from './effects/outcome.ts';
import type { DoneStep } from './figures/report.ts';
import { realDisk } from './journal/disk.ts';
import { openLog, owesLines } from './log.ts';
import { sinceBootMs } from './os/bare.ts';
import { allowFileThreads } from './os/native.ts';
import { readStart, tickMs } from './os/processes.ts';
import type { Node, Scope } from './verbs/node.ts';

/** The zero of this process's clock (performance.now). */
const processStart: Moment = 0;

/** Whether a file system still owes this process an answer. */
export const isUnderWay = (): boolean => owesAnswer() || owesLines();

interface Edges {
  readonly clock: () => Date;
  readonly random: () => string;
  readonly stderr: (text: string) => void;
  /** Receives each step of the call that makes or removes something, when it is done. */
  readonly done: (step: DoneStep) => void;
  /** The process that the runtime has started for this call; undefined: this one. */
  readonly caller?: CallerProcess;
}

/** A process that waits for the answer. */
interface CallerProcess {
  readonly pid: number;
  readonly began: Moment;
  readonly isCallerGone: () => boolean;
}

/** The parts of a call that a node needs. */
interface Caller {
  readonly config: Basics;
  readonly path: readonly string[];
}

export function createNode({ config, path }: Caller, edges: Edges, scope: Scope): Node {
  allowFileThreads();
  const { clock, random, stderr, done, caller } = edges;
  const { ovsdb, kubeconfig, deadlines } = config;
  const answerPath = caller && `/proc/${caller.pid}/fd/1`;
  const log = openLog({ ...config, ...(answerPath && { answerPath }) }, stderr, clock);
  const elsewhere = { ovsdb, path, ...(kubeconfig && { kubeconfig }) };
  const remembersAway = scope === 'many attachments';
  const host = timed(createHost(deadlines, elsewhere, { remembersAway, warn: log.warning }), done);
  const { began, isCallerGone } = caller ?? { began: processStart, isCallerGone: () => false };
  const called = () => forkedAt(clock, caller?.pid);
  return { disk: realDisk, host, log, clock, began, isCallerGone, called, random };
}

/** A host that tells of each of its steps. Here, because recovery's steps are not a call's, and the loop need not know of figures. */
function timed(host: Host, done: Edges['done']): Host {
  const perform: Host['perform'] = async (request, call) => {
    const began = now();
    const outcome = await host.perform(request, call);
    const { step, verb } = request;
    if (verb === 'ensure' || verb === 'remove')
      done({ step, direction: verb, ms: now() - began, failed: outcome.kind === 'failed' });
    return outcome;
  };
  return { ...host, perform };
}

/** When the calling process was forked, rounded up to the next tick. @throws errno exceptions if it has gone */
const forkedAt = (clock: () => Date, pid?: number): Date =>
  new Date(bootedAtMs(clock) + (readStart(pid ?? 'self') + 1) * tickMs);

/** Two clocks are read, and this process can wait for a processor in between: so the closest pair of a few readings counts. */
const readings = 5;

/** When the machine was booted, by the wall clock's present setting. */
function bootedAtMs(clock: () => Date): number {
  const all = Array.from({ length: readings }, () => {
    const before = sinceBootMs();
    const nowMs = clock().getTime();
    return { gapMs: sinceBootMs() - before, bootedAtMs: nowMs - before };
  });
  return all.reduce((best, one) => (one.gapMs < best.gapMs ? one : best)).bootedAtMs;
}

export const createCliNode = (
  clock: () => Date,
  edges: Pick<CliNode, 'pid' | 'uid' | 'agentDir' | 'report'>,
  path: string | undefined,
): CliNode => ({
  disk: realDisk,
  // A recovery asks for a thousand attachments: one vain wait for an absent server is enough.
  host: (elsewhere) => {
    allowFileThreads();
    return createHost(defaultDeadlines, elsewhere, { remembersAway: true });
  },
  path: (path ?? '').split(':').filter((directory) => directory.startsWith('/')),
  clock,
  ...edges,
  networkDir: '/etc/cni/net.d',
  hugepagesDir: '/sys/kernel/mm/hugepages',
  systemd: { units: '/etc/systemd/system', runs: '/run/systemd/system' },
  systemRoot: '/',
  shortDir: defaultShortDir,
  programDirs: ['/usr/local/bin', '/usr/bin', '/usr/sbin', '/bin', '/sbin'],
});
