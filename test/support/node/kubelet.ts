/** A real kubelet of a node. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../cluster/cluster.ts';
import { type Daemon, whenReady } from '../real/daemon.ts';
import { kubeAssets } from '../requirements.ts';
import { containerdSocket } from './containerd.ts';
import type { NodeSpace } from './node-space.ts';

const startMs = 60_000;

/** The node's own in the lane's network namespace (scripts/alone.sh): loopback would be none that an API server uses. */
const address = '192.0.2.2';

interface KubeletOptions {
  /** Stays from boot to boot. */
  readonly disk: string;
  readonly rootDir: string;
  readonly kubeconfig: string;
  readonly nodeName: string;
  /** Whether the API server knows that the node is ready. */
  isReady(): Promise<boolean>;
}

const configuration = (disk: string, port: number): object => ({
  kind: 'KubeletConfiguration',
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  containerRuntimeEndpoint: `unix://${containerdSocket}`,
  address,
  port,
  healthzPort: 0,
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: 'AlwaysAllow' },
  cgroupDriver: 'cgroupfs',
  cgroupsPerQOS: false,
  enforceNodeAllocatable: [],
  failSwapOn: false,
  localStorageCapacityIsolation: false,
  makeIPTablesUtilChains: false,
  evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
  imageGCHighThresholdPercent: 100,
  resolvConf: '',
  volumePluginDir: join(disk, 'volume-plugins'),
});

export class Kubelet {
  #daemon: Daemon | undefined;

  constructor(
    readonly space: NodeSpace,
    readonly options: KubeletOptions,
  ) {}

  async start(): Promise<void> {
    const { disk, rootDir, kubeconfig, nodeName, isReady } = this.options;
    mkdirSync(rootDir, { recursive: true });
    const config = join(disk, 'kubelet.json');
    writeFileSync(config, JSON.stringify(configuration(disk, await freePort())));
    const command = [
      join(kubeAssets(), 'kubelet'),
      `--config=${config}`,
      `--kubeconfig=${kubeconfig}`,
      `--root-dir=${rootDir}`,
      `--cert-dir=${join(disk, 'kubelet-pki')}`,
      `--hostname-override=${nodeName}`,
      // It need not ask a name server then, and kubectl finds it.
      `--node-ip=${address}`,
    ];
    this.#daemon = this.space.launch(join(disk, 'kubelet.log'), command);
    await whenReady(this.#daemon, 'the kubelet', isReady, startMs);
  }

  async kill(): Promise<void> {
    this.#daemon?.kill('SIGKILL');
    await this.#daemon;
    this.#daemon = undefined;
  }
}
