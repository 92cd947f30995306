/** Our installation on a whole node, as its user makes it: the image, and kubectl with deploy/kubernetes and the changes that a test needs. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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
  async packImage(): Promise<string> {
    const work = mkdtempSync(join(this.worker.node.directory, 'image-'));
    const executables = { 'usr/local/bin/userspace': executable };
    const archive = join(work, 'image.tar');
    await packImage({ architecture: 'amd64', executables, commit: 'of a test', epoch: 0 }, work, archive);
    return archive;
  }

  get kubectlWords(): readonly string[] {
    const cache = join(this.worker.node.directory, 'kubectl');
    return [join(kubeAssets(), 'kubectl'), '--kubeconfig', this.#kubeconfig, '--cache-dir', cache];
  }

  /** @returns what it prints. @throws what it says on stderr */
  async kubectl(...args: string[]): Promise<string> {
    const [program = '', ...words] = this.kubectlWords;
    return (await execa(program, [...words, ...args], { timeout: kubectlMs })).stdout;
  }

  /** Makes a directory for `kubectl -k`: one of ours, with this node's process, this cluster's address, and more words. */
  overlay(directory: string, name: string, ...words: readonly string[]): string {
    const { cluster, space } = this.worker;
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

  /** Installs, or changes what is installed. @param name of a directory in deploy/kubernetes */
  async apply(name: string, ...words: readonly string[]): Promise<void> {
    await this.kubectl('apply', '-k', this.overlay(this.#place(name), name, ...words));
  }

  async remove(name: string): Promise<void> {
    await this.kubectl('delete', '-k', this.#place(name), '--timeout=60s');
  }

  #place(name: string): string {
    return join(this.worker.node.directory, 'overlays', name || 'all');
  }

  /** Until every pod of the DaemonSet is ready, and of the newest kind. */
  async rolledOut(): Promise<void> {
    await this.kubectl('-n', this.namespace, 'rollout', 'status', 'daemonset/userspace-cni', '--timeout=90s');
  }

  /** The lines of its pods so far, the oldest first; those of pods that are gone too. */
  get log(): string[] {
    const pods = join(this.worker.disk, 'log/pods');
    const files = readdirSync(pods, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.startsWith(`${this.namespace}_`) && name.endsWith('.log'),
    );
    // Each begins with its time.
    return files.flatMap((name) => readFileSync(join(pods, name), 'utf8').split('\n').filter(Boolean)).sort();
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
