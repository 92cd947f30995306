/**
 * Real file systems that are really full or really read-only. An ADD is refused before it touches anything; a DEL still works, and
 * says what it could not do. With room again nothing is left.
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Tally, tracedCni } from '../../support/real/fault-suite.ts';
import { type FileSystem, LoopDisk } from '../../support/real/loop-disk.ts';
import { TestNode } from '../../support/real/node.ts';
import { onRealSwitch } from '../../support/real/suite.ts';
import { emptyWorld, expectNothingLeft, tree } from '../../support/real/world.ts';
import { withSeed } from '../../support/seed.ts';

/** CNI SPEC: I/O failure. */
const ioFailure = 5;

const fileSystems: readonly FileSystem[] = ['ext4', 'xfs', 'tmpfs'];
/** The content of that disk: the data directory alone, or all files that we write. */
const layouts = [
  { layout: 'the data directory', shared: false },
  { layout: 'the data and the shared directory', shared: true },
];
const rows = fileSystems.flatMap((fileSystem) => layouts.map((layout) => ({ fileSystem, ...layout })));

const success = { exitCode: 0, stdout: '' };

onRealSwitch(
  withSeed('a bad disk'),
  (theSwitch) => {
    const tally = new Tally('full-disk', 'complete');
    afterAll(() => tally.print());

    describe.each(rows)('$layout on $fileSystem', ({ fileSystem, shared }) => {
      let disk: LoopDisk;
      let node: TestNode;
      beforeEach(async () => {
        disk = await LoopDisk.create(fileSystem);
        const dataDir = join(disk.path, 'data');
        const sharedDir = join(disk.path, 'pods');
        node = await TestNode.create(theSwitch(), 'client', shared ? { dataDir, sharedDir } : { dataDir });
        tally.cases++;
        tally.faults++;
      });
      afterEach(async () => {
        await node?.end();
        await disk?.end();
      });

      const nothingLeft = () => tally.clean(async () => expectNothingLeft(await node.world()));
      const attached = async () => {
        const pod = await node.pod();
        expect(await pod.add()).toMatchObject({ exitCode: 0 });
        return pod;
      };
      const recovered = async () => {
        const { exitCode, json } = await node.recover();
        expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0, kept: 0 } });
      };

      describe.each([
        ['full', () => disk.fill()],
        ['read-only', () => disk.makeReadOnly()],
      ] as const)('that is %s', (_, spoil) => {
        test.each([
          ['that never saw an attachment', false],
          ['that has seen one', true],
        ])('I11 refuses an ADD with code 5 and is not touched: one %s', async (_title, seen) => {
          const pod = await node.pod();
          if (seen) {
            await (await attached()).del();
            await pod.del();
          }
          await spoil();
          const before = await tree(disk.path);
          const { exitCode, json } = await pod.add();
          expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: ioFailure } });
          expect(await tree(disk.path)).toEqual(before);
          await nothingLeft();
          // The runtime's DEL of an ADD that was refused.
          expect(await pod.del()).toMatchObject(success);
          await nothingLeft();
        });
      });

      test('I4 that got full: DEL takes away an earlier attachment, and succeeds when repeated', async () => {
        const pod = await attached();
        await disk.fill();
        expect(await pod.del()).toMatchObject(success);
        await nothingLeft();
        expect(await pod.del()).toMatchObject(success);
        await nothingLeft();
      });

      test('I4 that got full under an interrupted ADD: all of it is taken back', async () => {
        await (await attached()).del();
        const counted = await node.pod();
        const { calls } = await tracedCni(0, 'ADD', counted.call());
        await counted.del();
        const pod = await node.pod();
        const publishing = calls.findLastIndex((call) => call.startsWith('rename')) + 1;
        expect(await tracedCni(publishing, 'ADD', pod.call())).toMatchObject({ killed: true });
        await disk.fill();
        expect(await pod.del()).toMatchObject(success);
        await nothingLeft();
      });

      test('I4 that is full: a DEL without its switch remembers the debt', async () => {
        const pod = await attached();
        await disk.fill();
        const socket = join(node.theSwitch.rundir, 'db.sock');
        await rename(socket, `${socket}.away`);
        const deadlines = { delMs: 400, reconnectMs: 50, switchMs: 200, ipamMs: 200 };
        const answer = await pod.del('net1', { deadlines }).finally(() => rename(`${socket}.away`, socket));
        expect(answer).toMatchObject(success);
        expect((await node.world()).ports).toHaveLength(1);
        await recovered();
        await nothingLeft();
      });

      test('I4 that became read-only: DEL takes away all it can, and fails while the journal stays as it was', async () => {
        const pod = await attached();
        await disk.makeReadOnly();
        for (const _ of ['the first', 'the runtime comes again']) {
          const { exitCode, json } = await pod.del();
          expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: ioFailure } });
          expect(json.msg).toMatch(/read-only file system|writable, and DEL again/i);
        }
        const { files, journals, ...rest } = await node.world();
        expect(rest).toEqual({ ...emptyWorld, files: undefined, journals: undefined });
        expect(journals).toHaveLength(1);
        if (!shared) expect(files).toEqual([]);
        await disk.makeWritable();
        expect(await pod.del()).toMatchObject(success);
        await nothingLeft();
        await recovered();
      });
    });

    describe.each(fileSystems)('a shared directory on %s', (fileSystem) => {
      let disk: LoopDisk;
      let node: TestNode;
      beforeEach(async () => {
        disk = await LoopDisk.create(fileSystem);
        node = await TestNode.create(theSwitch(), 'client', { sharedDir: join(disk.path, 'pods') });
        tally.cases++;
        tally.faults++;
      });
      afterEach(async () => {
        await node?.end();
        await disk?.end();
      });

      test.each([
        ['full', () => disk.fill()],
        ['read-only', () => disk.makeReadOnly()],
      ] as const)('I3 that is %s: the ADD takes back what it has made', async (_, spoil) => {
        const pod = await node.pod();
        const sibling = await node.pod();
        expect(await sibling.add()).toMatchObject({ exitCode: 0 });
        await node.takeBaseline();
        await spoil();
        const { exitCode, json } = await pod.add();
        expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: ioFailure } });
        await tally.clean(async () => expectNothingLeft(await node.world()));
        expect(await pod.del()).toMatchObject(success);
        await tally.clean(async () => expectNothingLeft(await node.world()));
      });
    });
  },
  { parts: ['disks'] },
);
