/**
 * Where the agent of this node listens. The socket's name says which processes may ask it: those of the same executable file, in the
 * same namespaces and below the same root directory. For any other call that name does not exist, so it acts by itself: an agent of
 * the build before, of another container or of another root is never asked.
 */
import { readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';

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

/** The socket of the agent that serves this process. @throws errno exceptions where /proc is not mounted */
export function agentSocket(directory: string): string {
  const executable = statSync('/proc/self/exe', { bigint: true });
  const root = statSync('/', { bigint: true });
  const numbers = [
    ...[executable.dev, executable.ino, executable.ctimeNs, root.dev, root.ino],
    ...namespaces.map(namespaceOf),
  ];
  return join(directory, `agent-${numbers.map((number) => number.toString(36)).join('-')}`);
}

/** The number of one of our namespaces (namespaces(7)): `net:[4026531840]`; 0 where the kernel has no such kind. */
function namespaceOf(kind: string): bigint {
  try {
    return BigInt(readlinkSync(`/proc/self/ns/${kind}`).replace(/\D/g, ''));
  } catch {
    return 0n;
  }
}
