/**
 * An ADD's request, and the API server's answer on its pod -> the plan of its attachment. Pure: names and places only, nothing is
 * looked up.
 */
import { join } from 'node:path';
import { type AttachmentKey, bytesOf, linkName, portName, socketPathBytesMax } from '../attachment.ts';
import type { NetworkConfig } from '../cni/config/config.ts';
import type { AddRequest } from '../cni/request.ts';
import type { FilePlan, Plan, PodPlace, PortPlan, SocketDirPlan } from '../machines/protocol.ts';
import { delegation, directoryOf, fileOf, socketDirOf } from './parts.ts';

/** The predecessor's default, for a volume that no container mounts. */
const defaultMountPath = '/var/lib/cni/usrspcni';

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
        // The reader is in the container.
        socket: join(mappedDir ?? port.directory, port.file),
      },
    }),
  };
}

/** OVN makes its bridge itself, with any name. Ports on a bridge that OVN has not made would not be part of its network. */
const isOvns = ({ ovnPort }: NetworkConfig): boolean => ovnPort !== undefined;

function portOf({ key, config, netns, pod }: AddRequest, socketDir: SocketDirPlan, place?: PodPlace): PortPlan {
  const { tag, trunks, vlanMode, mtu, policingRate, policingBurst, mac, ovnPort, group, kubeconfig } = config;
  const file = config.socketfile ?? portName(key);
  const directory = directoryOf(socketDir);
  // In server mode the switch creates the socket in its own directory.
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

/** The predecessor's ConfigurationData, with its keys in its order (contract C2.3). `ipResult` is added when it is known. */
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
