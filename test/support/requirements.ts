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

/** The directory of Debian's packages. */
export const ovsDpdkPath = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk';
export const cniPath = '/usr/lib/cni';
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
export const ipamAssets = (): string => cached('ipam-assets', ipamVersion);

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
  executable: { name: 'dist/userspace', present: () => isExecutable(executable), remedy: 'npm run build' },
} satisfies Record<string, Part>;

export type PartName = keyof typeof parts;

export const clusterParts: readonly PartName[] = ['kubeAssets'];

export const switchParts: readonly PartName[] = ['root', 'hugepages', 'database', 'dpdk'];

/** One line for each missing part: its name, and how to get it. */
export function missing(names: readonly PartName[]): string[] {
  return names
    .map((name) => parts[name])
    .filter((part) => !part.present())
    .map((part) => `${part.name} is missing: ${part.remedy}`);
}
