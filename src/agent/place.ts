/**
 * Where the agent of this node listens. The socket's name says which processes may ask it: those of the same executable file, in the
 * same namespaces and below the same root directory. For any other call that name does not exist, so it acts by itself: an agent of
 * the build before, of another container or of another root is never asked.
 */
import { fingerprint, identityOf, readLink } from '../os/bare.ts';

/** On a tmpfs, so that no socket outlives the boot. */
const usualDirectory = '/run/userspace-cni';

/** The variable with another directory for the socket; `off`: no agent is asked. */
export const agentVariable = 'USERSPACE_CNI_AGENT';

/** time: a lease is a moment since boot, and a time namespace shifts that. */
const namespaces = ['mnt', 'net', 'pid', 'user', 'time'] as const;

/** @returns undefined if the environment says that no agent is to be asked */
export function agentDirectory(said: string | undefined): string | undefined {
  if (said === 'off') return undefined;
  return said?.startsWith('/') ? said : usualDirectory;
}

/** The socket of the agent that serves this process. @throws where /proc is not mounted, or libc has no statx (before glibc 2.28) */
export function agentSocket(directory: string): string {
  const [executable, root] = [identityOf('/proc/self/exe'), identityOf('/')];
  if (!executable || !root) throw new Error('/proc/self/exe cannot be seen: is /proc mounted?');
  const numbers = [
    ...[executable.device, executable.inode, executable.changed, root.device, root.inode],
    ...namespaces.map(namespaceOf),
  ];
  return `${directory}/agent-${fingerprint(numbers.join(' '))}`;
}

/** The number of one of our namespaces (namespaces(7)): `net:[4026531840]`; 0 where the kernel has no such kind. */
function namespaceOf(kind: string): bigint {
  try {
    return BigInt(readLink(`/proc/self/ns/${kind}`).replace(/\D/g, ''));
  } catch {
    return 0n;
  }
}
