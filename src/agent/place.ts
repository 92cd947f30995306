/**
 * The path of the agent's socket. Its name follows from the executable file, the namespaces and the root directory of a process, so a
 * call finds only an agent that shares all of them. An agent of another build, another container or another root has another name.
 */
import { fingerprint, identityOf, readLink } from '../os/bare.ts';

/** A directory on a tmpfs, so that no socket outlives the boot. */
const usualDirectory = '/run/userspace-cni';

/** The variable that names another directory for the socket. With `off` a call asks no agent. */
export const agentVariable = 'USERSPACE_CNI_AGENT';

/** The time namespace is among them, because it shifts the clock since boot, by which leases and a call's start are told. */
const namespaces = ['mnt', 'net', 'pid', 'user', 'time'] as const;

/**
 * @param setting the value of the variable; the usual directory stands for one that is not set, or empty
 * @returns undefined if no agent is to be asked: by `off`, and by anything else that is not an absolute path
 */
export function agentDirectory(setting: string | undefined): string | undefined {
  if (!setting) return usualDirectory;
  return setting.startsWith('/') ? setting : undefined;
}

/**
 * The path at which an agent for this process would listen.
 * @throws where /proc is not mounted, or libc has no statx (before glibc 2.28)
 */
export function agentSocket(directory: string): string {
  const [executable, root] = [identityOf('/proc/self/exe'), identityOf('/')];
  if (!executable || !root) throw new Error('/proc/self/exe cannot be seen: is /proc mounted?');
  const numbers = [
    ...[executable.device, executable.inode, executable.changed],
    // A directory that is mounted at two places is one directory, but other file systems can be below it.
    ...[root.device, root.inode, root.mount],
    ...namespaces.map(namespaceOf),
  ];
  return `${directory}/agent-${fingerprint(numbers.join(' '))}`;
}

/** The number in the link of one of our namespaces (`net:[4026531840]`, namespaces(7)); 0 where the kernel has no such kind. */
function namespaceOf(kind: string): bigint {
  try {
    return BigInt(readLink(`/proc/self/ns/${kind}`).replace(/\D/g, ''));
  } catch {
    return 0n;
  }
}
