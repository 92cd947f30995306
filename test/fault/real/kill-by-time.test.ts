/**
 * The executable is killed at moments spread evenly over the time it takes, undisturbed by any tracer; the follow-up DEL comes at
 * once, while children of the killed call may still run. Nothing may be left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { start } from '../../support/cni.ts';
import { Tally } from '../../support/faults.ts';
import type { Mode, Pod } from '../../support/node.ts';
import { withSeed } from '../../support/seed.ts';
import { onRealSwitch, useNode } from '../../support/suite.ts';
import { expectNothingLeft } from '../../support/world.ts';

/** Of each verb, half of them in each mode. */
const killsInAll = 200;
const modes: readonly Mode[] = ['client', 'server'];
const kills = killsInAll / modes.length;

const measured = 7;

async function durationOf(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** @returns whether the kill came in time; a call that ended before has to have succeeded. */
async function killedAfter(ms: number, command: string, pod: Pod): Promise<boolean> {
  const child = start(command, pod.call());
  await delay(ms);
  child.kill('SIGKILL');
  const { signal, exitCode } = await child;
  if (signal === 'SIGKILL') return true;
  expect(exitCode).toBe(0);
  return false;
}

onRealSwitch(withSeed('kills by time'), (theSwitch) => {
  const tally = new Tally('kill-by-time', 'complete');
  afterAll(() => tally.print());

  describe.each(modes)('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);

    const durations = async (): Promise<{ ADD: number; DEL: number }> => {
      const [adds, dels]: [number[], number[]] = [[], []];
      for (let run = 0; run < measured; run++) {
        const pod = await node().pod();
        adds.push(await durationOf(() => pod.add()));
        dels.push(await durationOf(() => pod.del()));
        await pod.removeNetns();
      }
      return { ADD: median(adds), DEL: median(dels) };
    };

    test.each(['ADD', 'DEL'] as const)(
      `I4 %s, killed at ${kills} moments, leaves nothing after DEL`,
      async (command) => {
        const whole = (await durations())[command];
        let [killed, moment] = [0, 0];
        while (killed < kills) {
          const pod = await node().pod();
          if (command === 'DEL') expect(await pod.add()).toMatchObject({ exitCode: 0 });
          // One that was faster than most: again, a little earlier.
          const hit = await killedAfter(moment, command, pod);
          if (hit) killed++;
          moment = hit ? (whole * killed) / kills : moment * 0.95;
          expect(await pod.del()).toMatchObject({ exitCode: 0, stdout: '' });
          tally.cases++;
          await tally.clean(async () => expectNothingLeft(await node().world()));
          await pod.removeNetns();
        }
        tally.faults += killed;
        console.log(`${command}, ${mode} mode: ${killed} killed within ${Math.round(whole)} ms`);
      },
    );
  });
});
