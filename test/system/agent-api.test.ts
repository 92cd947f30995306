/**
 * Calls with kubeconfigs through one worker, whose connections to an API server outlive a call. Each call is judged by its own kubeconfig.
 * The pod is never there, so that a call ends with the API server's answer, and no switch is asked.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Agent } from '../support/real/agent.ts';
import { type Answer, cni } from '../support/real/cni.ts';
import { executable, missing } from '../support/requirements.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { type ApiClient, tokenOf, writeKubeconfig } from '../support/stand-in/api.ts';
import { authority } from '../support/stand-in/certificates.ts';
import { StandInApi } from '../support/stand-in/stand-in-api.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const lacking = missing(['executable', 'root']);
const title = 'calls of several kubeconfigs through one worker';

type Credentials = Parameters<typeof writeKubeconfig>[2];

describe.skipIf(lacking.length > 0)(lacking.length > 0 ? skippedTitle(title, lacking.join('; ')) : title, () => {
  let agent: Agent;
  let api: StandInApi;
  let directory: string;

  beforeAll(async () => {
    agent = await Agent.start({ workers: 1 });
  });
  afterAll(() => agent?.stop());
  beforeEach(async () => {
    directory = temporaryDirectory();
    api = await StandInApi.start();
    return () => api.stop();
  });

  let written = 0;
  const kubeconfig = (credentials: Credentials, client: ApiClient = api, cluster = {}): string =>
    writeKubeconfig(join(directory, String(written++)), client, credentials, cluster);

  interface More {
    readonly env?: Readonly<Record<string, string>>;
    readonly deadlines?: object;
    readonly alone?: boolean;
  }

  const add = (path: string, { env = {}, deadlines, alone }: More = {}): Promise<Answer> =>
    cni(
      'ADD',
      {
        containerId: 'abc',
        ifName: 'net1',
        netns: '/proc/self/ns/net',
        args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=blue;K8S_POD_NAME=gone',
        config: {
          cniVersion: '1.0.0',
          name: 'net-a',
          type: 'userspace',
          dataDir: join(directory, 'data'),
          sharedDir: join(directory, 'pods'),
          kubeconfig: path,
          host: { engine: 'ovs-dpdk', iftype: 'vhostuser' },
          ...(deadlines && { deadlines }),
        },
      },
      { env: { USERSPACE_CNI_AGENT: alone ? 'off' : agent.directory, ...env } },
    );

  /** The call as it is answered through the worker, which has to be what its own process answers. */
  async function answered(path: string, more: More = {}): Promise<Answer['json']> {
    const { pid } = agent;
    const [worker] = agent.workers;
    const { exitCode, stdout, json } = await add(path, more);
    expect(agent.pid).toBe(pid);
    expect(agent.workers).toEqual([worker]);
    expect(exitCode).toBe(1);
    const alone = await add(path, { ...more, alone: true });
    expect(stdout.replace(/netns "[^"]*"/g, '')).toBe(alone.stdout.replace(/netns "[^"]*"/g, ''));
    return json;
  }

  const users = (): (string | undefined)[] => api.requests.map(({ user }) => user);

  test('a call asks over the connection of the call before', async () => {
    const path = kubeconfig({ token: tokenOf('plugin') });
    for (let turn = 0; turn < 3; turn++) await add(path);
    expect(users()).toEqual(['plugin', 'plugin', 'plugin']);
    expect(api.connections).toBe(1);
  });

  test('another authority of the server is not trusted although a connection is open', async () => {
    const right = kubeconfig({ token: tokenOf('plugin') });
    const other = authority(join(directory, 'other'));
    const wrong = kubeconfig({ token: tokenOf('plugin') }, { server: api.server, ca: other.ca });
    await answered(right);
    const count = api.requests.length;
    expect((await answered(wrong)).msg).toContain('cannot be trusted');
    expect(api.requests).toHaveLength(count);
    expect((await answered(right)).msg).toContain('gone');
  });

  test('another name of the server is not trusted although a connection is open', async () => {
    const token = tokenOf('plugin');
    await answered(kubeconfig({ token }));
    const wrong = kubeconfig({ token }, api, { 'tls-server-name': 'api.example' });
    expect((await answered(wrong)).msg).toContain('cannot be trusted');
  });

  test('a connection that was made without trust serves no call that asks for it', async () => {
    const token = tokenOf('plugin');
    const blind = kubeconfig({ token }, { server: api.server, ca: '' }, { 'insecure-skip-tls-verify': true });
    writeFileSync(blind, readFileSync(blind, 'utf8').replace('"certificate-authority-data":"",', ''));
    expect((await answered(blind)).msg).toContain('gone');
    const wrong = kubeconfig({ token }, { server: api.server, ca: authority(join(directory, 'x')).ca });
    expect((await answered(wrong)).msg).toContain('cannot be trusted');
  });

  test.each(['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'])(
    'an authority of the caller’s environment (%s) counts as alone',
    async (name) => {
      const path = kubeconfig({ token: tokenOf('plugin') }, { server: api.server, ca: '' });
      writeFileSync(path, readFileSync(path, 'utf8').replace(',"certificate-authority-data":""', ''));
      const file = join(directory, 'authority.crt');
      writeFileSync(file, api.ca);
      await answered(path);
      await answered(path, { env: { [name]: file } });
      expect((await answered(path)).msg).toContain('cannot be trusted');
    },
  );

  test('each call shows its own client certificate or token', async () => {
    const ways: [string | undefined, Credentials][] = [
      ['plugin', { certificate: api.certificate('plugin') }],
      ['reader', { certificate: api.certificate('reader') }],
      ['nobody', { token: tokenOf('nobody') }],
      ['reader', { token: tokenOf('reader') }],
      ['plugin', { certificate: api.certificate('plugin') }],
      ['writer', { token: tokenOf('writer') }],
    ];
    for (const [, credentials] of ways) await add(kubeconfig(credentials));
    expect(users()).toEqual(ways.map(([user]) => user));
  });

  test('a token file that was rotated is read again', async () => {
    const tokenFile = join(directory, 'token');
    const path = kubeconfig({ tokenFile });
    for (const account of ['plugin', 'reader', 'plugin']) {
      writeFileSync(tokenFile, tokenOf(account));
      await add(path);
    }
    expect(users()).toEqual(['plugin', 'reader', 'plugin']);
  });

  test('a credential program runs for each call, with its caller’s environment, directory and no descriptor of the agent', async () => {
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: tokenOf('plugin') },
    };
    writeFileSync(
      join(bin, 'credential'),
      `#!/bin/sh\n(env; pwd; ls -l /proc/$$/fd) > ${directory}/said.$TURN\necho '${JSON.stringify(credential)}'\n`,
    );
    chmodSync(join(bin, 'credential'), 0o755);
    const path = kubeconfig({});
    const exec = { apiVersion: credential.apiVersion, command: 'credential', interactiveMode: 'Never' };
    writeFileSync(path, readFileSync(path, 'utf8').replace('user: {}', `user: ${JSON.stringify({ exec })}`));
    const PATH = `${bin}:${process.env.PATH}`;
    const said = async (TURN: string, env: Readonly<Record<string, string>>, alone = false): Promise<string> => {
      expect((await add(path, { env: { PATH, TURN, ...env }, alone })).json.msg).toContain('gone');
      return readFileSync(join(directory, `said.${TURN}`), 'utf8');
    };
    const first = await said('first', { PLANTED: 'of-the-first' });
    const second = await said('second', { HTTPS_PROXY: 'http://127.0.0.1:1' });
    expect(first).toContain('PLANTED=of-the-first');
    expect(second).not.toContain('PLANTED');
    expect(second).toContain('HTTPS_PROXY=http://127.0.0.1:1');
    for (const text of [first, second]) expect(text).not.toMatch(/USERSPACE_CNI_AGENT=off|CNI_COMMAND/);
    const names = (text: string) => text.split('\n').flatMap((line) => /^\w+(?==)/.exec(line) ?? []);
    const fds = (text: string) => text.split('\n').flatMap((line) => / (\d+) -> /.exec(line)?.[1] ?? []);
    const alone = await said('alone', { HTTPS_PROXY: 'http://127.0.0.1:1' }, true);
    expect(names(second).sort()).toEqual(names(alone).sort());
    expect(fds(second)).toEqual(fds(alone));
    await expect(said('none', { PATH: '/usr/bin' })).rejects.toThrow();
  });

  test.each([
    ['was restarted', async () => api.stopServer().then(() => api.startServer())],
    [
      'closed the connection a while ago',
      async () =>
        api
          .stopServer()
          .then(() => api.startServer())
          .then(() => delay(700)),
    ],
  ])('a server that %s costs no call a failure', async (_, meanwhile) => {
    const path = kubeconfig({ token: tokenOf('plugin') });
    for (let turn = 0; turn < 5; turn++) {
      expect((await add(path)).json.msg).toContain('gone');
      await meanwhile();
    }
    expect(api.requests).toHaveLength(5);
  });

  test('a connection that something on the way has forgotten is not used after a pause', async () => {
    const way = await forgetful(api);
    const path = kubeconfig({ token: tokenOf('plugin') }, { server: way.server, ca: api.ca });
    const first = await add(path);
    expect(first.json.msg).toContain('gone');
    await delay(5_500);
    way.forget();
    const began = performance.now();
    expect((await add(path)).json.msg).toContain('gone');
    expect(performance.now() - began).toBeLessThan(2_000);
    await way.close();
  });

  test('an agent of this executable serves these calls', () => {
    expect(agent.said).toEqual([]);
    expect(executable).toContain('dist/userspace');
  });
});

/** A load balancer that drops the connections it had so far without a word. */
async function forgetful(api: ApiClient) {
  let age = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const born = age;
    const far = connect(Number(new URL(api.server).port), '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    near.on('data', (bytes) => void (born === age && far.write(bytes)));
    far.on('data', (bytes) => void (born === age && near.write(bytes)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    server: `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    forget: () => age++,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
