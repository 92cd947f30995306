/**
 * Deaths and power cuts of an ADD that gives its socket to a switch which is not root: between two grants, and between the last one
 * and its record. The grants of a dead ADD go with the directory, or all pods share them. The next ADD gives the missing ones.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { explore } from '../support/fake/crash-points.ts';
import { faultsAfter, followUps } from '../support/fake/crash-scenarios.ts';
import { type Attachment, FakeNode, podA } from '../support/fake/fake-node.ts';
import { emptyDir } from '../support/fake/fake-world.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { recordsOf } from '../support/fake/world-checker.ts';

afterAll(new VirtualTime().install());

const base = { containerId: podA, ifName: 'net1', mode: 'client', ipam: true, deviceInfo: false } as const;
const kubelets = ['/var/lib/kubelet', '/var/lib/kubelet/pods', emptyDir];

function nodeFor(one: Attachment, switchUser?: number): FakeNode {
  const node = new FakeNode().withNetns(one);
  node.world.switchUser = switchUser;
  node.world.addOthers();
  return node;
}

const isGrantTold = (one: Attachment, { disk }: FakeNode): boolean =>
  recordsOf(one, disk).some((record) => JSON.stringify(record).includes('"granted"'));

describe.each([
  ['a directory of ours', base, []],
  ['an emptyDir', { ...base, pod: 'app' }, kubelets],
] as const)('a switch that is not root, and %s', (_, one, staying) => {
  it('in every window of an ADD: the next ADD, DEL and recover work as usual, and only grants on the kubelet’s directories stay (need N2)', async () => {
    const { crashes, windows } = await explore(nodeFor(one, 65_532), 'ADD', one);
    expect(windows).toBeGreaterThan(20);
    for (const crash of crashes) {
      for (const followUp of followUps) expect(await faultsAfter(crash, followUp, one), crash.how).toEqual([]);
      await crash.node.call('DEL', one);
      expect(staying, crash.how).toEqual(expect.arrayContaining([...crash.node.world.entries]));
    }
  });

  it('is recorded where something was granted, and only there (need N2)', async () => {
    for (const [switchUser, expected] of [
      [undefined, false],
      [65_532, true],
    ] as const) {
      const node = nodeFor(one, switchUser);
      expect(await node.add(one)).toMatchObject({ kind: 'ok' });
      expect(isGrantTold(one, node)).toBe(expected);
    }
  });
});
