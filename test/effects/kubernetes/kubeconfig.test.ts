import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readAnyFile, readKubeconfig, readUsualFile } from '../../../src/effects/kubernetes/kubeconfig.ts';
import { soon } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** A kubeconfig with this user. */
function written(user: object, cluster: object = {}, more: object = {}, directory = temporaryDirectory()): string {
  const path = join(directory, 'kubeconfig');
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

/** Every form of a usual file. */
const usual: [string, (directory: string) => [user: object, cluster?: object], expected: object][] = [
  ['a token', () => [{ token: 'secret' }], { headers: { Authorization: 'Bearer secret' } }],
  [
    'a token file, before a token',
    (directory) => [{ token: 'older', tokenFile: inFile(directory, 'secret\n') }],
    { headers: { Authorization: 'Bearer secret' } },
  ],
  [
    'an authority within',
    () => [{ token: 't' }, { 'certificate-authority-data': base64('PEM') }],
    { tls: { ca: 'PEM', rejectUnauthorized: true } },
  ],
  [
    'an authority in a file',
    (directory) => [{ token: 't' }, { 'certificate-authority': inFile(directory, 'PEM') }],
    { tls: { ca: 'PEM', rejectUnauthorized: true } },
  ],
  [
    'a certificate within',
    () => [{ 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') }],
    { tls: { cert: 'CERT', key: 'KEY', rejectUnauthorized: true }, headers: {} },
  ],
  [
    'a certificate in files',
    (directory) => [{ 'client-certificate': inFile(directory, 'CERT'), 'client-key': inFile(directory, 'KEY') }],
    { tls: { cert: 'CERT', key: 'KEY', rejectUnauthorized: true }, headers: {} },
  ],
];

let files = 0;

/** @returns its name, which is relative to the kubeconfig. */
function inFile(directory: string, text: string): string {
  const name = `file${files++}`;
  writeFileSync(join(directory, name), text);
  return name;
}

describe('a kubeconfig', () => {
  it.each(usual)('with %s is read without client-node, and read the same by it', async (_, parts, expected) => {
    const directory = temporaryDirectory();
    const [user, cluster = {}] = parts(directory);
    const path = written(user, cluster, {}, directory);
    const text = readFileSync(path, 'utf8');
    const access = readUsualFile(text, path);
    expect(access).toMatchObject({ server: new URL('https://127.0.0.1:6443/'), ...expected });
    expect(await readAnyFile({ text, path }, soon(), new Map())).toEqual(access);
    expect(await readKubeconfig(path, soon())).toEqual(access);
  });

  it.each([
    ['https://[10.96.0.1]:443', 'https://10.96.0.1/'],
    ['https://[kubernetes.default.svc]:6443/path', 'https://kubernetes.default.svc:6443/path'],
    ['https://[10.96.0.1]', 'https://10.96.0.1/'],
    ['https://[fd00::1]:443', 'https://[fd00::1]/'],
  ])('may have brackets around a host that needs none: %s is %s (need N1)', async (server, meant) => {
    const path = written({ token: 't' }, { server });
    const text = readFileSync(path, 'utf8');
    expect(readUsualFile(text, path)?.server.href).toBe(meant);
    expect((await readAnyFile({ text, path }, soon(), new Map())).server.href).toBe(meant);
  });

  it.each(['https://[10.96.0.1', 'https://[fd00:x]:443', 'https://[]:443'])(
    'is refused with brackets that are not around a host: %s (need N1)',
    async (server) => {
      await expect(readKubeconfig(written({ token: 't' }, { server }), soon())).rejects.toMatchObject({
        code: 7,
        message: expect.stringContaining('has a server that is no URL'),
      });
    },
  );

  it.each([
    ['a program', execUser('exit 1'), {}],
    ['a password', { username: 'me', password: 'secret' }, {}],
    ['TLS that is not verified', { token: 't' }, { 'insecure-skip-tls-verify': true }],
    ['another name in TLS', { token: 't' }, { 'tls-server-name': 'kubernetes' }],
    ['a proxy', { token: 't' }, { 'proxy-url': 'http://127.0.0.1:3128' }],
    ['a server without TLS', { token: 't' }, { server: 'http://127.0.0.1:6443' }],
    ['two authorities', { token: 't' }, { 'certificate-authority-data': base64('a'), 'certificate-authority': 'b' }],
    ['a file that is not there', { tokenFile: 'nowhere' }, {}],
    ['a token that is a number', { token: 7 }, {}],
  ])('with %s is left to client-node', (_, user, cluster) => {
    const path = written(user, cluster);
    expect(readUsualFile(readFileSync(path, 'utf8'), path)).toBeUndefined();
  });

  it('with two users of one name is left to client-node', () => {
    const twice = { users: [1, 2].map(() => ({ name: 'me', user: { token: 't' } })) };
    const path = written({}, {}, twice);
    expect(readUsualFile(readFileSync(path, 'utf8'), path)).toBeUndefined();
  });

  it('alone can say that TLS is not verified', async () => {
    const skipping = written({ token: 't' }, { 'insecure-skip-tls-verify': true });
    expect((await readKubeconfig(skipping, soon())).tls.rejectUnauthorized).toBe(false);
  });

  it('may name a server by its TLS name', async () => {
    const named = written({ token: 't' }, { 'tls-server-name': 'kubernetes' });
    expect((await readKubeconfig(named, soon())).tls.serverName).toBe('kubernetes');
  });

  it('may have a program that gives the token', async () => {
    const { headers } = await readKubeconfig(written(execUser(`echo '${credential('fresh')}'`)), soon());
    expect(headers).toMatchObject({ Authorization: 'Bearer fresh' });
  });

  it('may have a name and a password', async () => {
    const { headers } = await readKubeconfig(written({ username: 'me', password: 'secret' }), soon());
    expect(headers).toEqual({ Authorization: `Basic ${base64('me:secret')}` });
  });

  it('may name an HTTP proxy, and no other', async () => {
    const by = (proxy: string) => readKubeconfig(written({ token: 't' }, { 'proxy-url': proxy }), soon());
    expect((await by('http://127.0.0.1:3128')).proxy).toBe('http://127.0.0.1:3128');
    await expect(by('socks5://127.0.0.1:1080')).rejects.toMatchObject({
      code: 7,
      message: expect.stringContaining('only HTTP ones'),
    });
  });

  it.each([
    ['a proxy of another kind', { 'proxy-url': 'socks5://me:secret@127.0.0.1:1080' }],
    ['a server that is no URL', { server: 'https://me:secret@local host:1' }],
  ])('with %s is refused with code 7: I12 and its password is not told', async (_, cluster) => {
    const failure = await readKubeconfig(written({ token: 't' }, cluster), soon()).catch((error) => error);
    expect(failure).toMatchObject({ name: 'ApiError', code: 7 });
    expect(failure.message).not.toContain('secret');
  });

  it.each([
    ['within', () => ({ 'certificate-authority-data': base64('\n') })],
    ['that is no base64', () => ({ 'certificate-authority-data': '!!!!' })],
    ['in a file', (directory: string) => ({ 'certificate-authority': inFile(directory, '') })],
  ])('whose authority %s is empty is refused: it does not mean every public one', async (_, cluster) => {
    const directory = temporaryDirectory();
    const path = written({ token: 't' }, cluster(directory), {}, directory);
    expect(readUsualFile(readFileSync(path, 'utf8'), path)).toBeUndefined();
    await expect(readKubeconfig(path, soon())).rejects.toMatchObject({
      code: 7,
      message: expect.stringContaining('authority that is empty'),
    });
  });

  it.each([
    ['a key that is said twice', 'token: one', 'token: one\n    token: two'],
    ['a tag', 'token: one', 'token: !!binary aGVsbG8='],
    ['a tag of its own', 'token: one', 'token: !secret one'],
    ['an anchor', 'token: one', 'token: &mine one'],
    ['a merge', 'token: one', '<<: {token: one}'],
  ])('with %s is left to client-node', (_, words, unusual) => {
    const path = join(temporaryDirectory(), 'kubeconfig');
    const text = [
      'current-context: here',
      'contexts: [{name: here, context: {cluster: home, user: me}}]',
      'clusters: [{name: home, cluster: {server: "https://127.0.0.1:6443"}}]',
      'users:',
      '- name: me',
      '  user:',
      '    token: one',
    ].join('\n');
    expect(readUsualFile(text, path)).toMatchObject({ headers: { Authorization: 'Bearer one' } });
    expect(readUsualFile(text.replace(words, unusual), path)).toBeUndefined();
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

  it('that is longer than any is refused before it is read: a network may name any file of the node', async () => {
    const path = join(temporaryDirectory(), 'kubeconfig');
    writeFileSync(path, '');
    truncateSync(path, 2 ** 40);
    const failure = await readKubeconfig(path, soon()).catch((error) => error);
    expect(failure).toMatchObject({ code: 7, message: expect.stringContaining('it is over 1048576 bytes') });
  });

  it('whose reader fails is refused by name, with the reason and what to do', async () => {
    const oidc = { 'auth-provider': { name: 'oidc', config: { 'id-token': 'a.secret.b' } } };
    const failure = await readKubeconfig(written(oidc), soon()).catch((error) => error);
    expect(failure).toMatchObject({
      code: 7,
      message: expect.stringMatching(/kubeconfig.*its reader failed.*kubectl/),
    });
    expect(failure.message).not.toContain('secret');
  });
});
