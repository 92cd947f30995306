/** CNI 1.1.0 with a current host-local, built from its module, because Debian's does not know 1.1.0. */
import { expect, test } from 'vitest';
import { cni } from '../support/real/cni.ts';
import { halfIsCollected } from '../support/real/gc-among-living.ts';
import type { Changes, Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { ipamAssets } from '../support/requirements.ts';

const newest = { cniVersion: '1.1.0' };

onRealSwitch(
  'with a current host-local',
  (theSwitch) => {
    const node = useNode(theSwitch);
    const called = (command: string, pod: Pod, changes: Changes = {}) =>
      cni(command, { ...pod.call('net1', { ...newest, ...changes }), path: ipamAssets() });

    test('ADD, CHECK, STATUS and DEL of 1.1.0 are whole', async () => {
      const pod = await node().pod();
      const { exitCode, json } = await called('ADD', pod);
      expect({ exitCode, json }).toMatchObject({
        exitCode: 0,
        json: { cniVersion: '1.1.0', interfaces: [{ socketPath: pod.socket() }] },
      });
      for (const [command, changes] of [
        ['CHECK', { prevResult: json }],
        ['STATUS', {}],
        ['DEL', {}],
      ] as const) {
        expect(await called(command, pod, changes)).toMatchObject({ exitCode: 0, stdout: '' });
      }
      expectNothingLeft(await node().world());
    });

    test('GC removes half of 50 attachments while 10 ADDs run, and hands the list on (case A30)', async () => {
      await halfIsCollected(node(), newest, ipamAssets());
    });
  },
  { parts: ['ipamAssets'] },
);
