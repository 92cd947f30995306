/**
 * The disk refuses: a system call of the executable fails with EIO or ENOSPC, once at its n-th call and from there on for ever,
 * for every n. Each answer has to be true, and with a well disk nothing may be left. Through an agent it is the worker whose calls fail.
 */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { useSeat } from '../../support/real/agent-seat.ts';
import type { Answer } from '../../support/real/cni.ts';
import { complete, dice, Tally } from '../../support/real/fault-suite.ts';
import { type Point, pointsOf } from '../../support/real/kill-at-syscall.ts';
import type { Pod } from '../../support/real/node.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { cniUnderStrace } from '../../support/real/under-strace.ts';
import { isThroughAgent } from '../../support/real/way.ts';
import { expectNothingLeft } from '../../support/real/world.ts';
import { withSeed } from '../../support/seed.ts';

/** The sample of each verb: from the main thread's calls, and from those of all threads and children. */
const sampled = 60;
const sampledOfAll = 12;

/** The journal, the lock and the log are the main thread's. */
const calls = ['fsync', 'write', 'rename', 'unlink', 'mkdir', 'fchmod', 'ftruncate'];
/**
 * The other calls of threads and children (an IPAM program). Not openat, because without it nothing is even loaded. Not unlinkat,
 * which only host-local uses: if it fails, host-local answers success, and no other process can know.
 */
const callsOfAll = [...calls, 'pwrite64', 'rmdir', 'mkdirat', 'renameat', 'renameat2'];
const errors = ['EIO', 'ENOSPC'];

interface Fault extends Point {
  readonly error: string;
  readonly forever: boolean;
  /** Each thread and child counts its calls for itself. */
  readonly everywhere: boolean;
}

const describeFault = ({ call, n, error, forever, everywhere }: Fault): string =>
  `${call} ${n}${forever ? '+' : ''} ${error}${everywhere ? ' in every thread and child' : ''}`;

function injected({ call, n, error, forever, everywhere }: Fault): string[] {
  const injection = `inject=${call}:error=${error}:when=${n}${forever ? '+' : ''}`;
  return ['-qq', ...(everywhere ? ['-f'] : []), '-o', '/dev/null', '-e', `trace=${call}`, '-e', injection];
}

const variants = (point: Point, everywhere: boolean): Fault[] =>
  errors.flatMap((error) => [false, true].map((forever) => ({ ...point, error, forever, everywhere })));

interface Told {
  readonly success: boolean;
  /** The error's code; undefined if no answer could be written at all. */
  readonly code: number | undefined;
}

/** An answer is a success or an error, and never something of both (I9). */
function told(command: string, { exitCode, signal, stdout }: Answer, fault: Fault): Told {
  expect(signal, 'it ends by itself').toBeUndefined();
  // A worker hands its answer over to the call's own process, whose writes do not fail.
  const mute = !isThroughAgent && fault.call === 'write' && stdout === '';
  if (exitCode === 0) {
    if (command === 'DEL') expect(stdout).toBe('');
    else expect(mute ? undefined : JSON.parse(stdout)).toMatchObject({ ips: [{}], interfaces: [{}] });
    return { success: true, code: undefined };
  }
  if (mute) return { success: false, code: undefined };
  const { code, msg, ips } = JSON.parse(stdout);
  expect({ code, msg, ips }).toEqual({ code: expect.any(Number), msg: expect.any(String), ips: undefined });
  return { success: false, code };
}

onRealSwitch(
  withSeed('a failing disk'),
  (theSwitch) => {
    const tally = new Tally('disk-errors');
    const dieOf = dice('disk-errors');
    afterAll(() => tally.print());
    const node = useNode(theSwitch);
    const seat = isThroughAgent ? useSeat() : () => undefined;
    const call = (command: string, pod: Pod, fault: Fault): Promise<Answer> =>
      cniUnderStrace(injected(fault), { command, call: pod.call('net1', changes()) }, seat());

    const changes = () => ({ runtimeConfig: { CNIDeviceInfoFile: join(node().sharedDir, 'net1.json') } });

    const del = async (pod: Pod) => {
      expect(await pod.del('net1', changes())).toMatchObject({ exitCode: 0 });
    };

    /** @returns how many are attached. */
    const recover = async (): Promise<number> => {
      const { exitCode, json } = await node().recover();
      expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0 } });
      return json.kept;
    };

    const faultsOf = async (command: string): Promise<Fault[]> => {
      const [first, counted] = [await node().pod(), await node().pod()];
      await first.add('net1', changes());
      await del(first);
      if (command === 'DEL') await counted.add('net1', changes());
      const points = await pointsOf(command, counted.call('net1', changes()), calls.join(','), seat());
      await del(counted);
      const ofMain = points.flatMap((point) => variants(point, false));
      const ofAll = callsOfAll.flatMap((call) => [1, 2].flatMap((n) => variants({ call, n }, true)));
      if (complete) return [...ofMain, ...ofAll];
      return [...dieOf.sample(ofMain, sampled), ...dieOf.sample(ofAll, sampledOfAll)];
    };

    const nothingLeft = async (pod: Pod) => {
      await tally.clean(async () => expectNothingLeft(await node().world()));
      await pod.removeNetns();
    };

    const through = async (command: string, inject: (fault: Fault) => Promise<Told>): Promise<void> => {
      const faults = await faultsOf(command);
      let errors = 0;
      for (const fault of faults) {
        tally.cases++;
        tally.faults++;
        try {
          const { success } = await inject(fault);
          errors += Number(!success);
        } catch (cause) {
          throw new Error(`${command}, ${describeFault(fault)}: ${cause}`, { cause });
        }
      }
      console.log(`${command}: ${faults.length} failing calls, ${errors} answered with an error`);
      // The faults reach the process that makes the call. A DEL needs hardly any of them to succeed.
      if (command === 'ADD') expect(errors).toBeGreaterThan(faults.length / 2);
    };

    test('I3 I4 under an ADD: it answers, and DEL or recover leaves nothing', () =>
      through('ADD', async (fault) => {
        const pod = await node().pod();
        const answer = await call('ADD', pod, fault);
        const given = told('ADD', answer, fault);
        if (given.success) expect((await node().world()).ports).toHaveLength(1);
        // The runtime may not know of a failed ADD, so recovery alone has to do the removal.
        if (given.success || dieOf.next() < 0.5 || (await recover()) > 0) await del(pod);
        await nothingLeft(pod);
        return given;
      }));

    test('I4 I5 under a DEL: its answer is true, and the next leaves nothing', () =>
      through('DEL', async (fault) => {
        const pod = await node().pod();
        expect(await pod.add('net1', changes())).toMatchObject({ exitCode: 0 });
        const answer = await call('DEL', pod, fault);
        const given = told('DEL', answer, fault);
        // A runtime that got success never calls again, unless the answer named the rest.
        const stays = given.success && (await recover()) > 0;
        if (stays) expect(answer.stderr).toMatch(/the journal of .* stays/);
        if (stays || !given.success) await del(pod);
        await nothingLeft(pod);
        return given;
      }));
  },
  { parts: ['strace'] },
);
