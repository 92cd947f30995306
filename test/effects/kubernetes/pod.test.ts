import { describe, expect, it, onTestFinished } from 'vitest';
import { lookUpPod } from '../../../src/effects/kubernetes/pod.ts';
import type { PodLookup } from '../../../src/machines/protocol.ts';
import { namespace, type PodOptions, sharing, tokenOf, writeKubeconfig } from '../../support/stand-in/api.ts';
import { openApi, soon } from '../../support/stand-in/scene.ts';
import { StandInApi } from '../../support/stand-in/stand-in-api.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const answerOf = (pod: PodLookup) => (pod.kind === 'found' ? pod.place : pod.troubles);

async function lookedUp(options: Omit<PodOptions, 'name'>, uid?: string | 'its own') {
  const server = await StandInApi.start();
  onTestFinished(() => server.stop());
  const { metadata } = await server.createPod({ name: 'app', ...options });
  const api = await openApi(writeKubeconfig(temporaryDirectory(), server, { token: tokenOf('plugin') }));
  const known = uid === 'its own' ? metadata.uid : uid;
  const ref = { namespace, name: 'app', ...(known && { uid: known }) };
  return { found: answerOf(await lookUpPod(api, ref, { end: soon(), until: soon() })), uid: metadata.uid };
}

const mounting = (...mounts: readonly (readonly object[])[]) =>
  mounts.map((volumeMounts, index) => ({ name: `c${index}`, image: 'x', volumeMounts }));

describe('a pod', () => {
  it('with an emptyDir is read with it, and with its path in the container', async () => {
    const { found, uid } = await lookedUp(sharing({ emptyDir: {} }, '/run/app'), 'its own');
    expect(found).toEqual({
      pod: { namespace, name: 'app', uid },
      volume: { kind: 'emptyDir' },
      mountPath: '/run/app',
    });
  });

  it('with a hostPath is read with that path', async () => {
    const { found } = await lookedUp(sharing({ hostPath: { path: '/var/lib/app' } }));
    expect(found).toMatchObject({ volume: { kind: 'hostPath', path: '/var/lib/app' } });
  });

  it('may lack the volume, or have one that no container mounts', async () => {
    expect((await lookedUp({ volumes: [{ name: 'other', emptyDir: {} }] })).found).toEqual({ pod: expect.anything() });
    const { found } = await lookedUp({ volumes: [{ name: 'shared-dir', emptyDir: {} }] });
    expect(found).toEqual({ pod: expect.anything(), volume: { kind: 'emptyDir' } });
  });

  it('of several containers has its sockets where the last of them that mounts the volume sees them', async () => {
    const mount = (mountPath: string) => ({ name: 'shared-dir', mountPath });
    const containers = mounting([mount('/one')], [mount('/two'), mount('/three')], []);
    const { found } = await lookedUp({ volumes: [{ name: 'shared-dir', emptyDir: {} }], containers });
    expect(found).toMatchObject({ mountPath: '/two' });
  });

  it.each([
    ['another kind of volume', { persistentVolumeClaim: { claimName: 'x' } }, {}, 'neither an emptyDir nor a hostPath'],
    ['a subPath', { emptyDir: {} }, { subPath: 'deep' }, 'subPath'],
    ['a subPathExpr', { emptyDir: {} }, { subPathExpr: '$(POD)' }, 'subPath'],
  ])('with %s is refused with code 7 and why', async (_, volume, more, words) => {
    const containers = mounting([{ name: 'shared-dir', mountPath: '/run/app', ...more }]);
    const { found } = await lookedUp({ volumes: [{ name: 'shared-dir', ...volume }], containers });
    expect(found).toEqual([{ code: 7, message: expect.stringContaining(words) }]);
  });

  const shared = (hostPath: unknown, mountPath: unknown = '/run/app') => ({
    volumes: [{ name: 'shared-dir', hostPath: { path: hostPath } }],
    containers: mounting([{ name: 'shared-dir', mountPath }]),
  });

  it.each<[string, object]>([
    ['a relative hostPath', shared('run/app')],
    ['a hostPath with ".."', shared('/run/../etc')],
    ['a hostPath with a newline', shared('/run\n/app')],
    ['a hostPath that is no text', shared({ path: '/run' })],
    ['an empty hostPath', shared('')],
    ['a mountPath that is no text', shared('/run', 7)],
    ['a mountPath with a NUL', shared('/run', '/a\0b')],
  ])('of an API object that no API server would store, with %s, is refused, and becomes no path', async (_, more) => {
    const { found } = await lookedUp(more);
    expect(found).toEqual([{ code: 7, message: expect.stringMatching(/volume "shared-dir" of pod blue\/app .*path/) }]);
  });

  it.each(['../../../etc', 'a/b', '', 'c'.repeat(65)])(
    'of an API object with the uid %j is refused where the runtime told none: a uid becomes a part of paths',
    async (uid) => {
      const server = await StandInApi.start();
      onTestFinished(() => server.stop());
      const pod = await server.createPod({ name: 'app', ...sharing({ emptyDir: {} }) });
      server.inject({ kind: 'answer', code: 200, body: { ...pod, metadata: { ...pod.metadata, uid } } });
      const api = await openApi(writeKubeconfig(temporaryDirectory(), server, { token: tokenOf('plugin') }));
      const found = await lookUpPod(api, { namespace, name: 'app' }, { end: soon(), until: soon() });
      expect(answerOf(found)).toEqual([{ code: 7, message: expect.stringContaining('uid') }]);
    },
  );

  it('of another uid is another pod: code 11 naming both (bug B19)', async () => {
    const { found, uid } = await lookedUp({}, 'some-other-uid');
    expect(found).toEqual([{ code: 11, message: expect.stringMatching(`${uid}.*some-other-uid`) }]);
  });

  it('that is static is known by its mirror, and its paths by the kubelet’s uid, told or not', async () => {
    const annotations = { 'kubernetes.io/config.mirror': 'c0ffee' };
    for (const uid of ['c0ffee', undefined]) {
      expect((await lookedUp({ annotations }, uid)).found).toMatchObject({ pod: { uid: 'c0ffee' } });
    }
  });

  it.each(['../../../../etc', '', 'a/b', 'c0ffee c0ffee', '-c0ffee', 'c'.repeat(65)])(
    'kind 4: whose author wrote the mirror mark %j is not a mirror, and the mark becomes no path',
    async (mark) => {
      const { found, uid } = await lookedUp({ annotations: { 'kubernetes.io/config.mirror': mark } });
      expect(found).toMatchObject({ pod: { uid } });
      expect(await lookedUp({ annotations: { 'kubernetes.io/config.mirror': mark } }, mark || 'x')).toMatchObject({
        found: [{ code: 11 }],
      });
    },
  );

  it('that is not known is code 11: the API server may be behind', async () => {
    const server = await StandInApi.start();
    onTestFinished(() => server.stop());
    const kubeconfig = writeKubeconfig(temporaryDirectory(), server, { token: tokenOf('plugin') });
    const api = await openApi(kubeconfig);
    const found = answerOf(await lookUpPod(api, { namespace, name: 'nobody' }, { end: soon(), until: soon() }));
    expect(found).toEqual([{ code: 11, message: expect.stringContaining('blue/nobody') }]);
  });
});
