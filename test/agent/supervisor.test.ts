/** The supervisor in this process. The test plays callers and workers: a step of it runs before each turn of the supervisor. */
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, renameSync, statSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { agentSocket } from '../../src/agent/place.ts';
import { type SupervisorOptions, supervise } from '../../src/agent/supervisor.ts';
import { now } from '../../src/deadlines.ts';
import { connectTo, handOver, isClosed, listenAt, takeOver } from '../../src/os/unix-sockets.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { close, pair, receivedText, sendText } from '../support/sockets.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const isRoot = process.getuid?.() === 0;
const queued = '16\n{"say":"queued"}';

/** A worker's end of its connection. */
class Worker {
  killed = false;
  #control: number;

  constructor(control: number) {
    this.#control = control;
  }

  say(text: string): void {
    expect(sendText(this.#control, text)).toBe(true);
  }

  /** The connection that it was given; undefined: none. */
  take(): number | undefined {
    const handed = takeOver(this.#control);
    return handed && handed !== 'closed' ? handed.fd : undefined;
  }

  get isDropped(): boolean {
    return isClosed(this.#control);
  }

  end(): void {
    close(this.#control);
  }
}

interface Stage {
  readonly socket: string;
  readonly workers: Worker[];
  readonly log: string[];
  /** A caller that has said something, or nothing. */
  call(text?: string): number;
}

type Script = (stage: Stage) => Generator<void>;

/** The connection that a worker is given within a few turns; -1: none. */
function* given(worker: Worker | undefined): Generator<void, number> {
  for (let turn = 0; turn < 4; turn++) {
    const fd = worker?.take();
    if (fd !== undefined) return fd;
    yield;
  }
  return -1;
}

async function play(script: Script, changes: Partial<SupervisorOptions> = {}): Promise<Stage> {
  const directory = join(temporaryDirectory(), 'agent');
  const stage: Stage = {
    socket: agentSocket(directory),
    workers: [],
    log: [],
    call: (text) => {
      const fd = connectTo(stage.socket);
      if (fd === undefined) throw new Error('nothing listens');
      if (text) sendText(fd, text);
      return fd;
    },
  };
  const steps = script(stage);
  await supervise({
    directory,
    pid: process.pid,
    uid: process.getuid?.() ?? 0,
    workersMax: 2,
    start: (theirs) => {
      const worker = new Worker(copyOf(theirs));
      stage.workers.push(worker);
      return {
        pid: stage.workers.length,
        kill: () => {
          worker.killed = true;
        },
      };
    },
    isStopping: () => steps.next().done === true,
    ready: (socket) => expect(socket).toBe(stage.socket),
    log: (line) => stage.log.push(line),
    ...changes,
  });
  return stage;
}

/** The descriptor of a worker process, which outlives the supervisor's own. */
function copyOf(fd: number): number {
  const [one, other] = pair();
  handOver(one, 'copy', fd);
  const handed = takeOver(other);
  if (!handed || handed === 'closed') throw new Error('no copy');
  return handed.fd;
}

describe('the supervisor', () => {
  it('hands a call to a worker when its request has begun to come, and not before (SU4)', async () => {
    await play(function* ({ workers, call }) {
      const [worker] = workers;
      worker?.say('idle');
      const [silent, speaking] = [call(), call('request')];
      const fd = yield* given(worker);
      expect(receivedText(fd)).toBe('request');
      expect(worker?.take()).toBeUndefined();
      sendText(silent, 'late');
      worker?.say('idle');
      expect(receivedText(yield* given(worker))).toBe('late');
      for (const one of [fd, silent, speaking]) close(one);
    });
  });

  it('starts as many workers as it may, gives each one call, and tells the rest once to wait (SU3)', async () => {
    await play(function* ({ workers, call }) {
      workers[0]?.say('idle');
      const calls = ['a', 'b', 'c', 'd'].map(call);
      yield;
      yield;
      expect(workers).toHaveLength(2);
      workers[1]?.say('idle');
      yield;
      const given = workers.map((worker) => receivedText(worker.take() ?? -1));
      expect(given.sort()).toEqual(['a', 'b']);
      workers[0]?.say('1000');
      yield;
      workers[0]?.say('idle');
      yield;
      expect(receivedText(workers[0]?.take() ?? -1)).toBe('c');
      expect(workers[1]?.take()).toBeUndefined();
      expect(workers).toHaveLength(2);
      for (const one of calls.slice(2)) expect(receivedText(one)).toBe(queued);
    });
  });

  it('gives no worker a caller that has gone while it waited', async () => {
    await play(function* ({ workers, call }) {
      const [worker] = workers;
      const gone = call('gone');
      yield;
      yield;
      close(gone);
      call('here');
      worker?.say('idle');
      expect(receivedText(yield* given(worker))).toBe('here');
      expect(worker?.take()).toBeUndefined();
    });
  });

  const turnedAway = 'turns a peer of another user away unheard (SU1)';
  it.skipIf(!isRoot)(isRoot ? turnedAway : skippedTitle(turnedAway, 'another user needs root'), async () => {
    const directory = temporaryDirectory();
    chownSync(directory, 12_345, 12_345);
    await play(
      function* ({ socket, workers }) {
        const [worker] = workers;
        worker?.say('idle');
        const fd = connectTo(join(directory, basename(socket))) ?? -1;
        sendText(fd, 'request');
        yield;
        yield;
        expect(isClosed(fd)).toBe(true);
        expect(worker?.take()).toBeUndefined();
      },
      { directory, uid: 12_345, ready: () => undefined },
    );
  });

  it('goes on without a worker that has ended, and gives its next call to another', async () => {
    const { workers } = await play(function* ({ workers, call }) {
      workers[0]?.say('idle');
      yield;
      workers[0]?.end();
      yield;
      call('request');
      yield;
      yield;
      expect(workers).toHaveLength(2);
      workers[1]?.say('idle');
      expect(receivedText(yield* given(workers[1]))).toBe('request');
    });
    expect(workers[0]?.killed).toBe(false);
  });

  it('kills a worker that is busy beyond its time, and serves on (SU3)', async () => {
    const { log } = await play(function* ({ workers, call }) {
      workers[0]?.say('idle');
      call('loop');
      yield;
      yield;
      expect(workers[0]?.take()).toBeDefined();
      // The supervisor gives five seconds more, so this call's time is over in a moment.
      workers[0]?.say('-4900');
      yield;
      yield;
      expect(workers[0]?.killed).toBe(true);
      expect(workers[0]?.isDropped).toBe(true);
      call('next');
      yield;
      yield;
      workers[1]?.say('idle');
      expect(receivedText(yield* given(workers[1]))).toBe('next');
    });
    expect(log).toEqual(['worker 1 is busy beyond its time: it is killed']);
  });

  it('ends workers that had no call for a while, all but one', async () => {
    await play(
      function* ({ workers, call }) {
        workers[0]?.say('idle');
        for (const text of ['a', 'b']) call(text);
        yield;
        yield;
        workers[1]?.say('idle');
        yield;
        for (const worker of workers) {
          expect(worker.take()).toBeDefined();
          worker.say('idle');
        }
        yield;
        const end = now() + 2_000;
        while (workers.every(({ isDropped }) => !isDropped) && now() < end) yield;
        expect(workers.filter(({ isDropped }) => isDropped)).toHaveLength(1);
        for (const other of [call(), call()]) {
          yield;
          close(other);
        }
        expect(workers.filter(({ isDropped }) => isDropped)).toHaveLength(1);
        expect(workers.some(({ killed }) => killed)).toBe(false);
      },
      { idleMs: 50 },
    );
  });

  it('says why a worker cannot be started, closes what waits for one, and tries again in a second, not at once', async () => {
    const starts: number[] = [];
    const { log } = await play(
      function* ({ call }) {
        const fd = call('request');
        while (!isClosed(fd)) yield;
        while (starts.length < 2) yield;
      },
      {
        start: () => {
          starts.push(now());
          throw new Error('ENOMEM');
        },
      },
    );
    const [first = 0, second = 0] = starts;
    expect(second - first).toBeGreaterThanOrEqual(1_000);
    expect(log).toEqual(starts.map(() => 'a worker cannot be started: Error: ENOMEM'));
  });

  it('closes what it has when it is told to stop, and removes its socket', async () => {
    const ends: number[] = [];
    const { socket, workers } = await play(function* ({ call }) {
      ends.push(call(), call('request'));
      yield;
    });
    expect(existsSync(socket)).toBe(false);
    expect(workers).toHaveLength(1);
  });

  it('leaves the socket of the agent that has taken its name', async () => {
    // biome-ignore lint/correctness/useYield: it is told to stop before its first turn.
    const { socket } = await play(function* ({ socket }) {
      listenAt(`${socket}.other`, 1);
      renameSync(`${socket}.other`, socket);
    });
    expect(existsSync(socket)).toBe(true);
  });
});

describe('a chore beside the calls', () => {
  /** A chore that waits for a descriptor, and notes what it is told. */
  function chore(fds: readonly number[], at: () => number) {
    const told: { turns: number; ready: number[]; closed: number } = { turns: 0, ready: [], closed: 0 };
    const turn = (ready: ReadonlySet<number>) => {
      told.turns++;
      told.ready.push(...fds.filter((fd) => ready.has(fd)));
    };
    const close = () => {
      told.closed++;
    };
    return {
      told,
      chore: {
        fds,
        get at() {
          return at();
        },
        turn,
        close,
      },
    };
  }

  it('has its turn when its descriptor is ready, and is closed at the end', async () => {
    const [one, other] = pair();
    const { told, chore: beside } = chore([one], () => Number.POSITIVE_INFINITY);
    await play(
      function* () {
        yield;
        sendText(other, 'a word');
        yield;
      },
      { chores: [beside] },
    );
    expect(told.ready).toContain(one);
    expect(told.closed).toBe(1);
  });

  it('has its turn at its moment, though nothing is ready', async () => {
    const began = now();
    const { told, chore: beside } = chore([], () => began + 30);
    await play(
      function* ({ workers }) {
        workers[0]?.say('idle');
        while (told.turns === 0 || now() < began + 30) yield;
      },
      { chores: [beside] },
    );
    // The usual look at the name comes after five seconds.
    expect(now() - began).toBeLessThan(4_000);
  });

  it('ends when another agent has taken the name', async () => {
    const { told, chore: beside } = chore([], () => 0);
    await play(
      function* ({ socket, workers }) {
        workers[0]?.say('idle');
        listenAt(`${socket}.other`, 1);
        renameSync(`${socket}.other`, socket);
        while (told.closed === 0) yield;
        const { turns } = told;
        yield;
        expect(told.turns).toBe(turns);
      },
      { chores: [beside] },
    );
  });
});

describe('the directory', () => {
  // biome-ignore lint/correctness/useYield: the supervisor is told to stop before its first turn.
  const nothing: Script = function* () {
    return;
  };
  const refused = 'is not a directory of this user alone';

  it('is made for this user alone, and so is the socket', async () => {
    // biome-ignore lint/correctness/useYield: as above.
    await play(function* ({ socket }) {
      expect(statSync(join(socket, '..')).mode & 0o7777).toBe(0o700);
      expect(statSync(socket).mode & 0o7777).toBe(0o600);
      expect(readdirSync(join(socket, '..'))).toHaveLength(1);
    });
  });

  it.each([0o755, 0o770, 0o1777, 0o701])('that others may enter (%o) is refused, and its mode stays', async (mode) => {
    const directory = temporaryDirectory();
    chmodSync(directory, mode);
    await expect(play(nothing, { directory })).rejects.toThrow(refused);
    expect(statSync(directory).mode & 0o7777).toBe(mode);
  });

  it('behind a symlink is refused', async () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, 'there'), { mode: 0o700 });
    symlinkSync(join(directory, 'there'), join(directory, 'link'));
    await expect(play(nothing, { directory: join(directory, 'link') })).rejects.toThrow(refused);
  });

  it('of another user is refused', async () => {
    const uid = (process.getuid?.() ?? 0) + 1;
    await expect(play(nothing, { directory: temporaryDirectory(), uid })).rejects.toThrow(refused);
  });
});
