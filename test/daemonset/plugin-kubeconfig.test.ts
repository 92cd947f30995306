/** The plugin's kubeconfig: what it says, and that root alone reads it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OwnAccount, serverOfPod } from '../../src/daemonset/own-account.ts';
import { kubeconfigText, writePluginKubeconfig } from '../../src/daemonset/plugin-kubeconfig.ts';
import { readUsualFile } from '../../src/effects/kubernetes/kubeconfig.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

describe('the kubeconfig of the plugin', () => {
  it('is read by the plugin without its slow reader, on IPv6 too', () => {
    const text = kubeconfigText({ server: 'https://[fd00::1]:443', ca: 'the authority', token: 'secret' });
    expect(readUsualFile(text, '/k')).toEqual({
      server: new URL('https://[fd00::1]:443'),
      tls: { rejectUnauthorized: true, ca: 'the authority' },
      headers: { Authorization: 'Bearer secret' },
    });
  });

  it('and its directory are for root alone, also where both were open before (KN3)', () => {
    const home = temporaryDirectory();
    const path = join(home, 'net.d/userspace.d/kubeconfig');
    mkdirSync(join(home, 'net.d/userspace.d'), { recursive: true, mode: 0o755 });
    writeFileSync(path, 'old', { mode: 0o644 });
    writePluginKubeconfig('new', path);
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect([modeOf(path), modeOf(join(home, 'net.d/userspace.d'))]).toEqual([0o600, 0o700]);
    expect(readdirSync(join(home, 'net.d/userspace.d'))).toEqual(['kubeconfig']);
  });

  it('replaces what a killed writer left, and makes the directories that are missing', () => {
    const path = join(temporaryDirectory(), 'etc/net.d/userspace.d/kubeconfig');
    writePluginKubeconfig('one', path);
    symlinkSync('/nowhere/else', join(path, '../.kubeconfig.new'));
    writePluginKubeconfig('two', path);
    expect(readFileSync(path, 'utf8')).toBe('two');
    expect(existsSync('/nowhere/else')).toBe(false);
    expect(modeOf(join(path, '../..'))).toBe(0o755);
  });
});

describe('the account of the pod', () => {
  it('is read again for each request, because the kubelet replaces its files', () => {
    const home = temporaryDirectory();
    const write = (token: string) => {
      for (const [name, text] of Object.entries({ token, namespace: 'here', 'ca.crt': 'pem' }))
        writeFileSync(join(home, name), `${text}\n`);
    };
    const own = new OwnAccount('https://api', home);
    for (const token of ['one', 'two']) {
      write(token);
      expect(own.endpoint.headers).toEqual({ Authorization: `Bearer ${token}` });
    }
    expect([own.namespace, own.endpoint.tls.ca]).toEqual(['here', 'pem']);
  });

  it('that is not there is named, with the remedy', () => {
    const home = temporaryDirectory();
    expect(() => new OwnAccount('https://api', home).namespace).toThrow(
      `"${home}/namespace" cannot be read (ENOENT): the pod needs a serviceAccountName and its token`,
    );
  });

  it.each([
    { host: '10.0.0.1', url: 'https://10.0.0.1:443' },
    { host: 'fd00::1', url: 'https://[fd00::1]:443' },
  ])('asks the server that the kubelet names: $host', ({ host, url }) => {
    expect(serverOfPod({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: '443' })).toBe(url);
    expect(() => serverOfPod({ KUBERNETES_SERVICE_HOST: host })).toThrow('name the API server with --server');
  });
});
