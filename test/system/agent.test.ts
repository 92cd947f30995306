/** Calls through a resident agent: the same answers, each caller's own environment, and no other user's. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Agent } from '../support/real/agent.ts';
import { type Answer, type CallOptions, cni, run, start } from '../support/real/cni.ts';
import { gcConfig } from '../support/real/gc-among-living.ts';
import type { Pod } from '../support/real/node.ts';
import { Spy } from '../support/real/spy.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { byItself } from '../support/real/way.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const ok = { exitCode: 0 };
const newest = { cniVersion: '1.1.0' };

onRealSwitch('calls through an agent', (theSwitch) => {
  const node = useNode(theSwitch);
  let agent: Agent;
  beforeAll(async () => {
    agent = await Agent.start({ workers: 2 });
  });
  afterAll(async () => {
    await agent?.stop();
    expect(agent.said).toEqual([]);
  });

  const through = (env: Readonly<Record<string, string>> = {}, under: readonly string[] = []) => ({
    env: { USERSPACE_CNI_AGENT: agent.directory, ...env },
    under,
  });

  /** Each answer of a pod's life, without its names. */
  async function life(pod: Pod, options: CallOptions): Promise<unknown[]> {
    const { path } = node();
    const config = (more: object) => node().config({ ...newest, ...more });
    const added = await pod.add('net1', {}, options);
    const call = pod.call('net1', { prevResult: added.json });
    const upkeep = (verb: string, more: object) => cni(verb, { config: config(more), path }, options);
    const answers: Answer[] = [added, await cni('CHECK', call, options)];
    answers.push(await upkeep('STATUS', {}), await upkeep('GC', gcConfig([pod])), await upkeep('GC', {}));
    answers.push(await cni('CHECK', call, options), await pod.add('net2', { ipam: { type: 'none' } }, options));
    answers.push(await pod.add('net1', {}, options), await pod.del('net1', {}, options));
    answers.push(await cni('CHECK', call, options), await pod.del('net1', {}, options));
    answers.push(await cni('UPDATE', call, options), await cni('ADD', { ...call, config: '{' }, options));
    expectNothingLeft(await node().world());
    const plain = (text: string) =>
      text
        .replaceAll(pod.containerId, 'ID')
        .replaceAll(pod.netns, 'NETNS')
        .replace(/10\.56\.0\.\d+/g, 'IP')
        .replace(/^\S+Z /gm, '');
    return answers.map(({ exitCode, stdout, stderr }) => ({ exitCode, stdout: plain(stdout), stderr: plain(stderr) }));
  }

  test('every verb answers as by a process of its own', async () => {
    const byAgent = await life(await node().pod(), through());
    expect(byAgent).toEqual(await life(await node().pod(), byItself));
    expect(byAgent[0]).toMatchObject(ok);
  });

  test('a call is made by a worker; without the variable or with "off", or where no agent is, by its own process', async () => {
    const spy = new Spy(node());
    const parents: number[] = [];
    for (const options of [through(), byItself, { env: { USERSPACE_CNI_AGENT: temporaryDirectory() } }]) {
      const pod = await node().pod();
      expect(await pod.add('net1', spy.changes, options)).toMatchObject(ok);
      expect(await pod.del('net1', spy.changes, options)).toMatchObject(ok);
      parents.push(...spy.runs('ADD', pod.containerId).map(({ parent }) => parent));
    }
    expect(parents.map((parent) => agent.workers.includes(parent))).toEqual([true, false, false]);
  });

  test('the directory and the socket are this user’s alone', () => {
    expect(statSync(agent.directory).mode & 0o7777).toBe(0o700);
    expect(statSync(agent.socket).mode & 0o7777).toBe(0o600);
  });

  test('VERSION does not ask, and a call whose agent is silent after go ends by its own deadline with code 11', async () => {
    const other = await Agent.start();
    await other.stop();
    mkdirSync(other.directory, { mode: 0o700 });
    onTestFinished(() => rmSync(other.directory, { recursive: true, force: true }));
    let asked = 0;
    const server = createServer((socket) => {
      asked++;
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write('31\n{"say":"accepted","waitMs":400}'));
    });
    await new Promise<void>((resolve) => server.listen(other.socket, resolve));
    onTestFinished(() => void server.close());
    const options = { env: { USERSPACE_CNI_AGENT: other.directory } };
    const config = node().config(newest);
    expect(await cni('VERSION', { config }, options)).toMatchObject(ok);
    expect(asked).toBe(0);
    const pod = await node().pod();
    const began = performance.now();
    const { exitCode, json } = await pod.add('net1', {}, options);
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 11 });
    expect(json.msg).toContain('the agent has taken this call and does not answer in time');
    expect(performance.now() - began).toBeGreaterThan(400);
    expect(asked).toBe(1);
    expectNothingLeft(await node().world());
  });

  test('a caller’s log file that means its own descriptor is its own', async () => {
    const pod = await node().pod();
    const path = join(node().directory, 'said');
    const under = ['sh', '-c', 'exec "$@" 2> "$0"', path];
    expect(await pod.add('net1', { logFile: '/dev/stderr' }, through({}, under))).toMatchObject(ok);
    expect(readFileSync(path, 'utf8')).toContain('[info] userspace: ADD net-a:');
    expect(await pod.del('net1', {}, through())).toMatchObject(ok);
  });

  test('a caller’s log file that is its standard output gets no line, because the answer is there (I9)', async () => {
    const pod = await node().pod();
    const path = join(node().directory, 'answer');
    const under = ['sh', '-c', 'exec "$@" > "$0"', path];
    expect(await pod.add('net1', { logFile: path }, through({}, under))).toMatchObject(ok);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toHaveProperty('ips');
    expect(await pod.del('net1', {}, through())).toMatchObject(ok);
  });

  test('each program has the environment, the directory and the descriptors of its own call', async () => {
    const spy = new Spy(node());
    const [one, other, third] = [await node().pod(), await node().pod(), await node().pod()];
    const place = temporaryDirectory();
    const first = through({ PLANTED: 'of-one', CNI_ARGS: 'IgnoreUnknown=1;PLANTED=args' }, ['env', `--chdir=${place}`]);
    expect(await one.add('net1', spy.changes, first)).toMatchObject(ok);
    expect(await other.add('net1', spy.changes, through())).toMatchObject(ok);
    expect(await third.add('net1', spy.changes, byItself)).toMatchObject(ok);
    const [a] = spy.runs('ADD', one.containerId);
    const [b] = spy.runs('ADD', other.containerId);
    const [c] = spy.runs('ADD', third.containerId);
    expect(a?.parent).toBe(b?.parent);
    expect(agent.workers).toContain(b?.parent);
    expect(a?.directory).toBe(place);
    expect(a?.environment).toContain('PLANTED=args');
    expect(b?.environment).not.toContain('PLANTED');
    expect(b?.directory).toBe(process.cwd());
    const namesOf = (text = '') => [...text.matchAll(/^(\w+)=/gm)].map(([, name]) => name).sort();
    expect(namesOf(b?.environment)).toEqual(namesOf(c?.environment));
    expect(b?.files).toEqual(c?.files);
    expect(b?.files.length).toBeGreaterThan(4);
    for (const pod of [one, other, third]) expect(await pod.del('net1', spy.changes, through())).toMatchObject(ok);
  });

  test('a GC counts from the start of its caller, and leaves an ADD that came after it (case A30)', async () => {
    const call = { config: node().config({ ...newest, ...gcConfig([]) }), path: node().path };
    const late = start('GC', call, through({}, ['sh', '-c', 'sleep 1; exec "$@"', 'sh']));
    await delay(300);
    const pod = await node().pod();
    expect(await pod.add('net1', {}, through())).toMatchObject(ok);
    expect(await late).toMatchObject({ exitCode: 0, stdout: '' });
    expect((await node().world()).ports).toEqual([pod.portName()]);
    expect(await cni('GC', call, through())).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('a busy attachment names the worker that has it, and no age of it', async () => {
    const spy = new Spy(node(), 'while [ -e $D/hold ]; do sleep 0.05; done');
    writeFileSync(join(spy.directory, 'hold'), '');
    const pod = await node().pod();
    const first = start('ADD', pod.call('net1', spy.changes), through());
    while (spy.runs('ADD').length === 0) await delay(20);
    const [{ parent } = { parent: 0 }] = spy.runs('ADD');
    const second = await pod.add('net1', { ...spy.changes, deadlines: { lockMs: 300 } }, through());
    expect(second.json).toMatchObject({ code: 11 });
    expect(second.json.msg).toContain(`is locked by process ${parent} (userspace agent --worker)`);
    expect(second.json.msg).not.toContain('there for');
    rmSync(join(spy.directory, 'hold'));
    expect(await first).toMatchObject(ok);
    expect(await pod.del('net1', spy.changes, through())).toMatchObject(ok);
  });

  describe('is not asked', () => {
    /** The process that has made an ADD. */
    async function maker(options: Parameters<Pod['add']>[2]): Promise<number | undefined> {
      const spy = new Spy(node());
      const pod = await node().pod();
      expect(await pod.add('net1', spy.changes, options)).toMatchObject(ok);
      expect(await pod.del('net1', spy.changes, options)).toMatchObject(ok);
      return spy.runs('ADD', pod.containerId)[0]?.parent;
    }

    test('by an executable of another build', async () => {
      const copy = join(temporaryDirectory(), 'userspace');
      copyFileSync(executable, copy);
      chmodSync(copy, 0o755);
      const theirs = await Agent.start({ program: copy });
      onTestFinished(() => theirs.stop());
      const env = { USERSPACE_CNI_AGENT: theirs.directory };
      expect(await maker({ env })).not.toSatisfy((pid) => theirs.workers.includes(pid));
      expect(await maker({ env, program: copy })).toSatisfy((pid) => theirs.workers.includes(pid));
    });

    test('by a call in another network namespace', async () => {
      // The namespace of a pod is not the one of the call.
      expect(await maker(through())).toSatisfy((pid) => agent.workers.includes(pid));
      expect(await maker(through({}, ['unshare', '--net']))).not.toSatisfy((pid) => agent.workers.includes(pid));
    });

    test('by a process of another user, which is turned away unheard even where it may connect', async () => {
      const other = await Agent.start();
      onTestFinished(() => other.stop());
      chmodSync(other.directory, 0o755);
      chmodSync(other.socket, 0o666);
      const script = `const s = require('net').connect(${JSON.stringify(other.socket)}, () => s.write('15\\n{"say":"call"}'));
let heard = '';
s.on('data', (d) => { heard += d; });
s.on('error', () => undefined);
s.on('close', () => console.log('closed after "' + heard + '"'));`;
      const as = (user: string[]) => {
        const words = [...user, process.execPath, '-e', script];
        return spawnSync(words[0] ?? '', words.slice(1), { encoding: 'utf8', timeout: 20_000 }).stdout;
      };
      const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      const before = other.workers;
      expect(as(nobody)).toBe('closed after ""\n');
      expect(other.workers).toEqual(before);
      const env = { USERSPACE_CNI_AGENT: other.directory };
      expect(await maker({ env })).toSatisfy((pid) => other.workers.includes(pid));
    });
  });

  describe('the command line', () => {
    test.each([
      ...[['--workers', 'x'], ['--workers', '0'], ['--workers', '1.5'], ['--workers'], ['--nosuch'], ['more']],
      ...[
        ['--metrics', '0.0.0.0:9468'],
        ['--recover', '--recover-every=1e9'],
        ['--recover-every', '5'],
      ],
      ...[['--events'], ['--ovsdb', 'tcp:127.0.0.1:6640']],
    ])('%s %s is wrong usage', async (...words) => {
      const { exitCode, stdout, stderr } = await run(['agent', ...words], {
        USERSPACE_CNI_AGENT: temporaryDirectory(),
      });
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toMatch(/^userspace agent: .*\n"userspace agent --help" lists the words\.\n$/s);
    });

    test.each(['off', 'OFF', 'some/where'])('an agent that no call would ask does not start: %s', async (setting) => {
      const { exitCode, stderr } = await run(['agent'], { USERSPACE_CNI_AGENT: setting });
      expect(exitCode).toBe(2);
      expect(stderr).toContain(`USERSPACE_CNI_AGENT is "${setting}"`);
    });

    test('--help explains it', async () => {
      const { exitCode, stdout } = await run(['agent', '--help']);
      expect(exitCode).toBe(0);
      expect(stdout).toContain('userspace agent ');
    });

    test('a directory that others may enter is refused, and is left as it is', async () => {
      const directory = temporaryDirectory();
      chmodSync(directory, 0o755);
      const { exitCode, stderr } = await run(['agent'], { USERSPACE_CNI_AGENT: directory });
      expect(exitCode).toBe(1);
      expect(stderr).toContain('is not a directory of this user alone (mode 0700)');
      expect(statSync(directory).mode & 0o7777).toBe(0o755);
    });
  });
});
