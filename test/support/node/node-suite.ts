/** A suite of the node lane: a switch, a cluster and a whole node of it, one of each for all of its tests. */
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

/** Without the real parts it fails in CI and is skipped elsewhere, the reason in its title. */
export function onWorkerNode(title: string, body: (parts: Parts) => void): void {
  const suite: Parameters<typeof onCluster>[1] = ({ theSwitch, cluster }) => {
    let node: TestNode | undefined;
    let running: WorkerNode | undefined;
    beforeAll(async () => {
      node = await TestNode.create(theSwitch());
      running = await WorkerNode.start(node, cluster());
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
  onCluster(title, suite, nodeParts);
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
