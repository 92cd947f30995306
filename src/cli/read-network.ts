/** A network of a person's file as an ADD for some pod would read it, for `check` and `status`. Touches nothing. */
import type { Trouble } from '../attachment.ts';
import type { Basics } from '../cni/config/config.ts';
import { CniError } from '../cni/error.ts';
import type { Remark } from '../cni/leniency.ts';
import { parseDel, readAdd } from '../cni/request.ts';
import { usualDirectories } from '../effects/program.ts';
import type { Plan } from '../machines/protocol.ts';
import { planOf } from '../plan/plans.ts';
import type { FoundNetwork } from './networks.ts';

export interface NetworkReading {
  readonly network: FoundNetwork;
  /** The directories of IPAM programs. */
  readonly path: readonly string[];
  /** The reasons why an ADD would be refused. */
  readonly troubles: readonly Trouble[];
  readonly remarks: readonly Remark[];
  /** The plan of an ADD that would not be refused. */
  readonly plan?: Plan;
  /** The usable part of the configuration, even if an ADD would be refused. */
  readonly config?: Basics;
}

/** As long as runtimes' ids, because names of sockets are made of it. */
const anyContainer = '0'.repeat(64);

/** CNI_ARGS as in an ADD for some pod. */
const anyPod = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod';

/** @param programDirs CNI_PATH, split; empty for the usual directories */
export function readNetwork(network: FoundNetwork, programDirs: readonly string[]): NetworkReading {
  const path = programDirs.length > 0 ? programDirs : usualDirectories;
  const names = { CNI_CONTAINERID: anyContainer, CNI_NETNS: '/run/netns/status', CNI_IFNAME: 'net1' };
  const env = { ...names, CNI_PATH: path.join(':'), CNI_ARGS: anyPod };
  const stdin = JSON.stringify(network.raw);
  const { request, troubles, remarks } = readAdd(env, stdin);
  const read = { network, path, troubles, remarks };
  if (request) return { ...read, config: request.config, plan: planOf(request) };
  const config = salvaged(env, stdin);
  return { ...read, ...(config && { config }) };
}

function salvaged(env: { readonly [name: string]: string }, stdin: string): Basics | undefined {
  try {
    return parseDel(env, stdin).config;
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}
