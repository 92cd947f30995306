/**
 * The real executable is killed with SIGKILL at every fsync and at every other call that changes something, against the real
 * switch; then the next call finishes. The number of kills is computed from a whole run.
 */
import { describe, expect, test } from 'vitest';
import { killedAt, pointsOf } from '../support/real/kill-at-syscall.ts';
import type { Pod, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const durable = 'fsync';
const changing = 'fsync,write,sendto,sendmsg,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,fchmod';

/** The call after a killed ADD, after which nothing may be left. */
const followUps: [string, (pod: Pod, node: TestNode) => Promise<void>][] = [
  [
    'DEL',
    async (pod) => {
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
    },
  ],
  [
    'recover',
    async (pod, node) => {
      const { exitCode, json } = await node.recover();
      expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0 } });
      // Killed after the last record it was attached, whether or not the runtime heard; its DEL follows.
      if (json.kept > 0) await pod.del();
    },
  ],
  [
    'ADD again and DEL',
    async (pod) => {
      expect(await pod.add()).toMatchObject({ exitCode: 0 });
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
    },
  ],
];

onRealSwitch(
  'a killed call',
  (theSwitch) => {
    /** The calls of an ADD on a node that has had one before: the first ADD also makes the instance's own file. */
    const addPoints = async (node: TestNode, calls: string) => {
      const [first, counted] = [await node.pod(), await node.pod()];
      await first.add();
      await first.del();
      const points = await pointsOf('ADD', counted.call(), calls);
      await counted.del();
      return points;
    };

    describe.each(['client', 'server'] as const)('in %s mode', (mode) => {
      const node = useNode(theSwitch, mode);

      test.each(followUps)(
        'an ADD killed at any of its fsyncs leaves nothing after %s (bug B1, I4)',
        async (name, follow) => {
          const points = await addPoints(node(), durable);
          expect(points.length).toBeGreaterThanOrEqual(8);
          for (const point of points) {
            const pod = await node().pod();
            expect(await killedAt('ADD', pod.call(), point)).toBe(true);
            await follow(pod, node());
            expectNothingLeft(await node().world());
          }
          console.log(`${mode} mode: ${points.length} ADDs killed at fsync, each followed by ${name}`);
        },
      );

      test('an ADD killed at any call that changes something leaves nothing after DEL (bug B1, I4)', async () => {
        const points = await addPoints(node(), changing);
        let killed = 0;
        for (const point of points) {
          const pod = await node().pod();
          killed += Number(await killedAt('ADD', pod.call(), point));
          expect(await pod.del()).toMatchObject({ exitCode: 0 });
          expectNothingLeft(await node().world());
        }
        console.log(`${mode} mode: ${killed} ADDs killed at calls that change something`);
        expect(killed).toBeGreaterThan(points.length * 0.9);
      });

      test('a killed DEL is finished by the next, and its journal stays until nothing is left (case A24, I5)', async () => {
        const counted = await node().pod();
        await counted.add();
        const points = await pointsOf('DEL', counted.call(), changing);
        let killed = 0;
        for (const point of points) {
          const pod = await node().pod();
          await pod.add();
          killed += Number(await killedAt('DEL', pod.call(), point));
          const { journals, ...rest } = await node().world();
          if (journals.length === 0) expect(Object.values(rest).flat()).toEqual([]);
          expect(await pod.del()).toMatchObject({ exitCode: 0 });
          expectNothingLeft(await node().world());
        }
        console.log(`${mode} mode: ${killed} DELs killed at calls that change something`);
        expect(killed).toBeGreaterThan(points.length * 0.9);
      });
    });
  },
  { parts: ['strace'] },
);

onRealSwitch('a repeated ADD', (theSwitch) => {
  const node = useNode(theSwitch);

  test('answers what the first one did, and makes nothing twice', async () => {
    const pod = await node().pod();
    const first = await pod.add();
    const before = await theSwitch().vsctl('get', 'Port', pod.portName(), '_uuid');
    const second = await pod.add();
    expect(second.json).toEqual(first.json);
    expect(await theSwitch().vsctl('get', 'Port', pod.portName(), '_uuid')).toBe(before);
    expect((await node().world()).addresses).toHaveLength(1);
    await pod.del();
    expectNothingLeft(await node().world());
  });

  test('with another request starts over: the switch has the new request', async () => {
    const pod = await node().pod();
    await pod.add();
    const changes = { host: { bridge: { vlanId: 42 } } };
    expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
    expect(await node().port(pod.portName())).toMatchObject({ tag: 42 });
    expect((await node().world()).ports).toHaveLength(1);
    await pod.del();
    expectNothingLeft(await node().world());
  });

  test('makes the port again that was deleted behind our back', async () => {
    const pod = await node().pod();
    await pod.add();
    await theSwitch().vsctl('del-port', pod.portName());
    expect(await pod.add()).toMatchObject({ exitCode: 0 });
    expect(await node().port(pod.portName())).toMatchObject({ error: undefined });
    await pod.del();
    expectNothingLeft(await node().world());
  });
});
