/** What is taken where a network configuration says nothing. Pure. */
import type { LogLevel } from '../../attachment.ts';

export const defaultDataDir = '/var/lib/cni/userspace';
export const defaultOvsdb = 'unix:/var/run/openvswitch/db.sock';
/** The predecessor's, where neither the configuration nor the pod names a directory. */
export const defaultSharedDir = '/usr/local/var/run/openvswitch';
export const defaultBridge = 'br0';
/** OVN's integration bridge (ovn-controller(8)): the bridge of an OVN port, unless one is named. */
export const integrationBridge = 'br-int';
export const defaultKubeletRootDir = '/var/lib/kubelet';
/** The predecessor's directory for paths that are too long; ours holds symlinks. */
export const defaultShortDir = '/var/lib/vhost_sockets';
/** Where the predecessor kept what it needed for a DEL. */
export const defaultPredecessorDir = '/var/lib/cni/usrspcni/data';

/** Where "logLevel" is none, or none of the predecessor's. */
export const defaultLogLevel: LogLevel = 'warning';
