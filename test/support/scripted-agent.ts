/** An agent that says what a test writes down, at the place where calls of this test's own executable (Bun) look for theirs. */
import { createServer, type Socket } from 'node:net';
import { execa } from 'execa';
import { onTestFinished } from 'vitest';
import { agentSocket } from '../../src/agent/place.ts';
import { temporaryDirectory } from './temporary.ts';

const asking = new URL('./agent-ask.ts', import.meta.url).pathname;

/** Messages that have come in, and the way to answer. */
export interface Incoming {
  readonly socket: Socket;
  /** The next message of the call; undefined if it has closed the connection. */
  next(): Promise<Message | undefined>;
  say(message: object): void;
}

// biome-ignore lint/suspicious/noExplicitAny: a wrong path fails the test.
type Message = any;

export interface ScriptedAgent {
  readonly directory: string;
  readonly socket: string;
  /** What the calls have said so far. */
  readonly said: Message[];
  connections: number;
}

/** Runs `script` for each connection. @param path the socket's, if it is not where calls look */
export async function scriptedAgent(script: (heard: Incoming) => unknown): Promise<ScriptedAgent> {
  const directory = temporaryDirectory();
  const agent: ScriptedAgent = { directory, socket: agentSocket(directory), said: [], connections: 0 };
  const server = createServer((socket) => {
    agent.connections++;
    socket.on('error', () => undefined);
    void script(heardBy(socket, agent.said));
  });
  await new Promise<void>((resolve) => server.listen(agent.socket, resolve));
  onTestFinished(() => void server.close());
  return agent;
}

function heardBy(socket: Socket, said: Message[]): Incoming {
  const messages = messagesOf(socket);
  return {
    socket,
    next: async () => {
      const { value, done } = await messages.next();
      if (done) return undefined;
      said.push(value);
      return value;
    },
    say: (message) => {
      const body = Buffer.from(JSON.stringify(message));
      socket.write(Buffer.concat([Buffer.from(`${body.length}\n`), body]));
    },
  };
}

async function* messagesOf(socket: Socket): AsyncGenerator<Message> {
  let bytes = Buffer.alloc(0);
  try {
    for await (const chunk of socket) {
      bytes = Buffer.concat([bytes, chunk]);
      for (;;) {
        const begin = bytes.indexOf(10) + 1;
        const end = begin + Number(bytes.subarray(0, Math.max(0, begin - 1)).toString());
        if (begin === 0 || bytes.length < end) break;
        yield JSON.parse(bytes.subarray(begin, end).toString());
        bytes = bytes.subarray(end);
      }
    }
  } catch {
    // The call has ended.
  }
}

/** Whatever a call's side tells. */
export interface Told {
  readonly asked: Message;
  readonly ms: number;
  readonly reads: number;
}

/** A call that looks for its agent in the directory. */
export async function ask(directory: string, env: Record<string, string> = {}, under: string[] = []): Promise<Told> {
  const all = { CNI_COMMAND: 'ADD', USERSPACE_CNI_AGENT: directory, STDIN: '{}', ...env };
  const [program = process.execPath, ...args] = [...under, process.execPath, asking];
  const { stdout } = await execa(program, args, { env: all, extendEnv: false, stdin: 'ignore', cwd: '/' });
  return JSON.parse(stdout);
}
