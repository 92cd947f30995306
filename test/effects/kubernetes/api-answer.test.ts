/** Answers are judged by the object in their body and its kind, never by their number alone. */
import { describe, expect, it } from 'vitest';
import {
  type Answer,
  describeAnswer,
  isNoPod,
  isOvertaken,
  isPod,
  isTooLong,
  isTurnedAway,
  isUnauthorized,
  isUndone,
  lacksRight,
} from '../../../src/effects/kubernetes/api-answer.ts';
import { Sent } from '../../../src/effects/kubernetes/pod-write.ts';
import { made } from '../../support/stand-in/annotation-scene.ts';

const ref = { namespace: 'blue', name: 'app' };
const pod = {
  kind: 'Pod',
  metadata: { ...ref, uid: 'u', resourceVersion: '1' },
  spec: {},
};
const refusal = (reason: string, details?: object, message = '') => ({
  kind: 'Status',
  status: 'Failure',
  reason,
  message,
  ...(details && { details }),
});
const answer = (status: number, body: unknown): Answer => ({
  status,
  retryAfterMs: 0,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

const ofPods = { kind: 'pods', name: 'app' };
const mayNot = 'User "x" cannot patch resource "pods/status" in API group ""';
const tooLong = { kind: 'Pod', causes: [{ field: 'metadata.annotations', reason: 'FieldValueTooLong' }] };

/** The meaning of each number, which holds only with its own body. */
const meanings: readonly [name: string, number: number, body: unknown, says: (answer: Answer) => boolean][] = [
  ['the pod', 200, pod, (one) => isPod(one, ref)],
  ['no pod', 404, refusal('NotFound', ofPods), (one) => isNoPod(one, ref)],
  ['a conflict', 409, refusal('Conflict', ofPods), (one) => isOvertaken(one, ref)],
  ['credentials that are not known', 401, refusal('Unauthorized'), isUnauthorized],
  ['a right that lacks', 403, refusal('Forbidden', ofPods, mayNot), (one) => lacksRight(one, 'patch', 'pods/status')],
  ['annotations that are too long', 422, refusal('Invalid', tooLong), isTooLong],
  ['too many requests', 429, 'Too many requests, please try again later.\n', isTurnedAway],
];

/** Bodies from something on the way, with any number. */
const foreign: readonly unknown[] = [
  '',
  '<html>sign in</html>',
  '404 page not found\n',
  null,
  [],
  {},
  { kind: 'PodList', metadata: { resourceVersion: '1' }, items: [pod] },
  { ...pod, kind: 'Service' },
  { ...pod, metadata: { ...pod.metadata, name: 'other' } },
  { ...pod, metadata: { ...pod.metadata, namespace: 'green' } },
  { kind: 'Status', status: 'Success' },
  refusal('Gone'),
];

describe('an answer', () => {
  it.each(meanings)('is %s by number and body together, and by neither alone (need N25)', (_, number, body, says) => {
    expect(says(answer(number, body))).toBe(true);
    for (const other of [...foreign, ...meanings.map(([, , one]) => one).filter((one) => one !== body)]) {
      expect({ number, other, says: says(answer(number, other)) }).toEqual({ number, other, says: false });
    }
    for (const other of [200, 401, 403, 404, 409, 422, 429, 500, 503].filter((one) => one !== number)) {
      expect({ other, says: says(answer(other, body)) }).toEqual({ other, says: false });
    }
  });

  it('of 429 that is not the API server’s leaves open what became of the write (need N25)', () => {
    expect(isUndone(answer(429, '<html>slow down</html>'))).toBe(false);
    expect(isUndone(answer(429, refusal('TooManyRequests')))).toBe(true);
  });
});

describe('a write', () => {
  it('that something answered with 200 may have been taken, and what was open before stays so (need N25)', () => {
    const sent = new Sent();
    sent.note('7', undefined, ref);
    sent.note('7', answer(200, '<html>sign in</html>'), ref);
    expect(sent).toMatchObject({ wasTaken: true, open: '7' });
    sent.note('7', answer(200, pod), ref);
    expect(sent).toMatchObject({ wasTaken: true, open: undefined });
  });

  it('whose credentials something on the way does not know is not blamed on the kubeconfig (need N25)', async () => {
    const one = await made();
    one.server.inject({ kind: 'answer', code: 401, body: '<html>sign in</html>' }, { times: 9 });
    const outcome = await one.ensure();
    expect(outcome).toMatchObject({ kind: 'failed', trouble: { code: 11 } });
    expect(JSON.stringify(outcome)).toContain('no API server says it like this');
    expect(JSON.stringify(outcome)).not.toContain('expired');
  });
});

describe('what an answer says, for people', () => {
  const token = 'SECRET.TOKEN-12345';
  const basic = `Basic ${Buffer.from('admin:pass:word').toString('base64')}`;
  const status = (message: string) => JSON.stringify({ kind: 'Status', status: 'Failure', message });

  it.each([
    ['a Status', status(`denied: Bearer ${token} of yours`), { Authorization: `Bearer ${token}` }],
    ['a proxy', `<html>Authorization: Bearer ${token}`, { authorization: `Bearer ${token}` }],
    ['a Status that is cut off', status(`${'x'.repeat(290)}${token}`), { Authorization: `Bearer ${token}` }],
    ['a Status with the password', status('the password pass:word is wrong'), { Authorization: basic }],
    ['a Status with the header', status(`what is ${basic}?`), { Authorization: basic }],
  ])('%s has none of the credentials that the request had (I12)', (_, body, headers) => {
    const said = describeAnswer({ status: 403, retryAfterMs: 0, body }, headers);
    for (const secret of ['SECRET', 'pass:word', basic.slice(6, 20)]) expect(said).not.toContain(secret);
    expect(said).not.toBe('nothing');
  });

  it('has no control characters, and is cut', () => {
    const say = (body: string) => describeAnswer({ status: 403, retryAfterMs: 0, body }, {});
    expect(say(status('a\u001b[31m\r\nb\u2028c'))).toBe('a [31m b c');
    expect(say(status('y'.repeat(1000)))).toHaveLength(300);
    expect(say('')).toBe('nothing');
  });
});
