/**
 * A worker of the agent: a process that makes one call at a time, by the handlers that the call's own process would use. Between calls it
 * keeps its code and the connections to API servers that Bun keeps open. No answer depends on either.
 *
 * Invariants
 *  WO1 Nothing is done for a call before its `go`, because until then its caller may leave and make the call itself.
 *  WO2 A call whose caller has gone makes nothing more: an ADD takes back what it made, and a DEL that has not marked is dropped. The
 *     handlers look for the caller under the attachment's lock. A later DEL shows itself by its going mark.
 *  WO3 The worker ends after a call that left anything in it: a living child, an open file, a file system that owes an answer.
 *  WO4 The worker ends when anything is thrown that no handler caught. The caller then makes the call itself.
 */
import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { type Moment, now } from '../deadlines.ts';
import { fileText, sinceBootMs } from '../os/bare.ts';
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
import { controlFd, takeName } from './child.ts';
import { type CallAnswer, type CallRequest, type CallSays, Listener, say } from './wire.ts';

/** How long the request may take to come: a caller sends all of it at once. */
const requestMs = 1_000;
/** How long `go` may take to come: a caller that is still there says it at once after `accepted`. */
const goMs = 1_000;
/** How long the other end may take to take a message: it waits for that message. */
const answerMs = 1_000;
/** How much longer than the call's own deadline its caller waits. */
const graceMs = 10_000;

/** The calls after which a worker ends, so that memory which a library or Bun keeps of each call cannot add up. */
const callsMax = 1_000;

/** A call as the handlers see it. */
export interface ServedCall {
  readonly request: CallRequest;
  /** The id of the call's own process, which waits for the answer. */
  readonly pid: number;
  /** The start of the call's own process, on the worker's clock. */
  readonly began: Moment;
  readonly isCallerGone: () => boolean;
}

/** An answer, and what is to be done once the caller has it. */
export interface Served extends CallAnswer {
  readonly afterwards?: () => void;
}

export interface WorkerOptions {
  /** The descriptor of the connection to the supervisor, if not the usual one. */
  readonly control?: number;
  readonly serve: (call: ServedCall) => Promise<Served>;
  /**
   * Loads the code of the verbs, so that no call waits for it.
   * @returns a function that tells after a call whether a part of it is still under way in this process
   */
  readonly load: () => Promise<() => boolean>;
  /** Enters a directory. @throws errno exceptions */
  readonly enter: (directory: string) => void;
}

/** Serves calls until the supervisor has none left for it. */
export async function work(options: WorkerOptions): Promise<void> {
  const { control = controlFd } = options;
  keepFromChildren(control);
  takeName();
  options.enter('/');
  // limit.ts is loaded here, because it brings the configuration's reader, and the supervisor has no use for that.
  const [isUnderWay, { limitMs }] = await Promise.all([options.load(), import('./limit.ts')]);
  const filesBefore = countOpenFiles();
  let calls = 0;
  while (sendAll(control, encoded('idle'), now() + answerMs)) {
    const handed = nextCall(control);
    if (!handed) return;
    // Lets the event loop run: it drops the connections that API servers closed while this process slept.
    await new Promise((resolve) => setImmediate(resolve));
    try {
      await serveOne(handed.fd, { ...options, control, limitMs });
    } finally {
      closeSync(handed.fd);
    }
    options.enter('/');
    if (++calls >= callsMax || reapChildren() || isUnderWay() || countOpenFiles() > filesBefore) return;
  }
}

const encoded = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Sleeps until there is a call. @returns undefined if the supervisor has ended, or no longer needs this worker */
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
  if (waitMs === undefined || !canEnter(request, options)) return;
  // The supervisor kills a worker that takes longer (SU3).
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
  const { afterwards, ...answer } = await options.serve(call);
  if (say(fd, { say: 'answer', ...answer }, now() + answerMs)) afterwards?.();
}

/** Enters the caller's working directory, because the call's programs start in it. @returns whether it is there */
function canEnter({ cwd, cwdFile }: CallRequest, { enter }: WorkerOptions): boolean {
  try {
    enter(cwd);
    return fileText('.') === cwdFile;
  } catch {
    return false;
  }
}

/** Counts the descriptors that have a path, so no sockets, no pipes and none of the kernel's objects by which Bun waits. */
function countOpenFiles(): number {
  const isFile = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/');
    } catch {
      return false;
    }
  };
  return readdirSync('/proc/self/fd').filter(isFile).length;
}
