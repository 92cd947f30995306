/** The supervisor's side of the meter. The test is the meter. */
import { closeSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Metering } from '../../src/agent/metering.ts';
import { handOver, isClosed, takeOver } from '../../src/os/unix-sockets.ts';
import { pair, receivedText, sendText } from '../support/sockets.ts';

const load = () => ({ workers: { starting: 0, idle: 1, busy: 2 }, queue: 3 });

/** The descriptor of a process that was started with it. */
function copyOf(fd: number): number {
  const [one, other] = pair();
  handOver(one, 'copy', fd);
  const handed = takeOver(other);
  if (!handed || handed === 'closed') throw new Error('no copy');
  return handed.fd;
}

function scene({ fails = false, silentMs = 60_000 } = {}) {
  const [meters, log, killed]: [number[], string[], number[]] = [[], [], []];
  const metering = new Metering({
    start: (fd) => {
      if (fails) throw new Error('no processes left');
      meters.push(copyOf(fd));
      const pid = meters.length;
      return { pid, ended: Promise.resolve(0), kill: () => killed.push(pid) };
    },
    log: (line) => log.push(line),
    silentMs,
  });
  onTestFinished(() => metering.close());
  const turn = () => metering.turn(new Set(metering.fds), load);
  return { metering, meters, log, killed, turn };
}

describe('the supervisor', () => {
  it('starts one meter, and tells it how much there is to do when it asks', () => {
    const { meters, turn } = scene();
    turn();
    turn();
    expect(meters).toHaveLength(1);
    const [meter = -1] = meters;
    sendText(meter, 'load');
    turn();
    expect(JSON.parse(receivedText(meter) ?? '')).toEqual({ ...load(), startedAt: performance.timeOrigin / 1000 });
  });

  it('knows whether one hears reports', () => {
    const { metering, meters, turn } = scene();
    turn();
    expect(metering.isReady).toBe(false);
    sendText(meters[0] ?? -1, 'ready');
    turn();
    expect(metering.isReady).toBe(true);
    metering.close();
    expect(metering.isReady).toBe(false);
  });

  it('starts another one a while after the first has ended, and says so', () => {
    const { metering, meters, log, turn } = scene();
    turn();
    closeSync(meters[0] ?? -1);
    turn();
    expect(log).toEqual(['the meter has ended: it is started again']);
    turn();
    expect(meters).toHaveLength(1);
    expect(metering.fds).toEqual([]);
    expect(metering.at).toBeGreaterThan(performance.now());
  });

  it('kills one that hangs, because it keeps the lock, and starts another one', () => {
    const { metering, log, killed, turn } = scene({ silentMs: 0 });
    turn();
    metering.turn(new Set(), load);
    expect(killed).toEqual([1]);
    expect(log).toEqual([
      'the meter (process 1) has said nothing for too long: it hangs, or another meter has the lock. It is killed',
    ]);
    expect(metering.fds).toEqual([]);
  });

  it('goes on if none can be started', () => {
    const { metering, log, turn } = scene({ fails: true });
    turn();
    turn();
    expect(log).toEqual([expect.stringContaining('no processes left')]);
    expect(metering.fds).toEqual([]);
  });

  it('lets go of the meter when it ends', () => {
    const { metering, meters, turn } = scene();
    turn();
    metering.close();
    expect(isClosed(meters[0] ?? -1)).toBe(true);
    metering.close();
  });
});
