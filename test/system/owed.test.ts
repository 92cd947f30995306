/**
 * A DEL that cannot do everything succeeds all the same, says what it owes, and the next DEL or recover pays.
 */
import { rename, rm, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { Changes, Pod, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const impatient: Changes = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500, ipamMs: 500 } };

/** The call that finishes. */
const payers: [string, (pod: Pod, node: TestNode) => Promise<void>][] = [
  ['DEL', async (pod) => expect(await pod.del()).toMatchObject({ exitCode: 0 })],
  [
    'recover',
    async (_, node) => {
      const { exitCode, json } = await node.recover();
      expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { removed: 1, owed: 0 } });
      expect(json.attachments[0]).toMatchObject({ found: 'going', result: 'removed' });
    },
  ],
  [
    'the DEL of another pod',
    async (_, node) => {
      const other = await node.pod();
      await other.add();
      expect(await other.del()).toMatchObject({ exitCode: 0 });
    },
  ],
];

onRealSwitch('an owed removal', (theSwitch) => {
  describe.each(['client', 'server'] as const)('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);

    test.each(payers)(
      'with the database stopped DEL succeeds and owes; with it back, %s finishes (bug B2)',
      async (_, pay) => {
        const pod = await node().pod();
        await pod.add();
        await theSwitch().stopDatabase();
        try {
          expect(await pod.del('net1', impatient)).toMatchObject({ exitCode: 0, stdout: '' });
          const [owed] = await node().list();
          expect(owed).toMatchObject({ key: `net-a:${pod.containerId}:net1`, state: 'owed' });
          expect(owed.owed.length).toBeGreaterThan(0);
          expect(owed.owed.map(({ step }: { step: string }) => step)).toContain('port');
        } finally {
          await theSwitch().startDatabase();
        }
        // The address is held as long as the port is there: no other attachment may get it.
        expect(await node().world()).toMatchObject({ ports: [pod.portName()], addresses: ['net-a/10.56.0.2'] });
        await pay(pod, node());
        expectNothingLeft(await node().world());
        expect(await node().list()).toEqual([]);
      },
    );

    test('with the whole switch stopped and started again, everything of the pod goes', async () => {
      const pod = await node().pod();
      await pod.add();
      await theSwitch().stopVswitchd();
      await theSwitch().stopDatabase();
      expect(await pod.del('net1', impatient)).toMatchObject({ exitCode: 0 });
      await theSwitch().startDatabase();
      await theSwitch().startVswitchd();
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('with ovs-vswitchd standing still the address is not given back before the port is gone (case A32)', async () => {
      const pod = await node().pod();
      await pod.add();
      theSwitch().pauseVswitchd();
      try {
        expect(await pod.del('net1', impatient)).toMatchObject({ exitCode: 0 });
        expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2']);
        expect((await node().list())[0]).toMatchObject({ state: 'owed' });
      } finally {
        theSwitch().resumeVswitchd();
      }
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });
  });

  describe('of an address', () => {
    const node = useNode(theSwitch);

    test('an IPAM plugin whose DEL fails is owed alone: port, socket and bridge go; later the address goes too (case A12)', async () => {
      const failing = { ipam: { type: 'moody' } };
      await node().program(
        'moody',
        `[ -e "$0.broken" ] && [ "$CNI_COMMAND" = DEL ] && { echo '{"code":7,"msg":"store is away"}'; exit 1; }\nexec /usr/lib/cni/host-local`,
      );
      const pod = await node().pod();
      expect(await pod.add('net1', failing)).toMatchObject({ exitCode: 0 });
      await writeFile(`${node().binDir}/moody.broken`, '');
      expect(await pod.del('net1', failing)).toMatchObject({ exitCode: 0 });
      const world = await node().world();
      expect(world).toMatchObject({ ports: [], bridges: [], files: [], sockets: [], addresses: ['net-a/10.56.0.2'] });
      const [owed] = await node().list();
      expect(owed).toMatchObject({
        state: 'owed',
        owed: [{ step: 'address', message: expect.stringContaining('store is away') }],
      });
      expect((await node().recover()).exitCode).toBe(3);
      await rm(`${node().binDir}/moody.broken`);
      expect(await node().recover()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('an IPAM plugin that hangs at DEL costs its own deadline and is owed', async () => {
      const hanging = { ...impatient, ipam: { type: 'sleepy' } };
      await node().program(
        'sleepy',
        '[ "$CNI_COMMAND" = DEL ] && [ ! -e "$0.awake" ] && exec sleep 600\nexec /usr/lib/cni/host-local',
      );
      const pod = await node().pod();
      await pod.add('net1', hanging);
      expect(await pod.del('net1', hanging)).toMatchObject({ exitCode: 0 });
      expect((await node().world()).ports).toEqual([]);
      await writeFile(`${node().binDir}/sleepy.awake`, '');
      expect(await pod.del('net1', hanging)).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });

    test('an IPAM program that was uninstalled is owed until it is back', async () => {
      const pod = await node().pod();
      await node().program('gone', 'exec /usr/lib/cni/host-local');
      const changes = { ipam: { type: 'gone' } };
      await pod.add('net1', changes);
      await rename(`${node().binDir}/gone`, `${node().binDir}/away`);
      expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0 });
      expect(await node().world()).toMatchObject({ ports: [], addresses: ['net-a/10.56.0.2'] });
      await rename(`${node().binDir}/away`, `${node().binDir}/gone`);
      expect(await node().recover()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });
  });

  describe('and the pod that comes back', () => {
    const node = useNode(theSwitch);

    test('an ADD of an attachment that is going finishes the removal and answers 11; the next one attaches', async () => {
      const pod = await node().pod();
      await pod.add();
      await theSwitch().stopDatabase();
      await pod.del('net1', impatient);
      await theSwitch().startDatabase();
      expect((await pod.add()).json).toMatchObject({ code: 11 });
      expectNothingLeft(await node().world());
      expect(await pod.add()).toMatchObject({ exitCode: 0 });
      await pod.del();
      expectNothingLeft(await node().world());
    });
  });
});
