/**
 * Kills at moments spread evenly over the time that a call takes, undisturbed by any tracer; the follow-up DEL comes at once, while
 * children of the killed call may still run. Nothing may be left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { type CallOptions, start } from './cni.ts';
import type { Tally } from './fault-suite.ts';
import type { Ground, Target } from './kill-matrix.ts';

const measured = 7;
const succeed = { exitCode: 0 };

export async function killByTime(
  ground: Ground,
  command: 'ADD' | 'DEL',
  kills: number,
  tally: Tally,
  options: CallOptions = {},
): Promise<void> {
  const { changes } = ground;
  const whole = (await durations(ground, options))[command];
  let [killed, moment] = [0, 0];
  while (killed < kills) {
    const target = await ground.target();
    if (command === 'DEL') expect(await target.add('net1', changes)).toMatchObject(succeed);
    const hit = await isKilledAfter(moment, command, target, ground, options);
    if (hit) killed++;
    // One that was faster than most: again, a little earlier.
    moment = hit ? (whole * killed) / kills : moment * 0.95;
    expect(await target.del('net1', changes, options)).toMatchObject({ ...succeed, stdout: '' });
    tally.cases++;
    await tally.clean(() => ground.expectNothingLeft());
    await ground.dispose(target);
  }
  tally.faults += killed;
  console.log(`${command}, ${ground.title}: ${killed} killed within ${Math.round(whole)} ms`);
}

async function durations(ground: Ground, options: CallOptions): Promise<{ ADD: number; DEL: number }> {
  const [adds, dels]: [number[], number[]] = [[], []];
  for (let run = 0; run < measured; run++) {
    const target = await ground.target();
    adds.push(await durationOf(() => target.add('net1', ground.changes, options)));
    dels.push(await durationOf(() => target.del('net1', ground.changes, options)));
    await ground.dispose(target);
  }
  return { ADD: median(adds), DEL: median(dels) };
}

async function durationOf(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  expect(await run()).toMatchObject(succeed);
  return performance.now() - began;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** @returns whether the kill came in time; a call that ended before has to have succeeded. */
async function isKilledAfter(
  ms: number,
  command: string,
  target: Target,
  { changes }: Ground,
  options: CallOptions,
): Promise<boolean> {
  const child = start(command, target.call('net1', changes), options);
  await delay(ms);
  child.kill('SIGKILL');
  const { signal, exitCode } = await child;
  if (signal === 'SIGKILL') return true;
  expect(exitCode).toBe(0);
  return false;
}
