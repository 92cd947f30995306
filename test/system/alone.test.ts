/** A lane of tests that is killed, and two switches at once. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import { hugepageCount } from '../support/real/hugepages.ts';
import { TestNode } from '../support/real/node.ts';
import { onRealSwitch } from '../support/real/suite.ts';
import { startSwitch } from '../support/real/switch.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const alone = join(import.meta.dirname, '../../scripts/alone.sh');

onRealSwitch('two at once', (theSwitch) => {
  test('a second switch beside this one takes none of its ports, taps or hugepages, and leaves none (need N23)', async () => {
    const pages = hugepageCount();
    const second = await startSwitch();
    try {
      const nodes = await Promise.all([TestNode.create(theSwitch()), TestNode.create(second)]);
      await Promise.all(
        nodes.map(async (node) => {
          const pod = await node.pod();
          expect(await pod.add()).toMatchObject({ exitCode: 0 });
          expect((await node.port(pod.portName()))?.error).toBeUndefined();
          expect((await node.world()).ports).toEqual([pod.portName()]);
          expect(await pod.del()).toMatchObject({ exitCode: 0 });
          expectNothingLeft(await node.world());
          await node.end();
        }),
      );
      expect(second.hugepages.added).toBeGreaterThan(0);
    } finally {
      await second.stop();
    }
    expect(hugepageCount()).toBe(pages);
  });

  describe('what a lane started (need N23)', () => {
    /** A lane with a program that has left its parent and its session, as an IPAM program may. */
    const started = async (): Promise<{ lane: ChildProcess; orphan: string }> => {
      const marker = `600.${Math.floor(Math.random() * 1e9)}`;
      const script = `setsid sleep ${marker} & echo started; sleep 600`;
      const lane = spawn(alone, ['sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
      onTestFinished(() => void lane.kill('SIGTERM'));
      await createInterface({ input: lane.stdout })[Symbol.asyncIterator]().next();
      const orphan = `sleep ${marker}`;
      // It says so before its program is the one that it starts.
      await expect.poll(() => isThere(orphan), { timeout: 10_000 }).toBe(true);
      return { lane, orphan };
    };
    const isThere = async (command: string): Promise<boolean> =>
      (await execa('ps', ['-eo', 'args'])).stdout.split('\n').includes(command);
    const isGone = (command: string) => expect.poll(() => isThere(command), { timeout: 10_000 }).toBe(false);
    /** The process that stands for the test runner. */
    const runnerOf = async ({ pid }: ChildProcess): Promise<number> => {
      let last = String(pid);
      for (;;) {
        const { stdout } = await execa('ps', ['-o', 'pid=,args=', '--ppid', last], { reject: false });
        const line = stdout.split('\n').find((one) => one.includes('echo started')) ?? '';
        const next = line.trim().split(' ')[0] ?? '';
        if (next === '') return Number(last);
        last = next;
      }
    };

    test.each(['SIGTERM', 'SIGKILL'] as const)('ends with it: %s', async (signal) => {
      const { lane, orphan } = await started();
      const end = once(lane, 'exit');
      lane.kill(signal);
      await end;
      await isGone(orphan);
    });

    test('ends with its test runner: SIGKILL', async () => {
      const { lane, orphan } = await started();
      const end = once(lane, 'exit');
      process.kill(await runnerOf(lane), 'SIGKILL');
      const [code] = await end;
      expect(code).toBe(137);
      await isGone(orphan);
    });
  });

  test('a lane answers with the exit code of its command (need N23)', async () => {
    expect((await execa(alone, ['sh', '-c', 'exit 7'], { reject: false })).exitCode).toBe(7);
  });
});
