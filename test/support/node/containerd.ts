/** A real containerd of a node's own. Its containers run on without it, as on every node. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { type Daemon, whenReady } from '../real/daemon.ts';
import { imageName, writeImage } from './image.ts';
import type { NodeSpace } from './node-space.ts';

/** In the node's own /run. */
export const containerdSocket = '/run/containerd/containerd.sock';

const startMs = 60_000;
const ctrMs = 30_000;

interface Places {
  /** Stays from boot to boot. */
  readonly disk: string;
  readonly cniBin: string;
  readonly cniConf: string;
}

const configuration = ({ disk, cniBin, cniConf }: Places): string => `version = 2
root = "${join(disk, 'containerd')}"
state = "/run/containerd"
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${imageName}"
  restrict_oom_score_adj = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniBin}"
    conf_dir = "${cniConf}"
`;

export class Containerd {
  #daemon: Daemon | undefined;

  constructor(
    readonly space: NodeSpace,
    readonly places: Places,
    /** Of the plugins that it calls, too. */
    readonly env: Record<string, string>,
  ) {}

  async start(): Promise<void> {
    const { disk } = this.places;
    const config = join(disk, 'containerd.toml');
    writeFileSync(config, configuration(this.places));
    this.#daemon = this.space.launch(join(disk, 'containerd.log'), ['containerd', '--config', config], this.env);
    const answers = async () => (await this.#ctr(['version'])).exitCode === 0;
    await whenReady(this.#daemon, 'containerd', answers, startMs);
  }

  /** Once for a disk. */
  async importImage(): Promise<void> {
    const { exitCode, stderr } = await this.#ctr(['images', 'import', await writeImage(this.places.disk)]);
    if (exitCode !== 0) throw new Error(`the image cannot be imported: ${stderr}`);
  }

  /** Gives the image of all containers another name, under which a page of the documentation knows it. */
  async tagImage(name: string): Promise<void> {
    const { exitCode, stderr } = await this.#ctr(['images', 'tag', imageName, name]);
    if (exitCode !== 0) throw new Error(`the image gets no other name: ${stderr}`);
  }

  async kill(): Promise<void> {
    this.#daemon?.kill('SIGKILL');
    await this.#daemon;
    this.#daemon = undefined;
  }

  /** The process of a container. */
  async processOf(containerId: string): Promise<number> {
    const { stdout } = await this.#ctr(['tasks', 'ls']);
    const line = stdout.split('\n').find((text) => text.startsWith(containerId));
    const pid = Number(line?.split(/\s+/)[1]);
    if (!pid) throw new Error(`container ${containerId} does not run: ${stdout}`);
    return pid;
  }

  async #ctr(args: readonly string[]) {
    const [program = '', ...words] = [...this.space.under, 'ctr', '-a', containerdSocket, '-n', 'k8s.io', ...args];
    return await execa(program, words, { reject: false, timeout: ctrMs });
  }
}
