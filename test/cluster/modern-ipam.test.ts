/** CNI 1.1.0 with a current host-local, built from its module: Debian's knows it not. */
import { expect, test } from 'vitest';
import { cni } from '../support/cni.ts';
import type { Changes, Pod } from '../support/node.ts';
import { ipamAssets } from '../support/requirements.ts';
import { onRealSwitch, useNode } from '../support/suite.ts';
import { expectNothingLeft } from '../support/world.ts';

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

    test('A30 GC removes what is not listed, and hands the list on', async () => {
      const pods = await Promise.all(Array.from({ length: 10 }, () => node().pod()));
      for (const pod of pods) expect(await called('ADD', pod)).toMatchObject({ exitCode: 0 });
      const [kept] = pods as [Pod, ...Pod[]];
      const valid = [{ containerID: kept.containerId, ifname: 'net1' }];
      expect(await called('GC', kept, { 'cni.dev/valid-attachments': valid })).toMatchObject({
        exitCode: 0,
        stdout: '',
      });
      const world = await node().world();
      expect(world.ports).toEqual([kept.portName()]);
      expect(world.addresses).toHaveLength(1);
      expect(await called('DEL', kept)).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    });
  },
  { parts: ['ipamAssets'] },
);
