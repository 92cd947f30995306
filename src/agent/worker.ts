/**
 * A worker of the agent: one process that makes one call at a time, by the same handlers as a process of its own, and stays for the
 * next one. What it keeps between calls is its code and the connections that its runtime keeps open; no answer depends on either.
 *
 * Invariants
 *  WO1 Nothing is done for a call before its `go`. Until then its caller may go away and make the call itself.
 *  WO2 A caller that has gone is noticed under the attachment's lock: an ADD then makes nothing more and takes back what it made; a DEL
 *     that has not begun is dropped. From the lock on, the going mark of a later DEL tells the rest.
 *  WO3 The worker ends after a call that left anything in it: a child that lives, an open file, a file system that owes an answer.
 *  WO4 It ends, too, when anything is thrown that no handler caught. The caller then makes the call by itself.
 */
import { closeSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { type Moment, now } from '../deadlines.ts';
import { sinceBootMs } from '../os/bare.ts';
import {
  type Handed,
  isClosed,
  keepFromChildren,
  peerOf,
  readyOf,
  reapChildren,
  sendAll,
  takeOver,
} from '../os/unix-sockets.ts';
import { type CallAnswer, type CallRequest, type CallSays, Listener, say } from './wire.ts';

/** A caller sends all of its request at once. */
const requestMs = 1_000;
/** It answers `accepted` at once, or has gone. */
const goMs = 1_000;
/** Enough for an answer to a caller that waits for it. */
const answerMs = 1_000;
/** The caller waits this much longer than its call's own deadline. */
const graceMs = 10_000;

/** A worker then ends, so that what a library or the runtime keeps of each call cannot add up. */
const callsMax = 1_000;

/** The descriptor that every worker is given. The supervisor's end of it is closed when the worker is no longer needed. */
const controlFd = 3;

/** A call as the handlers see it. */
export interface ServedCall {
  readonly request: CallRequest;
  /** The number of the process that called, which waits for the answer. */
  readonly pid: number;
  /** When it was started, on this process's clock. */
  readonly began: Moment;
  readonly isCallerGone: () => boolean;
}

export interface WorkerOptions {
  /** The connection to the supervisor, if it is not the usual descriptor. */
  readonly control?: number;
  readonly serve: (call: ServedCall) => Promise<CallAnswer>;
  /**
   * Reads in the code of the verbs, so that no call waits for it.
   * @returns a function that tells whether a part of a call is still under way in this process after its end
   */
  readonly load: () => Promise<() => boolean>;
  /** Enters a directory. @throws errno exceptions */
  readonly enter: (directory: string) => void;
}

/** Serves calls until the supervisor has none left for it. */
export async function work(options: WorkerOptions): Promise<void> {
  const { control = controlFd } = options;
  keepFromChildren(control);
  // The kernel has named it after the link by which it was started.
  writeFileSync('/proc/self/comm', 'userspace');
  options.enter('/');
  // The supervisor is the same program, and reads no configuration.
  const [isUnderWay, { limitMs }] = await Promise.all([options.load(), import('./limit.ts')]);
  const files = openFiles();
  let calls = 0;
  while (sendAll(control, encoded('idle'), now() + answerMs)) {
    const handed = nextCall(control);
    if (!handed) return;
    // The event loop hears of connections that API servers closed while this process slept.
    await new Promise((resolve) => setImmediate(resolve));
    try {
      await serveOne(handed.fd, { ...options, control, limitMs });
    } finally {
      closeSync(handed.fd);
    }
    options.enter('/');
    if (++calls >= callsMax || reapChildren() || isUnderWay() || openFiles() > files) return;
  }
}

const encoded = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Sleeps until there is a call. @returns undefined if there will be none: the supervisor has ended, or needs this worker no longer */
function nextCall(control: number): Handed | undefined {
  for (;;) {
    readyOf([control], -1);
    const handed = takeOver(control);
    if (handed === 'closed') return undefined;
    if (handed && handed.fd >= 0) return handed;
  }
}

interface Serving extends WorkerOptions {
  readonly control: number;
  /** How long the answer may take; undefined if only the caller's own process can make the call. */
  readonly limitMs: (request: CallRequest) => number | undefined;
}

async function serveOne(fd: number, options: Serving): Promise<void> {
  const caller = new Listener<CallSays>(fd, ['call', 'go']);
  const heard = caller.hear(now() + requestMs);
  if (heard.kind !== 'message' || heard.message.say !== 'call') return;
  const request = heard.message;
  const waitMs = options.limitMs(request);
  if (waitMs === undefined || !entered(request.cwd, options)) return;
  // The supervisor ends a worker that takes longer.
  sendAll(options.control, encoded(String(waitMs + graceMs)), now() + answerMs);
  if (!say(fd, { say: 'accepted', waitMs: waitMs + graceMs }, now() + goMs)) return;
  const goes = caller.hear(now() + goMs);
  if (goes.kind !== 'message' || goes.message.say !== 'go') return;
  const call: ServedCall = {
    request,
    pid: peerOf(fd)?.pid ?? 0,
    began: now() - Math.max(0, sinceBootMs() - request.startedMs),
    isCallerGone: () => isClosed(fd),
  };
  const answer = await options.serve(call);
  say(fd, { say: 'answer', ...answer }, now() + answerMs);
}

/** Programs are started in the caller's working directory, as by its own process. */
function entered(directory: string, { enter }: WorkerOptions): boolean {
  try {
    enter(directory);
    return true;
  } catch {
    return false;
  }
}

/** Counts the open files that are neither sockets nor the runtime's own. */
function openFiles(): number {
  const isFile = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/');
    } catch {
      return false;
    }
  };
  return readdirSync('/proc/self/fd').filter(isFile).length;
}
