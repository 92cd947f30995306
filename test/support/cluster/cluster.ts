/**
 * A real API server for tests: etcd and kube-apiserver in a directory of their own, on loopback, RBAC on. Nothing of it stays.
 *
 * KUBEBUILDER_ASSETS names a directory with both programs, as everywhere in the ecosystem; `npm run kube-assets` makes one.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Daemon, end, launch, pause, whenReady } from '../real/daemon.ts';
import { kubeAssets } from '../requirements.ts';
import { Api, accounts, adminToken, ask, namespace, tokenOf } from '../stand-in/api.ts';
import { type Authority, authority, newKey, type Pair } from '../stand-in/certificates.ts';

/** Two seconds on an idle machine. */
const startMs = 90_000;

export interface ClusterOptions {
  /** Pods get the token of their service account, as in every real cluster. Needs the controllers that make accounts. */
  readonly admitsAccounts?: boolean;
}

export class Cluster extends Api {
  readonly #directory: string;
  readonly #clients: Authority;
  readonly #etcd: Daemon;
  readonly #command: string[];
  #apiserver: Daemon | undefined;

  private constructor(
    server: string,
    ca: string,
    directory: string,
    clients: Authority,
    etcd: Daemon,
    command: string[],
  ) {
    super(server, ca);
    this.#directory = directory;
    this.#clients = clients;
    this.#etcd = etcd;
    this.#command = command;
  }

  static async start({ admitsAccounts = false }: ClusterOptions = {}): Promise<Cluster> {
    const directory = mkdtempSync(join(tmpdir(), 'usw-k-'));
    const [port, etcdPort, peerPort] = [await freePort(), await freePort(), await freePort()];
    const etcd = launch(
      [
        join(kubeAssets(), 'etcd'),
        `--data-dir=${join(directory, 'etcd')}`,
        `--listen-client-urls=http://127.0.0.1:${etcdPort}`,
        `--advertise-client-urls=http://127.0.0.1:${etcdPort}`,
        `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
        '--log-level=error',
        '--unsafe-no-fsync',
      ],
      directory,
      {},
    );
    const servers = authority(join(directory, 'server-ca'));
    const clients = authority(join(directory, 'client-ca'));
    const cluster = new Cluster(`https://127.0.0.1:${port}`, servers.ca, directory, clients, etcd, [
      join(kubeAssets(), 'kube-apiserver'),
      `--etcd-servers=http://127.0.0.1:${etcdPort}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      ...filesOf(directory, servers.server()),
      `--client-ca-file=${clients.caFile}`,
      '--service-account-issuer=https://issuer.test',
      '--authorization-mode=RBAC',
      ...(admitsAccounts ? [] : ['--disable-admission-plugins=ServiceAccount']),
      '--service-cluster-ip-range=10.0.0.0/24',
      '--allow-privileged=true',
      // For kubectl logs and exec: no name server knows the node.
      '--kubelet-preferred-address-types=InternalIP',
    ]);
    try {
      await cluster.startServer();
      await cluster.#populate();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async startServer(): Promise<void> {
    this.#apiserver = launch(this.#command, this.#directory, {});
    const ready = async () => (await ask(this, 'GET', '/readyz').catch(() => undefined))?.status === 200;
    await whenReady(this.#apiserver, 'kube-apiserver', ready, startMs);
  }

  async stopServer(): Promise<void> {
    // It waits a minute for its last requests.
    this.#apiserver?.kill('SIGKILL');
    await this.#apiserver;
    this.#apiserver = undefined;
  }

  /** SIGSTOP: the kernel accepts connections, and no process answers. */
  pauseServer(): void {
    if (this.#apiserver) pause(this.#apiserver);
  }

  resumeServer(): void {
    this.#apiserver?.kill('SIGCONT');
  }

  /** The files with the authority of the server's certificate, and the key of service accounts' tokens. */
  get files(): { readonly ca: string; readonly accountsKey: string } {
    return { ca: join(this.#directory, 'server-ca', 'ca.crt'), accountsKey: join(this.#directory, 'accounts.key') };
  }

  /** A client certificate of an account, or of any other user. */
  certificate(user: string): Pair {
    return this.#clients.client(user);
  }

  async stop(): Promise<void> {
    this.resumeServer();
    await this.stopServer();
    await end(this.#etcd);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #populate(): Promise<void> {
    await this.#make('/api/v1/namespaces', { metadata: { name: namespace } });
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    for (const [account, rights] of Object.entries(accounts)) {
      const rules = rights.map((right) => {
        const [, resource, verb] = right.match(/^(.*)\/([a-z]+)$/) ?? [];
        return { apiGroups: [''], resources: [resource], verbs: [verb] };
      });
      await this.#make(`${rbac}/clusterroles`, { metadata: { name: account }, rules });
      await this.#make(`${rbac}/clusterrolebindings`, {
        metadata: { name: account },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: account },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: account }],
      });
    }
  }

  async #make(path: string, body: object): Promise<void> {
    const { status, json } = await ask(this, 'POST', path, body);
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${JSON.stringify(json)}`);
  }
}

/** The server's certificate, a key for tokens of service accounts (there are none), and the token of each account. */
function filesOf(directory: string, { cert, key }: Pair): string[] {
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const accountsKey = file('accounts.key', newKey());
  const tokens = [
    `${adminToken},admin,admin,system:masters`,
    ...Object.keys(accounts).map((a) => `${tokenOf(a)},${a},${a}`),
  ];
  return [
    `--tls-cert-file=${file('server.crt', cert)}`,
    `--tls-private-key-file=${file('server.key', key)}`,
    `--service-account-key-file=${accountsKey}`,
    `--service-account-signing-key-file=${accountsKey}`,
    `--token-auth-file=${file('tokens', `${tokens.join('\n')}\n`)}`,
  ];
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
