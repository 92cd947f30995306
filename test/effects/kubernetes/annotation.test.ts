import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { keyHash } from '../../../src/attachment.ts';
import { ensureAnnotation, removeAnnotation } from '../../../src/effects/kubernetes/annotation.ts';
import { lookUpPod } from '../../../src/effects/kubernetes/pod.ts';
import { appNetutil, podInfoFile, testpmdScript } from '../../support/real/consumers.ts';
import {
  addresses,
  containerId,
  dataName,
  made,
  never,
  patches,
  patience,
  sceneOf,
} from '../../support/stand-in/annotation-scene.ts';
import { namespace } from '../../support/stand-in/api.ts';
import { openApi, troubleOf } from '../../support/stand-in/scene.ts';

describe('the annotation', () => {
  it('is one merge patch of pods/status, guarded by uid and resourceVersion, upon what the look-up read (bug B34, bug B35)', async () => {
    const one = await made({ theirs: 'stays' });
    await lookUpPod(one.api, one.plan.pod, patience());
    const { metadata } = await one.server.pod('app');
    expect(await one.ensure()).toEqual({ kind: 'ok', facts: { settled: true } });
    expect(one.server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `GET /api/v1/namespaces/${namespace}/pods/app`,
      `PATCH /api/v1/namespaces/${namespace}/pods/app/status`,
    ]);
    const [patch] = patches(one.server);
    expect(patch?.headers['content-type']).toBe('application/merge-patch+json');
    const { uid, resourceVersion } = metadata;
    expect(JSON.parse(patch?.body ?? '')).toEqual({
      metadata: {
        uid,
        resourceVersion,
        annotations: { [dataName]: expect.any(String), 'userspace/mapped-dir': '/run/app/' },
      },
    });
    expect(await one.annotations()).toMatchObject({ theirs: 'stays' });
    expect(await one.find()).toEqual({ kind: 'ok' });
  });

  it('is written once: a second time needs no write, and its removal is one', async () => {
    const one = await made();
    for (let round = 0; round < 2; round++) expect(await one.ensure()).toMatchObject({ kind: 'ok' });
    expect(patches(one.server)).toHaveLength(1);
    for (let round = 0; round < 2; round++) expect(await one.remove()).toEqual({ kind: 'ok' });
    expect(patches(one.server)).toHaveLength(2);
    expect(await one.annotations()).toEqual({});
  });

  it('replaces a stale entry of its interface, keeps those of others, and takes only its own away (case A22, bug B11)', async () => {
    const one = await made();
    await one.ensure({ containerId: 'an-old-sandbox' });
    await one.ensure({ ifName: 'net2' });
    await one.ensure();
    const entries = JSON.parse((await one.annotations())[dataName] ?? '');
    expect(entries.map((entry: Record<string, unknown>) => [entry.containerId, entry.ifName])).toEqual([
      [containerId, 'net2'],
      [containerId, 'net1'],
    ]);
    await one.remove();
    expect(JSON.parse((await one.annotations())[dataName] ?? '')).toHaveLength(1);
    expect(await one.annotations()).toHaveProperty(['userspace/mapped-dir']);
  });

  it('of a sandbox that began later is left to it: code 11 naming it (case A22)', async () => {
    const one = await made();
    await one.ensure({ containerId: 'young' });
    const before = await one.annotations();
    const trouble = troubleOf(await one.ensure({ isLater: async (id) => id === 'young' }));
    expect(trouble).toMatchObject({ code: 11, message: expect.stringContaining('young') });
    expect(await one.annotations()).toEqual(before);
    await one.remove();
    expect(await one.annotations()).toEqual(before);
  });

  it.each(['no JSON', '{}', '["x"]', 'null'])(
    'of another writer, %s, is refused with its remedy and never touched',
    async (text) => {
      const one = await made({ [dataName]: text });
      expect(troubleOf(await one.ensure())).toMatchObject({ code: 7, message: expect.stringContaining(dataName) });
      expect(await one.remove(false)).toEqual({ kind: 'ok' });
      expect(await one.annotations()).toEqual({ [dataName]: text });
    },
  );

  it('is written again upon other clients’ writes, often but not for ever (bug B34)', async () => {
    const one = await made({}, { apiRetryMs: 1500 });
    await one.api.pod(one.plan.pod, patience());
    await one.server.patchStatus('app', { metadata: { annotations: { theirs: 'new' } } });
    expect(await one.ensure()).toMatchObject({ kind: 'ok' });
    expect(await one.annotations()).toMatchObject({ theirs: 'new', [dataName]: expect.stringContaining(containerId) });
    one.server.inject({ kind: 'answer', code: 409 }, { verb: 'PATCH', times: Number.POSITIVE_INFINITY });
    await expect(one.remove()).rejects.toMatchObject({ code: 11, message: expect.stringContaining('modified') });
  });
});

// An ADD that looked its pod up and then waited for the lock has such a view.
describe('a pod that was seen before another call changed it', () => {
  const attachedSince = async () => {
    const one = await made({ theirs: 'stays' });
    const other = await openApi(one.plan.kubeconfig);
    await other.pod(one.plan.pod, patience());
    await one.ensure();
    return { one, other };
  };

  it('does not suffice to leave an entry in it', async () => {
    const { one, other } = await attachedSince();
    await removeAnnotation(sceneOf(one, other), { settled: true });
    expect(await one.annotations()).toEqual({ theirs: 'stays' });
  });

  it('does not suffice to write no entry', async () => {
    const { one, other } = await attachedSince();
    await other.pod(one.plan.pod, patience());
    await one.remove();
    await ensureAnnotation(sceneOf(one, other), addresses, never);
    expect(await one.find()).toEqual({ kind: 'ok' });
  });

  it('does not suffice to refuse', async () => {
    const one = await made({ [dataName]: 'no JSON' });
    await one.api.pod(one.plan.pod, patience());
    await one.server.patchStatus('app', { metadata: { annotations: { [dataName]: null } } });
    expect(await one.ensure()).toMatchObject({ kind: 'ok' });
  });
});

describe('a removal that cannot know what is on its way', () => {
  it('makes it stale: the pod has another resourceVersion, and no other trace of the removal', async () => {
    const one = await made({ theirs: 'stays' });
    const before = (await one.server.pod('app')).metadata.resourceVersion;
    expect(await one.remove(false)).toEqual({ kind: 'ok' });
    expect((await one.server.pod('app')).metadata.resourceVersion).not.toBe(before);
    expect(await one.annotations()).toEqual({ theirs: 'stays' });
  });

  // An ADD looks the pod up before it waits for the lock, so it may not have seen the writes of the call before it.
  it.each(['nothing', 'what was before its predecessor'])('makes it refused, having seen %s', async (seen) => {
    const one = await made({}, { apiRetryMs: 0 });
    const other = await openApi(one.plan.kubeconfig);
    if (seen !== 'nothing') await other.pod(one.plan.pod, patience());
    await one.server.patchStatus('app', { metadata: { annotations: { theirs: 'stays' } } });
    const held = one.server.hold();
    const late = one.ensure();
    await held.received;
    expect(await removeAnnotation(sceneOf(one, other), undefined)).toEqual({ kind: 'ok' });
    expect(await held.deliver()).toBe(409);
    expect(troubleOf(await late).message).toContain('refused to write pod');
    expect(await one.annotations()).toEqual({ theirs: 'stays' });
  });

  it('finds the fence of a killed removal, and removes it', async () => {
    const one = await made();
    const fence = `userspace/removing-${keyHash(one.key)}`;
    await one.server.patchStatus('app', { metadata: { annotations: { [fence]: 'true' } } });
    expect(await one.remove()).toEqual({ kind: 'ok' });
    expect(await one.annotations()).toEqual({});
  });

  it('is done if the account may not write, because no write of it will be taken', async () => {
    const one = await made();
    one.server.rights.plugin = ['pods/get'];
    expect(await one.remove(false)).toEqual({ kind: 'ok' });
    one.server.rights.plugin = ['pods/get', 'pods/status/patch'];
    await one.ensure();
    one.server.rights.plugin = ['pods/get'];
    await expect(one.remove()).rejects.toMatchObject({
      code: 7,
      message: expect.stringContaining('patch pods/status'),
    });
  });

  it.each(['gone', 'another'])('is done if the pod is %s (bug B19, case A27)', async (how) => {
    const one = await made();
    await one.ensure();
    await one.server.deletePod('app');
    if (how === 'another') await one.server.createPod({ name: 'app', annotations: { [dataName]: '[]' } });
    for (const settled of [true, false]) expect(await one.remove(settled)).toEqual({ kind: 'ok' });
    if (how === 'another') expect(await one.annotations()).toEqual({ [dataName]: '[]' });
  });
});

describe('readers of the annotation', () => {
  const golden = new URL('../../golden/podinfo-annotations', import.meta.url).pathname;

  const published = async (config: object = {}) => {
    const one = await made({ 'k8s.v1.cni.cncf.io/networks': 'dpdk-net' });
    await one.ensure({ config });
    await one.ensure({ ifName: 'net2', config });
    return podInfoFile(await one.annotations());
  };

  it('find the predecessor’s bytes in the downward API’s file', async () => {
    expect(`${await published()}\n`).toBe(readFileSync(golden, 'utf8'));
  });

  it('of app-netutil find mode, path and addresses of every interface (case A10)', async () => {
    expect(appNetutil(await published())).toEqual(
      ['net1', 'net2'].map((ifName) => ({
        ifName,
        mode: 'server',
        socketPath: `/run/app/0123456789ab-${ifName}`,
        ips: ['10.0.0.5', 'fd00::5'],
      })),
    );
  });

  it('of the predecessor’s script find the container id in the fifth field between quotes', async () => {
    expect(testpmdScript(await published())).toBe('0123456789ab');
  });

  it('are not put off by a "=" in what the container’s side says', async () => {
    const config = { container: { engine: 'a=b', memif: { role: '=' } } };
    expect(appNetutil(await published(config))).toHaveLength(2);
  });
});
