/** When the agent recovers; the test plays the switch and the processes. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Recoveries } from '../../src/agent/recoveries.ts';
import { now } from '../../src/deadlines.ts';

const nothing: ReadonlySet<number> = new Set();

function stage(pauseMs?: number, isHeld = () => false) {
  const started: { words: readonly string[]; end: (code: number | null) => Promise<void> }[] = [];
  const log: string[] = [];
  let isBack = false;
  let canStart = true;
  const watch = { fds: [7], at: Number.POSITIVE_INFINITY, look: () => isBack, close: () => undefined };
  const start = (words: readonly string[]) => {
    if (!canStart) throw new Error('no memory');
    let end: (code: number | null) => void = () => undefined;
    const ended = new Promise<number | null>((resolve) => {
      end = resolve;
    });
    started.push({
      words,
      end: async (code) => {
        end(code);
        await ended;
      },
    });
    return { pid: started.length, ended };
  };
  const say = (line: string) => log.push(line);
  const recoveries = new Recoveries({ watch, start, log: say, isHeld, ...(pauseMs && { pauseMs }) });
  return {
    started,
    log,
    recoveries,
    turn: (is: { readonly back?: boolean; readonly able?: boolean } = {}) => {
      isBack = is.back ?? false;
      canStart = is.able ?? true;
      recoveries.turn(nothing);
      isBack = false;
    },
    /** Turns when the recoveries want to, until another process was started. */
    untilStarted: async (count: number) => {
      while (started.length < count) {
        await delay(Math.min(50, Math.max(0, recoveries.at - now())));
        recoveries.turn(nothing);
      }
    },
  };
}

describe('the recoveries of an agent', () => {
  it('wait for the meter that counts them', () => {
    let isHeld = true;
    const { started, turn } = stage(undefined, () => isHeld);
    turn();
    expect(started).toHaveLength(0);
    isHeld = false;
    turn();
    expect(started).toHaveLength(1);
  });

  it('begin with one that waits for the switch, and then rest', async () => {
    const { started, turn, recoveries, log } = stage();
    turn();
    expect(started.map(({ words }) => words)).toEqual([['--boot']]);
    expect(recoveries.at).toBe(Number.POSITIVE_INFINITY);
    await started[0]?.end(0);
    turn();
    expect(started).toHaveLength(1);
    expect(recoveries.at - now()).toBeGreaterThan(200_000);
    expect(log).toEqual([
      'recover (process 1) begins: the agent has started',
      'recover (process 1) has ended: nothing is owed',
    ]);
  });

  it('follow the return of the switch, once for both of its servers', async () => {
    const { started, turn, untilStarted, log } = stage();
    turn();
    await started[0]?.end(0);
    turn({ back: true });
    turn({ back: true });
    await untilStarted(2);
    expect([started[1]?.words, log.at(-1)]).toEqual([[], 'recover (process 2) begins: the switch is back']);
    await started[1]?.end(0);
    turn();
    expect(started).toHaveLength(2);
  });

  it('do not run side by side: a switch that comes back meanwhile is recovered afterwards', async () => {
    const { started, turn, untilStarted } = stage();
    turn();
    turn({ back: true });
    await delay(1_100);
    turn();
    expect(started).toHaveLength(1);
    await started[0]?.end(0);
    await untilStarted(2);
  });

  it('come again after their pause', async () => {
    const { started, turn, untilStarted, log } = stage(30);
    turn();
    await started[0]?.end(3);
    await untilStarted(2);
    expect(log.at(-1)).toBe('recover (process 2) begins: its time has come');
  });

  it.each([
    [1, 'recover (process 1) has ended: it failed (exit code 1)'],
    [null, 'recover (process 1) has ended: a signal has ended it'],
  ])('tell of one that failed (%s), and go on', async (code, line) => {
    const { started, turn, untilStarted, log } = stage(10);
    turn();
    await started[0]?.end(code);
    await untilStarted(2);
    expect(log).toContain(line);
  });

  it('tell of one that could not be started, and try again in their time', async () => {
    const { turn, untilStarted, log } = stage(10);
    turn({ able: false });
    expect(log).toEqual(['recover cannot be started: Error: no memory']);
    turn();
    await untilStarted(1);
  });
});
