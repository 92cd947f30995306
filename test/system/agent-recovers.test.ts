/** `userspace agent --recover` on a real switch: what a node needs after a boot, after its switch was away, and in between. */
import { existsSync, lstatSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Agent } from '../support/real/agent.ts';
import { TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { startSwitch } from '../support/real/switch.ts';
import { byItself } from '../support/real/way.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };

/** Until something is so; the test's own limit comes first. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(50);
}

async function recovering(node: TestNode): Promise<Agent> {
  const words = ['--recover', '--data-dir', node.dataDir, '--ovsdb', node.theSwitch.ovsdb];
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
  test('recovers when ovs-vswitchd is back: its socket of server mode is moved to the pod again', async () => {
    const own = await startSwitch();
    try {
      const server = await TestNode.create(own, 'server');
      try {
        const pod = await server.pod();
        expect(await pod.add('net1', {}, byItself)).toMatchObject(ok);
        const before = lstatSync(pod.socket()).ino;
        const agent = await recovering(server);
        await until(() => isAtRest(agent));
        await own.stopVswitchd();
        await own.startVswitchd();
        await until(() => existsSync(pod.socket()) && lstatSync(pod.socket()).ino !== before);
        expect(reasonsOf(agent)).toContain('the switch is back');
        expect(await pod.del('net1', {}, byItself)).toMatchObject(ok);
        expectNothingLeft(await server.world());
      } finally {
        await server.end();
      }
    } finally {
      await own.stop();
    }
  });

  test('puts the ports back when ovsdb-server has come back with an empty database', async () => {
    const own = await startSwitch();
    try {
      const client = await TestNode.create(own, 'client');
      try {
        const pod = await client.pod();
        expect(await pod.add('net1', {}, byItself)).toMatchObject(ok);
        const agent = await recovering(client);
        await until(() => isAtRest(agent));
        await own.wipeDatabase();
        await until(async () => (await client.world()).ports.includes(pod.portName()));
        expect(reasonsOf(agent)).toContain('the switch is back');
        expect(await pod.del('net1', {}, byItself)).toMatchObject(ok);
        expectNothingLeft(await client.world());
      } finally {
        await client.end();
      }
    } finally {
      await own.stop();
    }
  });
});
