/** An agent among calls that come while it starts, ends, stands still or is misused: each call is made once, and answered. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { writeProgram } from '../support/programs.ts';
import { Agent, type AgentOptions } from '../support/real/agent.ts';
import { start } from '../support/real/cni.ts';
import type { Pod } from '../support/real/node.ts';
import { Spy } from '../support/real/spy.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { byItself, through } from '../support/real/way.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';

const ok = { exitCode: 0 };

/** Until something is so; the test's own limit comes first. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(10);
}

/** The processor time that a process has taken (proc_pid_stat(5)). */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** The usual wait for an agent that says nothing, and a busy machine. */
const withoutAgentMs = 300;

onRealSwitch('the life of an agent', (theSwitch) => {
  const node = useNode(theSwitch);

  async function started(options: AgentOptions = {}): Promise<Agent> {
    const agent = await Agent.start(options);
    onTestFinished(() => agent.stop());
    return agent;
  }

  /** One ADD and its DEL. @returns the process that made the ADD, and how long it took */
  async function attach(spy: Spy, options: Parameters<Pod['add']>[2]): Promise<{ parent: number; ms: number }> {
    const pod = await node().pod();
    const began = performance.now();
    expect(await pod.add('net1', spy.changes, options)).toMatchObject(ok);
    const ms = performance.now() - began;
    expect(await pod.del('net1', spy.changes, options)).toMatchObject(ok);
    const runs = spy.runs('ADD', pod.containerId);
    expect(runs).toHaveLength(1);
    return { parent: runs[0]?.parent ?? 0, ms };
  }

  /** Whether a worker of the agent makes the next call. */
  async function isServed(agent: Agent, spy: Spy): Promise<boolean> {
    const { parent } = await attach(spy, through(agent.directory));
    return agent.workers.includes(parent);
  }

  test('two agents on one directory: the first ends, and no call between fails or is made twice (SU2)', async () => {
    const spy = new Spy(node());
    const first = await started({ workers: 2 });
    const pods = await Promise.all(Array.from({ length: 50 }, () => node().pod()));
    const waiting = [...pods];
    const lane = async (): Promise<void> => {
      for (let pod = waiting.shift(); pod; pod = waiting.shift()) {
        expect(await pod.add('net1', spy.changes, through(first.directory))).toMatchObject(ok);
      }
    };
    const lanes = Promise.all([lane(), lane(), lane()]);
    await until(() => spy.runs('ADD').length >= 5);
    const second = await started({ workers: 2, directory: first.directory });
    expect(await first.ended).toBe(0);
    expect(first.said.join()).toContain('another agent has taken over');
    await lanes;
    expect(spy.runs('ADD')).toHaveLength(50);
    expect(new Set(spy.runs('ADD').map(({ containerId }) => containerId)).size).toBe(50);
    expect(await isServed(second, spy)).toBe(true);
    for (const pod of pods) expect(await pod.del('net1', spy.changes, through(second.directory))).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('SIGTERM ends it with its workers and removes its socket; a call after it acts by itself', async () => {
    const spy = new Spy(node());
    const agent = await started();
    const { workers, socket } = agent;
    const began = performance.now();
    agent.signal('SIGTERM');
    expect(await agent.ended).toBe(0);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(existsSync(socket)).toBe(false);
    expect(agent.said).toEqual([]);
    expect(workers).not.toContain((await attach(spy, through(agent.directory))).parent);
  });

  test('a call that a worker has begun is finished and answered although the agent is told to stop', async () => {
    const spy = new Spy(node(), 'while [ -e $D/hold ]; do sleep 0.05; done');
    writeFileSync(join(spy.directory, 'hold'), '');
    const agent = await started();
    const pod = await node().pod();
    const call = start('ADD', pod.call('net1', spy.changes), through(agent.directory));
    await until(() => spy.runs('ADD').length > 0);
    agent.signal('SIGTERM');
    await agent.ended;
    await Bun.file(join(spy.directory, 'hold')).delete();
    expect(await call).toMatchObject(ok);
    expect(spy.runs('ADD')).toHaveLength(1);
    expect(await pod.del('net1', spy.changes)).toMatchObject(ok);
  });

  test('the socket of an agent that was killed costs no call anything, and the next agent takes its place', async () => {
    const spy = new Spy(node());
    const killed = await started();
    const { workers, directory } = killed;
    killed.signal('SIGKILL');
    await killed.ended;
    expect(existsSync(killed.socket)).toBe(true);
    expect(workers).not.toContain((await attach(spy, through(killed.directory))).parent);
    const next = await started({ directory });
    expect(next.socket).toBe(killed.socket);
    expect(await isServed(next, spy)).toBe(true);
  });

  test('an agent that stands still costs a call 300 ms at most; it is made once, also when the agent goes on', async () => {
    const spy = new Spy(node());
    const agent = await started();
    await attach(spy, through(agent.directory));
    // The shortest of a few, because the machine has other work.
    const shortest = async (options: Parameters<Pod['add']>[2]): Promise<number> => {
      const times: number[] = [];
      for (let turn = 0; turn < 4; turn++) {
        const { parent, ms } = await attach(spy, options);
        expect(agent.workers).not.toContain(parent);
        times.push(ms);
      }
      return Math.min(...times);
    };
    const usualMs = await shortest(byItself);
    agent.signal('SIGSTOP');
    expect((await shortest(through(agent.directory))) - usualMs).toBeLessThan(withoutAgentMs);
    const before = spy.runs().length;
    agent.signal('SIGCONT');
    await delay(300);
    expect(spy.runs()).toHaveLength(before);
    expect(await isServed(agent, spy)).toBe(true);
  });

  test('a worker that was killed is replaced, one that stands still is killed, and calls go on meanwhile (SU3)', async () => {
    const spy = new Spy(node());
    const agent = await started({ workers: 2 });
    const [first = 0] = agent.workers;
    process.kill(first, 'SIGKILL');
    await until(() => !agent.workers.includes(first));
    const second = (await attach(spy, through(agent.directory))).parent;
    expect(agent.workers).toContain(second);
    process.kill(second, 'SIGSTOP');
    const made = [await attach(spy, through(agent.directory)), await attach(spy, through(agent.directory))];
    expect(made.map(({ parent }) => parent)).not.toContain(second);
    await until(() => !agent.workers.includes(second));
    expect(agent.said).toEqual([`userspace agent: worker ${second} is busy beyond its time: it is killed`]);
    expect(await isServed(agent, spy)).toBe(true);
  });

  test('a worker whose call left a living child ends, and the child lives on (WO3)', async () => {
    const body =
      'if [ "$CNI_COMMAND" = ADD ]; then setsid sleep 60 > /dev/null 2>&1 < /dev/null 3<&- & echo $! > $D/child; fi';
    const spy = new Spy(node(), body);
    const agent = await started();
    const pod = await node().pod();
    expect(await pod.add('net1', spy.changes, through(agent.directory))).toMatchObject(ok);
    const [{ parent } = { parent: 0 }] = spy.runs('ADD');
    const child = Number(readFileSync(join(spy.directory, 'child'), 'utf8'));
    onTestFinished(() => void process.kill(child, 'SIGKILL'));
    await until(() => !agent.workers.includes(parent));
    process.kill(child, 0);
    expect(await pod.del('net1', spy.changes, through(agent.directory))).toMatchObject(ok);
    expect(spy.runs('DEL').map((run) => run.parent)).not.toContain(parent);
    expect(agent.said).toEqual([]);
  });

  test('eight calls are made at the same time, and the ninth waits for its turn', async () => {
    const spy = new Spy(node(), 'while [ -e $D/hold ]; do sleep 0.05; done');
    writeFileSync(join(spy.directory, 'hold'), '');
    const agent = await started({ workers: 8 });
    const pods = await Promise.all(Array.from({ length: 9 }, () => node().pod()));
    const calls = pods.map((pod) => pod.add('net1', spy.changes, through(agent.directory)));
    await until(() => spy.runs('ADD').length === 8);
    await delay(300);
    const parents = spy.runs('ADD').map(({ parent }) => parent);
    expect(parents.sort()).toEqual(agent.workers.sort());
    expect(new Set(parents).size).toBe(8);
    await Bun.file(join(spy.directory, 'hold')).delete();
    for (const answer of await Promise.all(calls)) expect(answer).toMatchObject(ok);
    expect(spy.runs('ADD')).toHaveLength(9);
    for (const { parent } of spy.runs('ADD')) expect(parents).toContain(parent);
    await Promise.all(pods.map((pod) => pod.del('net1', spy.changes, through(agent.directory))));
    expectNothingLeft(await node().world());
  });

  test('an agent without descriptors rests; calls go on by themselves, and later by its workers', async () => {
    const program = join(node().directory, 'limited');
    writeProgram(program, `exec prlimit --nofile=128:128 ${executable} "$@"`);
    const spy = new Spy(node());
    const agent = await started({ program });
    const sockets = Array.from({ length: 200 }, () => connect(agent.socket));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    for (const socket of sockets) socket.on('error', () => undefined).resume();
    await delay(500);
    const before = cpuMs(agent.pid);
    expect(await isServed(agent, spy)).toBe(false);
    await delay(2_000);
    expect(cpuMs(agent.pid) - before).toBeLessThan(500);
    for (const socket of sockets) socket.destroy();
    await delay(1_500);
    expect(await isServed(agent, spy)).toBe(true);
    expect(agent.said.length).toBeLessThan(10);
  });

  test('connections that say nothing, too little or nonsense do not keep calls from being made', async () => {
    const spy = new Spy(node());
    const agent = await started({ workers: 2 });
    const sockets: Socket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    const opened = async (text?: string): Promise<Socket> => {
      const socket = connect(agent.socket);
      sockets.push(socket);
      socket.on('error', () => undefined);
      // Otherwise its end would not be seen.
      socket.resume();
      await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
      if (text) socket.write(text);
      return socket;
    };
    for (const text of [
      'GET / HTTP/1.1\r\n\r\n',
      '99999999\n',
      '-1\n{}',
      '4\nnull',
      '12\n{"say":"go"}',
      '\u0000'.repeat(64),
    ]) {
      const socket = await opened(text);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(await isServed(agent, spy)).toBe(true);
    const slow = await opened('1');
    const timer = setInterval(() => slow.write('1'), 50);
    onTestFinished(() => clearInterval(timer));
    expect(await isServed(agent, spy)).toBe(true);
    // More than the agent keeps: calls beside them are made by their own processes, at once.
    await Promise.all(Array.from({ length: 1_000 }, () => opened()));
    const { ms } = await attach(spy, through(agent.directory));
    expect(ms).toBeLessThan(5_000);
    const silent = sockets.splice(0);
    await until(() => silent.every(({ closed, destroyed }) => closed || destroyed));
    expect(await isServed(agent, spy)).toBe(true);
    expect(readdirSync(`/proc/${agent.pid}/fd`).length).toBeLessThan(40);
    expect(agent.said).toEqual([]);
  });
});
