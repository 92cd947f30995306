import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Deadlines, defaultDeadlines } from '../../../src/deadlines.ts';
import { createHost } from '../../../src/effects/host.ts';
import type { AnnotationPlan, Facts, Plan, Verb } from '../../../src/machines/protocol.ts';
import { patches } from '../../support/stand-in/annotation-scene.ts';
import { type Account, namespace, tokenOf, writeKubeconfig } from '../../support/stand-in/api.ts';
import { call, keyOf, soon, troubleOf } from '../../support/stand-in/scene.ts';
import { StandInApi } from '../../support/stand-in/stand-in-api.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

interface Options {
  readonly deadlines?: Partial<Deadlines>;
  readonly remembersAway?: boolean;
}

/** A pod with our entry, made by the kubeconfig of the journal; a host whose caller names another one. */
async function made({ deadlines = {}, remembersAway = false }: Options = {}) {
  const server = await StandInApi.start();
  onTestFinished(() => server.stop());
  const { metadata } = await server.createPod({ name: 'app', annotations: { theirs: 'stays' } });
  const kubeconfigOf = (account: Account) => writeKubeconfig(temporaryDirectory(), server, { token: tokenOf(account) });
  const [old, young] = [kubeconfigOf('plugin'), kubeconfigOf('plugin')];
  const publication: AnnotationPlan = {
    kubeconfig: old,
    pod: { namespace, name: 'app', uid: metadata.uid },
    mappedDir: '/run/app/',
    data: { containerId: 'c0ffee', ifName: 'net1' },
  };
  const hostOf = (kubeconfig?: string) => {
    const own = { ...defaultDeadlines, reconnectMs: 300, apiRetryMs: 300, ...deadlines };
    const host = createHost(own, kubeconfig ? { kubeconfig } : {}, { remembersAway });
    onTestFinished(() => host.close());
    return host;
  };
  const host = hostOf(young);
  const perform = async (verb: Verb, facts: Facts = {}, by = host, plan = publication) => {
    const whole: Plan = { key: keyOf('c0ffee'), ovsdb: '', request: { stdin: '', env: {} }, publication: plan };
    return await by.perform({ step: 'publication', verb, plan: whole, facts }, call(20_000));
  };
  const settled: Facts = { publication: { settled: true } };
  const remove = (by = host, plan = publication) => perform('remove', settled, by, plan);
  expect(await perform('ensure')).toMatchObject({ kind: 'ok' });
  // Another call is another process, so it reads the kubeconfig again.
  host.close();
  return { server, old, young, host, hostOf, publication, perform, remove, kubeconfigOf };
}

type Made = Awaited<ReturnType<typeof made>>;

/** The ways in which the journal's kubeconfig becomes useless. */
const moves: readonly [string, (one: Made) => void | Promise<void>, said: RegExp][] = [
  ['is not there any more', ({ old }) => rmSync(old), /cannot be read: ENOENT/],
  ['is no kubeconfig any more', ({ old }) => writeFileSync(old, 'rotated: away\n'), /no cluster/],
  [
    'has credentials that expired',
    ({ old, server }) => {
      const path = writeKubeconfig(temporaryDirectory(), server, { token: 'expired' });
      renameSync(path, old);
    },
    /401/,
  ],
  [
    'has lost its rights',
    ({ old, kubeconfigOf }) => renameSync(kubeconfigOf('nobody'), old),
    /forbids to get pods.*403/,
  ],
  [
    'names a server that is gone',
    async ({ old }) => {
      const gone = await StandInApi.start();
      await gone.stop();
      renameSync(writeKubeconfig(temporaryDirectory(), gone, { token: tokenOf('plugin') }), old);
    },
    /cannot be reached/,
  ],
  [
    'names a server of another authority',
    async ({ old, server }) => {
      const other = await StandInApi.start();
      onTestFinished(() => other.stop());
      const mixed = { server: server.server, ca: other.ca };
      renameSync(writeKubeconfig(temporaryDirectory(), mixed, { token: tokenOf('plugin') }), old);
    },
    /cannot be trusted/,
  ],
];

describe.each(moves)('a journal whose kubeconfig %s', (_, move, said) => {
  it('kind 5: is paid by the caller’s kubeconfig, and the entry is removed', async () => {
    const one = await made();
    await move(one);
    expect(await one.remove()).toEqual({ kind: 'ok' });
    expect(await one.server.annotations('app')).toEqual({ theirs: 'stays' });
  });

  it('kind 5: is paid where the pod is long gone', async () => {
    const one = await made();
    await move(one);
    await one.server.deletePod('app');
    expect(await one.remove()).toEqual({ kind: 'ok' });
  });

  it('is judged by the caller’s kubeconfig, and the entry is found', async () => {
    const one = await made();
    await move(one);
    expect(await one.perform('find')).toEqual({ kind: 'ok' });
  });

  it('is owed with the reasons of both, if the caller’s is useless too', async () => {
    const one = await made();
    await move(one);
    const nowhere = join(temporaryDirectory(), 'nowhere');
    const { message } = troubleOf(await one.remove(one.hostOf(nowhere)));
    expect(message).toMatch(said);
    expect(message).toContain(`"${nowhere}" cannot be read`);
    expect(troubleOf(await one.remove(one.hostOf())).message).toMatch(said);
  });
});

describe('the rights of an account', () => {
  const all = ['get pods', 'patch pods/status'];
  it.each([
    ['plugin', []],
    ['reader', ['patch pods/status']],
    ['writer', ['get pods']],
    ['nobody', all],
  ] as const)(
    'are asked of the API server itself: %s lacks %j, and nothing is written (need N12)',
    async (account, lacking) => {
      const { server, hostOf, kubeconfigOf } = await made();
      const before = await server.annotations('app');
      for (const where of [undefined, namespace])
        expect(await hostOf().missingRights(kubeconfigOf(account), where, soon())).toEqual(lacking);
      expect(await server.annotations('app')).toEqual(before);
      expect(server.requests.some(({ method, path }) => method === 'POST' && path.includes('selfsubjectaccess'))).toBe(
        true,
      );
    },
  );

  it('cannot be told with credentials that expired, of a server that is away, or by a proxy (need N12)', async () => {
    const { server, hostOf, kubeconfigOf } = await made();
    const ask = (kubeconfig: string) => hostOf().missingRights(kubeconfig, namespace, soon());
    const expired = writeKubeconfig(temporaryDirectory(), server, { token: 'expired' });
    await expect(ask(expired)).rejects.toThrow(/401/);
    server.inject({ kind: 'answer', code: 200, body: '<html>' });
    await expect(ask(kubeconfigOf('plugin'))).rejects.toThrow(/answered 200 to a question/);
    await server.stopServer();
    await expect(ask(kubeconfigOf('plugin'))).rejects.toThrow(/cannot be reached/);
  });
});

describe('a kubeconfig of the caller', () => {
  it('is not looked at if the journal’s works', async () => {
    const one = await made();
    const nowhere = one.hostOf(join(temporaryDirectory(), 'nowhere'));
    expect(await one.remove(nowhere)).toEqual({ kind: 'ok' });
  });

  it('is never used by an ADD: with an unusable kubeconfig of its own it made nothing', async () => {
    const one = await made();
    rmSync(one.old);
    const requests = one.server.requests.length;
    expect(await one.perform('ensure', {}, one.hostOf(one.young))).toMatchObject({
      kind: 'failed',
      made: 'nothing',
      trouble: { code: 7 },
    });
    expect(one.server.requests).toHaveLength(requests);
  });
});

/** Long enough for a silence to mean something. */
const fair = { reconnectMs: 1_100, apiMs: 1_100 };

async function timed<T>(action: () => Promise<T>): Promise<readonly [T, ms: number]> {
  const began = performance.now();
  return [await action(), performance.now() - began];
}

describe('an API server that did not answer', () => {
  it.each(['silent', 'away'] as const)(
    'kind 7: being %s, is not waited for again by a host that remembers, until it is told to forget',
    async (how) => {
      const one = await made({ deadlines: fair, remembersAway: true });
      const host = one.hostOf();
      if (how === 'silent') one.server.pauseServer();
      else await one.server.stopServer();
      const [first, firstMs] = await timed(() => one.remove(host));
      expect(firstMs).toBeGreaterThan(500);
      // Recovery does this between two attachments.
      host.close();
      for (const again of [await timed(() => one.remove(host)), await timed(() => one.remove(host))]) {
        expect(again[1]).toBeLessThan(200);
        expect(troubleOf(again[0])).toEqual({
          ...troubleOf(first),
          message: `${troubleOf(first).message} (asked a moment ago)`,
        });
      }
      if (how === 'silent') one.server.resumeServer();
      else await one.server.startServer();
      host.forgetAway();
      expect(await one.remove(host)).toEqual({ kind: 'ok' });
    },
  );

  it('is asked again by a host that is not told to remember', async () => {
    const one = await made({ deadlines: fair });
    const host = one.hostOf();
    one.server.pauseServer();
    await one.remove(host);
    const [outcome, ms] = await timed(() => one.remove(host));
    expect(ms).toBeGreaterThan(1_000);
    expect(troubleOf(outcome).message).not.toContain('a moment ago');
    one.server.resumeServer();
  });

  it('kind 7: refusing every write for a conflict, is tried many times for one attachment only, by a host that remembers', async () => {
    const one = await made({ remembersAway: true });
    const host = one.hostOf();
    const message = 'the object has been modified';
    const conflict = { kind: 'Status', status: 'Failure', reason: 'Conflict', code: 409, message };
    const body = { ...conflict, details: { name: 'app', kind: 'pods' } };
    const fault = one.server.inject(
      { kind: 'answer', code: 409, body },
      { verb: 'PATCH', times: Number.POSITIVE_INFINITY },
    );
    const tries: number[] = [];
    for (let attachment = 0; attachment < 3; attachment++) {
      const before = patches(one.server).length;
      expect(troubleOf(await one.remove(host)).message).toContain(message);
      tries.push(patches(one.server).length - before);
      host.close();
    }
    expect(tries[0]).toBeGreaterThan(2);
    expect(tries.slice(1)).toEqual([1, 1]);
    fault.end();
    host.forgetAway();
    expect(await one.remove(host)).toEqual({ kind: 'ok' });
  });

  it('kind 7: leaves other kubeconfigs alone: the caller’s is asked, and its answer counts', async () => {
    const one = await made({ deadlines: fair, remembersAway: true });
    const gone = await StandInApi.start();
    await gone.stop();
    renameSync(writeKubeconfig(temporaryDirectory(), gone, { token: tokenOf('plugin') }), one.old);
    const host = one.hostOf(one.young);
    for (let round = 0; round < 2; round++) {
      const [outcome, ms] = await timed(() => one.remove(host));
      expect(outcome).toEqual({ kind: 'ok' });
      expect(ms > 300).toBe(round === 0);
    }
  });

  it.each([
    ['refuses', { kind: 'answer', code: 422, body: { kind: 'Status', status: 'Failure', message: 'no' } }],
    ['has a webhook that is broken', { kind: 'answer', code: 500 }],
  ] as const)('and one that %s is not away', async (_, fault) => {
    const one = await made({ deadlines: fair, remembersAway: true });
    const host = one.hostOf();
    one.server.inject(fault, { verb: 'PATCH', times: Number.POSITIVE_INFINITY });
    for (let round = 0; round < 2; round++) {
      expect(troubleOf(await one.remove(host)).message).not.toContain('a moment ago');
    }
  });

  it('kind 7: a credential program that hangs is not started again by a host that remembers', async () => {
    const one = await made({ deadlines: { ...fair, apiMs: 1_100 }, remembersAway: true });
    const directory = temporaryDirectory();
    const path = writeKubeconfig(directory, one.server, {});
    const runs = join(directory, 'runs');
    const args = JSON.stringify(['-c', `echo >> ${runs}; exec sleep 60`]);
    const exec = `{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: ${args}}}`;
    const text = await Bun.file(path).text();
    writeFileSync(path, text.replace(/user: \{\}/, `user: ${exec}`));
    const host = one.hostOf();
    for (let round = 0; round < 3; round++) {
      const outcome = await one.remove(host, { ...one.publication, kubeconfig: path });
      expect(troubleOf(outcome).message).toContain('did not answer in time');
      host.close();
    }
    expect((await Bun.file(runs).text()).length).toBe(1);
  });
});
