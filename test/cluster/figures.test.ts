/** The figures of a node whose pods have annotations: whether their API server is there. */
import { expect, test } from 'vitest';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld } from '../support/cluster/kube-node.ts';
import { Metered } from '../support/real/metered.ts';

const ok = { exitCode: 0 };

onCluster('the figures of a node', (parts) => {
  const home = useKubeNode(parts);

  test('tell whether the API server of its pods answers', async () => {
    const series = () => `api_server_up{kubeconfig="${home().kubeconfig}"}`;
    const pod = await home().pod();
    expect(await pod.add()).toMatchObject(ok);
    const metered = await Metered.start(home().node);
    await metered.expectValues({ [series()]: 1 });
    await parts.cluster().stopServer();
    try {
      // An agent asks once a minute; one that was started now asks at once.
      const other = await Metered.start(home().node);
      await other.expectValues({ [series()]: 0 });
    } finally {
      await parts.cluster().startServer();
    }
    expect(await pod.del()).toMatchObject(ok);
    expect(await home().world()).toEqual(emptyKubeWorld);
  });
});
