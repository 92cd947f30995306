import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { CredentialCache } from '../../../src/effects/kubernetes/exec-credential.ts';
import { readKubeconfig } from '../../../src/effects/kubernetes/kubeconfig.ts';
import { soon } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const group = 'client.authentication.k8s.io';
const secret = 'secret-7f3a';

const isRoot = process.getuid?.() === 0;

const base64 = (text: string) => Buffer.from(text).toString('base64');

interface Exec {
  readonly apiVersion?: string | undefined;
  readonly command?: string;
  readonly [key: string]: unknown;
}

/** A kubeconfig whose user has a program for credentials: this script, unless `rest` names another. */
function made(script: string, exec: Exec = {}, cluster: object = {}, user: object = {}) {
  const directory = temporaryDirectory();
  const path = join(directory, 'kubeconfig');
  const at = (name: string) => join(directory, name);
  mkdirSync(at('bin'));
  writeFileSync(at('bin/credential'), `#!/bin/sh\ncd ${directory}\n${script}\n`);
  chmodSync(at('bin/credential'), 0o755);
  const config = {
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'home', user: 'me' } }],
    clusters: [{ name: 'home', cluster: { server: 'https://127.0.0.1:6443', ...cluster } }],
    users: [
      { name: 'me', user: { exec: { apiVersion: `${group}/v1`, command: './bin/credential', ...exec }, ...user } },
    ],
  };
  writeFileSync(path, JSON.stringify(config));
  const read = (ms = 5_000, known: CredentialCache = new Map()) => readKubeconfig(path, soon(ms), known);
  const refusal = async (ms?: number) => {
    const failure = await read(ms).catch((error) => error);
    expect(failure).toMatchObject({ name: 'ApiError', code: 7 });
    expect(failure.message).toContain(path);
    expect(failure.message).not.toContain(secret);
    return failure;
  };
  return { directory, at, read, refusal, path };
}

const credential = (status: object, more: object = {}) =>
  JSON.stringify({ apiVersion: `${group}/v1`, kind: 'ExecCredential', status, ...more });
const printing = (status: object, more: object = {}) => `echo '${credential(status, more)}'`;
const fresh = printing({ token: secret });

/** Finds processes by a part of their command line. */
const running = (mark: string): string[] =>
  [...new Bun.Glob('[0-9]*/cmdline').scanSync('/proc')].filter((name) => {
    try {
      return readFileSync(join('/proc', name), 'utf8').includes(mark);
    } catch {
      return false;
    }
  });

describe('a program that gives credentials', () => {
  it.each([`${group}/v1`, `${group}/v1beta1`, `${group}/v1alpha1`])('speaks %s', async (apiVersion) => {
    const one = made(printing({ token: secret }, { apiVersion }), { apiVersion });
    expect((await one.read()).headers).toEqual({ Authorization: `Bearer ${secret}` });
  });

  it('may give a certificate and its key, with a token or without', async () => {
    const pair = { clientCertificateData: 'CERT', clientKeyData: 'KEY' };
    const { tls, headers } = await made(printing(pair)).read();
    expect({ tls, headers }).toMatchObject({ tls: { cert: 'CERT', key: 'KEY' }, headers: {} });
    expect(await made(printing({ ...pair, token: 't' })).read()).toMatchObject({
      tls: { cert: 'CERT' },
      headers: { Authorization: 'Bearer t' },
    });
  });

  it('is found beside the kubeconfig by a path, and in PATH by a bare name', async () => {
    const one = made(fresh, { command: 'bin/credential' });
    expect(await one.read()).toMatchObject({ headers: { Authorization: `Bearer ${secret}` } });
    const other = made('', { command: 'credential' });
    expect((await other.refusal()).message).toContain('program "credential" is not in PATH');
    vi.stubEnv('PATH', `${one.at('bin')}:${process.env.PATH}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await other.read()).toMatchObject({ headers: { Authorization: `Bearer ${secret}` } });
  });

  it('is given its arguments, its environment beside ours, nothing of the CNI call, and an empty stdin', async () => {
    vi.stubEnv('CNI_COMMAND', 'ADD');
    vi.stubEnv('OURS', 'ours');
    onTestFinished(() => void vi.unstubAllEnvs());
    const script = `printf '%s|' "$@" "$OWN" "$OURS" "\${CNI_COMMAND-none}" "$(cat)" > told; ${fresh}`;
    const one = made(script, { args: ['a b', '$HOME'], env: [{ name: 'OWN', value: 'own' }] });
    await one.read();
    expect(readFileSync(one.at('told'), 'utf8')).toBe('a b|$HOME|own|ours|none||');
  });

  it('is told in KUBERNETES_EXEC_INFO that it has no terminal, and of the cluster if the kubeconfig wants that', async () => {
    const script = `printf %s "$KUBERNETES_EXEC_INFO" > told; ${fresh}`;
    const told = async (provideClusterInfo: boolean, cluster: object) => {
      const one = made(script, { provideClusterInfo }, cluster);
      writeFileSync(one.at('ca'), 'PEM');
      await one.read();
      return JSON.parse(readFileSync(one.at('told'), 'utf8'));
    };
    const extensions = [
      { name: `${group}/exec`, extension: { audience: 'x' } },
      { name: 'other', extension: 1 },
    ];
    const cluster = { 'certificate-authority': 'ca', 'tls-server-name': 'kubernetes', extensions };
    const head = { kind: 'ExecCredential', apiVersion: `${group}/v1` };
    expect(await told(false, cluster)).toEqual({ ...head, spec: { interactive: false } });
    expect(await told(true, cluster)).toEqual({
      ...head,
      spec: {
        interactive: false,
        cluster: {
          server: 'https://127.0.0.1:6443',
          'tls-server-name': 'kubernetes',
          'certificate-authority-data': base64('PEM'),
          config: { audience: 'x' },
        },
      },
    });
  });

  it('is not run if the file itself holds a token, a token file or a password', async () => {
    for (const user of [{ token: 't' }, { tokenFile: 'bin/credential' }, { username: 'me', password: 'x' }]) {
      const one = made(`touch ran; ${fresh}`, {}, {}, user);
      await one.read();
      expect(existsSync(one.at('ran'))).toBe(false);
    }
  });

  it('runs once for all that need it, and again when its credential expires', async () => {
    const known: CredentialCache = new Map();
    const runs = async (expirationTimestamp?: string) => {
      const one = made(`echo >> runs; ${printing({ token: secret, expirationTimestamp })}`);
      for (let round = 0; round < 3; round++) await one.read(5_000, known);
      return readFileSync(one.at('runs'), 'utf8').length;
    };
    const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
    expect([await runs(), await runs(inMs(600_000)), await runs(inMs(30_000)), await runs(inMs(-1))]).toEqual([
      1, 1, 3, 3,
    ]);
  });

  it.each<[string, script: string, exec: Exec, words: RegExp]>([
    ['of an unknown version', fresh, { apiVersion: `${group}/v2` }, /"apiVersion" that is not known/],
    ['of no version', fresh, { apiVersion: undefined }, /"apiVersion" that is not known/],
    ['without a command', fresh, { command: '' }, /has no "command"/],
    ['that wants a terminal', fresh, { interactiveMode: 'Always' }, /wants a terminal/],
    ['whose args are no texts', fresh, { args: [secret, 1] }, /"args"/],
    ['whose env is no list of names', fresh, { env: [{ name: secret }] }, /"env"/],
    ['whose env is no list', fresh, { env: secret }, /"env"/],
    ['that is not there', fresh, { command: './nowhere' }, /"\.\/nowhere" cannot be started: ENOENT/],
    ['that fails', `echo ${secret} >&2; exit 3`, {}, /ended with exit code 3/],
    ['that is killed', 'kill -9 $$', {}, /ended with SIGKILL/],
    ['that says nothing', 'true', {}, /did not print an ExecCredential/],
    ['that prints something else', `echo ${secret}`, {}, /did not print an ExecCredential/],
    ['that prints another kind', `echo '{"kind":"${secret}"}'`, {}, /did not print an ExecCredential/],
    ['that answers in another version', printing({ token: secret }, { apiVersion: `${group}/v1beta1` }), {}, /version/],
    ['that gives no credential', printing({}), {}, /neither a token nor a certificate/],
    ['that gives half a pair', printing({ clientCertificateData: secret }), {}, /only one of a certificate/],
    ['that gives no time', printing({ token: secret, expirationTimestamp: secret }), {}, /no time/],
  ])(
    '%s is refused with code 7, the reason, and I12 nothing that it is given or says',
    async (_, script, exec, words) => {
      expect((await made(script, exec).refusal()).message).toMatch(words);
    },
  );

  it('kind 6: that hangs is killed in time, with the processes that it started', async () => {
    const mark = `${31_000_000 + Math.floor(Math.random() * 1e6)}`;
    const one = made(`sleep ${mark} & sleep ${mark}`);
    const began = performance.now();
    expect(await one.refusal(300)).toMatchObject({
      why: 'silent',
      message: expect.stringContaining('did not answer in time'),
    });
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(running(mark)).toEqual([]);
  });

  it('kind 6: that floods its output takes no memory, and is ended', async () => {
    const one = made('exec yes');
    const before = process.memoryUsage().rss;
    await one.refusal(1_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  });

  it('kind 6: is believed although a child of it keeps its output open', async () => {
    const mark = `${32_000_000 + Math.floor(Math.random() * 1e6)}`;
    const one = made(`sleep ${mark} & ${fresh}`);
    onTestFinished(() => {
      for (const name of running(mark)) process.kill(Number(name.split('/')[0]), 'SIGKILL');
    });
    const began = performance.now();
    expect((await one.read()).headers).toEqual({ Authorization: `Bearer ${secret}` });
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  it.each([
    ['gcp', { 'cmd-path': '/bin/sh', 'cmd-args': '-c true', 'token-key': '{.t}', 'expiry-key': '{.e}' }],
    ['azure', { 'cmd-path': '/bin/sh', 'token-key': '{.t}', 'expiry-key': '{.e}' }],
    ['exec', { command: 'sh' }],
    ['oidc', { exec: { command: 'sh' } }],
  ])('kind 6: of the old provider "%s" is refused, and not run by the package’s spawn', async (name, config) => {
    const one = made('', {}, {}, { exec: undefined, 'auth-provider': { name, config } });
    expect((await one.refusal()).message).toContain('"auth-provider" that starts a program is not run');
  });

  it.each([0o620, 0o602, 0o666])('in a file that others may write (mode %o) is not run', async (mode) => {
    const one = made(`touch ran\n${fresh}`);
    chmodSync(one.path, mode);
    expect((await one.refusal()).message).toMatch(/others may write the file \(owner \d+, mode 0\d{3}\).*chmod go-w/);
    expect(existsSync(one.at('ran'))).toBe(false);
    chmodSync(one.path, 0o600);
    await expect(one.read()).resolves.toMatchObject({ headers: { Authorization: `Bearer ${secret}` } });
  });

  it.skipIf(!isRoot)('in a file of another user is not run', async () => {
    // skipped: only root can give a file away
    const one = made(`touch ran\n${fresh}`);
    chownSync(one.path, 4242, 0);
    expect((await one.refusal()).message).toContain('owner 4242');
    expect(existsSync(one.at('ran'))).toBe(false);
  });
});
