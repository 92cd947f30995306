/** The side of a call, against an agent that says what the test writes down. */
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { agentSocket } from '../../src/agent/place.ts';
import { ask, type Incoming, scriptedAgent } from '../support/scripted-agent.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const answer = { say: 'answer', exitCode: 1, stdout: '{"code":11}\n', stderr: 'userspace: a line\n' };
const accepted = { say: 'accepted', waitMs: 20_000 };
const none = { kind: 'none' };

/** A wait of 250 ms for an agent that says nothing, on a machine that may be busy; the wait of the queue is longer. */
const withoutAgentMs = 1_500;

const isRoot = process.getuid?.() === 0;
const asRoot = (title: string): string => (isRoot ? title : skippedTitle(title, 'another user needs root'));

/** Takes a call as an agent does, as far as its `go`. */
async function take(heard: Incoming): Promise<void> {
  await heard.next();
  heard.say(accepted);
  await heard.next();
}

describe('a call that finds an agent', () => {
  it('sends all that its own process was given, then go, and has the answer', async () => {
    const agent = await scriptedAgent(async (heard) => {
      await take(heard);
      heard.say(answer);
    });
    const { asked } = await ask(agent.directory, { STDIN: '{"ä":"\u0001"}', PLANTED: 'here' });
    expect(asked).toEqual({ kind: 'answered', answer });
    const [call, go] = agent.said;
    expect(call).toMatchObject({ say: 'call', stdin: '{"ä":"\u0001"}', cwd: '/' });
    expect(call.env).toMatchObject({ CNI_COMMAND: 'ADD', PLANTED: 'here' });
    expect(go).toEqual({ say: 'go' });
    // It was started a moment ago, and since boot.
    const uptimeMs = performance.timeOrigin > 0 ? Number((await uptime()) * 1000) : 0;
    expect(uptimeMs - call.startedMs).toBeGreaterThan(0);
    expect(uptimeMs - call.startedMs).toBeLessThan(10_000);
  });

  it('does not say go before it is accepted', async () => {
    let early: unknown = 'not asked';
    const agent = await scriptedAgent(async (heard) => {
      await heard.next();
      const go = heard.next();
      early = await Promise.race([go, delay(100).then(() => 'nothing')]);
      heard.say(accepted);
      await go;
      heard.say(answer);
    });
    expect((await ask(agent.directory)).asked.kind).toBe('answered');
    expect(early).toBe('nothing');
  });

  it('waits for its turn when it is queued, longer than for an agent that says nothing', async () => {
    const agent = await scriptedAgent(async (heard) => {
      heard.say({ say: 'queued' });
      await delay(600);
      await take(heard);
      heard.say(answer);
    });
    const { asked, ms } = await ask(agent.directory);
    expect(asked.kind).toBe('answered');
    expect(ms).toBeGreaterThanOrEqual(600);
  });

  it.each([
    ['says nothing', () => undefined],
    ['closes the connection at once', ({ socket }: Incoming) => socket.destroy()],
    [
      'closes the connection when it has the request',
      async (heard: Incoming) => {
        await heard.next();
        heard.socket.destroy();
      },
    ],
    ['answers before it was told to act', ({ say }: Incoming) => say(answer)],
    ['is garbled', ({ socket }: Incoming) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['says half of a word', ({ socket }: Incoming) => socket.write('35\n{"say":"accepted"')],
    ['queues the call twice', ({ say }: Incoming) => [say({ say: 'queued' }), say({ say: 'queued' })]],
  ])('that %s makes the call itself before the time of the queue is over, and has said no go', async (_, script) => {
    const agent = await scriptedAgent(script);
    const { asked, ms, reads } = await ask(agent.directory);
    expect(asked).toEqual(none);
    expect(ms).toBeLessThan(withoutAgentMs);
    // Standard input is at its end after the first time.
    expect(reads).toBe(1);
    expect(agent.said.filter(({ say }) => say === 'go')).toEqual([]);
  });

  it('whose agent ends after go makes the call itself at once', async () => {
    const agent = await scriptedAgent(async (heard) => {
      await take(heard);
      heard.socket.destroy();
    });
    const { asked, ms } = await ask(agent.directory);
    expect(asked).toEqual(none);
    expect(ms).toBeLessThan(withoutAgentMs);
    expect(agent.said.at(-1)).toEqual({ say: 'go' });
  });

  it('whose agent ends in the middle of its answer makes the call itself', async () => {
    const agent = await scriptedAgent(async (heard) => {
      await take(heard);
      heard.socket.end('100\n{"say":"answer","exitCode":0');
    });
    expect((await ask(agent.directory)).asked).toEqual(none);
  });

  it('does nothing beside an agent that is silent after go, and gives up at the moment that it was told', async () => {
    const agent = await scriptedAgent(async (heard) => {
      await heard.next();
      heard.say({ ...accepted, waitMs: 500 });
    });
    const { asked, ms } = await ask(agent.directory);
    expect(asked).toEqual({ kind: 'silent' });
    expect(ms).toBeGreaterThanOrEqual(500);
    expect(ms).toBeLessThan(1_000);
  });

  it.each([
    ['is garbled', (heard: Incoming) => heard.socket.write('what?\n')],
    ['accepts once more', (heard: Incoming) => heard.say(accepted)],
    ['answers without an exit code', (heard: Incoming) => heard.say({ ...answer, exitCode: '0' } as never)],
    ['answers without an output', (heard: Incoming) => heard.say({ ...answer, stdout: undefined } as never)],
  ])('does nothing beside an agent that %s after go', async (_, then) => {
    const agent = await scriptedAgent(async (heard) => {
      await take(heard);
      then(heard);
    });
    expect((await ask(agent.directory)).asked).toEqual({ kind: 'silent' });
  });

  it('whose standard input cannot be read sends nothing, and says so by itself', async () => {
    const agent = await scriptedAgent(take);
    expect((await ask(agent.directory, { STDIN: 'broken' })).asked).toEqual(none);
    expect(agent.said).toEqual([]);
  });

  it('with an input of a mebibyte sends all of it', async () => {
    const agent = await scriptedAgent(async (heard) => {
      await take(heard);
      heard.say(answer);
    });
    expect((await ask(agent.directory, { STDIN: 'long' })).asked.kind).toBe('answered');
    expect(agent.said[0].stdin.length).toBe(1024 * 1024);
  });

  it.each(['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'])('asks it for %s', async (CNI_COMMAND) => {
    const agent = await scriptedAgent(({ socket }) => socket.destroy());
    await ask(agent.directory, { CNI_COMMAND });
    expect(agent.connections).toBe(1);
  });

  it.each(['VERSION', 'add', 'UPDATE', ''])('does not ask it for "%s"', async (CNI_COMMAND) => {
    const agent = await scriptedAgent(({ socket }) => socket.destroy());
    expect(await ask(agent.directory, { CNI_COMMAND })).toMatchObject({ asked: none, reads: 0 });
    expect(agent.connections).toBe(0);
  });
});

describe('a call finds no agent', () => {
  const untouched = { asked: none, reads: 0 };

  it('where nothing is', async () => {
    expect(await ask(temporaryDirectory())).toMatchObject(untouched);
    expect(await ask('/no/such/directory')).toMatchObject(untouched);
    expect(await ask(`/${'x'.repeat(200)}`)).toMatchObject(untouched);
  });

  it('where the variable says "off"', async () => {
    const agent = await scriptedAgent(({ socket }) => socket.destroy());
    expect(await ask('off')).toMatchObject(untouched);
    expect(agent.connections).toBe(0);
  });

  it('in a file, a directory or a symlink to nothing of that name', async () => {
    const makers = [
      (path: string) => writeFileSync(path, ''),
      (path: string) => mkdirSync(path),
      (path: string) => symlinkSync('/no/such/file', path),
    ];
    for (const make of makers) {
      const directory = temporaryDirectory();
      make(agentSocket(directory));
      expect(await ask(directory)).toMatchObject(untouched);
    }
  });

  it('in a socket whose agent was killed', async () => {
    const directory = temporaryDirectory();
    const { listenAt } = await import('../../src/os/unix-sockets.ts');
    const { closeSync } = await import('node:fs');
    closeSync(listenAt(agentSocket(directory), 1));
    expect(await ask(directory)).toMatchObject(untouched);
  });

  it.skipIf(!isRoot)(asRoot('in a socket of another user, which is not even connected to'), async () => {
    const agent = await scriptedAgent(({ socket }) => socket.destroy());
    chownSync(agent.socket, 65_534, 65_534);
    expect(await ask(agent.directory)).toMatchObject(untouched);
    expect(agent.connections).toBe(0);
  });

  it.skipIf(!isRoot)(asRoot('as another user than the agent’s'), async () => {
    const agent = await scriptedAgent(({ socket }) => socket.destroy());
    chmodSync(dirname(agent.socket), 0o755);
    chmodSync(agent.socket, 0o666);
    // It may read, because the clone may lie below a directory that is root's alone, such as /root.
    const reads = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
    const other = ['setpriv', '--reuid=65534', '--clear-groups', ...reads];
    expect(await ask(agent.directory, {}, other)).toMatchObject(untouched);
    expect(agent.connections).toBe(0);
  });

  it('in one whose queue is full', async () => {
    const directory = temporaryDirectory();
    const { connectTo, listenAt } = await import('../../src/os/unix-sockets.ts');
    const { closeSync } = await import('node:fs');
    const path = agentSocket(directory);
    const fds = [listenAt(path, 0), ...Array.from({ length: 4 }, () => connectTo(path))];
    onTestFinished(() => {
      for (const fd of fds) if (fd !== undefined) closeSync(fd);
    });
    expect(await ask(directory)).toMatchObject(untouched);
  });

  it('under the name of another executable, which listens beside', async () => {
    const directory = temporaryDirectory();
    let asked = 0;
    const server = createServer(() => asked++);
    await new Promise<void>((resolve) => server.listen(`${agentSocket(directory)}x`, resolve));
    onTestFinished(() => void server.close());
    expect(await ask(directory)).toMatchObject(untouched);
    expect(asked).toBe(0);
  });
});

const uptime = async (): Promise<number> => {
  const { readFile } = await import('node:fs/promises');
  return Number.parseFloat(await readFile('/proc/uptime', 'utf8'));
};
