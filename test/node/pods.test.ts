/** Pods of a real kubelet, with interfaces of ours that Multus asks for: they come up, the application is told, and nothing stays. */
import { lstatSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { mountPath, type Volume } from '../support/cluster/kube-node.ts';
import { onWorkerNode } from '../support/node/node-suite.ts';
import { entriesOf, eventually, portsOf, readPodInfo, template } from '../support/node/workload.ts';
import { Application } from '../support/real/application.ts';
import type { Mode } from '../support/real/node.ts';
import { Spy } from '../support/real/spy.ts';
import type { Port } from '../support/real/world.ts';
import { ask, type Json } from '../support/stand-in/api.ts';

const opposite = { client: 'server', server: 'client' } as const;

onWorkerNode('pods of a kubelet', ({ worker, workload, nothingLeft }) => {
  beforeAll(async () => {
    for (const mode of ['client', 'server'] as const) {
      const sides = { host: { vhost: { mode } }, container: { vhost: { mode: opposite[mode] } } };
      await worker().network(mode, sides);
    }
  });

  /** The root directory of a pod's container, as a path. */
  const rootOf = async (pod: Json): Promise<string> => {
    const containerId = pod.status.containerStatuses[0].containerID.replace('containerd://', '');
    return `/proc/${await worker().containerd.processOf(containerId)}/root`;
  };

  /** What an application reads, once the kubelet has written it. */
  const told = (root: string, interfaces: number) =>
    eventually('the application is told', async () => {
      const info = readPodInfo(readFileSync(join(root, 'etc/podnetinfo/annotations'), 'utf8'));
      return entriesOf(info).length === interfaces ? info : undefined;
    });

  /** The pod runs: looks at its ports, reads as its application does, and uses its sockets from within. */
  const inspect = async (pod: Json, mode: Mode, count: number): Promise<void> => {
    const root = await rootOf(pod);
    const info = await told(root, count);
    expect(info['userspace/mapped-dir']).toBe(`${mountPath}/`);
    const ports = await portsOf(worker(), pod.metadata.name);
    const type = { client: 'dpdkvhostuserclient', server: 'dpdkvhostuser' }[mode];
    const wanted = Array.from({ length: count }, () => ({ type, error: undefined }));
    expect(ports.map(({ error, type }) => ({ type, error }))).toEqual(wanted);

    const status = JSON.parse(pod.metadata.annotations['k8s.v1.cni.cncf.io/network-status']) as Json[];
    const entries = entriesOf(info);
    expect(entries).toEqual(ports.map((port, index) => entryOf(port, index + 1, mode, status[index + 1].ips[0])));
    expect(new Set(entries.map(({ ipResult }) => ipResult.ips[0].address)).size).toBe(count);

    for (const { config } of entries) {
      const socket = join(root, mountPath, config.vhost.socketfile);
      if (mode === 'server') expect(lstatSync(socket).isSocket()).toBe(true);
      else expect(await (await Application.listen(socket)).isConnected()).toBe(true);
    }
  };

  describe.each<Mode>(['client', 'server'])('the switch is %s', (mode) => {
    test.each<Volume>(['emptyDir', 'hostPath'])(
      'pods with one, two and three interfaces and an %s are told of each, can use it, and leave nothing',
      async (volume) => {
        const counts = [1, 2, 3];
        const nameOf = (count: number) => `${mode}-${volume.toLowerCase()}-${count}`;
        for (const count of counts) {
          await workload().create({ name: nameOf(count), volume, networks: Array.from({ length: count }, () => mode) });
        }
        for (const count of counts) {
          const [pod] = await workload().running([nameOf(count)]);
          await inspect(pod, mode, count);
        }
        for (const count of counts) await workload().delete(nameOf(count));
        await workload().gone(counts.map(nameOf));
        await nothingLeft();
      },
    );
  });

  test('the calls that Multus makes of a pod go through an agent of the node', async () => {
    const spy = new Spy(worker().node);
    await worker().network('spied', spy.changes);
    const agent = await worker().startAgent();
    const name = 'through-the-agent';
    await workload().create({ name, networks: ['spied', 'spied'] });
    await workload().running([name]);
    expect(spy.runs('ADD').map(({ parent }) => agent.workers.includes(parent))).toEqual([true, true]);
    await workload().delete(name);
    await workload().gone([name]);
    // The kubelet asks for the end of a sandbox more than once.
    expect(spy.runs('DEL').length).toBeGreaterThanOrEqual(2);
    expect(spy.runs('DEL').filter(({ parent }) => !agent.workers.includes(parent))).toEqual([]);
    await worker().stopAgent();
    await nothingLeft();
  });

  test('a DaemonSet’s pod is placed, comes up, is replaced when it is deleted, and leaves nothing', async () => {
    const name = 'forwarder';
    const path = '/apis/apps/v1/namespaces/blue/daemonsets';
    const selector = { matchLabels: { app: name } };
    const spec = { selector, template: template(worker(), { name, networks: ['client', 'server'] }) };
    expect((await ask(worker().cluster, 'POST', path, { metadata: { name }, spec })).status).toBe(201);
    const ready = (others: readonly string[]) =>
      eventually('a pod of the DaemonSet runs', async () => {
        const pods = await workload().pods();
        return pods.find((pod) => pod.status.containerStatuses?.[0]?.ready && !others.includes(pod.metadata.name));
      });
    const first = (await ready([])).metadata.name;
    expect(await portsOf(worker(), first)).toHaveLength(2);
    await workload().delete(first);
    const second = (await ready([first])).metadata.name;
    await workload().gone([first]);
    expect(await portsOf(worker(), first)).toEqual([]);
    expect(await portsOf(worker(), second)).toHaveLength(2);
    expect((await ask(worker().cluster, 'DELETE', `${path}/${name}`)).status).toBe(200);
    await workload().gone([second]);
    await nothingLeft();
  });
});

/** Spelled out, not computed. */
function entryOf(port: Port, number: number, mode: Mode, address: string): object {
  return {
    containerId: port.externalIds.key?.split(':')[1],
    ifName: `net${number}`,
    name: mode,
    config: {
      engine: 'ovs-dpdk',
      iftype: 'vhostuser',
      netType: 'interface',
      memif: {},
      vhost: { mode: opposite[mode], socketfile: basename(port.externalIds.socket ?? '') },
      bridge: {},
    },
    ipResult: {
      cniVersion: '0.4.0',
      ips: [{ version: '4', address: `${address}/24`, gateway: '10.56.0.1' }],
    },
  };
}
