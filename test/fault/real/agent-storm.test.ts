/**
 * A hundred calls at once through agents that are killed, started and replaced in the middle. No caller notices it, nothing may be left,
 * and no address is given twice.
 */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import type { Dice } from '../../support/dice.ts';
import { Agent } from '../../support/real/agent.ts';
import { killProcess } from '../../support/real/agent-matrix.ts';
import type { Answer, CallOptions } from '../../support/real/cni.ts';
import { complete, dice, Tally } from '../../support/real/fault-suite.ts';
import type { Pod } from '../../support/real/node.ts';
import { failures } from '../../support/real/storm.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { byItself, through } from '../../support/real/way.ts';
import { expectNothingLeft } from '../../support/real/world.ts';
import { executable } from '../../support/requirements.ts';
import { withSeed } from '../../support/seed.ts';

const crowd = 100;
const rounds = complete ? 20 : 2;
/** The longest pause between two faults. */
const pauseMs = 250;

/** How often a process has gone to sleep (proc_pid_status(5)): one that is never asked sleeps on. */
const sleepsOf = (pid = 0): string =>
  /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';

onRealSwitch(withSeed('a storm around agents'), (theSwitch) => {
  const tally = new Tally('agent-storm');
  const node = useNode(theSwitch);
  let directory: string;
  let asking: CallOptions;
  let agents: Agent[];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'usw-a-'));
    asking = through(directory);
    agents = [];
  });
  afterEach(async () => {
    for (const agent of agents) await agent.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  afterAll(() => tally.print());

  const startAgent = async (program = executable): Promise<Agent> => {
    const agent = await Agent.start({ directory, program });
    agents.push(agent);
    return agent;
  };

  /** One fault, and an agent in its place. */
  const disturb = async (agent: Agent, die: Dice): Promise<Agent> => {
    const { workers } = agent;
    const what = die.next();
    tally.faults++;
    if (what < 0.3) {
      if (workers.length > 0) killProcess(die.pick(workers));
      return agent;
    }
    if (what < 0.8) killProcess(agent.pid);
    if (what < 0.5) for (const pid of workers) killProcess(pid);
    // Or the next agent takes over from one that serves.
    return await startAgent();
  };

  /** Runs calls while agents come and go. */
  const disturbed = async (calls: () => Promise<readonly Answer[]>, die: Dice): Promise<readonly Answer[]> => {
    let isOver = false;
    const ended = calls().finally(() => {
      isOver = true;
    });
    let agent = agents.at(-1) ?? (await startAgent());
    while (!isOver) {
      await delay(die.next() * pauseMs);
      agent = await disturb(agent, die);
    }
    return await ended;
  };

  test(`${crowd} ADDs at once and ${crowd} DELs at once succeed while agents are killed and replaced`, async () => {
    const die = dice('agent-storm');
    for (let round = 0; round < rounds; round++) {
      await startAgent();
      const pods: Pod[] = [];
      for (let index = 0; index < crowd; index++) pods.push(await node().pod());
      const added = await disturbed(() => Promise.all(pods.map((pod) => pod.add('net1', {}, asking))), die);
      expect(failures(added)).toEqual([]);
      expect(new Set(added.map(({ json }) => json.ips[0].address)).size).toBe(crowd);
      const world = await node().world();
      expect(world).toMatchObject({ bridges: [node().bridge], errors: [] });
      expect(world.ports).toEqual(pods.map((pod) => pod.portName()).sort());
      expect(world.addresses).toHaveLength(crowd);
      expect(await pods[0]?.check(added[0]?.json)).toMatchObject({ exitCode: 0 });
      const removed = await disturbed(() => Promise.all(pods.map((pod) => pod.del('net1', {}, asking))), die);
      expect(failures(removed)).toEqual([]);
      tally.cases += 2 * crowd;
      await tally.clean(async () => expectNothingLeft(await node().world()));
      for (const pod of pods) await pod.removeNetns();
    }
  });

  test('an agent whose place another has taken ends by itself, and no call fails meanwhile', async () => {
    const first = await startAgent();
    const second = await startAgent();
    expect(second.socket).toBe(first.socket);
    let isOver = false;
    void first.ended.then(() => {
      isOver = true;
    });
    while (!isOver) {
      const pod = await node().pod();
      expect(await pod.add('net1', {}, asking)).toMatchObject({ exitCode: 0 });
      expect(await pod.del('net1', {}, asking)).toMatchObject({ exitCode: 0 });
      await pod.removeNetns();
      tally.cases += 2;
    }
    expect(await first.ended).toBe(0);
    tally.faults++;
    await tally.clean(async () => expectNothingLeft(await node().world()));
  });

  test('an agent of another build is asked by no call of this one', async () => {
    const copy = join(directory, 'userspace');
    copyFileSync(executable, copy);
    const other = await startAgent(copy);
    await other.atRest();
    const before = sleepsOf(other.workers[0]);
    const pod = await node().pod();
    expect(await pod.add('net1', {}, asking)).toMatchObject({ exitCode: 0 });
    expect(await pod.del('net1', {}, asking)).toMatchObject({ exitCode: 0 });
    expect(sleepsOf(other.workers[0])).toBe(before);
    // The same build does ask it, and both leave the same.
    const own = { ...asking, program: copy };
    const added = await pod.add('net1', {}, own);
    expect(added).toMatchObject({ exitCode: 0 });
    expect(sleepsOf(other.workers[0])).not.toBe(before);
    expect(await pod.check(added.json)).toMatchObject({ exitCode: 0 });
    expect(await pod.del('net1', {}, byItself)).toMatchObject({ exitCode: 0 });
    tally.cases += 4;
    tally.faults++;
    await tally.clean(async () => expectNothingLeft(await node().world()));
  });
});
