/**
 * DEL with little to go by: no journal, a broken one, no network namespace, a stripped configuration, a changed world.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cni } from '../support/real/cni.ts';
import { inNetns } from '../support/real/netns.ts';
import type { Mode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, tree } from '../support/real/world.ts';

const damages: [string, (bytes: Buffer) => Buffer][] = [
  ['empty', () => Buffer.alloc(0)],
  ['half a record', (bytes) => bytes.subarray(0, Math.floor(bytes.indexOf('\n') / 2))],
  ['cut in the middle of its last record', (bytes) => bytes.subarray(0, -20)],
  ['nothing but NULs', (bytes) => Buffer.alloc(bytes.length)],
  ['foreign text', () => Buffer.from('{"vhostname":"x"}\nhello\n')],
  [
    'wrong in the middle',
    (bytes) => {
      const spoiled = Buffer.from(bytes);
      spoiled.fill('x', bytes.indexOf('\n') + 5, bytes.indexOf('\n') + 15);
      return spoiled;
    },
  ],
];

onRealSwitch('DEL with little to go by', (theSwitch) => {
  describe.each(['client', 'server'] satisfies Mode[])('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);

    test.each(damages)('a journal that is %s: everything goes all the same (case A25, I4)', async (_, damage) => {
      const pod = await node().pod();
      await pod.add();
      await writeFile(pod.journal(), damage(await readFile(pod.journal())));
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('no journal at all: the marks and the configuration are enough (case A21)', async () => {
      const pod = await node().pod();
      await pod.add();
      await rm(pod.journal());
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('a configuration stripped to version, name and type (case A28)', async () => {
      const pod = await node().pod();
      await pod.add();
      const { cniVersion, name, type, dataDir } = node().config();
      const config = { cniVersion, name, type, dataDir };
      expect(await cni('DEL', { ...pod.call(), config })).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('an empty CNI_NETNS (case A16)', async () => {
      const pod = await node().pod();
      await pod.add();
      await pod.removeNetns();
      expect(await cni('DEL', { ...pod.call(), netns: '' })).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('a CNI_NETNS whose namespace is gone, twice (bug B8, case A20)', async () => {
      const pod = await node().pod();
      await pod.add();
      await pod.removeNetns();
      for (let time = 0; time < 2; time++) expect(await pod.del()).toMatchObject({ exitCode: 0, stdout: '' });
      expectNothingLeft(await node().world());
    });

    test('a shared directory that was removed by hand: port and address go (bug B7)', async () => {
      const pod = await node().pod();
      await pod.add();
      await rm(node().sharedDir, { recursive: true });
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('a plain file where the shared directory was: port and address go, the file stays (bug B7)', async () => {
      const pod = await node().pod();
      await pod.add();
      await rm(node().sharedDir, { recursive: true });
      await writeFile(node().sharedDir, 'somebody else');
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expect(await readFile(node().sharedDir, 'utf8')).toBe('somebody else');
      await rm(node().sharedDir);
      expectNothingLeft(await node().world());
    });

    test('a port that was deleted by hand', async () => {
      const pod = await node().pod();
      await pod.add();
      await theSwitch().vsctl('del-port', pod.portName());
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });
  });

  const node = useNode(theSwitch);

  test('an attachment that never was is deleted with success, and leaves no journal (case A21)', async () => {
    const pod = await node().pod();
    expect(await pod.del()).toMatchObject({ exitCode: 0, stdout: '' });
    expectNothingLeft(await node().world());
  });

  test('a kernel interface of that name in the namespace is foreign, and stays (bug B24)', async () => {
    const pod = await node().pod();
    await inNetns(pod.netns, 'ip', 'tuntap', 'add', 'net1', 'mode', 'tap');
    await pod.add();
    await pod.del();
    expect(await inNetns(pod.netns, 'ip', '-o', 'link', 'show', 'net1')).toContain('net1');
  });

  test('directories that the user made, and files that are not ours, stay (bug B16)', async () => {
    const pod = await node().pod();
    await pod.add();
    const own = join(node().sharedDir, pod.shortId);
    await writeFile(join(own, 'the-pods-own-file'), '');
    await pod.del();
    expect(await tree(node().sharedDir)).toEqual([`${pod.shortId}/`, `${pod.shortId}/the-pods-own-file`]);
    expect(await tree(node().directory)).toContain('pods/');
  });
});
