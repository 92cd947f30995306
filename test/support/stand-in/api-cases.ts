/**
 * The behaviour that a real API server and the stand-in share, as far as the plugin depends on it. If only one of them passes a
 * case, the stand-in is wrong.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../temporary.ts';
import { type Account, type Api, adminToken, type Json, podPath, tokenOf } from './api.ts';
import { authority, type Pair } from './certificates.ts';
import { eventCases } from './event-cases.ts';
import { call, type FullAnswer } from './https-call.ts';

/** An API server that the cases may stop and pause. */
interface RunningApi extends Api {
  certificate(account: Account): Pair;
  startServer(): Promise<void>;
  stopServer(): Promise<void>;
  pauseServer(): void;
  resumeServer(): void;
  /** Stops it and leaves nothing. */
  stop(): Promise<void>;
}

const token = tokenOf('plugin');

const conflictMessage = (name: string): string =>
  `Operation cannot be fulfilled on pods "${name}": the object has been modified; please apply your changes to the latest version and try again`;
const forbiddenMessage = (name: string, user: string, verb: string, resource: string): string =>
  `pods "${name}" is forbidden: User "${user}" cannot ${verb} resource "${resource}" in API group "" in the namespace "blue"`;

export function apiCases(title: string, start: () => Promise<RunningApi>): void {
  describe(title, () => {
    let running: RunningApi | undefined;
    let count = 0;
    beforeAll(async () => {
      running = await start();
      // A real one reads RBAC from a cache that lags behind.
      const known = async () =>
        (await get('none', { token })).status === 404 && (await patch('none', {})).status === 404;
      while (!(await known())) await Bun.sleep(20);
    });
    afterAll(() => running?.stop());
    const api = (): RunningApi => {
      if (!running) throw new Error('the API server is not running');
      return running;
    };
    const get = (name: string, as = { token }) => call(api(), 'GET', podPath(name), as);
    const patch = (name: string, body: unknown, more = {}) =>
      call(api(), 'PATCH', `${podPath(name)}/status`, { token, body, ...more });
    const annotate = (name: string, annotations: unknown, preconditions = {}) =>
      patch(name, { metadata: { ...preconditions, annotations } });
    const newPod = async (annotations?: Record<string, string>): Promise<Json> =>
      (await api().createPod({ name: `case-${++count}`, ...(annotations && { annotations }) })).metadata;
    const version = async (name: string): Promise<string> => (await api().pod(name)).metadata.resourceVersion;
    const refused = (answer: FullAnswer, code: number, reason: string | undefined, message?: string) => {
      const { json, status, headers } = answer;
      expect({ status, code: json.code, kind: json.kind, of: json.status, reason: json.reason }).toEqual({
        status: code,
        code,
        kind: 'Status',
        of: 'Failure',
        reason,
      });
      if (message !== undefined) expect(json.message).toBe(message);
      expect(headers['content-type']).toBe('application/json');
    };

    describe('events', () => eventCases(api));

    test('a pod is read as it was made: name, uid, resourceVersion, annotations, volumes', async () => {
      const volumes = [{ name: 'shared-dir', emptyDir: {} }];
      const made = await api().createPod({ name: 'whole', annotations: { theirs: '1' }, volumes });
      const { status, json } = await get('whole');
      expect(status).toBe(200);
      expect(json).toMatchObject({ kind: 'Pod', apiVersion: 'v1', spec: { volumes, nodeName: 'node-1' } });
      const { uid, resourceVersion } = made.metadata;
      expect(json.metadata).toMatchObject({
        name: 'whole',
        namespace: 'blue',
        uid,
        resourceVersion,
        annotations: { theirs: '1' },
      });
      expect(uid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    });

    describe('merge patch of pods/status', () => {
      test('writes annotations, and leaves others and the specification as they are', async () => {
        const { name } = await newPod({ theirs: '1', changed: 'old' });
        const before = await api().pod(name);
        const answer = await annotate(name, { changed: 'new', added: '2' });
        expect(answer.status).toBe(200);
        const after = await api().pod(name);
        expect(answer.json).toEqual(after);
        expect(after.metadata.annotations).toEqual({ theirs: '1', changed: 'new', added: '2' });
        expect(after.metadata.uid).toBe(before.metadata.uid);
        expect(after.spec).toEqual(before.spec);
      });

      test('null takes an annotation away, and with the last one the map itself', async () => {
        const { name } = await newPod({ one: '1', two: '2' });
        expect((await annotate(name, { one: null })).json.metadata.annotations).toEqual({ two: '2' });
        const { metadata } = (await annotate(name, { two: null })).json;
        expect('annotations' in metadata).toBe(false);
      });

      test('null for the whole map takes every annotation away', async () => {
        const { name } = await newPod({ one: '1', two: '2' });
        expect('annotations' in (await annotate(name, null)).json.metadata).toBe(false);
      });

      test('a change gives a new resourceVersion; what changes nothing keeps it', async () => {
        const { name, resourceVersion } = await newPod({ one: '1' });
        expect((await annotate(name, { one: '1', gone: null })).json.metadata.resourceVersion).toBe(resourceVersion);
        expect((await patch(name, {})).json.metadata.resourceVersion).toBe(resourceVersion);
        expect(await version(name)).toBe(resourceVersion);
        const changed = (await annotate(name, { one: '2' })).json.metadata.resourceVersion;
        expect(Number(changed)).toBeGreaterThan(Number(resourceVersion));
        // A change back to an earlier value is a change too.
        expect(Number((await annotate(name, { one: '1' })).json.metadata.resourceVersion)).toBeGreaterThan(
          Number(changed),
        );
      });

      test('drops what it says of the specification, without a word', async () => {
        const { name, resourceVersion } = await newPod();
        const { spec } = await api().pod(name);
        const answer = await patch(name, { spec: { nodeName: 'elsewhere', volumes: [{ name: 'v', emptyDir: {} }] } });
        expect(answer.status).toBe(200);
        expect(answer.json.spec).toEqual(spec);
        expect(await version(name)).toBe(resourceVersion);
      });

      test('changes labels and the status as well: the right is wider than annotations', async () => {
        const { name } = await newPod();
        const { json } = await patch(name, { metadata: { labels: { role: 'x' } }, status: { phase: 'Running' } });
        expect(json.metadata.labels).toEqual({ role: 'x' });
        expect(json.status).toMatchObject({ phase: 'Running', qosClass: 'BestEffort' });
      });

      test('takes a media type with a parameter', async () => {
        const { name } = await newPod();
        const type = 'application/merge-patch+json; charset=utf-8';
        expect((await patch(name, {}, { type })).status).toBe(200);
      });
    });

    describe('preconditions', () => {
      test('the resourceVersion that is there: written', async () => {
        const { name, uid, resourceVersion } = await newPod();
        expect((await annotate(name, { one: '1' }, { uid, resourceVersion })).status).toBe(200);
      });

      test.each(['older', 'never given'])(
        'another resourceVersion (%s): 409 Conflict, nothing written',
        async (which) => {
          const { name, resourceVersion } = await newPod();
          await api().patchStatus(name, { metadata: { annotations: { theirs: '1' } } });
          const stale = which === 'older' ? resourceVersion : '999999999';
          const answer = await annotate(name, { one: '1' }, { resourceVersion: stale });
          refused(answer, 409, 'Conflict', conflictMessage(name));
          expect(answer.json.details).toEqual({ name, kind: 'pods' });
          expect(await api().annotations(name)).toEqual({ theirs: '1' });
        },
      );

      test('another resourceVersion is a conflict even for a patch that changes nothing', async () => {
        const { name, resourceVersion } = await newPod();
        await api().patchStatus(name, { metadata: { annotations: { theirs: '1' } } });
        refused(await annotate(name, { theirs: '1' }, { resourceVersion }), 409, 'Conflict');
      });

      test.each(['', '0', null])('resourceVersion %j guards nothing', async (resourceVersion) => {
        const { name } = await newPod();
        await api().patchStatus(name, { metadata: { annotations: { theirs: '1' } } });
        expect((await annotate(name, { one: '1' }, { resourceVersion })).status).toBe(200);
      });

      test('a resourceVersion that is no number: 500 without a reason', async () => {
        const { name } = await newPod();
        const message = 'strconv.ParseUint: parsing "abc": invalid syntax';
        refused(await annotate(name, { one: '1' }, { resourceVersion: 'abc' }), 500, undefined, message);
      });

      test('another uid alone: 422 Invalid, not a conflict; nothing written', async () => {
        const { name } = await newPod();
        const uid = '00000000-0000-0000-0000-000000000000';
        const message = `Pod "${name}" is invalid: metadata.uid: Invalid value: "${uid}": field is immutable`;
        const answer = await annotate(name, { one: '1' }, { uid });
        refused(answer, 422, 'Invalid', message);
        const cause = expect.objectContaining({ field: 'metadata.uid' });
        expect(answer.json.details).toMatchObject({ name, kind: 'Pod', causes: expect.arrayContaining([cause]) });
        expect(await api().annotations(name)).toEqual({});
      });

      test('another pod by that name: both preconditions of the old one are a conflict', async () => {
        const old = await newPod();
        await api().deletePod(old.name);
        const young = (await api().createPod({ name: old.name })).metadata;
        expect(young.uid).not.toBe(old.uid);
        const { name, uid, resourceVersion } = old;
        refused(await annotate(name, { one: '1' }, { uid, resourceVersion }), 409, 'Conflict', conflictMessage(name));
        expect(await api().annotations(name)).toEqual({});
      });

      test('of two isGuardFailure by the same resourceVersion one wins, however many try at once', async () => {
        const { name, resourceVersion } = await newPod();
        const tries = Array.from({ length: 8 }, (_, index) =>
          annotate(name, { winner: `${index}` }, { resourceVersion }),
        );
        const codes = (await Promise.all(tries)).map(({ status }) => status);
        expect(codes.sort()).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
      });

      test('unguarded, all win: no annotation of different writers is lost', async () => {
        const { name } = await newPod();
        const names = ['a', 'b', 'c', 'd'];
        const codes = (await Promise.all(names.map((key) => annotate(name, { [key]: '1' })))).map(
          ({ status }) => status,
        );
        expect(codes).toEqual([200, 200, 200, 200]);
        expect(Object.keys(await api().annotations(name)).sort()).toEqual(names);
      });
    });

    describe('refusals', () => {
      test('no such pod: 404 NotFound for both verbs, whatever the patch presumes; gone after deletePod', async () => {
        const { name, uid, resourceVersion } = await newPod();
        await api().deletePod(name);
        expect(await api().pod(name)).toBeUndefined();
        const message = `pods "${name}" not found`;
        const answer = await get(name);
        refused(answer, 404, 'NotFound', message);
        expect(answer.json.details).toEqual({ name, kind: 'pods' });
        refused(await annotate(name, { one: '1' }, { uid, resourceVersion }), 404, 'NotFound', message);
        const elsewhere = await call(api(), 'GET', '/api/v1/namespaces/red/pods/x', { token });
        refused(elsewhere, 404, 'NotFound', 'pods "x" not found');
      });

      test('an unknown token: 401 Unauthorized, before anything else', async () => {
        for (const answer of [await get('none', { token: 'x' }), await patch('none', 'no JSON', { token: 'x' })]) {
          refused(answer, 401, 'Unauthorized', 'Unauthorized');
        }
      });

      test('a missing right: 403 Forbidden naming user, verb, resource and namespace, before the body is looked at', async () => {
        const [reader, writer, nobody] = [tokenOf('reader'), tokenOf('writer'), tokenOf('nobody')];
        const { name } = await newPod();
        expect((await get(name, { token: reader })).status).toBe(200);
        expect((await patch(name, {}, { token: writer })).status).toBe(200);
        const forbidden = (answer: FullAnswer, user: string, verb: string, resource: string) =>
          refused(answer, 403, 'Forbidden', forbiddenMessage(name, user, verb, resource));
        forbidden(
          await patch(name, 'no JSON', { token: reader, type: 'text/plain' }),
          'reader',
          'patch',
          'pods/status',
        );
        const reviewed = async (who: string, where: string, subresource?: string) => {
          const verb = subresource ? 'patch' : 'get';
          const attributes = { verb, resource: 'pods', ...(subresource && { subresource }), namespace: where };
          const body = {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'SelfSubjectAccessReview',
            spec: { resourceAttributes: attributes },
          };
          const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
          return await call(api(), 'POST', path, { token: who, body, type: 'application/json' });
        };
        // Every account may ask for its own rights (need N12).
        expect(await reviewed(token, 'blue')).toMatchObject({ status: 201, json: { status: { allowed: true } } });
        expect(await reviewed(token, 'blue', 'status')).toMatchObject({ json: { status: { allowed: true } } });
        expect(await reviewed(nobody, 'blue')).toMatchObject({ status: 201, json: { status: { allowed: false } } });
        expect(await reviewed(token, '')).toMatchObject({ json: { status: { allowed: true } } });
        forbidden(await get(name, { token: writer }), 'writer', 'get', 'pods');
        forbidden(await get(name, { token: nobody }), 'nobody', 'get', 'pods');
        forbidden(await call(api(), 'GET', podPath(name)), 'system:anonymous', 'get', 'pods');
        const whole = { token, body: { metadata: { annotations: { one: '1' } } } };
        forbidden(await call(api(), 'PATCH', podPath(name), whole), 'plugin', 'patch', 'pods');
      });

      test.each(['application/json', 'text/plain', ' '])('media type %j: 415, even for no pod', async (type) => {
        const message = '415: Unsupported Media Type';
        refused(await patch('none', {}, { type }), 415, 'UnsupportedMediaType', message);
      });

      test.each([
        ['', 'error decoding patch: unexpected end of JSON input'],
        ['x', "error decoding patch: invalid character 'x' looking for beginning of value"],
        ['[]', 'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}'],
        ['"x"', 'error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}'],
        ['null', 'Invalid JSON Patch'],
        ['{"metadata":{"name":"other"}}', undefined],
        ['{"metadata":{"namespace":"other"}}', undefined],
      ])('the patch %s: 400 BadRequest', async (body, message) => {
        const { name } = await newPod();
        refused(await patch(name, body), 400, 'BadRequest', message);
      });

      test.each<[string, unknown]>([
        ['a number as a value', { one: 1 }],
        ['an object as a value', { one: {} }],
        ['no map', 'x'],
        ['a name with a space', { 'a b': '1' }],
        ['a name with two slashes', { 'a/b/c': '1' }],
        ['more than 256 KiB', { one: 'x'.repeat(256 * 1024) }],
      ])('annotations that are none (%s): 422 Invalid, nothing written', async (_, annotations) => {
        const { name, resourceVersion } = await newPod();
        refused(await annotate(name, annotations), 422, 'Invalid');
        expect(await version(name)).toBe(resourceVersion);
      });

      test('more than 256 KiB of annotations are said to be too long, as a cause of their own', async () => {
        const { name } = await newPod({ theirs: 'x'.repeat(200 * 1024) });
        const { json } = await annotate(name, { one: 'x'.repeat(60 * 1024) });
        const said = 'Too long: may not be more than 262144 bytes';
        const cause = { reason: 'FieldValueTooLong', message: said, field: 'metadata.annotations' };
        // A real one validates three times.
        expect(json.details).toMatchObject({ name, kind: 'Pod', causes: expect.arrayContaining([cause]) });
      });

      test('a path that is none: 404 in plain text, and no Status', async () => {
        const answer = await call(api(), 'GET', `/k8s/clusters/c-1${podPath('none')}`, { token: adminToken });
        expect({ status: answer.status, text: answer.text }).toEqual({ status: 404, text: '404 page not found\n' });
      });

      test('more than 3 MiB: 413', async () => {
        const { name } = await newPod();
        const answer = await annotate(name, { one: 'x'.repeat(3 * 1024 * 1024) });
        refused(answer, 413, 'RequestEntityTooLarge', 'Request entity too large: limit is 3145728');
      });
    });

    describe('who asks', () => {
      const as = (certificate: Pair, token?: string) => ({ certificate, ...(token && { token }) });

      test('a client certificate does as well as a token, with the rights of its name', async () => {
        const { name } = await newPod();
        const own = as(api().certificate('plugin'));
        expect((await call(api(), 'GET', podPath(name), own)).status).toBe(200);
        const path = `${podPath(name)}/status`;
        expect((await call(api(), 'PATCH', path, { ...own, body: {} })).status).toBe(200);
        const reader = as(api().certificate('reader'));
        const answer = await call(api(), 'PATCH', path, { ...reader, body: {} });
        refused(answer, 403, 'Forbidden', forbiddenMessage(name, 'reader', 'patch', 'pods/status'));
      });

      test('a certificate counts before a token', async () => {
        const { name } = await newPod();
        const both = as(api().certificate('writer'), token);
        const answer = await call(api(), 'GET', podPath(name), both);
        refused(answer, 403, 'Forbidden', forbiddenMessage(name, 'writer', 'get', 'pods'));
      });

      test('a certificate of another authority is nobody’s: 401, unless a token comes with it', async () => {
        const { name } = await newPod();
        const foreign = authority(temporaryDirectory()).client('plugin');
        refused(await call(api(), 'GET', podPath(name), as(foreign)), 401, 'Unauthorized', 'Unauthorized');
        expect((await call(api(), 'GET', podPath(name), as(foreign, token))).status).toBe(200);
      });

      test('the administrator may do everything', async () => {
        const { name } = await newPod();
        expect((await get(name, { token: adminToken })).status).toBe(200);
        expect((await patch(name, {}, { token: adminToken })).status).toBe(200);
      });
    });

    describe('the server itself', () => {
      test('stopped it refuses connections; started again it has what was written', async () => {
        const { name } = await newPod({ one: '1' });
        await api().stopServer();
        await expect(get(name)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
        await api().startServer();
        const answer = await get(name);
        expect(answer.json.metadata.annotations).toEqual({ one: '1' });
      });

      test('paused it answers nobody; resumed it answers what was asked meanwhile', async () => {
        const { name } = await newPod();
        api().pauseServer();
        let answered = false;
        const asked = get(name).then((answer) => {
          answered = true;
          return answer;
        });
        await Bun.sleep(200);
        expect(answered).toBe(false);
        api().resumeServer();
        expect((await asked).status).toBe(200);
      });

      test('is known by its own authority’s certificate only', async () => {
        const { ca } = authority(temporaryDirectory());
        const asked = call({ server: api().server, ca }, 'GET', podPath('none'), { token });
        await expect(asked).rejects.toThrow(/certificate/);
      });
    });
  });
}
