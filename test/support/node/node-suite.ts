/** A suite of the node lane: a switch, a cluster and a whole node of it, one of each for all of its tests. */
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { onCluster } from '../cluster/cluster-suite.ts';
import { TestNode } from '../real/node.ts';
import { nodeParts } from '../requirements.ts';
import { emptyWholeWorld, type WholeWorld, WorkerNode } from './worker-node.ts';
import { eventually, Workload } from './workload.ts';

interface Parts {
  readonly worker: () => WorkerNode;
  readonly workload: () => Workload;
  /** Once the kubelet has tidied up: it removes pods' directories in rounds of its own. */
  nothingLeft(): Promise<void>;
}

/**
 * A suite of the node lane. @param isBare whether nothing of ours is on the node, and its pods have accounts
 *
 * Without the real parts it fails in CI and is skipped elsewhere, the reason in its title.
 */
export function onWorkerNode(title: string, body: (parts: Parts) => void, { isBare = false } = {}): void {
  const suite: Parameters<typeof onCluster>[1] = ({ theSwitch, cluster }) => {
    let node: TestNode | undefined;
    let running: WorkerNode | undefined;
    beforeAll(async () => {
      // Where a node has its journals if no network says otherwise.
      const usual = (directory: string) => ({ dataDir: join(directory, 'disk/lib/cni/userspace') });
      node = await TestNode.create(theSwitch(), 'client', isBare ? usual : {});
      running = await WorkerNode.start(node, cluster(), { isBare });
    });
    afterAll(async () => {
      await running?.end();
      await node?.end();
    });
    const worker = (): WorkerNode => {
      if (!running) throw new Error('the node is not running');
      return running;
    };
    body({ worker, workload: () => new Workload(worker()), nothingLeft: () => nothingLeft(worker()) });
  };
  onCluster(title, suite, nodeParts, { admitsAccounts: isBare });
}

async function nothingLeft(worker: WorkerNode): Promise<void> {
  let last: WholeWorld | undefined;
  const isEmpty = async () => {
    last = await worker.world();
    return Bun.deepEquals(last, emptyWholeWorld) || undefined;
  };
  await eventually('nothing is left', isEmpty).catch(() => {
    throw new Error(`left: ${JSON.stringify(last, undefined, 1)}`);
  });
}
