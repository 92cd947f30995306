/** The ground of a run: a private switch, a network namespace, an API server if there is one, and the calls that fit them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster } from '../../test/support/cluster/cluster.ts';
import { createNetns, removeNetns } from '../../test/support/real/netns.ts';
import { type Switch, startSwitch } from '../../test/support/real/switch.ts';
import { clusterParts, cniPath, executable, missing } from '../../test/support/requirements.ts';
import { namespace, sharing, tokenOf, writeKubeconfig } from '../../test/support/stand-in/api.ts';
import { alone } from './agent.ts';
import type { Command } from './measure.ts';

export const bridge = 'bench0';
export const network = 'bench';
export const ifName = 'net1';

/** The part of a configuration and of an environment that differs from the ordinary one. */
export interface Changes {
  readonly changes: object;
  readonly env: Record<string, string>;
}

export const ordinary: Changes = { changes: {}, env: {} };

export class Stage {
  readonly dataDir: string;
  #ids = 0;

  private constructor(
    readonly directory: string,
    readonly ovs: Switch,
    readonly netns: string,
    readonly cluster: Cluster | undefined,
  ) {
    this.dataDir = join(directory, 'data');
  }

  /** Sets it up, uses it, and takes everything away, however that ends. */
  static async use(play: (stage: Stage) => Promise<void>): Promise<void> {
    const directory = mkdtempSync(join(tmpdir(), 'usb-'));
    const endings: (() => Promise<unknown>)[] = [];
    try {
      const ovs = await startSwitch();
      endings.unshift(() => ovs.stop());
      await ovs.vsctl('add-br', bridge, '--', 'set', 'bridge', bridge, 'datapath_type=netdev');
      const netns = await createNetns(join(directory, 'netns'), 'bench');
      endings.unshift(() => removeNetns(netns));
      const cluster = missing(clusterParts).length === 0 ? await Cluster.start() : undefined;
      endings.unshift(async () => await cluster?.stop());
      await play(new Stage(directory, ovs, netns, cluster));
    } finally {
      for (const end of endings) await end();
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /** A container id that no call has had. */
  freshId(): string {
    return `${this.#ids++}`.padStart(12, 'a');
  }

  freshIds(count: number): string[] {
    return Array.from({ length: count }, () => this.freshId());
  }

  ipam(store: string): object {
    return { type: 'host-local', dataDir: join(this.directory, store), ranges: [[{ subnet: '10.0.0.0/8' }]] };
  }

  cni(verb: string, id: string): Record<string, string> {
    return { CNI_COMMAND: verb, CNI_CONTAINERID: id, CNI_NETNS: this.netns, CNI_IFNAME: ifName, CNI_PATH: cniPath };
  }

  /** A call of this executable that does everything itself, unless the environment says otherwise. */
  call(verb: string, id: string, { changes, env }: Changes = ordinary): Command {
    const vhost = { mode: 'client' };
    const config = {
      cniVersion: '1.0.0',
      name: network,
      type: 'userspace',
      sharedDir: join(this.directory, 'pods'),
      dataDir: this.dataDir,
      ovsdb: this.ovs.ovsdb,
      host: { engine: 'ovs-dpdk', iftype: 'vhostuser', vhost, bridge: { bridgeName: bridge } },
      ipam: this.ipam('addresses'),
    };
    return {
      program: executable,
      args: [],
      env: { ...this.cni(verb, id), ...alone, ...env },
      input: JSON.stringify({ ...config, ...changes }),
    };
  }

  version(env: Record<string, string> = alone): Command {
    return { program: executable, args: [], env: { CNI_COMMAND: 'VERSION', ...env }, input: '{"cniVersion":"1.0.0"}' };
  }

  /** Makes a pod as the kubelet has it when it starts a sandbox. @returns what a call for it says more */
  async preparePod(name: string): Promise<Changes> {
    if (!this.cluster) throw new Error('there is no API server');
    const { metadata } = await this.cluster.createPod({ name, ...sharing({ emptyDir: {} }) });
    const kubeletRootDir = join(this.directory, 'kubelet');
    const volumes = join(kubeletRootDir, 'pods', metadata.uid, 'volumes');
    mkdirSync(join(volumes, 'kubernetes.io~empty-dir', 'shared-dir'), { recursive: true });
    const kubeconfig = writeKubeconfig(this.directory, this.cluster, { token: tokenOf('plugin') });
    const args = { K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: name, K8S_POD_UID: metadata.uid };
    const said = Object.entries(args).map(([key, value]) => `${key}=${value}`);
    return {
      changes: { kubeconfig, kubeletRootDir, shortDir: join(this.directory, 'short') },
      env: { CNI_ARGS: ['IgnoreUnknown=1', ...said].join(';') },
    };
  }

  /** Compiles a program with Bun. @returns its path */
  compile(name: string, source: string, ...more: readonly string[]): string {
    const output = join(this.directory, name);
    const compile = ['build', '--compile', '--bytecode', '--minify', '--format=esm'];
    const flags = [...compile, ...more, source, '--outfile', output];
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, ...flags], { cwd: this.directory, stderr: 'pipe' });
    if (exitCode !== 0) throw new Error(String(stderr));
    return output;
  }

  compileHello(): string {
    const source = join(this.directory, 'hello.ts');
    writeFileSync(source, 'console.log("hello")\n');
    return this.compile('hello', source);
  }
}
