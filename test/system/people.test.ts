/**
 * The commands for people, on what the real switch has.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { run, start } from '../support/cni.ts';

import { onRealSwitch, useNode } from '../support/suite.ts';
import { expectNothingLeft } from '../support/world.ts';

onRealSwitch('for people', (theSwitch) => {
  const node = useNode(theSwitch);

  test('without a CNI_COMMAND the executable explains itself', async () => {
    const { exitCode, stdout } = await run([]);
    expect(exitCode).toBe(0);
    for (const word of ['list', 'show', 'recover', '--version']) expect(stdout).toContain(word);
  });

  test('--version tells one', async () => {
    expect(await run(['--version'])).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/\d+\.\d+\.\d+/) });
  });

  test('an unknown command fails and says so on stderr', async () => {
    const { exitCode, stderr } = await run(['dance']);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('dance');
  });

  test('list shows an attachment with its names and addresses, as text and as JSON', async () => {
    const pod = await node().pod();
    await pod.add();
    expect(await node().list()).toEqual([
      expect.objectContaining({
        key: `net-a:${pod.containerId}:net1`,
        network: 'net-a',
        containerId: pod.containerId,
        ifName: 'net1',
        state: 'attached',
        bridge: node().bridge,
        port: pod.portName(),
        socket: pod.socket(),
        addresses: ['10.56.0.2/24'],
        owed: [],
      }),
    ]);
    const { stdout } = await run(['list', '--data-dir', node().dataDir]);
    for (const word of [pod.shortId, 'net1', 'attached', '10.56.0.2']) expect(stdout).toContain(word);
    await pod.del();
  });

  test('show is the timeline of an attachment, found by the beginning of its id', async () => {
    const pod = await node().pod();
    await pod.add();
    const { json } = await run(['show', pod.shortId, '--json', '--data-dir', node().dataDir]);
    expect(json).toMatchObject({ key: `net-a:${pod.containerId}:net1`, state: 'attached' });
    expect(json.records.at(-1)).toMatchObject({ kind: 'attached' });
    const { stdout, exitCode } = await run(['show', pod.containerId, 'net1', '--data-dir', node().dataDir]);
    expect(exitCode).toBe(0);
    for (const step of ['address', 'port', 'publication']) expect(stdout).toContain(step);
    expect(await run(['show', 'nobody', '--data-dir', node().dataDir])).toMatchObject({ exitCode: 1 });
    await pod.del();
  });

  describe('recover', () => {
    test('leaves an attachment at rest alone, and says so', async () => {
      const pod = await node().pod();
      await pod.add();
      const before = await node().world();
      for (let time = 0; time < 2; time++) {
        expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 0, owed: 0, kept: 1, held: 0 } });
      }
      expect(await node().world()).toEqual(before);
      await pod.del();
    });

    test('leaves an ADD that is still running alone (I8), which then finishes', async () => {
      // The IPAM program says when it has begun, and goes on when it is told to.
      await node().program(
        'slow',
        'if [ "$CNI_COMMAND" = ADD ]; then mkfifo "$0.go"; : > "$0.begun"; read _ < "$0.go"; rm "$0.go"; fi\nexec /usr/lib/cni/host-local',
      );
      const pod = await node().pod();
      const running = start('ADD', pod.call('net1', { ipam: { type: 'slow' } }));
      await until(() => existsSync(`${node().binDir}/slow.begun`));
      expect((await node().recover()).json).toMatchObject({ held: 1, removed: 0 });
      expect((await node().list())[0]).toMatchObject({ state: 'adding', holder: { pid: expect.any(Number) } });
      await writeFile(`${node().binDir}/slow.go`, 'go\n');
      expect((await running).exitCode).toBe(0);
      await pod.del('net1', { ipam: { type: 'slow' } });
      expectNothingLeft(await node().world());
    });

    test('finishes every interrupted and every owed attachment in one run', async () => {
      const pods = await Promise.all([1, 2, 3].map(() => node().pod()));
      for (const pod of pods) await pod.add();
      await theSwitch().stopDatabase();
      for (const pod of pods) await pod.del('net1', { deadlines: { delMs: 1_000, reconnectMs: 100 } });
      await theSwitch().startDatabase();
      expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 3, owed: 0, held: 0 } });
      expectNothingLeft(await node().world());
    });

    test('with the switch away owes what it cannot do, and tells by its exit code', async () => {
      const pod = await node().pod();
      await pod.add();
      await theSwitch().stopDatabase();
      await pod.del('net1', { deadlines: { delMs: 1_000, reconnectMs: 100 } });
      expect(await node().recover()).toMatchObject({ exitCode: 3, json: { owed: 2, removed: 0 } });
      await theSwitch().startDatabase();
      expect(await node().recover()).toMatchObject({ exitCode: 0, json: { owed: 0, removed: 1 } });
      expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 0, attachments: [] } });
      expectNothingLeft(await node().world());
    });
  });
});

/** A file cannot be awaited; asked often, with the test's own time limit as the bound. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}
