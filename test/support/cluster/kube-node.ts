/**
 * A node of a cluster: the node's own directories, a kubelet's among them, and the API server that knows its pods.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Answer, type Call, type CallOptions, cni } from '../real/cni.ts';
import type { Ground } from '../real/kill-matrix.ts';
import type { Changes, Pod, TestNode } from '../real/node.ts';
import { emptyWorld, tree, type World } from '../real/world.ts';
import { type Account, type Api, type Json, sharing, tokenOf, writeKubeconfig } from '../stand-in/api.ts';

export type Volume = 'emptyDir' | 'hostPath' | 'none';

/** Where containers see the volume. */
export const mountPath = '/run/app';

let made = 0;

interface KubePodOptions {
  readonly name?: string;
  readonly annotations?: { readonly [key: string]: string };
  /** A pod that is there already: this is another sandbox of it. */
  readonly sandboxOf?: KubePod;
}

/** Leftovers beyond the node's own: below the kubelet's directory, symlinks, annotations of ours. */
export interface KubeWorld extends World {
  readonly volumes: string[];
  readonly links: string[];
  readonly annotations: string[];
}

export const emptyKubeWorld: KubeWorld = { ...emptyWorld, volumes: [], links: [], annotations: [] };

export class KubeNode {
  readonly kubeletRootDir: string;
  readonly shortDir: string;
  readonly pods: KubePod[] = [];
  kubeconfig: string;

  constructor(
    readonly node: TestNode,
    readonly api: Api,
    account: Account = 'plugin',
  ) {
    this.kubeletRootDir = join(node.directory, 'kubelet');
    this.shortDir = join(node.directory, 'short');
    this.kubeconfig = this.kubeconfigOf(account);
  }

  kubeconfigOf(account: Account | 'stranger'): string {
    return writeKubeconfig(join(this.node.directory, account), this.api, { token: tokenOf(account) });
  }

  get changes(): Changes {
    const { kubeconfig, kubeletRootDir, shortDir } = this;
    return { kubeconfig, kubeletRootDir, shortDir };
  }

  /** A pod that the API server knows and the kubelet has prepared, and a sandbox of it. */
  async pod(volume: Volume = 'emptyDir', { name, annotations, sandboxOf }: KubePodOptions = {}): Promise<KubePod> {
    const own = name ?? sandboxOf?.name ?? `app-${++made}`;
    const hostPath = join(this.node.directory, 'host', own);
    const source = { emptyDir: { emptyDir: {} }, hostPath: { hostPath: { path: hostPath } }, none: undefined }[volume];
    const known =
      sandboxOf?.json ??
      (await this.api.createPod({
        name: own,
        ...(annotations && { annotations }),
        ...(source && sharing(source, mountPath)),
      }));
    const { uid } = known.metadata;
    const emptyDir = join(this.kubeletRootDir, 'pods', uid, 'volumes', 'kubernetes.io~empty-dir', 'shared-dir');
    const sandbox = await this.node.pod();
    const directories = { emptyDir, hostPath, none: join(this.node.sharedDir, sandbox.shortId) };
    if (volume === 'emptyDir') mkdirSync(emptyDir, { recursive: true, mode: 0o777 });
    const pod = new KubePod(this, known, own, sandbox, directories[volume]);
    this.pods.push(pod);
    return pod;
  }

  /** The pod goes, from the API server too. */
  async forget(pod: KubePod): Promise<void> {
    this.pods.splice(this.pods.indexOf(pod), 1);
    await this.api.deletePod(pod.name);
    await pod.sandbox.removeNetns();
  }

  async world(): Promise<KubeWorld> {
    const volumes = [...(await tree(this.kubeletRootDir)), ...(await tree(join(this.node.directory, 'host')))];
    const annotations: string[] = [];
    for (const name of new Set(this.pods.map((pod) => pod.name))) {
      const own = Object.keys(await this.api.annotations(name)).filter((key) => key.startsWith('userspace/'));
      annotations.push(...own.map((key) => `${name}: ${key}`));
    }
    return {
      ...(await this.node.world()),
      volumes: volumes.filter((path) => !path.endsWith('/')),
      links: await tree(this.shortDir),
      annotations,
    };
  }
}

export class KubePod {
  constructor(
    readonly home: KubeNode,
    /** As the API server answered when it was made. */
    readonly json: Json,
    readonly name: string,
    readonly sandbox: Pod,
    /** The directory of its sockets, on the host. */
    readonly directory: string,
  ) {}

  get uid(): string {
    return this.json.metadata.uid;
  }

  get args(): string {
    const { name, uid, sandbox } = this;
    const namespace = this.json.metadata.namespace;
    return `IgnoreUnknown=true;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=${sandbox.containerId};K8S_POD_UID=${uid}`;
  }

  call(ifName = 'net1', changes: Changes = {}): Call {
    return { ...this.sandbox.call(ifName, { ...this.home.changes, ...changes }), args: this.args };
  }

  add(ifName = 'net1', changes: Changes = {}, options: CallOptions = {}): Promise<Answer> {
    return cni('ADD', this.call(ifName, changes), options);
  }

  del(ifName = 'net1', changes: Changes = {}, options: CallOptions = {}): Promise<Answer> {
    return cni('DEL', this.call(ifName, changes), options);
  }

  check(prevResult: unknown, ifName = 'net1', changes: Changes = {}): Promise<Answer> {
    return cni('CHECK', this.call(ifName, { ...changes, prevResult }));
  }

  async annotations(): Promise<{ readonly [key: string]: string }> {
    return await this.home.api.annotations(this.name);
  }

  /** The annotation that the application reads, parsed. */
  async entries(): Promise<Json[]> {
    return JSON.parse((await this.annotations())['userspace/configuration-data'] ?? '[]');
  }

  socket(ifName = 'net1'): string {
    return join(this.directory, this.sandbox.portName(ifName));
  }
}

/** Where the kill matrix is played with pods: each case has one of its own. */
export function podGround(home: KubeNode, sampled?: number): Ground {
  return {
    node: home.node,
    title: 'in a pod',
    changes: {},
    ...(sampled !== undefined && { sampled }),
    target: () => home.pod(),
    expectNothingLeft: async () => deepStrictEqual(await home.world(), emptyKubeWorld),
    dispose: async (target) => {
      const pod = target as KubePod;
      await home.forget(pod);
    },
  };
}
