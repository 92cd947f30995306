/** A switch in a pod of its own may not see the directory of a socket: it would wait for it for ever and say nothing. */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

onRealSwitch('a switch with mounts of its own', (theSwitch) => {
  const node = useNode(theSwitch);

  /** A process that is called as ovs-vswitchd is, with its pid file; `mounts` is done in its mount namespace. */
  async function runAs(mounts: string): Promise<void> {
    const program = join(node().directory, 'ovs-vswitchd');
    copyFileSync('/bin/sleep', program);
    const child = execa('unshare', ['--mount', 'sh', '-c', `${mounts} && exec "$0" 60`, program], { reject: false });
    const pidFile = join(theSwitch().rundir, 'ovs-vswitchd.pid');
    writeFileSync(pidFile, `${child.pid}\n`);
    onTestFinished(async () => {
      rmSync(pidFile);
      child.kill('SIGKILL');
      await child;
    });
    await delay(200);
  }

  test('is refused, with the name of the directory that it does not see; nothing is touched (case A2)', async () => {
    mkdirSync(node().sharedDir, { recursive: true });
    await runAs(`mount -t tmpfs none ${node().sharedDir}`);
    const pod = await node().pod();
    const { exitCode, json } = await pod.add();
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 7 });
    for (const word of ['does not see', node().sharedDir, 'HostToContainer']) expect(json.msg).toContain(word);
    expectNothingLeft(await node().world());
  });

  const server = { host: { vhost: { mode: 'server' } }, container: { vhost: { mode: 'client' } } };
  test.each([
    ['where it sees the same', () => 'true', {}],
    ['in server mode, where it need not', () => `mount -t tmpfs none ${node().sharedDir}`, server],
  ])('is not refused %s (case A2)', async (_, mounts, changes) => {
    mkdirSync(node().sharedDir, { recursive: true });
    await runAs(mounts());
    const pod = await node().pod();
    expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
    expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0 });
  });
});
