import { describe, expect, it } from 'vitest';
import { keyHash } from '../../../src/attachment.ts';
import { removeAnnotation } from '../../../src/effects/kubernetes/annotation.ts';
import {
  type AnnotationScene,
  dataName,
  made,
  patches,
  patience,
  sceneOf,
} from '../../support/stand-in/annotation-scene.ts';
import { openApi, troubleOf } from '../../support/stand-in/scene.ts';

const limitBytes = 256 * 1024;
const forEver = { verb: 'PATCH', times: Number.POSITIVE_INFINITY } as const;

const status = (code: number, reason: string | undefined, message: string, details?: object) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message,
  ...(reason && { reason }),
  ...(details && { details }),
  code,
});

const denied = 'admission webhook "guard.test" denied the request: no';

/** Answers that refuse a write, each as something in a cluster gives them. */
const refusals: readonly [string, code: number, body: string | object][] = [
  ['a validating admission (403)', 403, status(403, 'Forbidden', `pods "app" is forbidden: ${denied}`)],
  ['a webhook (400)', 400, status(400, 'BadRequest', denied)],
  ['a webhook (404)', 404, status(404, 'NotFound', denied)],
  ['a webhook (409)', 409, status(409, 'Conflict', denied)],
  ['a webhook that quotes a field (422)', 422, status(422, 'Invalid', `${denied}: metadata.uid`)],
  ['a webhook (500)', 500, status(500, undefined, denied)],
  [
    'a webhook that cannot be called (500)',
    500,
    status(500, 'InternalError', 'Internal error occurred: failed calling webhook "guard.test": connection refused'),
  ],
  ['too large a request (413)', 413, status(413, 'RequestEntityTooLarge', 'Request entity too large')],
  ['too many requests (429)', 429, 'Too many requests, please try again later.\n'],
];

/** Fills the annotations with another writer's text, so that this many bytes are left. */
const full = (left: number) => ({ theirs: 'x'.repeat(limitBytes - 'theirs'.length - left) });

const settled = { facts: { settled: true } };

/** The writes that an action sends, each with its answer. */
async function written(one: AnnotationScene, action: () => Promise<unknown>): Promise<(number | undefined)[]> {
  const before = patches(one.server).length;
  await action();
  return patches(one.server)
    .slice(before)
    .map(({ status }) => status);
}

describe('a write that an answer refuses', () => {
  it.each(refusals)('kind 5: by %s made nothing, and its removal writes nothing and is done', async (_, code, body) => {
    const one = await made({ theirs: 'stays' }, { apiRetryMs: 200 });
    const fault = one.server.inject({ kind: 'answer', code, body }, forEver);
    const outcome = await one.ensure({}, 200);
    expect(outcome).toMatchObject({ kind: 'failed', made: 'nothing', ...settled });
    expect(troubleOf(outcome).message).toContain(`answered ${code}`);
    fault.end();
    expect(await written(one, async () => expect(await one.remove()).toEqual({ kind: 'ok' }))).toEqual([]);
    expect(await one.annotations()).toEqual({ theirs: 'stays' });
  });

  it('kind 5: for the length of all annotations made nothing, and names the remedy', async () => {
    const one = await made(full(100));
    const outcome = await one.ensure();
    expect(outcome).toMatchObject({ kind: 'failed', made: 'nothing', ...settled });
    expect(troubleOf(outcome).message).toMatch(/no more annotations of pod blue\/app.*Too long.*remove some/);
  });

  it('kind 5: for a right that is missing made nothing', async () => {
    const one = await made();
    one.server.rights.plugin = ['pods/get'];
    expect(await one.ensure()).toMatchObject({ made: 'nothing', ...settled, trouble: { code: 7 } });
  });

  it('kind 2: by something before the API server does not prove that nothing was made', async () => {
    const one = await made();
    one.server.inject({ kind: 'answer', code: 403, body: '<html>blocked</html>', applied: true }, forEver);
    const outcome = await one.ensure();
    expect(outcome).toMatchObject({ kind: 'failed', ...settled });
    expect(outcome).not.toHaveProperty('made');
    expect(troubleOf(outcome).message).toContain('no API server says it like this');
  });

  it.each([
    ['no answer', { kind: 'hang' }],
    ['a reset', { kind: 'reset', when: 'received' }],
    ['a 504', { kind: 'answer', code: 504 }],
    ['a 500', { kind: 'answer', code: 500 }],
  ] as const)('kind 5: after %s to an earlier try leaves that one unknown', async (_, fault) => {
    const one = await made(full(100), { apiMs: 300 });
    one.server.inject(fault, { verb: 'PATCH' });
    const outcome = await one.ensure();
    expect(troubleOf(outcome).message).toContain('Too long');
    expect(outcome).not.toHaveProperty('made');
    expect(outcome).not.toHaveProperty('facts');
  });

  it('kind 5: after a conflict that made an earlier try stale is settled', async () => {
    const one = await made({}, { apiMs: 300 });
    await one.api.pod(one.plan.pod, patience());
    await one.server.patchStatus('app', { metadata: { annotations: full(100) } });
    one.server.inject({ kind: 'hang' }, { verb: 'PATCH' });
    const outcome = await one.ensure();
    expect(troubleOf(outcome).message).toContain('Too long');
    expect(outcome).toMatchObject(settled);
  });
});

describe('a removal that cannot know whether a write is on its way', () => {
  it('kind 5: is done if its fence would be too long, because the late write is longer', async () => {
    const one = await made(full(20));
    const held = one.server.hold();
    const late = one.ensure();
    await held.received;
    const other = await openApi(one.plan.kubeconfig);
    expect(await removeAnnotation(sceneOf(one, other), undefined)).toEqual({ kind: 'ok' });
    expect(await held.deliver()).toBe(422);
    expect(await late).toMatchObject({ kind: 'failed', made: 'nothing' });
    expect(Object.keys(await one.annotations())).toEqual(['theirs']);
  });

  it.each([
    ['an entry', { [dataName]: JSON.stringify([{ ifName: 'net1', containerId: 'old', config: 'x'.repeat(4000) }]) }],
    ['a longer directory', { 'userspace/mapped-dir': `/${'x'.repeat(4000)}/` }],
  ])('kind 5: is owed where its fence would be too long and the late write would replace %s', async (_, stale) => {
    const one = await made(stale);
    const bytes = Object.entries(stale).flat().join('').length;
    await one.server.patchStatus('app', { metadata: { annotations: full(20 + bytes) } });
    const held = one.server.hold();
    const late = one.ensure();
    await held.received;
    const other = await openApi(one.plan.kubeconfig);
    await expect(removeAnnotation(sceneOf(one, other), undefined)).rejects.toMatchObject({ why: 'too long' });
    expect(await held.deliver()).toBe(200);
    expect(await late).toMatchObject({ kind: 'ok' });
  });

  it('kind 2: is owed if an admission refuses its fence, because it may admit another write', async () => {
    const one = await made();
    const body = status(403, 'Forbidden', `pods "app" is forbidden: ${denied}`);
    one.server.inject({ kind: 'answer', code: 403, body });
    one.server.inject({ kind: 'answer', code: 403, body }, forEver);
    await expect(one.remove(false)).rejects.toMatchObject({ message: expect.stringContaining('answered 403') });
  });
});

describe('an account that loses its right to read between two tries of a fence', () => {
  it('kind 2: has not proved that nothing is on its way', async () => {
    const one = await made();
    const conflict = status(409, 'Conflict', 'the object has been modified', { name: 'app', kind: 'pods' });
    one.server.inject({ kind: 'answer', code: 409, body: conflict }, { verb: 'PATCH' });
    const message = 'pods "app" is forbidden: User "plugin" cannot get resource "pods" in API group ""';
    const forbidden = { kind: 'answer', code: 403, body: status(403, 'Forbidden', message) } as const;
    const removal = one.remove(false);
    while (patches(one.server).length === 0) await Bun.sleep(1);
    one.server.inject(forbidden, { verb: 'GET' });
    await expect(removal).rejects.toMatchObject({ code: 7, message: expect.stringContaining('forbids to get pods') });
  });
});

describe('a removal whose write is refused by an answer', () => {
  it('kind 5: is owed while the pod lives, and done when it is gone', async () => {
    const one = await made();
    await one.ensure();
    one.server.inject({ kind: 'answer', code: 422, body: status(422, 'Invalid', denied) }, forEver);
    await expect(one.remove()).rejects.toMatchObject({ code: 11, message: expect.stringContaining(denied) });
    await one.server.deletePod('app');
    expect(await one.remove()).toEqual({ kind: 'ok' });
  });

  it.each([
    ['a proxy', '<html>not here</html>'],
    ['a server that knows no such path', '404 page not found\n'],
    ['nothing', ''],
    ['JSON that is no Status', { message: 'pods "app" not found' }],
    [
      'a Status of another kind',
      status(404, 'NotFound', 'services "app" not found', { name: 'app', kind: 'services' }),
    ],
    ['a Status of another pod', status(404, 'NotFound', 'pods "b" not found', { name: 'b', kind: 'pods' })],
    ['a Status without details', status(404, 'NotFound', denied)],
    ['a Status whose details are none', { ...status(404, 'NotFound', denied), details: 'pods', causes: 7 }],
  ])('kind 2: a 404 of %s does not prove that the pod is gone', async (_, body) => {
    const one = await made();
    await one.ensure();
    const fault = one.server.inject({ kind: 'answer', code: 404, body }, { verb: 'GET', times: 9 });
    await expect(one.remove()).rejects.toMatchObject({ code: 11, message: expect.stringContaining('404') });
    fault.end();
    expect(await one.remove()).toEqual({ kind: 'ok' });
    expect(await one.annotations()).toEqual({});
  });
});

describe('entries of others', () => {
  const theirs = [
    '{"containerId":"c1","ifName":"eth1","speed":1.0,"big":12345678901234567890,"e":1E5}',
    '{ "ifName" : "eth2" ,\n\t"2":0, "1":0, "a\\u003db":"=\\"]},[{", "k":1, "k":2 }',
    '{"ifName":"eth3","deep":[[{"x":[1,2,{"y":"\\\\"}]}],[]]}',
    '{"ifName":"eth4","n":[1e2,-0,0.10,1E-7,9007199254740993],"u":"\\ud800\\/\\u00e9é\u2028😀","ifname":"net1","":null}',
  ] as const;

  it('come out byte for byte as they went in: numbers, order, escapes, keys said twice (need N25)', async () => {
    const one = await made({ [dataName]: `[ ${theirs.join(' , ')}\n]` });
    await one.ensure();
    for (const text of theirs) expect((await one.annotations())[dataName]).toContain(text);
    await one.ensure({ ifName: 'net2' });
    await one.remove();
    const left = (await one.annotations())[dataName] ?? '';
    for (const text of theirs) expect(left).toContain(text);
    expect(JSON.parse(left)).toHaveLength(5);
  });
});

describe('an admission that changes a write', () => {
  const altering =
    (change: (text: string) => string | undefined) => (annotations: Readonly<Record<string, string>>) => {
      const { [dataName]: text, ...others } = annotations;
      const changed = text === undefined ? undefined : change(text);
      return { ...others, ...(changed !== undefined && { [dataName]: changed }) };
    };
  const sorted = (value: unknown): unknown =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .sort()
            .map(([key, one]) => [key, sorted(one)]),
        )
      : Array.isArray(value)
        ? value.map(sorted)
        : value;

  it('kind 7: in its form alone counts as written: one write, found by CHECK, and removed', async () => {
    const one = await made();
    one.server.admit(altering((text) => JSON.stringify(sorted(JSON.parse(text)))));
    expect(await written(one, async () => expect(await one.ensure()).toMatchObject({ kind: 'ok' }))).toEqual([200]);
    expect((await one.annotations())[dataName]).not.toContain('\n');
    expect(await one.find()).toEqual({ kind: 'ok' });
    expect(await written(one, () => one.ensure())).toEqual([]);
    expect(await one.remove()).toEqual({ kind: 'ok' });
    expect(await one.annotations()).toEqual({});
  });

  it.each([
    ['its addresses', (text: string) => text.replace('10.0.0.5', '10.0.0.6')],
    ['all of it', () => '[]'],
    ['its presence', () => undefined],
  ])(
    'kind 7: in %s is tried against a few times, with pauses, and named; its rollback leaves nothing',
    async (_, change) => {
      const one = await made();
      one.server.admit(altering(change));
      const began = performance.now();
      const codes = await written(one, async () => {
        const outcome = await one.ensure();
        expect(outcome).toMatchObject({ kind: 'failed', ...settled, trouble: { code: 7 } });
        expect(outcome).not.toHaveProperty('made');
        expect(troubleOf(outcome).message).toMatch(
          /"userspace\/configuration-data" of pod blue\/app .*: an admission changes it/,
        );
      });
      expect(codes).toEqual([200, 200, 200]);
      expect(performance.now() - began).toBeGreaterThan(20);
      expect(await one.remove()).toEqual({ kind: 'ok' });
      expect(await one.annotations()).toEqual({});
    },
  );

  it('kind 7: that drops the fence of a removal is tried against a few times, and the removal is owed', async () => {
    const one = await made({ theirs: 'stays' });
    const fence = `userspace/removing-${keyHash(one.key)}`;
    one.server.admit(({ [fence]: _, ...others }) => others);
    const codes = await written(one, async () => {
      await expect(one.remove(false)).rejects.toMatchObject({ message: expect.stringContaining(fence) });
    });
    expect(codes).toEqual([200, 200, 200]);
  });

  it('kind 7: to another value each time is not fought for ever', async () => {
    const one = await made();
    let count = 0;
    one.server.admit((annotations) => ({ ...annotations, 'userspace/mapped-dir': `/${count++}/` }));
    const codes = await written(one, async () => expect(troubleOf(await one.ensure()).message).toContain('mapped-dir'));
    expect(codes.length).toBeLessThan(5);
  });
});
