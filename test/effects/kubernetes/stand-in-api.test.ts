/** The stand-in of an API server agrees with a real one (the shared cases), and makes its rare faults on demand. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { podPath, tokenOf } from '../../support/stand-in/api.ts';
import { apiCases } from '../../support/stand-in/api-cases.ts';
import type { Fault } from '../../support/stand-in/api-faults.ts';
import { call } from '../../support/stand-in/https-call.ts';
import { StandInApi } from '../../support/stand-in/stand-in-api.ts';

const token = tokenOf('plugin');

describe('the stand-in of an API server', () => apiCases('does as a real one', () => StandInApi.start()));

describe('faults of the stand-in', () => {
  let api: StandInApi;
  beforeEach(async () => {
    api = await StandInApi.start();
    await api.createPod({ name: 'app' });
  });
  afterEach(() => api.stop());

  const get = () => call(api, 'GET', podPath('app'), { token });
  const patch = (value = '1') =>
    call(api, 'PATCH', `${podPath('app')}/status`, { token, body: { metadata: { annotations: { value } } } });
  const value = async () => (await api.annotations('app')).value;

  test('a fault happens as often as asked, to the verb that was asked for, and is counted', async () => {
    const twice = api.inject({ kind: 'answer', code: 500 }, { verb: 'PATCH', times: 2 });
    const codes = [await patch(), await get(), await patch(), await patch()].map(({ status }) => status);
    expect(codes).toEqual([500, 200, 500, 200]);
    expect(twice.count).toBe(2);
    await twice.happened;
  });

  test('for ever is until its end', async () => {
    const forever = api.inject({ kind: 'answer', code: 503 }, { times: Infinity });
    expect([(await get()).status, (await get()).status, (await patch()).status]).toEqual([503, 503, 503]);
    forever.end();
    expect((await get()).status).toBe(200);
  });

  test.each([
    [401, 'Unauthorized'],
    [409, 'Conflict'],
    [500, 'InternalError'],
    [503, 'ServiceUnavailable'],
  ])('%d comes with the Status of a real server (%s), and nothing is written', async (code, reason) => {
    api.inject({ kind: 'answer', code });
    expect((await patch()).json).toMatchObject({ kind: 'Status', code, reason });
    expect(await value()).toBeUndefined();
  });

  test.each([429, 503])('%d says when to come again', async (code) => {
    api.inject({ kind: 'answer', code, retryAfter: 3 });
    expect(await get()).toMatchObject({ status: code, headers: { 'retry-after': '3' } });
  });

  test('an answer can hide that the write went through', async () => {
    api.inject({ kind: 'answer', code: 504, applied: true });
    expect((await patch()).status).toBe(504);
    expect(await value()).toBe('1');
  });

  test.each([
    ['connected', undefined, 0],
    ['received', undefined, 1],
    ['applied', '1', 1],
    ['answering', '1', 1],
  ] as const)('a connection reset when %s: written is %s', async (when, written, seen) => {
    const reset = api.inject({ kind: 'reset', when });
    await expect(patch()).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(reset.count).toBe(1);
    expect(await value()).toBe(written);
    expect(api.requests).toHaveLength(seen);
    expect((await get()).status).toBe(200);
  });

  test.each<Fault>([
    { kind: 'slow', ms: 150 },
    { kind: 'bytewise', ms: 0.2 },
  ])('a whole answer that takes its time: %o', async (fault) => {
    api.inject(fault);
    const began = performance.now();
    const answer = await patch();
    expect(performance.now() - began).toBeGreaterThan(100);
    expect(answer.json.metadata.annotations).toEqual({ value: '1' });
  });

  test.each([true, false])('no answer at all; applied: %s', async (applied) => {
    const hang = api.inject({ kind: 'hang', applied });
    let ended = false;
    const end = () => {
      ended = true;
    };
    void patch().then(end, end);
    await hang.happened;
    await delay(100);
    expect(ended).toBe(false);
    expect(await value()).toBe(applied ? '1' : undefined);
    expect((await get()).status).toBe(200);
  });

  test('a body that is no JSON', async () => {
    api.inject({ kind: 'garbage' });
    const { status, text } = await get();
    expect(status).toBe(200);
    expect(() => JSON.parse(text)).toThrow();
  });

  test('another authority’s certificate is refused by the client, before the request', async () => {
    api.inject({ kind: 'other-authority' });
    await expect(get()).rejects.toThrow(/certificate/);
    expect(api.requests).toEqual([]);
    expect((await get()).status).toBe(200);
  });

  test('a held PATCH is applied when the test says so, with its client long dead; those after it are not held', async () => {
    const held = api.hold();
    const stopped = new AbortController();
    const dying = call(api, 'PATCH', `${podPath('app')}/status`, {
      token,
      body: { metadata: { annotations: { late: '1' } } },
      signal: stopped.signal,
    });
    const seen = await held.received;
    expect(seen).toMatchObject({ method: 'PATCH', user: 'plugin', body: expect.stringContaining('late') });
    stopped.abort();
    await expect(dying).rejects.toThrow();
    expect((await patch('2')).status).toBe(200);
    expect(await api.annotations('app')).toEqual({ value: '2' });
    expect(await held.deliver()).toBe(200);
    expect(await api.annotations('app')).toEqual({ value: '2', late: '1' });
  });

  test('a held PATCH is judged by what is there when it is delivered', async () => {
    const { resourceVersion } = (await api.pod('app')).metadata;
    const held = api.hold();
    const guarded = call(api, 'PATCH', `${podPath('app')}/status`, {
      token,
      body: { metadata: { resourceVersion, annotations: { late: '1' } } },
    });
    await held.received;
    await api.patchStatus('app', { metadata: { annotations: { theirs: '1' } } });
    expect(await held.deliver()).toBe(409);
    expect((await guarded).status).toBe(409);
    expect(await api.annotations('app')).toEqual({ theirs: '1' });
  });

  test('every request is recorded: its account, its content, and its result', async () => {
    await get();
    await patch();
    await call(api, 'GET', podPath('app'), { token: 'x' });
    expect(api.requests).toMatchObject([
      { method: 'GET', path: podPath('app'), user: 'plugin', status: 200, body: '' },
      { method: 'PATCH', path: `${podPath('app')}/status`, user: 'plugin', status: 200 },
      { method: 'GET', user: undefined, status: 401, headers: { authorization: 'Bearer x' } },
    ]);
    expect(JSON.parse(api.requests[1]?.body ?? '')).toEqual({ metadata: { annotations: { value: '1' } } });
  });

  test('a right that is taken away is missed by the next request', async () => {
    api.rights.plugin = ['pods/get'];
    expect((await get()).status).toBe(200);
    expect((await patch()).status).toBe(403);
  });
});
