/** Calls of a runtime as the parsers see them: an environment and the text of a configuration, valid until a test changes them. */
import { CniError } from '../../src/cni/error.ts';
import { type AddRequest, type Environment, parseAdd } from '../../src/cni/request.ts';

export type Json = { readonly [key: string]: unknown };

/** undefined takes a variable away. */
export const environment = (changes: Environment = {}): Environment => ({
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: '0123456789abcdef',
  CNI_NETNS: '/run/netns/a',
  CNI_IFNAME: 'net1',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
  ...changes,
});

/** The smallest configuration that an ADD takes; undefined takes a key away. */
export const network = (changes: Json = {}): Json => ({
  cniVersion: '1.0.0',
  name: 'net',
  type: 'userspace',
  host: { engine: 'ovs-dpdk', iftype: 'vhostuser' },
  ...changes,
});

/** The smallest host side, with more in it. */
export const host = (more: Json): Json => ({ host: { engine: 'ovs-dpdk', iftype: 'vhostuser', ...more } });

export const textOf = (config: unknown): string => (typeof config === 'string' ? config : JSON.stringify(config));

/** An ADD of a configuration that is the smallest but for these changes. */
export const added = (changes: Json = {}, env: Environment = {}): AddRequest =>
  parseAdd(environment(env), textOf(network(changes)));

/** The error with which an action refuses; undefined if it refuses nothing. Any other throw is a bug and goes on. */
export function refusal(action: () => unknown): CniError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
}
