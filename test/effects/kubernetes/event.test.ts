/** Events on a pod at the stand-in of an API server: told once, and what refuses them. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { defaultDeadlines } from '../../../src/deadlines.ts';
import { createHost } from '../../../src/effects/host.ts';
import { eventName, type PodEvent } from '../../../src/effects/kubernetes/event.ts';
import { type Account, namespace, tokenOf, writeKubeconfig } from '../../support/stand-in/api.ts';
import { soon } from '../../support/stand-in/scene.ts';
import { StandInApi } from '../../support/stand-in/stand-in-api.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const base: PodEvent = {
  pod: { namespace, name: 'app', uid: 'uid-1' },
  type: 'Warning',
  reason: 'UserspaceOwed',
  message: 'it is owed',
  about: 'net:c0ffee:net1 2025-01-17T12:00:00.000Z',
  at: new Date('2025-01-17T12:34:56.789Z'),
};

async function made(account: Account = 'teller', elsewhere?: Account) {
  const server = await StandInApi.start();
  onTestFinished(() => server.stop());
  const of = (one: Account) => writeKubeconfig(temporaryDirectory(), server, { token: tokenOf(one) });
  const host = createHost({ ...defaultDeadlines, apiMs: 1000 }, elsewhere ? { kubeconfig: of(elsewhere) } : {}, {
    remembersAway: true,
  });
  onTestFinished(() => host.close());
  const own = of(account);
  const tell = (more: Partial<PodEvent> = {}, kubeconfig: string | undefined = own) =>
    host.tell(kubeconfig, { ...base, ...more }, soon(5_000));
  return { server, host, tell };
}

describe('an event on a pod', () => {
  it('names the pod by its uid, and who tells it', async () => {
    const { server, tell } = await made();
    expect(await tell()).toBe('sent');
    expect(server.events).toMatchObject([
      {
        kind: 'Event',
        metadata: { namespace, name: expect.stringMatching(/^app\.[0-9a-f]{16}$/) },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name: 'app', uid: 'uid-1' },
        type: 'Warning',
        reason: 'UserspaceOwed',
        message: 'it is owed',
        reportingComponent: 'userspace-cni',
        source: { component: 'userspace-cni', host: expect.stringMatching(/./) },
        firstTimestamp: '2025-01-17T12:34:56Z',
        lastTimestamp: '2025-01-17T12:34:56Z',
        count: 1,
      },
    ]);
  });

  it('told again is known, also with other words and at another time (EV1)', async () => {
    const { server, tell } = await made();
    expect(await tell()).toBe('sent');
    expect(await tell({ message: 'still owed', at: new Date() })).toBe('known');
    expect(await tell({ about: 'net:c0ffee:net1 later' })).toBe('sent');
    expect(await tell({ reason: 'UserspacePutBack' })).toBe('sent');
    expect(await tell({ pod: { ...base.pod, uid: 'uid-2' } })).toBe('sent');
    expect(server.events).toHaveLength(4);
  });

  it('whose answer was lost is known the next time', async () => {
    const { server, host, tell } = await made();
    server.inject({ kind: 'reset', when: 'applied' }, { verb: 'POST' });
    await expect(tell()).rejects.toThrow('127.0.0.1');
    host.forgetAway();
    expect(await tell()).toBe('known');
  });

  it('without the right is one error that names it, after one request', async () => {
    const { server, tell } = await made('plugin');
    await expect(tell()).rejects.toMatchObject({
      why: 'forbidden',
      message: expect.stringContaining(`forbids to create events in namespace "${namespace}" (403)`),
    });
    expect(server.requests.map(({ method }) => method)).toEqual(['POST']);
  });

  it('is told by the caller’s kubeconfig where the journal’s may not, and where there is none', async () => {
    const { server, tell } = await made('plugin', 'teller');
    expect(await tell()).toBe('sent');
    expect(await tell({ about: 'another' }, undefined)).toBe('sent');
    expect(server.requests.map(({ user }) => user)).toEqual(['plugin', 'teller', 'plugin', 'teller']);
  });

  it('without any kubeconfig is not told', async () => {
    const host = createHost(defaultDeadlines);
    onTestFinished(() => host.close());
    expect(await host.tell(undefined, base, soon())).toBeUndefined();
  });

  it('in a namespace that is gone or going is told to none, and no error', async () => {
    const { server, tell } = await made();
    expect(await tell({ pod: { namespace: 'nowhere', name: 'app' } })).toBe('no pod');
    const going = {
      kind: 'Status',
      status: 'Failure',
      reason: 'Forbidden',
      message:
        'events "app.1" is forbidden: unable to create new content in namespace blue because it is being terminated',
      details: {
        name: 'app.1',
        kind: 'events',
        causes: [{ reason: 'NamespaceTerminating', field: 'metadata.namespace' }],
      },
    };
    server.inject({ kind: 'answer', code: 403, body: going });
    expect(await tell()).toBe('no pod');
  });

  it.each([
    [
      'an admission that refuses it',
      { kind: 'answer', code: 403, body: 'no events today' },
      /answered 403 .*no events today/,
    ],
    ['a proxy’s page', { kind: 'answer', code: 200, body: '<html>' }, /answered 200/],
    ['credentials that expired', { kind: 'answer', code: 401 }, /401.*expired/],
    ['an error of the server, which is not asked again', { kind: 'answer', code: 500 }, /answered 500/],
  ] as const)('%s is an error, and one request', async (_, fault, said) => {
    const { server, tell } = await made();
    server.inject(fault);
    await expect(tell()).rejects.toThrow(said);
    expect(server.requests).toHaveLength(1);
  });

  it('of a pod that lives is told, and of one that is gone or replaced by another is not', async () => {
    const { server, tell } = await made();
    const { metadata } = await server.createPod({ name: 'app' });
    const onlyLiving = { onlyLiving: true } as const;
    expect(await tell(onlyLiving)).toBe('no pod');
    expect(await tell({ ...onlyLiving, pod: { namespace, name: 'app', uid: metadata.uid } })).toBe('sent');
    await server.deletePod('app');
    expect(await tell({ ...onlyLiving, about: 'again', pod: { namespace, name: 'app', uid: metadata.uid } })).toBe(
      'no pod',
    );
    expect(server.events).toHaveLength(1);
  });
});

describe('the message of an event', () => {
  it.each(['x', 'ä', '€', '👍'])('of many %s is cut to 1024 bytes, between two characters', async (character) => {
    const { server, tell } = await made();
    await tell({ message: `.${character.repeat(2000)}` });
    const { message } = server.events[0];
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1024);
    expect(Buffer.byteLength(message)).toBeGreaterThan(1016);
    expect(message).toMatch(new RegExp(`^\\.(${character})+…$`, 'u'));
  });

  it('of exactly 1024 bytes stays whole', async () => {
    const { server, tell } = await made();
    await tell({ message: 'ä'.repeat(512) });
    expect(server.events[0].message).toBe('ä'.repeat(512));
  });
});

describe('the name of an event', () => {
  it.each(['a', `${'a'.repeat(235)}-${'b'.repeat(17)}`, `${'a.'.repeat(125)}abc`, 'a'.repeat(253)])(
    'of a pod %j is that of an object',
    (name) => {
      const named = eventName({ ...base, pod: { namespace, name } });
      expect(named.length).toBeLessThanOrEqual(253);
      expect(named).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);
    },
  );
});
