/** A real API server that refuses or alters what is written, and kubeconfigs that move between an ADD and its removal. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Admission, type Annotations } from '../support/cluster/admission.ts';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld, type KubePod } from '../support/cluster/kube-node.ts';
import { tokenOf, writeKubeconfig } from '../support/stand-in/api.ts';

const ok = { exitCode: 0 };
const quick = { deadlines: { apiMs: 1000, apiRetryMs: 1000, reconnectMs: 300 } };
const dataName = 'userspace/configuration-data';

onCluster('an API server that does not take what is written', (parts) => {
  const home = useKubeNode(parts);
  const { cluster } = parts;

  const nothingLeft = async () => expect(await home().world()).toEqual(emptyKubeWorld);

  /** Each attempt of a kubelet is a sandbox of its own. */
  const refused = async (pod: KubePod, code: number, words: RegExp) => {
    for (let attempt = 0; attempt < 2; attempt++) {
      const { exitCode, json } = await pod.add('net1', quick);
      expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code });
      expect(json.msg).toMatch(words);
      await nothingLeft();
    }
    expect(await pod.del('net1', quick)).toMatchObject({ ...ok, stdout: '' });
    await nothingLeft();
  };

  const admission = async (pod: KubePod, opinion: Parameters<typeof Admission.start>[1]) => {
    const one = await Admission.start(cluster(), opinion);
    onTestFinished(() => one.stop());
    await one.whenAsked(pod.name);
    return one;
  };

  test('kind 5: annotations that would be too long leave nothing, not even a journal', async () => {
    const pod = await home().pod('emptyDir', { annotations: { theirs: 'x'.repeat(256 * 1024 - 20) } });
    await refused(pod, 11, /Too long: may not be more than 262144 bytes/);
    await cluster().patchStatus(pod.name, { metadata: { annotations: { theirs: null } } });
    expect(await pod.add()).toMatchObject(ok);
    expect(await pod.del()).toMatchObject(ok);
    await nothingLeft();
  });

  test.each([400, 403, 404, 409, 422, 429, 500])(
    'kind 5: a webhook that denies with %i leaves nothing, not even a journal',
    async (code) => {
      const pod = await home().pod();
      // As a policy does that knows its annotations: the fence of a removal is none of them either.
      await admission(pod, (annotations, old) =>
        Object.keys(annotations).some((name) => name.startsWith('userspace/') && !(name in old))
          ? { code, message: 'no data here' }
          : annotations,
      );
      await refused(pod, 11, /denied the request: no data here/);
    },
  );

  test('kind 5: a webhook that cannot be called leaves nothing, not even a journal', async () => {
    const pod = await home().pod();
    const one = await admission(pod, (annotations) => annotations);
    await one.stopServer();
    await refused(pod, 11, /failed calling webhook/);
  });

  test('kind 7: a webhook that writes the annotation in another form is content with one write', async () => {
    const pod = await home().pod();
    const sorted = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(sorted);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .sort()
          .map(([key, one]) => [key, sorted(one)]),
      );
    };
    const one = await admission(pod, (annotations) => {
      const { [dataName]: text, ...others } = annotations;
      return { ...others, ...(text && { [dataName]: JSON.stringify(sorted(JSON.parse(text))) }) };
    });
    const added = await pod.add();
    expect(added).toMatchObject(ok);
    expect(one.asked).toBe(1);
    expect((await pod.annotations())[dataName]).toMatch(/^\[\{"config":/);
    expect(await pod.check(added.json)).toMatchObject(ok);
    expect(await pod.del()).toMatchObject(ok);
    await nothingLeft();
  });

  test.each<[string, (text: string) => Annotations]>([
    ['a part of it', (text) => ({ [dataName]: text.replace('net-a', 'net-b') })],
    ['all of it', () => ({})],
  ])('kind 7: a webhook that changes %s is named after a handful of writes, and nothing is left', async (_, change) => {
    const pod = await home().pod();
    const one = await admission(pod, ({ [dataName]: text, ...others }) => ({ ...others, ...(text && change(text)) }));
    const { exitCode, json } = await pod.add('net1', quick);
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 7 });
    expect(json.msg).toContain(`annotation "${dataName}" of pod blue/${pod.name}`);
    expect(json.msg).toContain('an admission changes it');
    expect(one.asked).toBeLessThan(6);
    await nothingLeft();
  });

  describe('a kubeconfig that moved between an ADD and its DEL', () => {
    const another = () => writeKubeconfig(join(home().node.directory, 'new'), cluster(), { token: tokenOf('plugin') });
    const moves: readonly [string, (path: string) => void][] = [
      ['is not there any more', (path) => rmSync(path)],
      [
        'has lost its rights',
        (path) => {
          const own = writeKubeconfig(join(home().node.directory, 'less'), cluster(), { token: tokenOf('nobody') });
          writeFileSync(path, readFileSync(own));
        },
      ],
      [
        'has a token that expired',
        (path) => {
          const own = writeKubeconfig(join(home().node.directory, 'stale'), cluster(), { token: 'stale' });
          writeFileSync(path, readFileSync(own));
        },
      ],
    ];

    test.each(moves)('kind 5: and %s: DEL by the new one leaves nothing of a pod that lives', async (_, move) => {
      const pod = await home().pod();
      expect(await pod.add()).toMatchObject(ok);
      move(home().kubeconfig);
      expect(await pod.del('net1', { ...quick, kubeconfig: another() })).toMatchObject({ ...ok, stdout: '' });
      await nothingLeft();
    });

    test.each(moves)(
      'kind 5: and %s: DEL by the new one leaves nothing of a pod that is long gone',
      async (_, move) => {
        const pod = await home().pod('hostPath');
        expect(await pod.add()).toMatchObject(ok);
        move(home().kubeconfig);
        await home().api.deletePod(pod.name);
        home().pods.splice(0);
        expect(await pod.del('net1', { ...quick, kubeconfig: another() })).toMatchObject({ ...ok, stdout: '' });
        const { volumes: _volumes, ...world } = await home().world();
        const { volumes: _none, ...none } = emptyKubeWorld;
        expect(world).toEqual(none);
      },
    );
  });
});
