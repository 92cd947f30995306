/**
 * The side of the call's process: asks the agent of this node to make the call.
 *
 * Before `go` the agent has done nothing, so this process can make the call itself at any time. After `go` it only waits. If the
 * connection ends without an answer, no worker is at work on the call any more, and this process makes it. A dead worker's locks are free,
 * unless an IPAM program that it started still holds one: then the call waits for that lock.
 */
import { type Moment, now } from '../deadlines.ts';
import { closeFile, fileText, identityOf, readLink, sinceBootMs } from '../os/bare.ts';
import { connectTo } from '../os/unix-sockets.ts';
import { agentDirectory, agentSocket, agentVariable } from './place.ts';
import { type AgentSays, type CallAnswer, type CallRequest, Listener, say } from './wire.ts';

/** How long an agent that says nothing may delay a call. A healthy one answers within a millisecond. */
const acceptedMs = 250;
/** How long a call stays in the queue: after this time every worker is slow or hangs. */
const queuedMs = 2_000;

/** `none`: no agent acts, so this process makes the call. `silent`: a worker got the `go` and did not answer, and may still act. */
export type Asked = { readonly kind: 'answered'; readonly answer: CallAnswer } | { readonly kind: 'none' | 'silent' };

/** The commands for which an agent is asked. VERSION is not one: answering it costs less than asking. */
const servedCommands: readonly (string | undefined)[] = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'];

interface Asking {
  readonly env: CallRequest['env'];
  /** Standard input to its end. @throws if it cannot be read */
  readonly stdin: () => string;
  /** The age of this process, in milliseconds. */
  readonly ageMs: () => number;
}

export function askAgent({ env, stdin, ageMs }: Asking): Asked {
  const fd = servedCommands.includes(env.CNI_COMMAND) ? connectionTo(env[agentVariable]) : undefined;
  if (fd === undefined) return { kind: 'none' };
  try {
    // The path of a directory that was deleted, or mounted over, leads nowhere or to another one: then the worker closes the connection.
    const [cwd, cwdFile] = [readLink('/proc/self/cwd'), fileText('/proc/self/cwd')];
    return converse(fd, { env, stdin: stdin(), cwd, cwdFile, startedMs: sinceBootMs() - ageMs() });
  } catch {
    // Standard input or /proc cannot be read. This process then makes the call, and its answer names the fault.
    return { kind: 'none' };
  } finally {
    closeFile(fd);
  }
}

/** An answer that lacks a part is none, and least of all a success. */
const isAnswer = (message: AgentSays): message is AgentSays & { readonly say: 'answer' } =>
  message.say === 'answer' &&
  typeof message.exitCode === 'number' &&
  typeof message.stdout === 'string' &&
  typeof message.stderr === 'string';

/** @param setting the value of the variable that names the directory */
function connectionTo(setting: string | undefined): number | undefined {
  try {
    const directory = agentDirectory(setting);
    if (directory === undefined) return undefined;
    const socket = agentSocket(directory);
    // In a directory that others may write, another user could have made a socket of this name.
    const found = identityOf(socket);
    return found?.isSocket && found.uid === identityOf('/proc/self')?.uid ? connectTo(socket) : undefined;
  } catch {
    return undefined;
  }
}

function converse(fd: number, request: CallRequest): Asked {
  if (!say(fd, { say: 'call', ...request }, now() + acceptedMs)) return { kind: 'none' };
  const agent = new Listener<AgentSays>(fd, ['queued', 'accepted', 'answer']);
  let heard = agent.hear(now() + acceptedMs);
  // The wait in the queue alone would be longer than a STATUS usually may take.
  const patienceMs = request.env.CNI_COMMAND === 'STATUS' ? 0 : queuedMs;
  if (heard.kind === 'message' && heard.message.say === 'queued') heard = agent.hear(now() + patienceMs);
  if (heard.kind !== 'message' || heard.message.say !== 'accepted') return { kind: 'none' };
  if (!(heard.message.waitMs >= 0)) return { kind: 'none' };
  const end: Moment = now() + heard.message.waitMs;
  // A `go` that was not sent to its last byte is not a `go`: the worker does nothing.
  if (!say(fd, { say: 'go' }, now() + acceptedMs)) return { kind: 'none' };
  const answered = agent.hear(end);
  if (answered.kind === 'message' && isAnswer(answered.message)) return { kind: 'answered', answer: answered.message };
  return { kind: answered.kind === 'closed' ? 'none' : 'silent' };
}
