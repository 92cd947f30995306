/** A worker's conversations, in this process: the supervisor and the callers are the test, which has said everything beforehand. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { CallAnswer, CallRequest, CallSays } from '../../src/agent/wire.ts';
import { say } from '../../src/agent/wire.ts';
import { type ServedCall, work } from '../../src/agent/worker.ts';
import { now } from '../../src/deadlines.ts';
import { fileText, sinceBootMs } from '../../src/os/bare.ts';
import { handOver } from '../../src/os/unix-sockets.ts';
import { close, connection, pair, receivedText, sendText } from '../support/sockets.ts';

const request = (changes: Partial<CallRequest> = {}): CallSays => ({
  say: 'call',
  env: { CNI_COMMAND: 'STATUS' },
  stdin: '{}',
  cwd: '/caller',
  // The test's worker does not really enter a directory.
  cwdFile: fileText('.'),
  startedMs: sinceBootMs(),
  ...changes,
});

const answer: CallAnswer = { exitCode: 1, stdout: 'out', stderr: 'err' };

/** STATUS' own time, and what a call has beyond it. */
const waitMs = 10_900;

interface Scene {
  readonly served: ServedCall[];
  /** The directories that were entered, in their order. */
  readonly entered: string[];
  /** What the supervisor heard. */
  readonly told: string[];
}

interface Play {
  /** The callers' ends, as handed over by the supervisor, one after the other. */
  readonly calls: readonly number[];
  readonly serve?: (call: ServedCall) => unknown;
  readonly enter?: (directory: string) => void;
  readonly isUnderWay?: () => boolean;
}

/** Lets a worker take the calls. The supervisor has none left for it when they are done. */
async function play({ calls, serve = () => undefined, enter = () => undefined, isUnderWay }: Play): Promise<Scene> {
  const [supervisor, control] = pair();
  const scene: Scene = { served: [], entered: [], told: [] };
  for (const fd of calls) expect(handOver(supervisor, 'call', fd)).toBe(true);
  for (const fd of calls) closeSync(fd);
  let left = calls.length + 1;
  await work({
    control,
    serve: async (call) => {
      scene.served.push(call);
      await serve(call);
      return answer;
    },
    load: async () => isUnderWay ?? (() => false),
    enter: (directory) => {
      scene.entered.push(directory);
      enter(directory);
      if (directory !== '/' || --left > 0) return;
      for (let text = receivedText(supervisor); text; text = receivedText(supervisor)) scene.told.push(text);
      close(supervisor);
    },
  });
  return scene;
}

/** A caller that has said all this already. @returns its end, and the worker's */
function caller(...said: readonly CallSays[]): readonly [number, number] {
  const ends = connection();
  for (const message of said) expect(say(ends[0], message, now() + 100)).toBe(true);
  return ends;
}

const framed = (message: object): string => {
  const text = JSON.stringify(message);
  return `${text.length}\n${text}`;
};

const accepted = framed({ say: 'accepted', waitMs });

describe('a worker', () => {
  it('says how long the call may take, acts at go, and answers', async () => {
    const [from, to] = caller(request(), { say: 'go' });
    const { served, told, entered } = await play({ calls: [to] });
    expect(receivedText(from)).toBe(accepted + framed({ say: 'answer', ...answer }));
    expect(served).toHaveLength(1);
    expect(served[0]).toMatchObject({ request: request({ startedMs: expect.anything() }), pid: process.pid });
    expect(told).toEqual(['idle', String(waitMs)]);
    expect(entered).toEqual(['/', '/caller', '/']);
  });

  it('counts the call’s time from the start of its process', async () => {
    const calls = [250, -5_000].map((ago) => caller(request({ startedMs: sinceBootMs() - ago }), { say: 'go' })[1]);
    const before = now();
    const { served } = await play({ calls });
    const [late, early] = served;
    expect(before - (late?.began ?? 0)).toBeGreaterThan(240);
    expect(before - (late?.began ?? 0)).toBeLessThan(1_000);
    // A start in the future is one of a clock that is read at another precision.
    expect(early?.began).toBeGreaterThanOrEqual(before);
    expect(early?.began).toBeLessThanOrEqual(now());
  });

  it('serves one call after the other, each with its own request and answer', async () => {
    const ends = ['a', 'b', 'c'].map((value) =>
      caller(request({ env: { CNI_COMMAND: 'STATUS', value } }), { say: 'go' }),
    );
    const { served, told } = await play({ calls: ends.map(([, to]) => to) });
    expect(served.map((one) => one.request.env.value)).toEqual(['a', 'b', 'c']);
    for (const [from] of ends) expect(receivedText(from)).toBe(accepted + framed({ say: 'answer', ...answer }));
    expect(told.filter((text) => text === 'idle')).toHaveLength(3);
  });

  it.each<[string, (from: number) => void]>([
    ['whose caller has gone before go', (from) => close(from)],
    ['that has no go within a second', () => undefined],
    ['whose caller says something else instead of go', (from) => void say(from, request(), now() + 100)],
    ['whose go is garbled', (from) => void sendText(from, '12\n{"say":"goo"}')],
  ])('does nothing for a call %s (WO1)', async (_, then) => {
    const [from, to] = caller(request());
    then(from);
    const { served } = await play({ calls: [to] });
    expect(served).toEqual([]);
  });

  it.each<[string, (from: number) => void]>([
    ['nothing', () => undefined],
    ['half a request', (from) => void sendText(from, '100\n{"say":"call"')],
    ['go first', (from) => void say(from, { say: 'go' }, now() + 100)],
    ['no message', (from) => void sendText(from, 'GET / HTTP/1.1\r\n\r\n')],
    ['a request that is far too long', (from) => void sendText(from, '99999999\n{}')],
  ])('ends the conversation with a caller that says %s, and takes the next call', async (_, then) => {
    const [from, to] = caller();
    then(from);
    const [next, nexts] = caller(request(), { say: 'go' });
    const { served } = await play({ calls: [to, nexts] });
    expect(served).toHaveLength(1);
    expect(receivedText(from)).toBeUndefined();
    expect(receivedText(next)).toContain('"answer"');
  });

  it.each([
    ['of a verb that it does not know', request({ env: { CNI_COMMAND: 'VERSION' } })],
    ['that writes to its own descriptors', request({ stdin: '{"logFile":"/dev/stderr"}' })],
  ])('leaves a call %s to its own process', async (_, message) => {
    const [from, to] = caller(message, { say: 'go' });
    const { served } = await play({ calls: [to] });
    expect(served).toEqual([]);
    expect(receivedText(from)).toBeUndefined();
  });

  it('leaves a call in a directory that cannot be entered to its own process', async () => {
    const [from, to] = caller(request(), { say: 'go' });
    const enter = (directory: string) => {
      if (directory !== '/') throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    };
    expect((await play({ calls: [to], enter })).served).toEqual([]);
    expect(receivedText(from)).toBeUndefined();
  });

  it('leaves a call whose directory is another one by its name to its own process', async () => {
    const [from, to] = caller(request({ cwdFile: fileText('/proc') }), { say: 'go' });
    expect((await play({ calls: [to] })).served).toEqual([]);
    expect(receivedText(from)).toBeUndefined();
  });

  it('sees that a caller has gone, and only then (WO2)', async () => {
    const [from, to] = caller(request(), { say: 'go' });
    const seen: boolean[] = [];
    const serve = ({ isCallerGone }: ServedCall) => {
      seen.push(isCallerGone());
      close(from);
      seen.push(isCallerGone());
    };
    await play({ calls: [to], serve });
    expect(seen).toEqual([false, true]);
  });
});

describe('a worker ends', () => {
  /** A second call, which a worker that ends does not take. */
  const another = () => caller(request(), { say: 'go' })[1];

  it('when the supervisor has ended', async () => {
    const [supervisor, control] = pair();
    close(supervisor);
    const options = { control, serve: async () => answer, load: async () => () => false, enter: () => undefined };
    await work(options);
  });

  it('after a call that left a child, and the child lives on (WO3)', async () => {
    let child: ChildProcess | undefined;
    onTestFinished(() => void child?.kill('SIGKILL'));
    const serve = () => {
      child = spawn('sleep', ['60'], { stdio: 'ignore' });
    };
    const { served } = await play({ calls: [another(), another()], serve });
    expect(served).toHaveLength(1);
    expect(child?.exitCode).toBeNull();
  });

  it('after a call that left an open file (WO3)', async () => {
    const serve = () => {
      const fd = openSync('/etc/passwd', 'r');
      onTestFinished(() => closeSync(fd));
    };
    expect((await play({ calls: [another(), another()], serve })).served).toHaveLength(1);
  });

  it('after a call that left a file system owing an answer (WO3)', async () => {
    expect((await play({ calls: [another(), another()], isUnderWay: () => true })).served).toHaveLength(1);
  });

  it('when a call throws, and its caller sees the end of the connection (WO4)', async () => {
    const [from, to] = caller(request(), { say: 'go' });
    const serve = () => {
      throw new Error('a bug');
    };
    await expect(play({ calls: [to, another()], serve })).rejects.toThrow('a bug');
    expect(receivedText(from)).toBe(accepted);
    expect(receivedText(from)).toBeUndefined();
  });
});
