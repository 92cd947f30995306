import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Deadlines } from '../../../src/deadlines.ts';
import { type Decision, type Sight, writeAnnotations } from '../../../src/effects/kubernetes/pod-write.ts';
import { namespace, tokenOf, writeKubeconfig } from '../../support/stand-in/api.ts';
import type { Fault, Verb } from '../../support/stand-in/api-faults.ts';
import { openApi, soon } from '../../support/stand-in/scene.ts';
import { StandInApi } from '../../support/stand-in/stand-in-api.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const ref = { namespace, name: 'app' };
const verbs: readonly Verb[] = ['GET', 'PATCH'];

/** Faults that a second try mends, and their messages when they last. */
const passing: readonly [title: string, fault: Fault, said: RegExp][] = [
  ['429', { kind: 'answer', code: 429 }, /answered 429/],
  ['500', { kind: 'answer', code: 500 }, /answered 500: Internal error/],
  ['503', { kind: 'answer', code: 503 }, /answered 503: the server is currently unable/],
  ['504 after it was applied', { kind: 'answer', code: 504, applied: true }, /answered 504/],
  ['a reset before a byte is read', { kind: 'reset', when: 'connected' }, /127\.0\.0\.1/],
  ['a reset of a request that is not applied', { kind: 'reset', when: 'received' }, /127\.0\.0\.1/],
  ['a reset of a request that is applied', { kind: 'reset', when: 'applied' }, /127\.0\.0\.1/],
  ['a reset in the middle of the answer', { kind: 'reset', when: 'answering' }, /127\.0\.0\.1/],
  ['no answer', { kind: 'hang' }, /did not answer in time/],
  ['no answer to what is applied', { kind: 'hang', applied: true }, /did not answer in time/],
];

async function made(deadlines: Partial<Deadlines> = {}) {
  const server = await StandInApi.start();
  onTestFinished(() => server.stop());
  await server.createPod({ name: 'app', annotations: { theirs: 'stays' } });
  const kubeconfig = writeKubeconfig(temporaryDirectory(), server, { token: tokenOf('plugin') });
  const open = () => openApi(kubeconfig, { apiRetryMs: 700, ...deadlines });
  const patience = (ms = 5_000, until = ms) => ({ end: soon(ms), until: soon(until) });
  const set = async (value: string, ms?: number, until?: number) => {
    const decide = ({ pod }: Sight): Decision =>
      !pod || pod.metadata.annotations?.ours === value
        ? { kind: 'leave' }
        : { kind: 'write', pod, annotations: { ours: value } };
    const written = await writeAnnotations(await open(), { ref, patience: patience(ms, until), decide });
    if (written.kind === 'failed') throw written.error;
  };
  return { server, open, patience, set, kubeconfig, annotations: () => server.annotations('app') };
}

describe.each(passing)('%s', (_, fault, said) => {
  const patient = fault.kind === 'hang' ? { apiMs: 250 } : {};

  it.each(verbs)('to a %s, once, is got over: what is wanted is there, and nothing else changed', async (verb) => {
    const one = await made(patient);
    one.server.inject(fault, { verb });
    await one.set('yes');
    expect(await one.annotations()).toEqual({ theirs: 'stays', ours: 'yes' });
  });

  it.each(verbs)('to a %s, for ever, ends in code 11 that names the server and what it did', async (verb) => {
    const one = await made(patient);
    one.server.inject(fault, { verb, times: Number.POSITIVE_INFINITY });
    const failure = await one.set('yes', 1_000, 200).catch((error) => error);
    expect(failure).toMatchObject({ code: 11, message: expect.stringMatching(said) });
    expect(failure.message).toContain(one.server.server);
  });
});

describe('an API server', () => {
  it.each([429, 503])('that answers %s with Retry-After is given that time, and not asked before', async (code) => {
    const one = await made();
    one.server.inject({ kind: 'answer', code, retryAfter: 1 }, { verb: 'PATCH' });
    const began = performance.now();
    await one.set('yes');
    expect(performance.now() - began).toBeGreaterThan(1_000);
    expect(one.server.requests.map(({ method }) => method)).toEqual(['GET', 'PATCH', 'PATCH']);
  });

  it('that asks for more time than there is is not waited for', async () => {
    const one = await made();
    one.server.inject({ kind: 'answer', code: 429, retryAfter: 3600 });
    await expect(one.set('yes', 1_000)).rejects.toMatchObject({ code: 11, message: expect.stringContaining('429') });
    expect(one.server.requests).toHaveLength(1);
  });

  it('that answers slowly, or byte by byte, is listened to as long as there is time', async () => {
    const one = await made({ apiMs: 5_000 });
    one.server.inject({ kind: 'slow', ms: 300 });
    one.server.inject({ kind: 'bytewise', ms: 0 }, { verb: 'PATCH' });
    await one.set('yes');
    expect(await one.annotations()).toMatchObject({ ours: 'yes' });
  });

  it('that answers with no pod is not believed', async () => {
    const one = await made();
    one.server.inject({ kind: 'garbage' }, { times: Number.POSITIVE_INFINITY });
    await expect(one.set('yes', 1_000)).rejects.toMatchObject({ code: 11, message: expect.stringContaining('no pod') });
  });

  it('of another authority is not trusted: code 7, at once, and it hears nothing of us', async () => {
    const one = await made();
    const injection = one.server.inject({ kind: 'other-authority' }, { times: Number.POSITIVE_INFINITY });
    await expect(one.set('yes')).rejects.toMatchObject({
      code: 7,
      message: expect.stringContaining('cannot be trusted'),
    });
    expect(injection.count).toBe(1);
    expect(one.server.requests).toEqual([]);
  });

  it('that no longer knows the token is code 11, I12 and the message does not hold the token', async () => {
    const one = await made();
    one.server.inject({ kind: 'answer', code: 401 }, { times: Number.POSITIVE_INFINITY });
    const failure = await one.set('yes').catch((error) => error);
    expect(failure).toMatchObject({ code: 11, message: expect.stringContaining('expired') });
    expect(failure.message).not.toContain(tokenOf('plugin'));
  });

  it('that refuses connections is tried for as long as it is worth, and no longer', async () => {
    const one = await made();
    await one.server.stopServer();
    await expect(one.set('yes', 5_000, 300)).rejects.toMatchObject({ code: 11 });
    setTimeout(() => void one.server.startServer(), 300);
    await one.set('yes', 5_000, 5_000);
    expect(await one.annotations()).toMatchObject({ ours: 'yes' });
  });

  it('kind 2: with a path in its URL is asked there, and a 404 of that path does not prove that the pod is gone', async () => {
    const one = await made();
    const text = readFileSync(one.kubeconfig, 'utf8');
    writeFileSync(one.kubeconfig, text.replace(one.server.server, `${one.server.server}/k8s/clusters/c-1`));
    await expect(one.set('yes')).rejects.toMatchObject({
      code: 11,
      message: expect.stringMatching(/answered 404 to "get" of pod blue\/app: 404 page not found \(no API server/),
    });
    expect(one.server.requests[0]?.path).toBe(`/k8s/clusters/c-1/api/v1/namespaces/${namespace}/pods/app`);
  });

  it('behind a proxy that the kubeconfig names is reached through it, and trusted by its own certificate', async () => {
    const one = await made();
    const asked: string[] = [];
    const proxy = await startProxy(asked);
    const credentials = { token: tokenOf('plugin') };
    writeKubeconfig(dirname(one.kubeconfig), one.server, credentials, { 'proxy-url': proxy });
    await one.set('yes');
    expect(new Set(asked)).toEqual(new Set([new URL(one.server.server).host]));
    expect(await one.annotations()).toMatchObject({ ours: 'yes' });
  });

  it('is not asked through a proxy of the environment: the kubeconfig alone says how', async () => {
    const one = await made();
    const asked: string[] = [];
    const proxy = await startProxy(asked);
    for (const name of ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy']) vi.stubEnv(name, proxy);
    onTestFinished(() => void vi.unstubAllEnvs());
    await one.set('yes');
    expect(asked).toEqual([]);
    // A program that gives credentials may need it.
    expect(process.env.HTTPS_PROXY).toBe(proxy);
  });

  it('is asked over one connection by one call', async () => {
    const one = await made();
    await one.set('yes');
    expect(one.server.requests).toHaveLength(2);
    expect(one.server.connections).toBe(1);
  });
});

/** An HTTP proxy for TLS. @param asked receives the hosts. @returns its URL */
async function startProxy(asked: string[]): Promise<string> {
  const sockets = new Set<Duplex>();
  const proxy = createServer().on('connect', ({ url = '' }, client) => {
    asked.push(url);
    const [host, port] = url.split(':');
    const server = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      server.pipe(client).pipe(server);
    });
    for (const socket of [client, server]) sockets.add(socket.on('error', () => undefined));
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

describe('a client certificate', () => {
  it('that is none is refused at once: code 7', async () => {
    const one = await made();
    const certificate = { ...one.server.certificate('plugin'), cert: 'no certificate' };
    writeKubeconfig(dirname(one.kubeconfig), one.server, { certificate });
    await expect(one.set('yes')).rejects.toMatchObject({
      code: 7,
      message: expect.stringContaining("the kubeconfig's certificates cannot be used"),
    });
  });

  it('does instead of a token', async () => {
    const one = await made();
    writeFileSync(
      one.kubeconfig,
      readFileSync(
        writeKubeconfig(temporaryDirectory(), one.server, { certificate: one.server.certificate('plugin') }),
      ),
    );
    await one.set('yes');
    expect(one.server.requests.map(({ user }) => user)).toEqual(['plugin', 'plugin']);
  });
});
