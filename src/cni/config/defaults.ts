/** The values of keys that a network configuration leaves out. Pure. */
import type { LogLevel } from '../../attachment.ts';

export const defaultDataDir = '/var/lib/cni/userspace';
export const defaultOvsdb = 'unix:/var/run/openvswitch/db.sock';
/** The predecessor's default, if neither the configuration nor the pod names a directory. */
export const defaultSharedDir = '/usr/local/var/run/openvswitch';
export const defaultBridge = 'br0';
/** OVN's integration bridge (ovn-controller(8)): the bridge of an OVN port, unless one is named. */
export const integrationBridge = 'br-int';
export const defaultKubeletRootDir = '/var/lib/kubelet';
/** The predecessor's directory for paths that are too long; we put symlinks there. */
export const defaultShortDir = '/var/lib/vhost_sockets';
/** The directory where the predecessor kept its state for a DEL. */
export const defaultPredecessorDir = '/var/lib/cni/usrspcni/data';

/** For a "logLevel" that is missing or unknown. */
export const defaultLogLevel: LogLevel = 'warning';
