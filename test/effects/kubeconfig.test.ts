import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readKubeconfig } from '../../src/effects/kubeconfig.ts';
import { soon } from '../support/effect-parts.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const ca = (text: string) => Buffer.from(text).toString('base64');

/** A kubeconfig whose user is this. */
function written(user: object, cluster: object = {}, more: object = {}): string {
  const path = join(temporaryDirectory(), 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'home', user: 'me' } }],
    clusters: [{ name: 'home', cluster: { server: 'https://127.0.0.1:6443', ...cluster } }],
    users: [{ name: 'me', user }],
    ...more,
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

const execUser = (script: string) => ({
  exec: {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'sh',
    args: ['-c', script],
    interactiveMode: 'Never',
  },
});
const credential = (token: string) =>
  JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token } });

describe('a kubeconfig', () => {
  it('gives server, authority and token', async () => {
    const { server, options } = await readKubeconfig(
      written({ token: 'secret' }, { 'certificate-authority-data': ca('PEM') }),
      soon(),
    );
    expect(server.href).toBe('https://127.0.0.1:6443/');
    expect(options).toMatchObject({ rejectUnauthorized: true, headers: { Authorization: 'Bearer secret' } });
    expect(String(options.ca)).toBe('PEM');
    expect(options).not.toHaveProperty('agent');
  });

  it('alone can say that TLS is not verified', async () => {
    const skipping = written({ token: 't' }, { 'insecure-skip-tls-verify': true });
    expect((await readKubeconfig(skipping, soon())).options.rejectUnauthorized).toBe(false);
  });

  it('may name a server by its TLS name', async () => {
    const named = written({ token: 't' }, { 'tls-server-name': 'kubernetes' });
    expect((await readKubeconfig(named, soon())).options.servername).toBe('kubernetes');
  });

  it('may have a program that gives the token', async () => {
    const { options } = await readKubeconfig(written(execUser(`echo '${credential('fresh')}'`)), soon());
    expect(options.headers).toMatchObject({ Authorization: 'Bearer fresh' });
  });

  it.each([
    ['fails', 'echo secret-of-the-program >&2; exit 1', /credentials that cannot be used/],
    ['answers with no credential', 'echo secret-of-the-program', /credentials that cannot be used/],
    ['does not end', 'exec sleep 5', /did not answer in time/],
  ])('whose program %s is refused in time, I12 and nothing that it said is told', async (_, script, words) => {
    const failure = await readKubeconfig(written(execUser(script)), soon(500)).catch((error) => error);
    expect(failure).toMatchObject({ code: 7, message: expect.stringMatching(words) });
    expect(failure.message).not.toContain('secret-of-the-program');
  });

  it.each([
    ['no server', { server: undefined }],
    ['a server that is no URL', { server: 'not a url' }],
  ])('with %s is refused with code 7', async (_, cluster) => {
    await expect(readKubeconfig(written({ token: 't' }, cluster), soon())).rejects.toMatchObject({ code: 7 });
  });

  it('of another shape is refused with code 7: I12 and nothing in it is told', async () => {
    for (const more of [{ users: 'secret' }, { clusters: [{ secret: 1 }] }, { contexts: null }]) {
      const failure = await readKubeconfig(written({ token: 'secret' }, {}, more), soon()).catch((error) => error);
      expect(failure).toMatchObject({ name: 'ApiError', code: 7 });
      expect(failure.message).not.toContain('secret');
    }
  });
});
