/** `userspace uninstall` among calls of a runtime. The parts that it removes: test/cli/uninstall.test.ts; kills: setup-crash.test.ts. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import type { Pod } from '../support/real/node.ts';
import { type OwnPlaces, ownPlaces } from '../support/real/own-places.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { byItself } from '../support/real/way.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';

const name = '/opt/cni/bin/userspace';

onRealSwitch('uninstall', (theSwitch) => {
  const node = useNode(theSwitch);

  async function run(places: OwnPlaces, ...words: string[]) {
    const [program = '', ...more] = [...places.under, executable, ...words];
    return await execa(program, more, { reject: false, extendEnv: false, env: { PATH: process.env.PATH } });
  }

  const uninstall = (places: OwnPlaces, ...words: string[]) =>
    run(places, 'uninstall', '--data-dir', node().dataDir, '--ovsdb', theSwitch().ovsdb, ...words);

  async function installed(): Promise<OwnPlaces> {
    const places = ownPlaces();
    expect(await run(places, 'install', '--units')).toMatchObject({ exitCode: 0 });
    return places;
  }

  /** An ADD whose runtime has not written the configuration yet. */
  function begunAdd(program: string, { containerId, netns }: Pod) {
    const names = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: containerId, CNI_NETNS: netns, CNI_IFNAME: 'net1' };
    const env = { ...names, CNI_PATH: node().path, ...byItself.env };
    const child = spawn(program, { stdio: ['pipe', 'pipe', 'ignore'], env });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }

  test('an attachment keeps everything; after its DEL all goes, the data directory too (need N27)', async () => {
    const places = await installed();
    const options = { program: places.outside(name) };
    const pod = await node().pod();
    expect(await pod.add('net1', {}, options)).toMatchObject({ exitCode: 0 });
    const refused = await uninstall(places);
    expect(refused).toMatchObject({ exitCode: 3, stderr: '' });
    for (const word of [
      'nothing was removed',
      `net-a:${pod.containerId}:net1`,
      'attached',
      `crictl rmp -f ${pod.containerId}`,
    ])
      expect(refused.stdout).toContain(word);
    expect(refused.stdout.match(/^ {2}\S.*$/gm)).toHaveLength(1);
    expect(await pod.del('net1', {}, options)).toMatchObject({ exitCode: 0 });
    expect(await uninstall(places)).toMatchObject({ exitCode: 0, stderr: '' });
    expect([places.outside(name), node().dataDir].map(existsSync)).toEqual([false, false]);
    await expectNothingLeft(await node().world());
  });

  test('a port whose journal is lost keeps everything until recover has removed it (need N27)', async () => {
    const places = await installed();
    const pod = await node().pod();
    await pod.add();
    await execa('rm', [`${node().dataDir}/net-a:${pod.containerId}:net1.journal`]);
    const refused = await uninstall(places, '--json');
    expect(refused.exitCode).toBe(3);
    expect(JSON.parse(refused.stdout).living).toEqual([
      expect.objectContaining({ what: 'port', name: `net-a:${pod.containerId}:net1`, at: theSwitch().ovsdb }),
    ]);
    await pod.del();
    expect(await uninstall(places)).toMatchObject({ exitCode: 0 });
  });

  test('an ADD that has begun and has no journal yet is waited for: what it attached brings the name back (need N27)', async () => {
    const places = await installed();
    const program = places.outside(name);
    const pod = await node().pod();
    const child = begunAdd(program, pod);
    const answer = text(child.stdout);
    const uninstalling = uninstall(places);
    // The runtime writes the configuration only when the name is gone.
    while (existsSync(program)) await delay(5);
    child.stdin.end(JSON.stringify(node().config()));
    expect(JSON.parse(await answer)).toHaveProperty('ips');
    const { exitCode, stdout } = await uninstalling;
    expect(exitCode).toBe(3);
    expect(stdout).toContain(`net-a:${pod.containerId}:net1`);
    expect(existsSync(program)).toBe(true);
    expect(await pod.del('net1', {}, { program })).toMatchObject({ exitCode: 0 });
    expect(await uninstall(places)).toMatchObject({ exitCode: 0 });
    expect(existsSync(program)).toBe(false);
    await expectNothingLeft(await node().world());
  });

  test('a call that does not end keeps everything, and is named (need N27)', async () => {
    const places = await installed();
    const program = places.outside(name);
    const child = begunAdd(program, await node().pod());
    // By itself it would give up a configuration that never comes.
    child.kill('SIGSTOP');
    const { exitCode, stdout } = await uninstall(places, '--json');
    expect(exitCode).toBe(3);
    expect(JSON.parse(stdout).living).toEqual([
      expect.objectContaining({
        what: 'process',
        name: `process ${child.pid}`,
        state: 'a call of a runtime',
        at: name,
      }),
    ]);
    expect(existsSync(program)).toBe(true);
    child.kill('SIGKILL');
    expect(await uninstall(places)).toMatchObject({ exitCode: 0 });
  });
});
