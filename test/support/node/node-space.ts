/**
 * The mounts of a whole node: a mount namespace with an /etc, /opt, /run, /var/lib, /var/log and boot id of its own, and every process in
 * it. Container runtimes, kubelets and installers write to fixed places there, and what they mount goes with the namespace.
 */
import { randomUUID } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Daemon, launch, whenReady } from '../real/daemon.ts';

const patienceMs = 20_000;

/** As systemd gives it. */
const servicePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The last word is the file that says that all is mounted. */
const mounts = `
set -e
# A kubelet that finds its directory on a private mount binds the directory to itself: sockets could not be renamed into it.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir /run/containerd /run/lock
mount --bind "$1/etc" /etc
mount --bind "$1/opt" /opt
mount --bind "$1/lib" /var/lib
mount --bind "$1/log" /var/log
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
touch "$1/up"
exec sleep infinity`;

export class NodeSpace {
  /** The words before a program that runs in it. */
  readonly under: readonly string[];
  /** The namespace's own root, as a path that other processes can use. */
  readonly root: string;

  private constructor(readonly holder: Daemon) {
    this.under = ['nsenter', `--mount=/proc/${holder.pid}/ns/mnt`];
    this.root = `/proc/${holder.pid}/root`;
  }

  /** A boot: each has another id and an empty /run. @param disk stays from boot to boot */
  static async boot(disk: string): Promise<NodeSpace> {
    for (const name of ['lib', 'log', 'opt']) mkdirSync(join(disk, name), { recursive: true });
    // Networks and kubeconfigs of this machine are not the node's.
    const isOfNode = (path: string) => !path.startsWith('/etc/cni/');
    const etc = join(disk, 'etc');
    if (!existsSync(etc)) cpSync('/etc', etc, { recursive: true, verbatimSymlinks: true, filter: isOfNode });
    writeFileSync(join(disk, 'boot_id'), `${randomUUID()}\n`);
    rmSync(join(disk, 'up'), { force: true });
    const words = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', mounts, 'sh', disk];
    const holder = launch(words, disk, {});
    await whenReady(holder, 'the mount namespace of a node', async () => existsSync(join(disk, 'up')), patienceMs);
    return new NodeSpace(holder);
  }

  /**
   * A daemon of the node, which dies with the test. Its output is appended to `log`. Like a service it has nothing of our environment:
   * with a variable about certificates, which the plugins would inherit, calls would ask no agent.
   */
  launch(log: string, command: readonly string[], env: Record<string, string> = {}): Daemon {
    const variables = Object.entries({ PATH: servicePath, ...env }).map(([name, value]) => `${name}=${value}`);
    const logged = ['env', '-i', ...variables, 'sh', '-c', 'exec "$@" >>"$0" 2>&1', log, ...command];
    return launch([...this.under, ...logged], '/', {});
  }

  /** Ends every process in it and in its containers, and with the last one all that was mounted. */
  async end(): Promise<void> {
    const deadline = performance.now() + patienceMs;
    const groups = new Set<string>();
    for (;;) {
      for (const group of this.#groups()) groups.add(group);
      const processes = [...new Set([...this.#inside(), ...[...groups].flatMap(membersOf)])].filter(isAlive);
      // The holder goes last, because the others are known by its namespace.
      const others = processes.filter((pid) => pid !== this.holder.pid);
      for (const pid of others.length > 0 ? others : processes) kill(pid);
      if (processes.length === 0) break;
      if (performance.now() > deadline) throw new Error(`processes of a node do not end: ${processes.join(' ')}`);
      await delay(20);
    }
    await this.holder;
    for (const group of groups) await removeGroup(group, deadline);
    // They are there as long as a container of any node on this machine.
    for (const parent of new Set([...groups].map(dirname))) removeIfEmpty(parent);
  }

  /** The processes in its mount namespace. Those of containers have mount namespaces of their own. */
  #inside(): number[] {
    const own = readLink(`/proc/${this.holder.pid}/ns/mnt`);
    return own === '' ? [] : numbersIn('/proc').filter((pid) => readLink(`/proc/${pid}/ns/mnt`) === own);
  }

  /** The control groups of its containers, one in each hierarchy (version 1), or one for all (version 2). */
  #groups(): string[] {
    const tasks = join(this.root, 'run/containerd/io.containerd.runtime.v2.task/k8s.io');
    if (!existsSync(tasks)) return [];
    const top = '/sys/fs/cgroup';
    const hierarchies = [top, ...readdirSync(top).map((name) => join(top, name))];
    const all = readdirSync(tasks).flatMap((id) => hierarchies.map((hierarchy) => join(hierarchy, 'k8s.io', id)));
    return all.filter((group) => existsSync(group));
  }
}

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

export const numbersIn = (directory: string): number[] => readdirSync(directory).filter(isNumber).map(Number);

const isNumber = (name: string): boolean => /^\d+$/.test(name);

/** A zombie has no links any more. */
export function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function membersOf(group: string): number[] {
  try {
    return readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The kernel keeps a group for a moment after its last process. */
async function removeGroup(group: string, deadline: number): Promise<void> {
  while (existsSync(group)) {
    try {
      rmdirSync(group);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(20);
    }
  }
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Another container is there.
  }
}
