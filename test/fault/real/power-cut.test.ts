/**
 * The power fails: the executable dies at a system call that changes something, and the real file system with it, which keeps only
 * fsynced data. Power returns, the file system replays its log, `recover` runs. Only attachments that were answered as attached may
 * be left, and nothing of them after their DEL.
 *
 * In client mode the data directory, the shared directory and the device information are on that disk. The switch and the addresses
 * survive in full, which is the worst case for a journal that forgot them. In server mode the switch makes the socket, and it does
 * not cross file systems, so only the data directory is on that disk.
 */
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Answer } from '../../support/real/cni.ts';
import { complete, dice, Tally, tracedCni } from '../../support/real/fault-suite.ts';
import { type FileSystem, LoopDisk } from '../../support/real/loop-disk.ts';
import { type Mode, type Pod, TestNode } from '../../support/real/node.ts';
import { onRealSwitch } from '../../support/real/suite.ts';
import { expectNothingLeft, tree } from '../../support/real/world.ts';
import { withSeed } from '../../support/seed.ts';

/** The sample of each row of the table, beside every fsync. */
const sampled = 6;

const rows: readonly { fileSystem: FileSystem; mode: Mode }[] = [
  { fileSystem: 'ext4', mode: 'client' },
  { fileSystem: 'xfs', mode: 'client' },
  { fileSystem: 'ext4', mode: 'server' },
];

const success = { exitCode: 0 };

onRealSwitch(
  withSeed('a power cut'),
  (theSwitch) => {
    const tally = new Tally('power-cut');
    const dieOf = dice('power-cut');
    afterAll(() => tally.print());

    describe.each(rows)('$fileSystem, $mode mode', ({ fileSystem, mode }) => {
      let disk: LoopDisk;
      let node: TestNode;
      beforeEach(async () => {
        disk = await LoopDisk.create(fileSystem);
        const dataDir = join(disk.path, 'lib', 'data');
        const sharedDir = join(disk.path, 'pods');
        node = await TestNode.create(theSwitch(), mode, mode === 'client' ? { dataDir, sharedDir } : { dataDir });
      });
      afterEach(async () => {
        await node?.end();
        await disk?.end();
      });

      const changes = () => ({
        runtimeConfig: { CNIDeviceInfoFile: join(disk.path, 'devinfo', 'net1.json') },
      });
      const add = async (pod: Pod) => expect(await pod.add('net1', changes())).toMatchObject(success);
      const del = async (pod: Pod) => expect(await pod.del('net1', changes())).toMatchObject(success);

      const nothingLeft = async () => {
        expectNothingLeft(await node.world());
        const files = (await tree(disk.path)).filter((path) => !path.endsWith('/') && path !== 'lib/data/instance');
        expect(files).toEqual([]);
      };

      /** @returns the calls of a whole run that is then undone. */
      const callsOf = async (command: string, onEmptyDisk: boolean): Promise<readonly string[]> => {
        const pod = await node.pod();
        if (command === 'DEL' || !onEmptyDisk) await add(pod);
        if (command === 'ADD' && !onEmptyDisk) await del(pod);
        const whole = await tracedCni(0, command, pod.call('net1', changes()));
        expect(whole.answer).toMatchObject(success);
        await del(pod);
        return whole.calls;
      };

      /** @returns how many are attached. */
      const recover = async (): Promise<number> => {
        const { exitCode, json } = await node.recover();
        expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0 } });
        return json.kept;
      };

      /** Dies at the n-th call, or after its answer; the power fails; power returns. */
      const cutAt = async (command: string, nth: number, pod: Pod): Promise<{ killed: boolean; answer: Answer }> => {
        const { killed, answer } = await tracedCni(nth, command, pod.call('net1', changes()));
        await disk.powerCut();
        tally.cases++;
        tally.faults++;
        return { killed, answer };
      };

      /** All fsyncs, and of the other calls all or some; one more than there are: after the answer. */
      const pointsOf = (calls: readonly string[]): number[] => {
        const all = calls.map((_, index) => index + 1);
        const durable = all.filter((nth) => calls[nth - 1]?.startsWith('fsync'));
        const others = all.filter((nth) => !durable.includes(nth));
        const chosen = complete ? others : dieOf.sample(others, sampled);
        return [...durable, ...chosen, calls.length + 1].sort((a, b) => a - b);
      };

      const cutAdds = async (onEmptyDisk: boolean): Promise<void> => {
        const calls = await callsOf('ADD', onEmptyDisk);
        const points = pointsOf(calls);
        for (const nth of points) {
          if (onEmptyDisk) await disk.empty();
          const pod = await node.pod();
          const { killed, answer } = await cutAt('ADD', nth, pod);
          const kept = await recover();
          if (!killed) {
            // An attachment that was answered is attached, power cut or not.
            expect({ exitCode: answer.exitCode, kept }).toEqual({ exitCode: 0, kept: 1 });
          }
          if (kept > 0) await del(pod);
          await tally.clean(nothingLeft);
          await pod.removeNetns();
        }
        console.log(`ADD, ${fileSystem}, ${mode} mode: the power failed at ${points.length} of ${calls.length} calls`);
      };

      test('I1 I4 at any call of an ADD: recover takes away all that the journal no longer tells of', () =>
        cutAdds(false));

      test('ST1 I4 at any call of the first ADD on an empty disk', () => cutAdds(true));

      test('I4 at any call of a DEL: an attachment answered as removed is gone or owed', async () => {
        const calls = await callsOf('DEL', false);
        const points = pointsOf(calls);
        for (const nth of points) {
          const pod = await node.pod();
          await add(pod);
          await disk.sync();
          const { killed, answer } = await cutAt('DEL', nth, pod);
          const kept = await recover();
          if (!killed) expect({ exitCode: answer.exitCode, kept }).toEqual({ exitCode: 0, kept: 0 });
          if (kept > 0) await del(pod);
          await tally.clean(nothingLeft);
          await pod.removeNetns();
        }
        console.log(`DEL, ${fileSystem}, ${mode} mode: the power failed at ${points.length} of ${calls.length} calls`);
      });
    });
  },
  { parts: ['disks'] },
);
