/**
 * A whole node of a cluster: a kubelet, containerd with runc, Multus, our executable among the plugins, and perhaps an agent. Everything of
 * it is in one directory and one mount namespace, and goes with them.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Cluster } from '../cluster/cluster.ts';
import { KubeNode } from '../cluster/kube-node.ts';
import { Agent } from '../real/agent.ts';
import { type Answer, run } from '../real/cni.ts';
import type { Changes, TestNode } from '../real/node.ts';
import { emptyWorld, tree, type World } from '../real/world.ts';
import { executable } from '../requirements.ts';
import { ask, writeKubeconfig } from '../stand-in/api.ts';
import { Containerd } from './containerd.ts';
import { Controllers } from './controllers.ts';
import { Kubelet } from './kubelet.ts';
import { bind, define, installMultus, introduceMultus } from './multus.ts';
import { NodeSpace, numbersIn, readLink } from './node-space.ts';

const nodeName = 'node-1';

/** Leftovers of pods beyond those of our own attachments. */
export interface WholeWorld extends World {
  /** Symlinks that shorten a socket's path. */
  readonly links: string[];
  /** The kubelet's directories of pods. */
  readonly volumes: string[];
  /**
   * Network namespaces with an interface. Empty ones were seen after kills of containerd, beside pods that had all that they asked for;
   * what had left them was not looked into.
   */
  readonly netns: string[];
  /** The addresses, and the ends on the node, of pods' first interfaces. */
  readonly firstAddresses: string[];
  readonly veths: string[];
}

export const emptyWholeWorld: WholeWorld = {
  ...emptyWorld,
  links: [],
  volumes: [],
  netns: [],
  firstAddresses: [],
  veths: [],
};

export class WorkerNode {
  readonly home: KubeNode;
  readonly disk: string;
  readonly agentDirectory: string;
  /** Our executable, as the runtime calls it. */
  readonly program: string;
  agent: Agent | undefined;
  readonly #cniBin: string;
  readonly #cniConf: string;
  /** The bridge of the pods' first interfaces. */
  readonly #firstBridge = `u${randomBytes(4).toString('hex')}`;
  #firstAddresses = '';
  #controllers: Controllers | undefined;
  #space: NodeSpace | undefined;
  #containerd: Containerd | undefined;
  #kubelet: Kubelet | undefined;

  private constructor(
    readonly node: TestNode,
    readonly cluster: Cluster,
    /** Whether nothing of ours is on it at first. */
    readonly isBare: boolean,
  ) {
    this.home = new KubeNode(node, cluster);
    this.disk = join(node.directory, 'disk');
    this.agentDirectory = join(node.directory, 'agent');
    this.#cniBin = node.binDir;
    this.#cniConf = join(node.directory, 'cni-conf');
    this.program = join(this.#cniBin, 'userspace');
  }

  static async start(node: TestNode, cluster: Cluster, { isBare = false } = {}): Promise<WorkerNode> {
    const worker = new WorkerNode(node, cluster, isBare);
    try {
      await worker.#install();
      await worker.boot();
      await worker.containerd.importImage();
      return worker;
    } catch (cause) {
      const told = worker.logs();
      await worker.end();
      throw new Error(`a node does not start:\n${told}`, { cause });
    }
  }

  get space(): NodeSpace {
    return this.#space ?? absent('booted');
  }

  get containerd(): Containerd {
    return this.#containerd ?? absent('booted');
  }

  get kubelet(): Kubelet {
    return this.#kubelet ?? absent('booted');
  }

  /** The first time, and after `powerOff`. */
  async boot(): Promise<void> {
    mkdirSync(join(this.disk, 'opt/cni'), { recursive: true });
    // The runtime's plugins by their usual name too.
    const usual = join(this.disk, 'opt/cni/bin');
    if (!existsSync(usual)) symlinkSync(this.#cniBin, usual);
    const space = await NodeSpace.boot(this.disk);
    this.#space = space;
    const places = { disk: this.disk, cniBin: this.#cniBin, cniConf: this.#cniConf };
    this.#containerd = new Containerd(space, places, this.isBare ? {} : { USERSPACE_CNI_AGENT: this.agentDirectory });
    const { cluster, disk, home } = this;
    const certificate = cluster.certificate(nodeName);
    const kubeconfig = writeKubeconfig(join(disk, 'kubelet'), cluster, { certificate });
    const isReady = () => this.isReady();
    this.#kubelet = new Kubelet(space, { disk, rootDir: home.kubeletRootDir, kubeconfig, nodeName, isReady });
    await this.#containerd.start();
    await this.#kubelet.start();
  }

  /** Every process ends at once; /run, namespaces and mounts are gone. */
  async powerOff(): Promise<void> {
    await this.#space?.end();
    this.#space = undefined;
    this.agent = undefined;
    await execa('ip', ['link', 'delete', this.#firstBridge], { reject: false });
  }

  async isReady(): Promise<boolean> {
    const { json } = await ask(this.cluster, 'GET', `/api/v1/nodes/${nodeName}`);
    const conditions: { type: string; status: string }[] = json.status?.conditions ?? [];
    return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  }

  /** A network of ours that pods can name. */
  async network(name: string, changes: Changes = {}): Promise<void> {
    await define(this.cluster, name, this.node.config({ name, ...this.home.changes, ...changes }));
  }

  async startAgent(): Promise<Agent> {
    mkdirSync(this.agentDirectory, { recursive: true, mode: 0o700 });
    const { program, agentDirectory: directory } = this;
    this.agent = await Agent.start({ program, directory, under: this.space.under });
    return this.agent;
  }

  async stopAgent(): Promise<void> {
    await this.agent?.stop();
    this.agent = undefined;
  }

  /** The processes of calls of our executable, without its agent and the agent's workers. */
  calls(): number[] {
    const resident = new Set(this.agent ? [this.agent.pid, ...this.agent.children.map(({ pid }) => pid)] : []);
    return numbersIn('/proc').filter((pid) => !resident.has(pid) && readLink(`/proc/${pid}/exe`) === this.program);
  }

  /** The last words of its daemons, for the message of a test that fails. */
  logs(): string {
    const logs = names(this.disk).filter((name) => name.endsWith('.log'));
    return logs.map((name) => readFileSync(join(this.disk, name), 'utf8').slice(-4_000)).join('\n');
  }

  /** The last lines of the daemons' logs, and of our own, that name one of these pods. */
  linesAbout(pods: readonly string[]): string[] {
    const logs = names(this.disk).filter((name) => name.endsWith('.log'));
    const lines = logs.flatMap((name) =>
      readFileSync(join(this.disk, name), 'utf8')
        .split('\n')
        .filter((line) => pods.some((pod) => line.includes(pod)))
        .slice(-15)
        .map((line) => `${name}: ${line.slice(0, 600)}`),
    );
    return lines;
  }

  /** `userspace recover`, in the node's own mount namespace. */
  async recover(...more: string[]): Promise<Answer> {
    const { dataDir, theSwitch } = this.node;
    const places = ['--data-dir', dataDir, '--ovsdb', theSwitch.ovsdb];
    return await run(['recover', '--json', ...places, ...more], { PATH: process.env.PATH ?? '' }, this.space.under);
  }

  async world(): Promise<WholeWorld> {
    const { kubeletRootDir, shortDir } = this.home;
    const addresses = await tree(this.#firstAddresses);
    const veths = await execa('ip', ['-o', 'link', 'show', 'master', this.#firstBridge], { reject: false });
    return {
      ...(await this.node.world()),
      links: await tree(shortDir),
      volumes: names(join(kubeletRootDir, 'pods')),
      netns: await this.#inhabited(join(this.space.root, 'run/netns')),
      firstAddresses: addresses.filter(
        (path) => !/(^|\/)(lock|last_reserved_ip\.[^/]*)$/.test(path) && !path.endsWith('/'),
      ),
      veths: veths.stdout.split('\n').filter(Boolean),
    };
  }

  async #inhabited(directory: string): Promise<string[]> {
    const found = await Promise.all(
      names(directory).map(async (name) => {
        const shown = ['ip', '-o', 'link', 'show', 'type', 'veth'];
        const { stdout } = await execa('nsenter', [`--net=${join(directory, name)}`, ...shown], { reject: false });
        return stdout === '' ? [] : [name];
      }),
    );
    return found.flat();
  }

  async end(): Promise<void> {
    await this.stopAgent().catch(() => undefined);
    await this.powerOff();
    await this.#controllers?.stop();
  }

  async #install(): Promise<void> {
    const { node, cluster } = this;
    const places = { directory: node.directory, bin: this.#cniBin, conf: this.#cniConf, bridge: this.#firstBridge };
    this.#firstAddresses = installMultus(cluster, places);
    if (!this.isBare) await execa(executable, ['install', this.#cniBin]);
    await introduceMultus(cluster);
    await bind(cluster, nodeName, 'system:node');
    if (!this.isBare) await this.#makeAccount();
    this.#controllers = await Controllers.start(cluster, join(node.directory, 'control-plane'), this.isBare);
  }

  /** The kubelet makes no pod without its namespace's account, and no controller for accounts runs here. */
  async #makeAccount(): Promise<void> {
    const { status } = await ask(this.cluster, 'POST', '/api/v1/namespaces/blue/serviceaccounts', {
      metadata: { name: 'default' },
    });
    if (status !== 201) throw new Error(`the service account was not made: ${status}`);
  }
}

function names(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function absent(what: string): never {
  throw new Error(`the node is not ${what}`);
}
