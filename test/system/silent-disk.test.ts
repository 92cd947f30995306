/**
 * A file system that does not answer, as a dead NFS server's or FUSE daemon's: whatever path leads there, a call ends.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Changes } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const script = new URL('../support/real/silent-mount.ts', import.meta.url).pathname;

/** The words before the executable. */
const onSilent = (directory: string) => ({
  under: ['unshare', '--mount', process.execPath, script, directory],
});

const impatient: Changes = { deadlines: { directoryMs: 300 } };

onRealSwitch('a file system that does not answer', (theSwitch) => {
  const node = useNode(theSwitch);

  const silent = async (name: string): Promise<string> => {
    const directory = join(node().directory, name);
    await mkdir(directory);
    return directory;
  };

  test.each(['client', 'server'] as const)(
    'kind 6: as "sharedDir" is refused by an ADD with its path beside every other fault, in %s mode (I10, I11)',
    async (mode) => {
      const sharedDir = join(await silent('dead'), 'pods');
      const changes = { ...impatient, sharedDir, host: { vhost: { mode } }, ipam: { type: 'no-such-ipam' } };
      const container = { vhost: { mode: mode === 'client' ? 'server' : 'client' } };
      const pod = await node().pod();
      const { exitCode, json } = await pod.add('net1', { ...changes, container }, onSilent(join(sharedDir, '..')));
      expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 11 });
      for (const word of [`"sharedDir" "${sharedDir}"`, 'did not answer in time (0.3 s)', 'no-such-ipam']) {
        expect(json.msg).toContain(word);
      }
      expectNothingLeft(await node().world());
    },
  );

  test('kind 6: under the sockets of a pod that goes is owed by its DEL, which releases nothing meanwhile', async () => {
    const pod = await node().pod();
    await pod.add();
    const { sharedDir } = node();
    expect(await pod.del('net1', impatient, onSilent(sharedDir))).toMatchObject({ exitCode: 0, stdout: '' });
    const [owed] = await node().list();
    expect(owed).toMatchObject({ state: 'owed' });
    expect(JSON.stringify(owed.owed)).toContain(sharedDir);
    expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2']);
    expect(await pod.del()).toMatchObject({ exitCode: 0 });
    expectNothingLeft(await node().world());
  });

  test('kind 6: under the log holds no call', async () => {
    const dead = await silent('dead');
    const pod = await node().pod();
    expect(await pod.add('net1', { logFile: join(dead, 'log') }, onSilent(dead))).toMatchObject({ exitCode: 0 });
    expect(await pod.del('net1', { logFile: join(dead, 'log') }, onSilent(dead))).toMatchObject({ exitCode: 0 });
    expectNothingLeft(await node().world());
  });
});
