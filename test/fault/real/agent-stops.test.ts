/**
 * Calls through an agent that stands still (SIGSTOP, a frozen control group, a virtual machine that is paused) while the runtime gives
 * up its call and goes on without the agent; then the agent goes on too.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { usePodGround } from '../../support/cluster/pod-ground.ts';
import { type AgentVerb, agentVerbs, holdAt, killProcess, removed } from '../../support/real/agent-matrix.ts';
import { useSeat } from '../../support/real/agent-seat.ts';
import { agentStops } from '../../support/real/agent-stops.ts';
import { answer, start } from '../../support/real/cni.ts';
import { complete, dice, Tally } from '../../support/real/fault-suite.ts';
import { plainGround } from '../../support/real/kill-matrix.ts';
import type { Mode } from '../../support/real/node.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { byItself } from '../../support/real/way.ts';
import { withSeed } from '../../support/seed.ts';

/** The calls are nearly the same everywhere, so a sample has few points of the other two grounds. */
const grounds: readonly { mode: Mode; sampled: number }[] = [
  { mode: 'client', sampled: 8 },
  { mode: 'server', sampled: 2 },
];
const sampledInPod = 2;
const moments = complete ? 100 : 12;
/** A little more than an ADD takes on a busy machine. */
const wholeMs = 150;
/** Longer than a call waits for an agent to accept it, and shorter than it waits for the answer. */
const standsMs = 600;
/** The calls of a worker before its caller may say `go`: the word to the supervisor, and `accepted`. */
const beforeGo = [1, 2];
const triesMax = 5;

onRealSwitch(withSeed('an agent that stands still'), (theSwitch) => {
  const tally = new Tally('agent-stops');
  const die = dice('agent-stops');
  const seat = useSeat();
  afterAll(() => tally.print());

  describe('in a pod', () => {
    const node = useNode(theSwitch);
    agentStops(usePodGround(node, sampledInPod), seat, tally, die);
  });

  describe.each(grounds)('in $mode mode', ({ mode, sampled }) => {
    const node = useNode(theSwitch, mode);
    const nothingLeft = async () => await plainGround(node(), mode, {}).expectNothingLeft();
    agentStops(() => ({ ...plainGround(node(), `${mode} mode`, {}), sampled }), seat, tally, die);

    test('a supervisor that stands still before it has the call: the call is made at once by its own process', async () => {
      const { agent } = await seat().ready();
      agent.signal('SIGSTOP');
      const pod = await node().pod();
      const began = performance.now();
      const added = await pod.add('net1', {}, seat().through);
      expect(added).toMatchObject({ exitCode: 0 });
      expect(performance.now() - began).toBeLessThan(5_000);
      agent.signal('SIGCONT');
      // It reads the request of a process that has gone.
      await agent.atRest();
      await delay(50);
      expect(await pod.check(added.json)).toMatchObject({ exitCode: 0 });
      expect(await pod.del('net1', {}, seat().through)).toMatchObject({ exitCode: 0 });
      tally.cases++;
      tally.faults++;
      await tally.clean(nothingLeft);
    });

    /** @returns whether the worker was seen to stand; on a busy machine the call may have gone before */
    const makesItself = async (verb: AgentVerb, nth: number): Promise<boolean> => {
      const { command } = verb;
      const ground = plainGround(node(), mode, {});
      const scene = { ground, pod: await ground.target(), way: byItself };
      const call = await verb.prepare(scene);
      const { shim, tracer, at, agent, worker } = await holdAt(nth, { command, call, seat: seat() });
      const given = answer(await shim);
      expect(given).toMatchObject(verb.answers);
      // The call did not wait until the supervisor ended the worker.
      if (at !== undefined) expect(agent.workers).toContain(worker);
      await tracer.release();
      await agent.atRest();
      await verb.expectTrue(scene, given);
      await removed(scene);
      tally.cases++;
      tally.faults += Number(at !== undefined);
      await tally.clean(nothingLeft);
      await ground.dispose(scene.pod);
      return at !== undefined;
    };

    test.each(agentVerbs)('$name, whose worker stands still before it accepts: the call makes itself', async (verb) => {
      for (const nth of beforeGo) {
        let isHeld = false;
        for (let tries = 0; !isHeld && tries < triesMax; tries++) isHeld = await makesItself(verb, nth);
        expect(isHeld).toBe(true);
      }
    });

    /** An ADD whose agent and worker were stopped after a part of the time that it takes. */
    const stoppedAnywhere = async () => {
      const { agent, worker } = await seat().ready();
      const pod = await node().pod();
      const shim = start('ADD', pod.call(), seat().through);
      await delay(die.next() * wholeMs);
      const signal = (name: NodeJS.Signals) => {
        for (const pid of [agent.pid, worker]) killProcess(pid, name);
      };
      signal('SIGSTOP');
      return { agent, pod, goOn: () => signal('SIGCONT'), shim };
    };

    test('I3 an agent stopped by SIGSTOP at any moment of an ADD, and SIGCONT after a while: its answer is true', async () => {
      let byThemselves = 0;
      for (let round = 0; round < moments; round++) {
        const { agent, pod, shim, goOn } = await stoppedAnywhere();
        const isAnswered = await Promise.race([shim.then(() => true), delay(standsMs, false)]);
        byThemselves += Number(isAnswered);
        goOn();
        const added = answer(await shim);
        expect(added).toMatchObject({ exitCode: 0 });
        await agent.atRest();
        expect(await pod.check(added.json)).toMatchObject({ exitCode: 0 });
        expect(await pod.del('net1', {}, byItself)).toMatchObject({ exitCode: 0 });
        tally.cases++;
        tally.faults++;
        await tally.clean(nothingLeft);
        await pod.removeNetns();
      }
      console.log(`${mode} mode: ${moments} stops, ${byThemselves} ADDs answered before it went on`);
    });

    test('I4 an agent stopped by SIGSTOP at any moment of an ADD that is then killed: DEL, SIGCONT, and nothing is left', async () => {
      for (let round = 0; round < moments; round++) {
        const { agent, pod, shim, goOn } = await stoppedAnywhere();
        shim.kill('SIGKILL');
        const { signal } = answer(await shim);
        expect(await pod.del('net1', { deadlines: { lockMs: 200 } }, byItself)).toMatchObject({ exitCode: 0 });
        goOn();
        await agent.atRest();
        expect(await node().recover()).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0, kept: 0 } });
        tally.cases++;
        tally.faults += Number(signal === 'SIGKILL');
        await tally.clean(nothingLeft);
        await pod.removeNetns();
      }
    });
  });
});
