/** Asking for a token: the question, and what each kind of answer means. */
import { afterEach, describe, expect, it } from 'vitest';
import { now } from '../../src/deadlines.ts';
import { requestToken } from '../../src/effects/kubernetes/token-request.ts';
import { authority } from '../support/stand-in/certificates.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const question = { namespace: 'here', account: 'plugin', seconds: 600 };

let server: ReturnType<typeof Bun.serve> | undefined;
afterEach(() => server?.stop(true));

/** A server with one answer. @returns the requests that come, and the way to it */
function serve(status: number, body: object | string) {
  const own = authority(temporaryDirectory());
  const seen: { path: string; authorization: string | null; body: unknown }[] = [];
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    tls: own.server(),
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      seen.push({ path: pathname, authorization: request.headers.get('authorization'), body: await request.json() });
      return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status });
    },
  });
  const endpoint = {
    server: new URL(`https://127.0.0.1:${server.port}`),
    tls: { rejectUnauthorized: true, ca: own.ca },
    headers: { Authorization: 'Bearer own' },
  };
  return { seen, ask: () => requestToken(endpoint, question, now() + 5_000) };
}

const failure = (reason: string, message: string) => ({ kind: 'Status', status: 'Failure', reason, message });

describe('a token', () => {
  it('is asked for by the pod’s own account, for another one', async () => {
    const status = { token: 'new', expirationTimestamp: '2031-01-02T03:04:05Z' };
    const { seen, ask } = serve(201, { kind: 'TokenRequest', spec: { expirationSeconds: 3607 }, status });
    expect(await ask()).toEqual({ token: 'new', expires: new Date('2031-01-02T03:04:05Z'), seconds: 3607 });
    expect(seen).toEqual([
      {
        path: '/api/v1/namespaces/here/serviceaccounts/plugin/token',
        authorization: 'Bearer own',
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: { expirationSeconds: 600 },
        },
      },
    ]);
  });

  it.each([
    { status: 401, body: failure('Unauthorized', 'Unauthorized'), said: 'does not accept the credentials of this pod' },
    {
      status: 403,
      body: failure('Forbidden', 'User "x" cannot create resource "serviceaccounts/token" in API group ""'),
      said: 'forbids to create serviceaccounts/token (403): RBAC needs it (token of here/plugin)',
    },
    { status: 404, body: failure('NotFound', 'serviceaccounts "plugin" not found'), said: 'answered 404: serviceacc' },
    { status: 201, body: { kind: 'TokenRequest', status: { token: 'secret' } }, said: 'answered 201' },
    { status: 201, body: { status: { expirationTimestamp: '2031-01-02T03:04:05Z' } }, said: 'answered 201' },
    { status: 200, body: '<html>log in</html>', said: 'answered 200: that is no TokenRequest' },
  ])('is not given: $status $said', async ({ status, body, said }) => {
    await expect(serve(status, body).ask()).rejects.toThrow(said);
  });

  it('is not in the error of an answer that lacks the rest (I12)', async () => {
    const answer = { kind: 'TokenRequest', status: { token: 'secret' } };
    const error = await serve(201, answer)
      .ask()
      .catch((thrown) => String(thrown));
    expect(error).not.toContain('secret');
  });
});
