/** The API server refuses, is away, hangs, or is not the one it claims to be; credentials of every kind, and none of them told. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld, type KubePod } from '../support/cluster/kube-node.ts';
import { tokenOf, writeKubeconfig } from '../support/stand-in/api.ts';
import { authority } from '../support/stand-in/certificates.ts';

const ok = { exitCode: 0 };
const quick = { deadlines: { apiMs: 1000, apiRetryMs: 1500, reconnectMs: 300 } };

onCluster('an API server that fails', (parts) => {
  const home = useKubeNode(parts);
  const { cluster } = parts;

  const nothingLeft = async () => expect(await home().world()).toEqual(emptyKubeWorld);
  const refused = async (pod: KubePod, code: number, words: readonly string[], changes = {}) => {
    const { exitCode, json } = await pod.add('net1', { ...quick, ...changes });
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code });
    for (const word of words) expect(json.msg).toContain(word);
    await nothingLeft();
    expect(await pod.del('net1', { ...quick, ...changes })).toMatchObject({ ...ok, stdout: '' });
    await nothingLeft();
  };

  test.each([
    ['reader', ['forbids to patch pods/status', 'namespace "blue"', '403']],
    ['writer', ['forbids to get pods', '403']],
    ['nobody', ['forbids to get pods', '403']],
  ] as const)('without a right (account "%s") ADD names the right, and nothing is left', async (account, words) => {
    const pod = await home().pod();
    await refused(pod, 7, words, { kubeconfig: home().kubeconfigOf(account) });
  });

  test('an unknown token is told from a missing right, and may be fresh the next time', async () => {
    const pod = await home().pod();
    await refused(pod, 11, ['401', 'expired'], { kubeconfig: home().kubeconfigOf('stranger') });
  });

  test('a DEL whose account may no longer patch owes the annotation, and the next DEL with the right pays it', async () => {
    const [pod, other] = [await home().pod(), await home().pod()];
    expect(await pod.add()).toMatchObject(ok);
    // The same file, another account: as an administrator changes it.
    const path = home().kubeconfig;
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, whole.replace(tokenOf('plugin'), tokenOf('reader')));
    expect(await pod.del()).toMatchObject({ ...ok, stdout: '' });
    expect(await home().node.list()).toMatchObject([
      { owed: [{ step: 'publication', message: expect.stringContaining('403') }] },
    ]);
    expect(await home().world()).toMatchObject({
      ports: [],
      addresses: [],
      annotations: [expect.any(String), expect.any(String)],
    });
    writeFileSync(path, whole);
    expect(await other.add()).toMatchObject(ok);
    expect(await other.del()).toMatchObject(ok);
    await nothingLeft();
  });

  describe('that is away', () => {
    test('at ADD is one clear error within its deadline, and nothing is touched (bug B10, bug B38)', async () => {
      const pod = await home().pod();
      await cluster().stopServer();
      try {
        const { exitCode, json } = await pod.add('net1', quick);
        expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 11 });
        expect(json.msg).toContain(cluster().server);
        expect(await home().node.world()).toEqual(
          (({ volumes, links, annotations, ...world }) => world)(emptyKubeWorld),
        );
        expect(await pod.del('net1', quick)).toMatchObject({ ...ok, stdout: '' });
      } finally {
        await cluster().startServer();
      }
      await nothingLeft();
    });

    test('at DEL holds nothing up but the annotation, which recover removes when it is back (case A27)', async () => {
      const pod = await home().pod();
      expect(await pod.add()).toMatchObject(ok);
      await cluster().stopServer();
      try {
        const began = performance.now();
        expect(await pod.del('net1', quick)).toMatchObject({ ...ok, stdout: '' });
        expect(performance.now() - began).toBeLessThan(10_000);
        expect(await home().node.world()).toMatchObject({ ports: [], addresses: [], journals: [expect.any(String)] });
      } finally {
        await cluster().startServer();
      }
      expect(await home().node.recover()).toMatchObject({ ...ok, json: { removed: 1, owed: 0 } });
      await nothingLeft();
    });
  });

  test('that hangs ends an ADD and a DEL within their deadlines (bug B38)', async () => {
    const [pod, attached] = [await home().pod(), await home().pod()];
    expect(await attached.add()).toMatchObject(ok);
    cluster().pauseServer();
    try {
      expect(await pod.add('net1', quick)).toMatchObject({ exitCode: 1, json: { code: 11 } });
      expect(await attached.del('net1', quick)).toMatchObject({ ...ok, stdout: '' });
    } finally {
      cluster().resumeServer();
    }
    expect(await home().node.recover()).toMatchObject(ok);
    await nothingLeft();
  });

  describe('credentials', () => {
    const directory = () => join(home().node.directory, 'credentials');
    const certificate = () => cluster().certificate('plugin');
    const tokenFile = () => {
      const path = join(home().node.directory, 'token');
      writeFileSync(path, `${tokenOf('plugin')}\n`);
      return path;
    };

    test.each([
      ['a token', () => writeKubeconfig(directory(), cluster(), { token: tokenOf('plugin') })],
      ['a token file', () => writeKubeconfig(directory(), cluster(), { tokenFile: tokenFile() })],
      [
        'a token file beside it, before a token that is stale',
        () => {
          const path = writeKubeconfig(directory(), cluster(), { tokenFile: 'token', token: 'stale' });
          writeFileSync(join(directory(), 'token'), tokenOf('plugin'));
          return path;
        },
      ],
      ['a client certificate', () => writeKubeconfig(directory(), cluster(), { certificate: certificate() })],
      [
        'no verification, where the kubeconfig says so',
        () =>
          writeKubeconfig(
            directory(),
            cluster(),
            { token: tokenOf('plugin') },
            {
              'certificate-authority-data': undefined,
              'insecure-skip-tls-verify': true,
            },
          ),
      ],
    ])('of %s do, and I12 are in no journal, log or answer', async (_, write) => {
      const kubeconfig = write();
      const pod = await home().pod();
      const added = await pod.add('net1', { kubeconfig, logLevel: 'debug' });
      expect(added).toMatchObject(ok);
      const journal = readFileSync(pod.sandbox.journal(), 'utf8');
      expect(await pod.check(added.json, 'net1', { kubeconfig })).toMatchObject(ok);
      const removed = await pod.del('net1', { kubeconfig });
      expect(removed).toMatchObject(ok);
      const log = readFileSync(join(home().node.directory, 'log'), 'utf8');
      const told = [journal, log, added.stdout, added.stderr, removed.stderr].join('\n');
      expect(told).not.toContain(tokenOf('plugin'));
      expect(told).not.toContain('PRIVATE KEY');
      expect(told).not.toContain(Buffer.from(certificate().key).toString('base64').slice(0, 40));
      await nothingLeft();
    });

    const stranger = () => authority(join(home().node.directory, 'stranger'));

    test('of another authority: TLS is verified, whatever the environment says', async () => {
      const pod = await home().pod();
      const kubeconfig = writeKubeconfig(
        directory(),
        { server: cluster().server, ca: stranger().ca },
        { token: tokenOf('plugin') },
      );
      await refused(pod, 7, ['cannot be trusted', cluster().server], { kubeconfig });
      const { json } = await pod.add('net1', { ...quick, kubeconfig }, { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
      expect(json.code).toBe(7);
    });

    test.each([
      ['that is not there', undefined, ['ENOENT']],
      ['that is not YAML', `users: [{name: me, user: {token: ${tokenOf('plugin')}\n  : : }`, ['cannot be used']],
      ['without a cluster', 'apiVersion: v1\nkind: Config\ncurrent-context: x\n', ['no cluster', '"x"']],
      [
        'without a user',
        'apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]\ncontexts: [{name: x, context: {cluster: c, user: me}}]\n',
        ['no user'],
      ],
      [
        'whose token file is not there',
        'apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]\ncontexts: [{name: x, context: {cluster: c, user: me}}]\nusers: [{name: me, user: {tokenFile: nowhere}}]\n',
        ['credentials', 'nowhere', 'ENOENT'],
      ],
    ])('in a kubeconfig %s: code 7 names the file, and I12 nothing that is in it', async (_, text, words) => {
      const pod = await home().pod();
      const kubeconfig = join(home().node.directory, 'broken');
      if (text !== undefined) writeFileSync(kubeconfig, text);
      const { json, stderr } = await pod.add('net1', { ...quick, kubeconfig });
      expect(json.code).toBe(7);
      for (const word of ['broken', ...words]) expect(json.msg).toContain(word);
      expect(JSON.stringify(json) + stderr).not.toContain(tokenOf('plugin'));
      expect(await pod.del('net1', { ...quick, kubeconfig })).toMatchObject({ ...ok, stdout: '' });
    });
  });
});
