/** A GC among living attachments, which every IPAM plugin has to survive. */
import { expect } from 'vitest';
import { cni } from './cni.ts';
import type { Changes, Pod, TestNode } from './node.ts';
import { expectNothingLeft } from './world.ts';

const ok = { exitCode: 0 };

/** The keys that a runtime adds to a network's configuration for GC (CNI SPEC 1.1.0). */
export const gcConfig = (valid: readonly Pod[], changes: Changes = {}): Changes => ({
  cniVersion: '1.1.0',
  'cni.dev/valid-attachments': valid.map(({ containerId }) => ({ containerID: containerId, ifname: 'net1' })),
  ...changes,
});

/**
 * Every other one of 50 attachments is listed, and 10 ADDs run beside the GC.
 * @param path where IPAM programs are looked for, if not where the node's are
 */
export async function halfIsCollected(node: TestNode, changes: Changes = {}, path = node.path): Promise<void> {
  const called = (command: string, pod: Pod) => cni(command, { ...pod.call('net1', changes), path });
  const pods = await Promise.all(Array.from({ length: 50 }, () => node.pod()));
  for (const pod of pods) expect(await called('ADD', pod)).toMatchObject(ok);
  const young = await Promise.all(Array.from({ length: 10 }, () => node.pod()));
  const valid = pods.filter((_, index) => index % 2 === 0);
  const gc = cni('GC', { config: node.config(gcConfig(valid, changes)), path });
  const [collected, ...added] = await Promise.all([gc, ...young.map((pod) => called('ADD', pod))]);
  expect(collected).toMatchObject({ exitCode: 0, stdout: '' });
  expect(added.map(({ exitCode }) => exitCode)).toEqual(young.map(() => 0));
  const alive = [...valid, ...young];
  const world = await node.world();
  expect(world.ports).toEqual(alive.map((pod) => pod.portName()).sort());
  expect(world.addresses).toHaveLength(alive.length);
  for (const pod of alive) expect(await called('DEL', pod)).toMatchObject(ok);
  expectNothingLeft(await node.world());
}
