/**
 * A DEL's request -> the plan for a removal without a journal. Every part must be safe to remove by its name or its mark alone. The
 * port is not a part: its marks say what it is, never stdin. Pure: names and places only, nothing is looked up.
 */
import { join } from 'node:path';
import { linkName, portName, shortId } from '../attachment.ts';
import type { DelRequest } from '../cni/request.ts';
import type { Plan } from '../machines/protocol.ts';
import { delegation, directoryOf, fileOf, socketDirOf } from './parts.ts';

/** The directory to which the predecessor bound directories with too long a path; it has no setting for this. */
const predecessorShortDir = '/var/lib/vhost_sockets';

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
    // The socket's file name tells it from another attachment's; its mode does not matter.
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
