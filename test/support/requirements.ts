/**
 * The system lane's needs of the machine, and the message for a missing one: an error in CI, a visible skip elsewhere.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

interface Part {
  readonly name: string;
  readonly present: () => boolean;
  readonly remedy: string;
}

/** The version in test/cluster/kube-assets/go.mod. */
const kubernetesVersion = 'v1.34.4';
/** The version in test/cluster/ipam-assets/go.mod. */
const ipamVersion = 'v1.9.1';

/** The version in test/cluster/multus-assets/go.mod. */
const multusVersion = 'v4.2.2';

/** The directory of Debian's packages. */
export const ovsDpdkPath = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk';
export const cniPath = '/usr/lib/cni';
/** The program of Debian's busybox-static: images hold nothing else. */
export const busyboxPath = '/bin/busybox';
export const executable = join(import.meta.dirname, '../../dist/userspace');

/** The PATH with Debian's directories for root's tools, which a plain user's PATH lacks. */
const searchPath = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];

function onPath(program: string): boolean {
  return searchPath.some((directory) => isExecutable(join(directory, program)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const apt = (name: string) => `apt-get install ${name}`;

/** The directory into which go-assets.ts builds, and a release downloads. */
export const cached = (...names: string[]): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'userspace-cni', ...names);

/** The default directory; KUBEBUILDER_ASSETS overrides it. */
export const kubeAssets = (): string => process.env.KUBEBUILDER_ASSETS || cached('kube-assets', kubernetesVersion);
export const multusAssets = (): string => cached('multus-assets', multusVersion);
export const ipamAssets = (): string => cached('ipam-assets', ipamVersion);

/** Kubernetes' programs that a whole node and its tests need beside kube-apiserver. */
export const nodePrograms = ['kubelet', 'kube-controller-manager', 'kube-scheduler', 'kubectl'] as const;

const parts = {
  root: { name: 'root', present: () => process.getuid?.() === 0, remedy: 'run as root (sudo -E)' },
  hugepages: {
    name: '2 MiB hugepages',
    present: () => existsSync('/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages'),
    remedy: 'a kernel with CONFIG_HUGETLBFS',
  },
  database: { name: 'ovsdb-server', present: () => onPath('ovsdb-server'), remedy: apt('openvswitch-switch-dpdk') },
  dpdk: { name: 'ovs-vswitchd-dpdk', present: () => isExecutable(ovsDpdkPath), remedy: apt('openvswitch-switch-dpdk') },
  ipam: {
    name: 'host-local and static',
    present: () => ['host-local', 'static'].every((name) => isExecutable(join(cniPath, name))),
    remedy: apt('containernetworking-plugins'),
  },
  peer: { name: 'dpdk-testpmd', present: () => onPath('dpdk-testpmd'), remedy: apt('dpdk-dev') },
  disks: {
    name: 'loop devices, mkfs.ext4, mkfs.xfs and xfs_io',
    present: () => existsSync('/dev/loop-control') && ['mkfs.ext4', 'mkfs.xfs', 'xfs_io'].every(onPath),
    remedy: apt('e2fsprogs xfsprogs'),
  },
  emulators: {
    name: 'qemu-x86_64 and qemu-aarch64',
    present: () => ['qemu-x86_64', 'qemu-aarch64'].every((name) => onPath(`${name}-static`) || onPath(name)),
    remedy: apt('qemu-user-static'),
  },
  containerd: {
    name: 'containerd and runc',
    present: () => ['containerd', 'ctr', 'runc'].every(onPath),
    remedy: apt('containerd runc'),
  },
  prometheus: {
    name: 'prometheus and promtool',
    present: () => ['prometheus', 'promtool'].every(onPath),
    remedy: apt('prometheus'),
  },
  strace: { name: 'strace', present: () => onPath('strace'), remedy: apt('strace') },
  kubeAssets: {
    name: `etcd and kube-apiserver in KUBEBUILDER_ASSETS or ${kubeAssets()}`,
    present: () => ['etcd', 'kube-apiserver'].every((name) => isExecutable(join(kubeAssets(), name))),
    remedy: 'npm run kube-assets (needs Go and etcd-server)',
  },
  ipamAssets: {
    name: `host-local of CNI 1.1.0 in ${ipamAssets()}`,
    present: () => isExecutable(join(ipamAssets(), 'host-local')),
    remedy: 'npm run ipam-assets (needs Go)',
  },
  cnitool: {
    name: `cnitool in ${ipamAssets()}`,
    present: () => isExecutable(join(ipamAssets(), 'cnitool')),
    remedy: 'npm run ipam-assets (needs Go)',
  },
  nodeAssets: {
    name: `${nodePrograms.join(', ')} in ${kubeAssets()}, and Multus in ${multusAssets()}`,
    present: () =>
      nodePrograms.every((name) => isExecutable(join(kubeAssets(), name))) &&
      isExecutable(join(multusAssets(), 'multus')) &&
      existsSync(join(multusAssets(), 'multus-daemonset.yml')),
    remedy: 'npm run node-assets (needs Go and etcd-server)',
  },
  runtime: {
    name: 'containerd, ctr and runc',
    present: () => ['containerd', 'ctr', 'runc'].every(onPath),
    remedy: apt('containerd runc'),
  },
  busybox: {
    name: `a static busybox at ${busyboxPath}`,
    present: () => isExecutable(busyboxPath),
    remedy: apt('busybox-static'),
  },
  shells: {
    name: 'zsh, fish, man and the completions of bash',
    present: () =>
      ['zsh', 'fish', 'man', 'script'].every(onPath) && existsSync('/usr/share/bash-completion/bash_completion'),
    remedy: apt('zsh fish man-db bash-completion bsdutils'),
  },
  bridge: {
    name: 'bridge and loopback',
    present: () => ['bridge', 'loopback'].every((name) => isExecutable(join(cniPath, name))),
    remedy: apt('containernetworking-plugins'),
  },
  executable: { name: 'dist/userspace', present: () => isExecutable(executable), remedy: 'npm run build' },
} satisfies Record<string, Part>;

export type PartName = keyof typeof parts;

export const clusterParts: readonly PartName[] = ['kubeAssets'];

/** A whole node's parts, beside those of a switch and a cluster. */
export const nodeParts: readonly PartName[] = ['nodeAssets', 'runtime', 'busybox', 'bridge'];

export const switchParts: readonly PartName[] = ['root', 'hugepages', 'database', 'dpdk'];

/** One line for each missing part: its name, and how to get it. */
export function missing(names: readonly PartName[]): string[] {
  return names
    .map((name) => parts[name])
    .filter((part) => !part.present())
    .map((part) => `${part.name} is missing: ${part.remedy}`);
}
