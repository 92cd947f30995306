/**
 * The common parts of the plans of an ADD and of a removal: names and places that follow from the key and the configuration.
 */
import { join, normalize } from 'node:path';
import { type AttachmentKey, configDataName, holdFileName, sharedVolume, shortId } from '../attachment.ts';
import type { Basics } from '../cni/config/config.ts';
import type { AddRequest, DelRequest } from '../cni/request.ts';
import type { FilePlan, Plan, PodPlace, SocketDirPlan } from '../machines/protocol.ts';

/** The attachment's key, its switch, and the input of an IPAM plugin. */
export function delegation({ key, config, stdin, env, path }: AddRequest | DelRequest): Plan {
  const { ovsdb, ipam } = config;
  return { key, ovsdb, request: { stdin, env }, ...(ipam && { address: { program: ipam, path } }) };
}

/** The pod's volume itself, without a directory of ours below it; else our own directory below `sharedDir` (contract C2.3). */
export function socketDirOf(key: AttachmentKey, config: Basics, place?: PodPlace): SocketDirPlan {
  const hold = holdFileName(key);
  if (place?.volume?.kind === 'hostPath') return { base: withoutSlash(place.volume.path), hold };
  if (place?.volume?.kind === 'emptyDir') {
    const volumes = join(config.kubeletRootDir, 'pods', place.pod.uid, 'volumes');
    return { base: join(volumes, 'kubernetes.io~empty-dir', sharedVolume), kubelet: true, hold };
  }
  const base = withoutSlash(config.sharedDir);
  return { base, own: join(base, shortId(key)), hold };
}

const withoutSlash = (path: string): string => normalize(path).replace(/(.)\/$/, '$1');

export const directoryOf = ({ base, own }: SocketDirPlan): string => own ?? base;

export const fileOf = (key: AttachmentKey, directory: string, data: FilePlan['data']): FilePlan => ({
  directory,
  file: configDataName(key),
  data,
});
