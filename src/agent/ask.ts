/**
 * The side of the call: asks the agent of this node to make it. Whatever happens before `go`, the agent has done nothing, and the call
 * is made by this process. After `go` this process does nothing beside the agent: it waits for the answer, or for the end of the
 * connection, and then makes the call itself (locks of the dead process are free, or its IPAM program's, which the lock waits for).
 */
import { type Moment, now } from '../deadlines.ts';
import { closeFile, identityOf, readLink, sinceBootMs } from '../os/bare.ts';
import { connectTo } from '../os/unix-sockets.ts';
import { agentDirectory, agentSocket, agentVariable } from './place.ts';
import { type AgentSays, type CallAnswer, type CallRequest, Listener, say } from './wire.ts';

/** An agent takes a call within a millisecond; one that hangs may not delay it by more than a person notices. */
const acceptedMs = 250;
/** An agent that has queued the call is alive. If the queue takes this long, every worker is slow or hangs. */
const queuedMs = 2_000;

/** `none`: no agent acts, so the call is made here. `silent`: one was told to act and has not answered, so its fate is unknown. */
export type Asked = { readonly kind: 'answered'; readonly answer: CallAnswer } | { readonly kind: 'none' | 'silent' };

/** VERSION needs nothing of the node, and is answered before an agent could be asked. */
const served: readonly (string | undefined)[] = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'];

interface Asking {
  readonly env: CallRequest['env'];
  /** @throws if it cannot be read */
  readonly stdin: () => string;
  /** The age of this process, in milliseconds. */
  readonly ageMs: () => number;
}

export function askAgent({ env, stdin, ageMs }: Asking): Asked {
  const fd = served.includes(env.CNI_COMMAND) ? connectionTo(env[agentVariable]) : undefined;
  if (fd === undefined) return { kind: 'none' };
  try {
    // A directory that was deleted cannot be entered by the agent, which then closes the connection.
    const cwd = readLink('/proc/self/cwd');
    return converse(fd, { env, stdin: stdin(), cwd, startedMs: sinceBootMs() - ageMs() });
  } catch {
    // Standard input cannot be read, or /proc: the call's own way says so.
    return { kind: 'none' };
  } finally {
    closeFile(fd);
  }
}

function connectionTo(said: string | undefined): number | undefined {
  try {
    const directory = agentDirectory(said);
    if (directory === undefined) return undefined;
    const socket = agentSocket(directory);
    // An agent of another user is not believed: that user could have made a socket in a directory that others may write.
    const there = identityOf(socket);
    return there?.isSocket && there.uid === identityOf('/proc/self')?.uid ? connectTo(socket) : undefined;
  } catch {
    return undefined;
  }
}

function converse(fd: number, request: CallRequest): Asked {
  if (!say(fd, { say: 'call', ...request }, now() + acceptedMs)) return { kind: 'none' };
  const agent = new Listener<AgentSays>(fd, ['queued', 'accepted', 'answer']);
  let heard = agent.hear(now() + acceptedMs);
  // A runtime waits for STATUS, which has less time than a queue may take.
  const patienceMs = request.env.CNI_COMMAND === 'STATUS' ? 0 : queuedMs;
  if (heard.kind === 'message' && heard.message.say === 'queued') heard = agent.hear(now() + patienceMs);
  if (heard.kind !== 'message' || heard.message.say !== 'accepted') return { kind: 'none' };
  if (!(heard.message.waitMs >= 0)) return { kind: 'none' };
  const end: Moment = now() + heard.message.waitMs;
  // If not all of it went, the agent has no `go`.
  if (!say(fd, { say: 'go' }, now() + acceptedMs)) return { kind: 'none' };
  const answered = agent.hear(end);
  if (answered.kind === 'message' && answered.message.say === 'answer')
    return { kind: 'answered', answer: answered.message };
  return { kind: answered.kind === 'closed' ? 'none' : 'silent' };
}
