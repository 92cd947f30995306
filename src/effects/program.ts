/**
 * Finding an IPAM program. An ADD takes it from its own CNI_PATH. A later call asks the same program about its address, but an
 * upgrade of the distribution may have moved it. So that call also looks in the caller's directories and in those of distributions.
 *
 * All of these are root's own directories, so a synchronous look is safe.
 */
import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { code, type Trouble } from '../attachment.ts';
import type { AddressPlan } from '../machines/protocol.ts';

/** The directories where distributions install CNI plugins. */
export const usualDirectories: readonly string[] = [
  '/opt/cni/bin', // upstream: kubeadm, containerd, most clouds
  '/usr/lib/cni', // Debian, Ubuntu, Arch, SUSE
  '/usr/libexec/cni', // Fedora, RHEL, Alpine, CRI-O
  '/usr/local/lib/cni', // a build from source
  '/usr/local/libexec/cni',
  '/var/lib/cni/bin', // OpenShift
  '/home/kubernetes/bin', // GKE
  '/var/lib/rancher/k3s/data/current/bin', // `current` is a symlink that an upgrade of k3s moves
  '/var/lib/rancher/k3s/data/cni',
  '/var/lib/rancher/rke2/data/current/bin',
  '/var/lib/rancher/rke2/bin',
  '/var/snap/microk8s/current/opt/cni/bin',
];

/** The first executable file of that name in the plan's CNI_PATH. */
export const programIn = ({ program, path }: AddressPlan): string | undefined =>
  path.map((directory) => join(directory, program)).find(isProgram);

/** Finds the program of a given address, which an upgrade may have moved. @param elsewhere the caller's directories */
export const findProgram = ({ program, path }: AddressPlan, elsewhere: readonly string[] = []): string | undefined =>
  programIn({ program, path: [...path, ...elsewhere, ...usualDirectories] });

/** Whether this is a regular file that this process may execute. */
export function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Finds the program of an ADD, in its own CNI_PATH alone. */
export function ownProgram(plan: AddressPlan): { readonly kind: 'found'; readonly file: string } | Unusable {
  const file = programIn(plan);
  if (file === undefined) return unusable(notFoundMessage(plan));
  return isOurselves(file) ? unusable(ourselvesMessage(plan)) : { kind: 'found', file };
}

interface Unusable {
  readonly kind: 'unusable';
  readonly trouble: Trouble;
}

const unusable = (message: string): Unusable => ({
  kind: 'unusable',
  trouble: { code: code.invalidConfig, message },
});

export function programTroubles(plan: AddressPlan): Trouble[] {
  const program = ownProgram(plan);
  return program.kind === 'found' ? [] : [program.trouble];
}

export function notFoundMessage(plan: AddressPlan): string {
  const { program, path } = plan;
  const unfit = unfitIn(plan);
  if (unfit) return `IPAM plugin "${program}" cannot be run: ${unfit}`;
  const where =
    path === usualDirectories
      ? `the usual directories (${path.join(', ')})`
      : `CNI_PATH's directories ${JSON.stringify(path)}`;
  return `IPAM plugin "${program}" is in none of ${where}: install it or correct "ipam.type"`;
}

export const ourselvesMessage = ({ program }: AddressPlan): string =>
  `"ipam.type" "${program}" is this plugin itself, which gives no addresses: name an IPAM plugin there`;

/** Describes a file of the program's name that cannot be run. @returns undefined if there is nothing of that name */
function unfitIn({ program, path }: AddressPlan): string | undefined {
  for (const file of path.map((directory) => join(directory, program))) {
    const stats = statsOf(file);
    if (stats?.isFile()) return `"${file}" may not be executed (mode ${modeOf(stats.mode)}): run chmod +x '${file}'`;
    if (stats) return `"${file}" is ${stats.isDirectory() ? 'a directory' : 'no regular file'}`;
  }
  return undefined;
}

function statsOf(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined;
  }
}

const modeOf = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');

/** Compares inodes, so that any link to this executable is found. A copy refuses the call itself (cni/command.ts). */
export function isOurselves(file: string): boolean {
  try {
    const [own, other] = ['/proc/self/exe', file].map((path) => statSync(path, { bigint: true }));
    return own !== undefined && own.ino === other?.ino && own.dev === other?.dev;
  } catch {
    return false;
  }
}
