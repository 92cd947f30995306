/** `userspace agent --recover` on a real switch: what a node needs after a boot, after its switch was away, and in between. */
import { existsSync, lstatSync } from 'node:fs';
import { relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Agent } from '../support/real/agent.ts';
import { type Mode, type Pod, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { type Switch, startSwitch } from '../support/real/switch.ts';
import { byItself } from '../support/real/way.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };

/** Until something is so; the test's own limit comes first. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(50);
}

async function recovering(node: TestNode): Promise<Agent> {
  // The agent is started in this directory, and leaves it.
  const dataDir = relative(process.cwd(), node.dataDir);
  const words = ['--recover', '--data-dir', dataDir, '--ovsdb', node.theSwitch.ovsdb];
  const agent = await Agent.start({ words });
  onTestFinished(() => agent.stop());
  return agent;
}

/** The recoveries that the agent has begun, and why. */
const reasonsOf = ({ said }: Agent): string[] =>
  said.flatMap((line) => /recover \(process \d+\) begins: (.*)$/.exec(line)?.[1] ?? []);

/** Whether its first recovery has ended. */
const isAtRest = ({ said }: Agent): boolean => said.some((line) => line.endsWith('nothing is owed'));

onRealSwitch('an agent that recovers', (theSwitch) => {
  const node = useNode(theSwitch);

  test('releases at its start what a sandbox that is gone has left, and says in its log what it did', async () => {
    const [gone, alive] = [await node().pod(), await node().pod()];
    for (const pod of [gone, alive]) expect(await pod.add('net1', {}, byItself)).toMatchObject(ok);
    await gone.removeNetns();
    const agent = await recovering(node());
    await until(() => !existsSync(gone.journal()));
    await until(() => agent.said.some((line) => line.includes(gone.containerId) && line.includes('removed')));
    expect(reasonsOf(agent)).toEqual(['the agent has started']);
    expect(existsSync(alive.journal())).toBe(true);
    expect(await alive.del('net1', {}, byItself)).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('serves calls while it recovers, and starts no second recovery', async () => {
    const agent = await recovering(node());
    const env = { env: { USERSPACE_CNI_AGENT: agent.directory } };
    const pod = await node().pod();
    for (let count = 0; count < 5; count++) {
      expect(await pod.add('net1', {}, env)).toMatchObject(ok);
      expect(await pod.del('net1', {}, env)).toMatchObject(ok);
    }
    expect(reasonsOf(agent)).toHaveLength(1);
    expectNothingLeft(await node().world());
  });
});

describe('an agent whose switch goes away', () => {
  /** An attachment, and an agent at rest, on a switch of the test's own. The DEL after the scene leaves nothing. */
  async function scene(mode: Mode, play: (scene: { own: Switch; node: TestNode; pod: Pod }) => Promise<void>) {
    const own = await startSwitch();
    try {
      const node = await TestNode.create(own, mode);
      try {
        const pod = await node.pod();
        expect(await pod.add('net1', {}, byItself)).toMatchObject(ok);
        const agent = await recovering(node);
        await until(() => isAtRest(agent));
        await play({ own, node, pod });
        expect(reasonsOf(agent)).toContain('the switch is back');
        expect(await pod.del('net1', {}, byItself)).toMatchObject(ok);
        expectNothingLeft(await node.world());
      } finally {
        await node.end();
      }
    } finally {
      await own.stop();
    }
  }

  test('recovers when ovs-vswitchd is back: its socket of server mode is moved to the pod again', async () => {
    await scene('server', async ({ own, pod }) => {
      const before = lstatSync(pod.socket()).ino;
      await own.stopVswitchd();
      await own.startVswitchd();
      await until(() => existsSync(pod.socket()) && lstatSync(pod.socket()).ino !== before);
    });
  });

  test('puts the ports back when ovsdb-server has come back with an empty database', async () => {
    await scene('client', async ({ own, node, pod }) => {
      await own.wipeDatabase();
      await until(async () => (await node.world()).ports.includes(pod.portName()));
    });
  });
});
