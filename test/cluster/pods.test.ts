/** ADD and DEL of pods that a real API server knows, on a real switch: the port, the application's annotations, and no leftovers. */
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld, type KubeNode, type KubePod, mountPath, type Volume } from '../support/cluster/kube-node.ts';
import type { Answer } from '../support/real/cni.ts';
import type { Mode } from '../support/real/node.ts';

const ok = { exitCode: 0 };

/** Four spaces, containerId first, addresses in the shape of 0.4.0: spelled out, not computed. */
const entryOf = (pod: KubePod, address: string, ifName = 'net1', mode = 'server'): string => `{
    "containerId": "${pod.sandbox.containerId}",
    "ifName": "${ifName}",
    "name": "net-a",
    "config": {
        "engine": "ovs-dpdk",
        "iftype": "vhostuser",
        "netType": "interface",
        "memif": {},
        "vhost": {
            "mode": "${mode}",
            "socketfile": "${pod.sandbox.portName(ifName)}"
        },
        "bridge": {}
    },
    "ipResult": {
        "cniVersion": "0.4.0",
        "ips": [
            {
                "version": "4",
                "address": "${address}",
                "gateway": "10.56.0.1"
            }
        ]
    }
}`;

const addressOf = ({ json }: Answer): string => json.ips[0].address;

/** Several calls as one; all have to succeed. */
async function all(calls: readonly Promise<Answer>[]): Promise<Answer[]> {
  const answers = await Promise.all(calls);
  const failed = answers.filter(({ exitCode }) => exitCode !== 0).map(({ stdout, stderr }) => `${stdout}${stderr}`);
  expect(failed).toEqual([]);
  return answers;
}

onCluster('pods of a cluster', (parts) => {
  const home = useKubeNode(parts);

  const nothingLeft = async (node: KubeNode = home()) => expect(await node.world()).toEqual(emptyKubeWorld);

  describe.each<Volume>(['emptyDir', 'hostPath', 'none'])('with shared-dir as %s', (volume) => {
    test('ADD tells the pod byte for byte, CHECK agrees, DEL leaves what others wrote', async () => {
      const pod = await home().pod(volume, { annotations: { theirs: 'stays' } });
      const added = await pod.add();
      expect(added).toMatchObject(ok);
      expect(await pod.annotations()).toEqual({
        theirs: 'stays',
        'userspace/configuration-data': `[${entryOf(pod, addressOf(added))}]`,
        'userspace/mapped-dir': volume === 'none' ? '/var/lib/cni/usrspcni/' : `${mountPath}/`,
      });
      expect(await pod.check(added.json)).toMatchObject({ ...ok, stdout: '' });
      expect(await pod.del()).toMatchObject({ ...ok, stdout: '' });
      expect(await pod.annotations()).toEqual({ theirs: 'stays' });
      await nothingLeft();
    });

    test('the switch reaches the socket where the container sees it; the result names the sandbox (case A5, case A8)', async () => {
      const pod = await home().pod(volume);
      const added = await pod.add();
      expect(added.json.interfaces).toEqual([{ name: 'net1', sandbox: pod.sandbox.netns }]);
      const port = await home().node.port(pod.sandbox.portName());
      expect(port).toMatchObject({ error: undefined, externalIds: { socket: pod.socket(), pod: `blue/${pod.name}` } });
      const path = port?.options['vhost-server-path'] ?? '';
      expect(Buffer.byteLength(path)).toBeLessThanOrEqual(107);
      if (volume === 'emptyDir') expect(readlinkSync(join(path, '..'))).toBe(pod.directory);
      else expect(path).toBe(pod.socket());
      await pod.del();
      await nothingLeft();
    });
  });

  test('two interfaces are two entries; bug B17: the DEL of one leaves the other as it is', async () => {
    const pod = await home().pod();
    const [one, two] = [await pod.add('net1'), await pod.add('net2')];
    const entries = [entryOf(pod, addressOf(one)), entryOf(pod, addressOf(two), 'net2')];
    expect((await pod.annotations())['userspace/configuration-data']).toBe(`[${entries.join(',')}]`);
    expect(await pod.del('net1')).toMatchObject(ok);
    expect((await pod.annotations())['userspace/configuration-data']).toBe(`[${entries[1]}]`);
    expect(await pod.check(two.json, 'net2')).toMatchObject(ok);
    expect(await pod.del('net2')).toMatchObject(ok);
    await nothingLeft();
  });

  test('a new sandbox replaces the entry of the old one, whose late DEL takes nothing of it (bug B11, case A22)', async () => {
    const old = await home().pod();
    await old.add();
    const young = await home().pod('emptyDir', { sandboxOf: old });
    const added = await young.add();
    expect(added).toMatchObject(ok);
    expect((await young.annotations())['userspace/configuration-data']).toBe(`[${entryOf(young, addressOf(added))}]`);
    expect(await old.del()).toMatchObject(ok);
    expect((await young.annotations())['userspace/configuration-data']).toBe(`[${entryOf(young, addressOf(added))}]`);
    expect(await young.check(added.json)).toMatchObject(ok);
    expect(await young.del()).toMatchObject(ok);
    await nothingLeft();
  });

  test('the late ADD of an old sandbox does not take the new one’s entry: it is refused and taken back (case A22)', async () => {
    const old = await home().pod();
    const gate = join(home().node.directory, 'gate');
    const answer = '{"cniVersion":"1.0.0","ips":[{"address":"10.56.0.99/24"}]}';
    await home().node.program(
      'slow',
      `[ "$CNI_COMMAND" = ADD ] && { while [ ! -e ${gate} ]; do sleep 0.05; done; echo '${answer}'; }; true`,
    );
    const late = old.add('net1', { ipam: { type: 'slow' } });
    const young = await home().pod('emptyDir', { sandboxOf: old });
    // The old one has to have begun.
    for (let tries = 0; tries < 200 && (await home().node.world()).journals.length === 0; tries++) await Bun.sleep(10);
    const added = await young.add();
    expect(added).toMatchObject(ok);
    await Bun.write(gate, '');
    expect(await late).toMatchObject({
      exitCode: 1,
      json: { code: 11, msg: expect.stringContaining(young.sandbox.containerId) },
    });
    expect((await young.annotations())['userspace/configuration-data']).toBe(`[${entryOf(young, addressOf(added))}]`);
    expect((await home().node.world()).ports).toEqual([young.sandbox.portName()]);
    expect(await old.del('net1', { ipam: { type: 'slow' } })).toMatchObject(ok);
    expect(await young.del()).toMatchObject(ok);
    await nothingLeft();
  });

  test.each(['stripped', 'whole'])(
    'a pod that is gone, or another by its name, holds nothing up: %s (bug B19, case A27, case A28)',
    async (how) => {
      const old = await home().pod();
      expect(await old.add()).toMatchObject(ok);
      await home().api.deletePod(old.name);
      const young = await home().pod('emptyDir', { name: old.name });
      expect(young.uid).not.toBe(old.uid);
      expect(await young.add()).toMatchObject(ok);
      const before = await young.annotations();
      const call =
        how === 'stripped' ? { host: undefined, container: undefined, ipam: undefined, kubeconfig: undefined } : {};
      expect(await old.del('net1', call)).toMatchObject({ ...ok, stdout: '' });
      expect(await young.annotations()).toEqual(before);
      expect((await home().node.world()).ports).toEqual([young.sandbox.portName()]);
      await home().api.deletePod(young.name);
      expect(await young.del('net1', call)).toMatchObject({ ...ok, stdout: '' });
      await nothingLeft();
    },
  );

  test('a static pod is known by its mirror: paths have the kubelet’s uid, the annotation has the API server’s', async () => {
    const uid = 'c0ffee00c0ffee00c0ffee00c0ffee00';
    const pod = await home().pod('emptyDir', { annotations: { 'kubernetes.io/config.mirror': uid } });
    const directory = pod.directory.replace(pod.uid, uid);
    await Bun.write(join(directory, 'made-by-kubelet'), '');
    const args = pod.args.replace(pod.uid, uid);
    const { cni } = await import('../support/real/cni.ts');
    const added = await cni('ADD', { ...pod.call(), args });
    expect(added).toMatchObject(ok);
    expect(await pod.entries()).toHaveLength(1);
    expect((await home().node.port(pod.sandbox.portName()))?.externalIds.directory).toBe(directory);
    expect(await cni('DEL', { ...pod.call(), args })).toMatchObject(ok);
    expect((await home().world()).annotations).toEqual([]);
  });

  test('another uid than the sandbox’s is another pod: code 11, and nothing is touched', async () => {
    const pod = await home().pod();
    const { cni } = await import('../support/real/cni.ts');
    const args = pod.args.replace(pod.uid, '00000000-0000-0000-0000-000000000000');
    expect(await cni('ADD', { ...pod.call(), args })).toMatchObject({
      exitCode: 1,
      json: { code: 11, msg: expect.stringContaining(pod.uid) },
    });
    await nothingLeft();
  });

  test('twenty pods at once beside a second writer: no update of either is lost (bug B35, case A43)', async () => {
    const pods = await Promise.all(Array.from({ length: 20 }, () => home().pod()));
    let stopped = false;
    const written = new Map<string, number>();
    const write = async ({ name }: KubePod) => {
      for (let count = 1; !stopped; count++) {
        await home().api.patchStatus(name, { metadata: { annotations: { counter: String(count) } } });
        written.set(name, count);
        await Bun.sleep(10);
      }
    };
    const writers = pods.map(write);
    const added = await all(pods.map((pod) => pod.add()));
    for (const [index, pod] of pods.entries()) {
      const entry = entryOf(pod, addressOf(added[index] as Answer));
      expect((await pod.annotations())['userspace/configuration-data']).toBe(`[${entry}]`);
    }
    await all(pods.map((pod) => pod.del()));
    stopped = true;
    await Promise.all(writers);
    for (const pod of pods) expect(await pod.annotations()).toEqual({ counter: String(written.get(pod.name)) });
    await nothingLeft();
  });

  test('a hundred pods at once, and away at once: all succeed, no address twice, nothing left (case A35)', async () => {
    const pods = await Promise.all(Array.from({ length: 100 }, () => home().pod()));
    const added = await all(pods.map((pod) => pod.add()));
    expect(new Set(added.map(addressOf)).size).toBe(100);
    for (const pod of pods) expect(await pod.entries()).toHaveLength(1);
    await all(pods.map((pod) => pod.del()));
    await nothingLeft();
  });

  test('four pods with one, two and three interfaces in both modes and volumes, deleted in every order', async () => {
    const shapes: readonly [Volume, Mode, number][] = [
      ['emptyDir', 'client', 1],
      ['hostPath', 'client', 2],
      ['emptyDir', 'server', 3],
      ['hostPath', 'server', 2],
    ];
    const namesOf = (count: number) => Array.from({ length: count }, (_, index) => `net${index + 1}`);
    const sides = (mode: Mode) => ({ host: { vhost: { mode } }, container: { vhost: { mode: undefined } } });
    for (const order of permutations([0, 1, 2, 3])) {
      const pods = await Promise.all(shapes.map(([volume]) => home().pod(volume)));
      const each = (index: number) => {
        const [, mode, count] = shapes[index] as [Volume, Mode, number];
        return { pod: pods[index] as KubePod, names: namesOf(count), changes: sides(mode) };
      };
      await all(
        [0, 1, 2, 3].flatMap((index) => {
          const { pod, names, changes } = each(index);
          return names.map((name) => pod.add(name, changes));
        }),
      );
      for (const [position, index] of order.entries()) {
        const { pod, names, changes } = each(index);
        await all(names.map((name) => pod.del(name, changes)));
        const standing = order.slice(position + 1).map(each);
        const ports = standing.flatMap((one) => one.names.map((name) => one.pod.sandbox.portName(name)));
        expect((await home().node.world()).ports).toEqual(ports.sort());
        for (const one of standing) {
          expect((await one.pod.entries()).map(({ ifName }) => ifName).sort()).toEqual(one.names);
        }
      }
      await nothingLeft();
    }
  });
});

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) =>
    permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest]),
  );
}
