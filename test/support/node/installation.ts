/** Our installation on a whole node, as its user makes it: the image, and kubectl with deploy/kubernetes and the changes that a test needs. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { execa } from 'execa';
import { packImage } from '../../../scripts/release/pack.ts';
import { executable, kubeAssets } from '../requirements.ts';
import { adminToken, writeKubeconfig } from '../stand-in/api.ts';
import type { WorkerNode } from './worker-node.ts';

const kubectlMs = 120_000;
const deployment = join(import.meta.dirname, '../../../deploy/kubernetes');

export class Installation {
  readonly namespace = 'userspace-cni';
  readonly #kubeconfig: string;

  constructor(readonly worker: WorkerNode) {
    const { cluster, node } = worker;
    this.#kubeconfig = writeKubeconfig(join(node.directory, 'person'), cluster, { token: adminToken });
  }

  /** The image of the executable under test. Debian's packages for it are downloaded once, or named if no mirror has them. */
  async importImage(): Promise<void> {
    const work = mkdtempSync(join(this.worker.node.directory, 'image-'));
    const executables = { 'usr/local/bin/userspace': executable };
    const archive = join(work, 'image.tar');
    await packImage({ architecture: 'amd64', executables, commit: 'of a test', epoch: 0 }, work, archive);
    await this.worker.containerd.importImage(archive);
    rmSync(work, { recursive: true });
  }

  async kubectl(...args: string[]): Promise<string> {
    return (await this.tryKubectl(...args)).stdout;
  }

  async tryKubectl(...args: string[]) {
    const place = ['--kubeconfig', this.#kubeconfig, '--cache-dir', join(this.worker.node.directory, 'kubectl')];
    return await execa(join(kubeAssets(), 'kubectl'), [...place, ...args], { timeout: kubectlMs });
  }

  /** A directory for `kubectl -k`: one of ours, with this node's process, this cluster's address, and more words. */
  overlay(name: string, ...words: readonly string[]): string {
    const { node, cluster, space } = this.worker;
    const directory = join(node.directory, 'overlays', name || 'all');
    mkdirSync(directory, { recursive: true });
    const given = [`--host-process=${space.holder.pid}`, `--server=${cluster.server}`, ...words];
    const path = '/spec/template/spec/containers/0/args/2';
    const patch = given.map((value) => ({ op: 'add', path, value }));
    const kustomization = {
      resources: [relative(directory, join(deployment, name))],
      patches: [{ target: { kind: 'DaemonSet' }, patch: JSON.stringify(patch) }],
    };
    writeFileSync(join(directory, 'kustomization.yaml'), JSON.stringify(kustomization));
    return directory;
  }

  /** Until every pod of the DaemonSet is ready, and of the newest kind. */
  async rolledOut(): Promise<void> {
    await this.kubectl('-n', this.namespace, 'rollout', 'status', 'daemonset/userspace-cni', '--timeout=90s');
  }

  /** The lines of its pods so far, the oldest pod first. The kubelet of a test has no address at which kubectl could ask for them. */
  get log(): string[] {
    const pods = join(this.worker.disk, 'log/pods');
    const files = readdirSync(pods, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.startsWith(`${this.namespace}_`) && name.endsWith('.log'),
    );
    const lines = files.flatMap((name) => readFileSync(join(pods, name), 'utf8').split('\n').filter(Boolean));
    // Each begins with its time.
    return lines.sort();
  }

  /** A file of the node; undefined if it is not there. */
  read(path: string): string | undefined {
    const real = join(this.worker.space.root, path);
    return existsSync(real) ? readFileSync(real, 'utf8') : undefined;
  }

  get token(): string | undefined {
    return /"token":"([^"]+)"/.exec(this.read('/etc/cni/net.d/userspace.d/kubeconfig') ?? '')?.[1];
  }
}
