/**
 * A request -> what its attachment will be made of. Pure: names and places only, nothing is looked up.
 *
 * Two readings: `planOf` for an ADD, complete; `removalPlan` for a DEL that has no journal, where every part must be safe to
 * remove by its name or by its mark alone. The port is not among them: its marks say what it is (design: never from stdin).
 */
import { join } from 'node:path';
import { type AttachmentKey, configDataName, holdFileName, portName, shortId } from './attachment.ts';
import type { Basics, NetworkConfig } from './cni/config.ts';
import type { AddRequest, DelRequest } from './cni/request.ts';
import type { Plan, PortPlan, PublicationPlan, SocketDirPlan } from './machines/protocol.ts';

export function planOf(request: AddRequest): Plan {
  const { key, config } = request;
  const socketDir = socketDirOf(key, config);
  const port = portOf(request, socketDir.own);
  return {
    ...delegation(request),
    socketDir: { ...socketDir, ...(config.group && { group: config.group }) },
    bridge: { name: config.bridge },
    port,
    publication: publicationOf(key, socketDir.own, publishedData(key, config, port.file)),
    ...(config.deviceInfoFile && {
      deviceInfo: {
        path: config.deviceInfoFile,
        mode: port.mode === 'client' ? 'server' : 'client',
        socket: join(port.directory, port.file),
      },
    }),
  };
}

export function removalPlan(request: DelRequest): Plan {
  const { key, config } = request;
  const socketDir = socketDirOf(key, config);
  return {
    ...delegation(request),
    socketDir,
    bridge: { name: config.bridge },
    publication: publicationOf(key, socketDir.own, {}),
    // Its mode and socket are of no matter to who removes it by its path.
    ...(config.deviceInfoFile && { deviceInfo: { path: config.deviceInfoFile, mode: 'client', socket: '' } }),
  };
}

/** Whose it is, whom to ask, and what an IPAM plugin is told. */
function delegation({ key, config, stdin, env, path }: AddRequest | DelRequest): Plan {
  const { ovsdb, ipam } = config;
  return { key, ovsdb, request: { stdin, env }, ...(ipam && { address: { program: ipam, path } }) };
}

function socketDirOf(key: AttachmentKey, { sharedDir }: Basics): SocketDirPlan {
  return { base: join(sharedDir), own: join(sharedDir, shortId(key)), hold: holdFileName(key) };
}

function portOf({ key, config, netns, pod }: AddRequest, directory: string): PortPlan {
  const { tag, trunks, vlanMode, mtu, policingRate, policingBurst, mac, group } = config;
  const file = config.socketfile ?? portName(key);
  return {
    bridge: config.bridge,
    name: file,
    mode: config.mode,
    directory,
    file,
    vlan: { ...(tag && { tag }), ...(trunks && { trunks }), ...(vlanMode && { mode: vlanMode }) },
    ...(mtu && { mtu }),
    ...(policingRate && { policingRate }),
    ...(policingBurst && { policingBurst }),
    ...(group && { group }),
    marks: { netns, ...(pod && { pod }), ...(mac && { mac }) },
  };
}

function publicationOf(key: AttachmentKey, directory: string, data: PublicationPlan['data']): PublicationPlan {
  return { directory, file: configDataName(key), data };
}

/** The predecessor's ConfigurationData, its keys in its order (contracts 2.3); `ipResult` follows when it is known. */
function publishedData(key: AttachmentKey, { container }: NetworkConfig, socketfile: string): PublicationPlan['data'] {
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
