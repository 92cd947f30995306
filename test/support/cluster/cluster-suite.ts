/** A suite of the cluster lane: a real switch and a real API server, one of each for all of its tests. */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import type { Mode, TestNode } from '../real/node.ts';
import { onRealSwitch, useNode } from '../real/suite.ts';
import type { Switch } from '../real/switch.ts';
import { clusterParts, type PartName } from '../requirements.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { KubeNode } from './kube-node.ts';

interface Parts {
  readonly theSwitch: () => Switch;
  readonly cluster: () => Cluster;
}

/**
 * Without the real parts it fails in CI and is skipped elsewhere, the reason in its title.
 * @param more needed beside the switch and the cluster
 */
export function onCluster(
  title: string,
  body: (parts: Parts) => void,
  more: readonly PartName[] = [],
  options: ClusterOptions = {},
): void {
  onRealSwitch(
    title,
    (theSwitch) => {
      let running: Cluster | undefined;
      beforeAll(async () => {
        running = await Cluster.start(options);
      });
      afterAll(() => running?.stop());
      const cluster = (): Cluster => {
        if (!running) throw new Error('the API server is not running');
        return running;
      };
      body({ theSwitch, cluster });
    },
    { parts: [...clusterParts, ...more] },
  );
}

/** A fresh node of the cluster for each test. */
export function useKubeNode({ theSwitch, cluster }: Parts, mode: Mode = 'client'): () => KubeNode {
  const node: () => TestNode = useNode(theSwitch, mode);
  let home: KubeNode | undefined;
  beforeEach(() => {
    home = new KubeNode(node(), cluster());
  });
  return () => {
    if (!home) throw new Error('there is no node yet');
    return home;
  };
}
