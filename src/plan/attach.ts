/**
 * A request -> what its attachment will be made of. Pure: names and places only, nothing is looked up.
 *
 * Two readings: `planOf` for an ADD, complete, with what the API server said of the pod; `removalPlan` for a DEL that has no
 * journal, where every part must be safe to remove by its name or by its mark alone. The port is not among them: its marks say
 * what it is (design: never from stdin).
 */
import { join, normalize } from 'node:path';
import {
  type AttachmentKey,
  bytesOf,
  configDataName,
  holdFileName,
  linkName,
  portName,
  sharedVolume,
  shortId,
  socketPathBytesMax,
} from '../attachment.ts';
import type { Basics, NetworkConfig } from '../cni/config/config.ts';
import type { AddRequest, DelRequest } from '../cni/request.ts';
import type { FilePlan, Plan, PodPlace, PortPlan, SocketDirPlan } from '../machines/protocol.ts';

/** The predecessor's, where no container mounts the volume. */
const defaultMountPath = '/var/lib/cni/usrspcni';

/** Where the predecessor bound directories whose path is too long to; it has no setting for it. */
const predecessorShortDir = '/var/lib/vhost_sockets';

export function planOf(request: AddRequest, place?: PodPlace): Plan {
  const { key, config } = request;
  const socketDir = socketDirOf(key, config, place);
  const port = portOf(request, socketDir, place);
  const mappedDir = place && `${join(place.mountPath ?? defaultMountPath, '/')}`;
  const data = publishedData(key, config, port.file);
  return {
    ...delegation(request),
    socketDir: {
      ...socketDir,
      ...(port.link && { link: port.link }),
      ...(config.group && { group: config.group }),
      ...(!config.grantAccess && { grantAccess: false }),
    },
    ...(!isOvns(config) && { bridge: { name: config.bridge } }),
    port,
    publication:
      mappedDir && config.kubeconfig
        ? { kubeconfig: config.kubeconfig, pod: place.pod, mappedDir, data }
        : fileOf(key, port.directory, data),
    ...(config.deviceInfoFile && {
      deviceInfo: {
        path: config.deviceInfoFile,
        mode: port.mode === 'client' ? 'server' : 'client',
        // Who reads it is in the container.
        socket: join(mappedDir ?? port.directory, port.file),
      },
    }),
  };
}

/** OVN makes its bridge, whatever its name, and ports on one that it has not made would be no part of its network. */
const isOvns = ({ ovnPort }: NetworkConfig): boolean => ovnPort !== undefined;

export function removalPlan(request: DelRequest): Plan {
  const { key, config, pod } = request;
  const socketDir = socketDirOf(key, config);
  const { kubeconfig, shortDir } = config;
  return {
    ...delegation(request),
    socketDir: { ...socketDir, link: join(shortDir, linkName(key)) },
    bridge: { name: config.bridge },
    publication:
      kubeconfig && pod ? { kubeconfig, pod, mappedDir: '', data: {} } : fileOf(key, directoryOf(socketDir), {}),
    // By the socket's file it is told from another attachment's; its mode does not matter.
    ...(config.deviceInfoFile && {
      deviceInfo: { path: config.deviceInfoFile, mode: 'client', socket: config.socketfile ?? portName(key) },
    }),
    predecessor: {
      stateFile: join(config.predecessorDir, `local-${shortId(key)}-${key.ifName}.json`),
      directories: [socketDir.base, directoryOf(socketDir)],
      ...(pod?.uid && { mount: join(shortDir, pod.uid) }),
      bases: [...new Set([shortDir, predecessorShortDir])],
    },
  };
}

/** Whose it is, whom to ask, and what an IPAM plugin is told. */
function delegation({ key, config, stdin, env, path }: AddRequest | DelRequest): Plan {
  const { ovsdb, ipam } = config;
  return { key, ovsdb, request: { stdin, env }, ...(ipam && { address: { program: ipam, path } }) };
}

/** The pod's volume, which no name of ours is added to; else a directory of ours below `sharedDir` (contracts 2.3). */
function socketDirOf(key: AttachmentKey, config: Basics, place?: PodPlace): SocketDirPlan {
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

const directoryOf = ({ base, own }: SocketDirPlan): string => own ?? base;

function portOf({ key, config, netns, pod }: AddRequest, socketDir: SocketDirPlan, place?: PodPlace): PortPlan {
  const { tag, trunks, vlanMode, mtu, policingRate, policingBurst, mac, ovnPort, group, kubeconfig } = config;
  const file = config.socketfile ?? portName(key);
  const directory = directoryOf(socketDir);
  // Where the switch creates the socket, it does so in its own directory.
  const isLong = config.mode === 'client' && bytesOf(join(directory, file)) > socketPathBytesMax;
  return {
    bridge: config.bridge,
    name: file,
    mode: config.mode,
    directory,
    file,
    ...(isLong && { link: join(config.shortDir, linkName(key)) }),
    vlan: { ...(tag && { tag }), ...(trunks && { trunks }), ...(vlanMode && { mode: vlanMode }) },
    ...(mtu && { mtu }),
    ...(policingRate && { policingRate }),
    ...(policingBurst && { policingBurst }),
    ...(group && { group }),
    ...(ovnPort && { ovnPort }),
    marks: {
      netns,
      ...(pod && { pod: `${pod.namespace}/${pod.name}` }),
      ...(place && kubeconfig && { 'pod-uid': place.pod.uid, kubeconfig }),
      ...(mac && { mac }),
    },
  };
}

const fileOf = (key: AttachmentKey, directory: string, data: FilePlan['data']): FilePlan => ({
  directory,
  file: configDataName(key),
  data,
});

/** The predecessor's ConfigurationData, its keys in its order (contracts 2.3); `ipResult` follows when it is known. */
function publishedData(key: AttachmentKey, { container }: NetworkConfig, socketfile: string): FilePlan['data'] {
  const { engine, iftype, netType, mtu, mac, memif, vhost, bridge } = container;
  return {
    containerId: key.containerId,
    ifName: key.ifName,
    name: key.network,
    config: {
      ...(engine && { engine }),
      ...(iftype && { iftype }),
      ...(netType && { netType }),
      ...(mtu && { mtu }),
      ...(mac && { mac }),
      memif: memif ?? {},
      vhost: { ...(vhost?.mode && { mode: vhost.mode }), ...(vhost?.group && { group: vhost.group }), socketfile },
      bridge: bridge ?? {},
    },
  };
}
