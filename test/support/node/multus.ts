/** Multus (thin) as the default network of a node, with a bridge and host-local as the pods' first interface, and its part of a cluster. */
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { cniPath, multusAssets } from '../requirements.ts';
import { ask, type Json, namespace, writeKubeconfig } from '../stand-in/api.ts';

const user = 'multus';

/** Its own manifest has the CRD and the rights. */
export async function introduceMultus(cluster: Cluster): Promise<void> {
  const manifest = readFileSync(join(multusAssets(), 'multus-daemonset.yml'), 'utf8');
  const documents = Bun.YAML.parse(manifest) as Json[];
  const find = (kind: string): Json => documents.find((document) => document?.kind === kind);
  await post(cluster, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', find('CustomResourceDefinition'));
  await post(cluster, '/apis/rbac.authorization.k8s.io/v1/clusterroles', find('ClusterRole'));
  await bind(cluster, user, 'multus');
}

/** Gives a user a role in the whole cluster. */
export async function bind(cluster: Cluster, name: string, role: string): Promise<void> {
  await post(cluster, '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: `${name}-is-${role.replaceAll(':', '-')}` },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }],
  });
}

/** A NetworkAttachmentDefinition. Asked again until the API server has taken in the CRD. */
export async function define(cluster: Cluster, name: string, config: object): Promise<void> {
  const path = `/apis/k8s.cni.cncf.io/v1/namespaces/${namespace}/network-attachment-definitions`;
  const body = {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { name },
    spec: { config: JSON.stringify(config) },
  };
  for (;;) {
    const { status, json } = await ask(cluster, 'POST', path, body);
    if (status === 201) return;
    if (status !== 404) throw new Error(`POST ${path}: ${status} ${JSON.stringify(json)}`);
    await Bun.sleep(50);
  }
}

interface Places {
  readonly directory: string;
  readonly bin: string;
  readonly conf: string;
  readonly bridge: string;
}

/** @returns the directory of the first interfaces' addresses */
export function installMultus(cluster: Cluster, { directory, bin, conf, bridge }: Places): string {
  for (const name of [bin, conf]) mkdirSync(name, { recursive: true });
  copyFileSync(join(multusAssets(), 'multus'), join(bin, 'multus'));
  for (const name of ['bridge', 'host-local', 'loopback']) symlinkSync(join(cniPath, name), join(bin, name));
  const addresses = join(directory, 'first-addresses');
  const first = {
    cniVersion: '0.3.1',
    name: 'first',
    type: 'bridge',
    bridge,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.57.0.0/16' }]], dataDir: addresses },
  };
  const kubeconfig = writeKubeconfig(join(directory, user), cluster, { certificate: cluster.certificate(user) });
  const multus = {
    cniVersion: '0.3.1',
    name: 'multus-cni-network',
    type: 'multus',
    kubeconfig,
    binDir: bin,
    confDir: conf,
    cniDir: join(directory, 'multus-state'),
    delegates: [first],
  };
  writeFileSync(join(conf, '00-multus.conf'), JSON.stringify(multus));
  return addresses;
}

async function post(cluster: Cluster, path: string, body: object): Promise<void> {
  const { status, json } = await ask(cluster, 'POST', path, body);
  if (status !== 201) throw new Error(`POST ${path}: ${status} ${JSON.stringify(json)}`);
}
