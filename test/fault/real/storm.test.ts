/**
 * Crowds: a hundred at once on an empty switch, and a mixture of ADDs and DELs on few keys, killed and paused at random. Nothing
 * may be left, and no address is given twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { start } from '../../support/real/cni.ts';
import { complete, dice, Tally } from '../../support/real/fault-suite.ts';
import { type Mode, newId, type Pod, type TestNode } from '../../support/real/node.ts';
import { failures, storms } from '../../support/real/storm.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { expectNothingLeft } from '../../support/real/world.ts';
import { withSeed } from '../../support/seed.ts';

const modes: readonly Mode[] = ['client', 'server'];
const crowd = 100;
const keys = 20;
const workers = 50;
const stormMs = 1_000;
/** The number of storms in each mode. */
const count = complete ? 60 : 12;
const pauses = complete ? 100 : 25;

async function podsOf(node: TestNode, count: number): Promise<Pod[]> {
  const pods: Pod[] = [];
  for (let index = 0; index < count; index++) pods.push(await node.pod());
  return pods;
}

onRealSwitch(withSeed('the storm'), (theSwitch) => {
  const tally = new Tally('storm');
  afterAll(() => tally.print());
  const nothingLeft = (node: TestNode) => tally.clean(async () => expectNothingLeft(await node.world()));

  describe.each(modes)('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);

    test(`${crowd} ADDs at once on a switch without the bridge, then ${crowd} DELs at once`, async () => {
      const pods = await podsOf(node(), crowd);
      const added = await Promise.all(pods.map((pod) => pod.add()));
      expect(failures(added)).toEqual([]);
      const addresses = added.map(({ json }) => json.ips[0].address);
      expect(new Set(addresses).size).toBe(crowd);
      const world = await node().world();
      expect(world).toMatchObject({ bridges: [node().bridge], errors: [], sockets: [] });
      expect(world.ports).toEqual(pods.map((pod) => pod.portName()).sort());
      expect(world.addresses).toHaveLength(crowd);
      const removed = await Promise.all(pods.map((pod) => pod.del()));
      expect(failures(removed)).toEqual([]);
      tally.cases += 2 * crowd;
      await nothingLeft(node());
    });

    test(`${count} storms of ADDs and DELs of ${keys} keys by ${workers} processes, killed and paused`, async () => {
      const targetsFor = () => podsOf(node(), keys);
      await storms(count, { targetsFor, salt: `storm ${mode}`, workers, ms: stormMs, tally }, async (pods) => {
        const { exitCode, json } = await node().recover();
        expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0 } });
        // Only an attachment at rest stays until its DEL.
        const rest = await node().world();
        expect(rest.ports.length).toBeLessThanOrEqual(rest.journals.length);
        expect(rest.addresses).toHaveLength(rest.journals.length);
        expect(failures(await Promise.all(pods.map((pod) => pod.del())))).toEqual([]);
        await nothingLeft(node());
        await Promise.all(pods.map((pod) => pod.removeNetns()));
      });
    });

    test('a paused ADD that goes on after its DEL has answered takes back what it still does', async () => {
      const roll = dice(`pause ${mode}`);
      const measured = await node().pod(newId());
      const began = performance.now();
      await measured.add();
      const whole = performance.now() - began;
      await measured.del();
      let late = 0;
      for (let paused = 0; paused < pauses; ) {
        const pod = await node().pod();
        const child = start('ADD', pod.call());
        let ended = false;
        void child.then(() => {
          ended = true;
        });
        await delay(roll.next() * whole);
        child.kill('SIGSTOP');
        // A DEL that finds the attachment locked marks it and answers.
        expect(await pod.del('net1', { deadlines: { lockMs: 200 } })).toMatchObject({ exitCode: 0 });
        const inTime = !ended;
        // As a runtime goes on after its DEL.
        await pod.removeNetns();
        child.kill('SIGCONT');
        const { exitCode } = await child;
        tally.cases++;
        if (!inTime) {
          await nothingLeft(node());
          continue;
        }
        paused++;
        tally.faults++;
        // It had looked for the last time before the pause, so it does nothing more. The DEL took or owes its work.
        if (exitCode === 0) {
          late++;
          const { json } = await node().recover();
          expect(json).toMatchObject({ owed: 0, held: 0, kept: 0 });
        }
        await nothingLeft(node());
      }
      console.log(`${mode} mode: ${pauses} ADDs paused, ${late} of them after their last look`);
    });
  });
});
