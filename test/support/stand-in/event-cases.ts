/** The behaviour towards events that a real API server and the stand-in share, as far as `recover --events` depends on it. */
import { expect, test } from 'vitest';
import { type Api, type Json, namespace, tokenOf } from './api.ts';
import { call } from './https-call.ts';

const eventsPath = (where = namespace): string => `/api/v1/namespaces/${where}/events`;

export function eventCases(api: () => Api): void {
  let count = 0;
  const eventOf = (where = namespace): Json => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `app.${++count}`, namespace: where },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: where, name: 'app' },
    type: 'Normal',
    reason: 'Case',
    message: 'a case',
  });
  const post = (body: Json, account = 'teller', where = namespace) =>
    call(api(), 'POST', eventsPath(where), { token: tokenOf(account), body, type: 'application/json' });

  test('an event of a pod that is not there is stored: 201', async () => {
    const event = eventOf();
    expect(await post(event)).toMatchObject({ status: 201, json: { kind: 'Event', message: 'a case' } });
  });

  test('an event of the same name is not: 409 AlreadyExists', async () => {
    const event = eventOf();
    await post(event);
    const { status, json } = await post(event);
    expect({ status, reason: json.reason, kind: json.details.kind }).toEqual({
      status: 409,
      reason: 'AlreadyExists',
      kind: 'events',
    });
  });

  test('an account without the right to create events: 403, in these words', async () => {
    const { status, json } = await post(eventOf(), 'plugin');
    expect({ status, reason: json.reason, message: json.message }).toEqual({
      status: 403,
      reason: 'Forbidden',
      message: `events is forbidden: User "plugin" cannot create resource "events" in API group "" in the namespace "${namespace}"`,
    });
  });

  test('in a namespace that is not there: 404 of the namespace', async () => {
    const { status, json } = await post(eventOf('nowhere'), 'teller', 'nowhere');
    expect({ status, reason: json.reason, kind: json.details.kind }).toEqual({
      status: 404,
      reason: 'NotFound',
      kind: 'namespaces',
    });
  });

  test('of a pod in another namespace: 422', async () => {
    const event = eventOf();
    const involvedObject = { ...event.involvedObject, namespace: 'other' };
    expect(await post({ ...event, involvedObject })).toMatchObject({ status: 422, json: { reason: 'Invalid' } });
  });
}
