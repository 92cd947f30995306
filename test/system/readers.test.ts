/**
 * Readers of the executable's output that are gone, stopped, or the wrong file; and the directory in which it is started.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { type Call, cni, run } from '../support/real/cni.ts';
import type { Changes, Pod } from '../support/real/node.ts';
import { brokenPipe, fullPipe, type Pipe, pipe } from '../support/real/pipes.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';

const impatient: Changes = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500, ipamMs: 500 } };

const readers: [string, () => Pipe][] = [
  ['has gone', brokenPipe],
  ['stands', fullPipe],
];

/** A call whose stdout or stderr is a pipe of the test. */
function startOn(
  stream: 'stdout' | 'stderr',
  to: Pipe,
  args: readonly string[],
  env: Record<string, string>,
  stdin = '',
) {
  const stdio = ['pipe', stream === 'stdout' ? to.fd : 'pipe', stream === 'stderr' ? to.fd : 'pipe'] as const;
  const child = spawn(executable, [...args], { env, stdio: [...stdio] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  (stream === 'stdout' ? child.stderr : child.stdout)?.on('data', (chunk) => {
    text += chunk;
  });
  child.stdin?.end(stdin);
  const ended = once(child, 'close').then(([exitCode]) => ({ exitCode: exitCode as number | null, text }));
  return { child, ended };
}

const environmentOf = (command: string, { containerId, ifName, netns, path }: Call) => ({
  CNI_COMMAND: command,
  CNI_CONTAINERID: containerId ?? '',
  CNI_IFNAME: ifName ?? '',
  CNI_NETNS: netns ?? '',
  CNI_PATH: path ?? '',
});

async function called(command: string, call: Call, stream: 'stdout' | 'stderr', to: Pipe) {
  return await startOn(stream, to, [], environmentOf(command, call), JSON.stringify(call.config)).ended;
}

/** Asked often, with the test's own time limit as the bound. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}

onRealSwitch('a reader', (theSwitch) => {
  const node = useNode(theSwitch);

  const owing = async (count: number): Promise<Pod[]> => {
    const pods = await Promise.all(Array.from({ length: count }, () => node().pod()));
    for (const pod of pods) await pod.add();
    await theSwitch().stopDatabase();
    for (const pod of pods) await pod.del('net1', impatient);
    await theSwitch().startDatabase();
    return pods;
  };

  const recovering = () => ['recover', '--data-dir', node().dataDir, '--ovsdb', theSwitch().ovsdb];

  test.each(readers)('kind 6: of stderr that %s holds no DEL that owes, and ends none', async (_, reader) => {
    const pod = await node().pod();
    await pod.add();
    await theSwitch().stopDatabase();
    try {
      expect(await called('DEL', pod.call('net1', impatient), 'stderr', reader())).toEqual({ exitCode: 0, text: '' });
    } finally {
      await theSwitch().startDatabase();
    }
    expect(await node().list()).toMatchObject([{ state: 'owed' }]);
    await pod.del();
    expectNothingLeft(await node().world());
  });

  test.each(readers)('kind 6: of stderr that %s takes no answer from a failed ADD', async (_, reader) => {
    const pod = await node().pod();
    const { exitCode, text } = await called('ADD', pod.call('net1', { ipam: { type: 'no' } }), 'stderr', reader());
    expect({ exitCode, answer: JSON.parse(text) }).toMatchObject({ exitCode: 1, answer: { code: 7 } });
  });

  test('kind 6: of the answer that has gone is a failed ADD, whose DEL finds everything', async () => {
    const pod = await node().pod();
    const { exitCode, text } = await called('ADD', pod.call(), 'stdout', brokenPipe());
    expect({ exitCode, text }).toEqual({ exitCode: 1, text: expect.stringContaining('stdout was not read') });
    await pod.del();
    expectNothingLeft(await node().world());
  });

  test('kind 6: of a recovery that has gone (recover | head -1) does not stop it in the middle', async () => {
    await owing(3);
    expect((await startOn('stdout', brokenPipe(), recovering(), {}).ended).exitCode).toBe(0);
    expectNothingLeft(await node().world());
    expect(await node().list()).toEqual([]);
  });

  test('kind 6: of a recovery that stops reading (a pager) delays neither it nor the next one, and reads everything later', async () => {
    const pods = await owing(3);
    const pager = fullPipe();
    const { child, ended } = startOn('stdout', pager, recovering(), {});
    await until(() => pods.every((pod) => !existsSync(pod.journal())));
    await until(() => !existsSync(join(node().dataDir, 'recover.lock')));
    expect(await node().recover()).toMatchObject({ exitCode: 0, json: { removed: 0, owed: 0 } });
    expect(child.exitCode).toBe(null);
    pager.read();
    expect((await ended).exitCode).toBe(0);
    const text = pager.read();
    for (const pod of pods) expect(text).toContain(pod.containerId);
    expect(text).toContain('REMOVED');
    expectNothingLeft(await node().world());
  });

  test.each(['/dev/stdout', '/proc/self/fd/1', '/dev/fd/1'])(
    'kind 6: of the answer reads one document although the log goes to %s too (I9)',
    async (logFile) => {
      const pod = await node().pod();
      const call = pod.call('net1', { logFile, logLevel: 'verbose' });
      const reader = pipe();
      expect(await called('ADD', call, 'stdout', reader)).toMatchObject({ exitCode: 0 });
      expect(JSON.parse(reader.read()).interfaces).toHaveLength(1);
      expect(await called('DEL', call, 'stdout', reader)).toMatchObject({ exitCode: 0 });
      expect(reader.read()).toBe('');
    },
  );

  test('kind 6: of the answer in a file reads one document although that file is the log', async () => {
    const pod = await node().pod();
    const file = join(node().directory, 'answer');
    const onFile = { under: ['sh', '-c', 'exec "$@" >> "$0"', file] };
    expect(await pod.add('net1', { logFile: file, logLevel: 'verbose' }, onFile)).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(await readFile(file, 'utf8')).interfaces).toHaveLength(1);
    await pod.del();
  });
});

onRealSwitch('a working directory that was deleted', (theSwitch) => {
  const node = useNode(theSwitch);
  const inDeleted = () => ({
    under: ['sh', '-c', 'cd "$0" && rmdir "$0" && exec "$@"', join(node().directory, 'deleted')],
  });

  test('kind 6: keeps no call from being answered, and no program of ours from being run', async () => {
    const pod = await node().pod();
    const there = () => mkdir(join(node().directory, 'deleted'));
    await there();
    expect((await cni('VERSION', { config: {} }, inDeleted())).json).toHaveProperty('supportedVersions');
    await there();
    expect(await pod.add('net1', {}, inDeleted())).toMatchObject({ exitCode: 0 });
    await there();
    const { stdout } = await run(['list', '--data-dir', node().dataDir], {}, inDeleted().under);
    expect(stdout).toContain(pod.shortId);
    await there();
    expect(await pod.del('net1', {}, inDeleted())).toMatchObject({ exitCode: 0, stdout: '' });
    expectNothingLeft(await node().world());
  });

  test('a relative path begins at the working directory of the command', async () => {
    const pod = await node().pod();
    await pod.add();
    const under = ['sh', '-c', 'cd "$0" && exec "$@"', node().directory];
    expect((await run(['list', '--data-dir', 'data'], {}, under)).stdout).toContain(pod.shortId);
    expect((await run(['list', '--data-dir', 'no'], {}, under)).stdout).toContain(join(node().directory, 'no'));
    await pod.del();
  });
});
