/** The rest of a cluster's control plane: kube-controller-manager and kube-scheduler, which make the pods of a DaemonSet and place them. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Cluster, freePort } from '../cluster/cluster.ts';
import { type Daemon, end, launch } from '../real/daemon.ts';
import { kubeAssets } from '../requirements.ts';
import { adminToken, writeKubeconfig } from '../stand-in/api.ts';

/** Those that a node with DaemonSets and Deployments needs. */
const controllers = [
  'daemonset-controller',
  'deployment-controller',
  'garbage-collector-controller',
  'node-lifecycle-controller',
  'pod-garbage-collector-controller',
  'replicaset-controller',
];

/** Those that a cluster needs in which pods have accounts. */
const accountControllers = [
  'namespace-controller',
  'root-ca-certificate-publisher-controller',
  'serviceaccount-controller',
];

export class Controllers {
  private constructor(readonly daemons: readonly Daemon[]) {}

  /** @param accounts whether pods have accounts */
  static async start(cluster: Cluster, directory: string, accounts = false): Promise<Controllers> {
    const run = (name: string, port: number, kubeconfig: string, ...more: string[]): Daemon => {
      const own = join(directory, name);
      mkdirSync(own, { recursive: true });
      const log = ['sh', '-c', 'exec "$@" >>"$0" 2>&1', join(own, 'log')];
      const place = ['--bind-address=127.0.0.1', `--secure-port=${port}`, `--cert-dir=${own}`, '--leader-elect=false'];
      const program = join(kubeAssets(), name);
      return launch([...log, program, `--kubeconfig=${kubeconfig}`, ...place, ...more], own, {});
    };
    const user = (name: string) =>
      writeKubeconfig(join(directory, name), cluster, { certificate: cluster.certificate(`system:${name}`) });
    const admin = writeKubeconfig(join(directory, 'admin'), cluster, { token: adminToken });
    const [first, second] = [await freePort(), await freePort()];
    const all = accounts ? [...controllers, ...accountControllers] : controllers;
    return new Controllers([
      run(
        'kube-controller-manager',
        first,
        admin,
        `--controllers=${all.join(',')}`,
        `--root-ca-file=${cluster.files.ca}`,
        `--service-account-private-key-file=${cluster.files.accountsKey}`,
      ),
      run('kube-scheduler', second, user('kube-scheduler')),
    ]);
  }

  async stop(): Promise<void> {
    for (const daemon of this.daemons) await end(daemon);
  }
}
