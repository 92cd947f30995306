/** The words on the keys of `host` and `container` (words.ts). */
import { defaultBridge } from './defaults.ts';
import type { KeyTable } from './word-shape.ts';

const vhost: KeyTable = {
  'host.vhost': { title: 'the socket of vhost-user', whose: 'predecessor', example: { mode: 'client' } },
  'host.vhost.mode': {
    title: "the switch's side of the socket",
    more: "`client` connects to the application's socket, `server` creates it. `client` is recommended: a switch that restarts connects again. `server` needs `sharedDir` on the file system of the switch's run directory. The default `sharedDir` is on another one where `/run` is a tmpfs, as on most distributions: say `client` there.",
    whose: 'predecessor',
    default: 'server',
    example: 'client',
    codes: [7],
  },
  'host.vhost.group': {
    title: 'group that may use the socket',
    more: "A name or a number: it owns the socket's directory (0770) and a server-mode socket (0660). All interfaces that share a directory need the same group: another one is refused.",
    whose: 'predecessor',
    absent: 'no group is given access',
    example: 'hugetlbfs',
    codes: [7],
  },
  'host.vhost.socketfile': {
    title: 'name of the socket and of the port',
    more: "See [container ids that begin alike](#container-ids-that-begin-alike). A name that another attachment holds is refused, and so is one with which a client-mode socket's path has more than 107 bytes even through `shortDir`.",
    whose: 'predecessor',
    absent: 'first 12 of the id, `-`, interface',
    example: 'vhost-blue',
    codes: [7],
  },
  'host.vhost.ingressPolicingRate': {
    title: 'limit of what the pod sends, in kbps',
    more: 'Column `ingress_policing_rate` of table Interface; 0 is no limit.',
    whose: 'fork',
    default: 0,
    example: 100_000,
  },
  'host.vhost.ingressPolicingBurst': {
    title: 'burst of that limit, in kb',
    more: 'Column `ingress_policing_burst` of table Interface. Needs `ingressPolicingRate`.',
    whose: 'fork',
    default: 0,
    example: 10_000,
  },
  'host.vhost.enableGso': { title: 'for VPP', whose: 'fork' },
  'host.vhost.enablePacked': { title: 'for VPP', whose: 'fork' },
  'host.vhost.enableEventIdx': { title: 'for VPP', whose: 'fork' },
};

const bridge: KeyTable = {
  'host.bridge': { title: 'the bridge and the VLANs of the port', whose: 'predecessor', example: { vlanId: 100 } },
  'host.bridge.bridgeName': {
    title: 'bridge of the port',
    more: 'A missing bridge is created with datapath netdev, and deleted with its last port. The settings of an existing one are never changed. A port of OVN (`OvnPort`) is on `br-int` unless a bridge is named, and its bridge is never created.',
    whose: 'predecessor',
    default: defaultBridge,
    example: 'br-dpdk',
    codes: [7],
  },
  'host.bridge.bridgeId': {
    title: "VPP's number of the bridge",
    whose: 'predecessor',
  },
  'host.bridge.vlanId': {
    title: 'access tag, or native VLAN with trunks',
    more: 'Column `tag` of table Port.',
    whose: 'predecessor',
    absent: 'no VLAN',
    example: 100,
  },
  'host.bridge.trunks': {
    title: 'VLANs that the port carries',
    more: 'Column `trunks` of table Port. Beside `vlanId` it needs a `vlanMode`.',
    whose: 'fork',
    absent: 'all, if there is no `vlanId`',
    example: [10, 20],
  },
  'host.bridge.vlanMode': {
    title: 'column vlan_mode of table Port',
    more: 'A mode that contradicts `vlanId` or `trunks` is refused: the switch would ignore one of them in silence.',
    whose: 'fork',
    absent: 'follows from `vlanId` and `trunks`',
    example: 'access',
  },
};

export const hostWords: KeyTable = {
  host: { title: "the switch's side", whose: 'predecessor', absent: 'required' },
  'host.engine': {
    title: 'program that forwards packets',
    more: 'Other engines are refused.',
    whose: 'predecessor',
    absent: 'required',
    example: 'ovs-dpdk',
    codes: [2],
  },
  'host.iftype': {
    title: 'type of interface',
    whose: 'predecessor',
    absent: 'required',
    example: 'vhostuser',
    codes: [2],
  },
  'host.netType': {
    title: 'type of network',
    whose: 'predecessor',
    default: 'bridge',
    example: 'bridge',
    codes: [2],
  },
  ...vhost,
  ...bridge,
  'host.mtu': {
    title: 'MTU of the port',
    more: "Column `mtu_request` of table Interface; `mtu` at the top says the same. ADD refuses an MTU that the switch does not take: column `mtu` tells it, and as long as that is 0, because no application has connected, ovs-vswitchd's log (found by its pid file). Where neither tells it, CHECK does, once an application has connected.",
    whose: 'fork',
    absent: "the switch's own",
    example: 9000,
    codes: [7],
  },
  'host.mac': {
    title: 'MAC address of the interface',
    more: "`runtimeConfig.mac`, `args.cni.mac` and `MAC` in CNI_ARGS come before it, in this order. It goes into the result and the port's marks.",
    whose: 'fork',
    absent: 'none is told',
    example: '02:00:00:00:00:01',
  },
  'host.memif': { title: 'for VPP', whose: 'predecessor' },
};

export const containerWords: KeyTable = {
  container: {
    title: "the application's side, published for it",
    more: "It has the keys of `host`, with the same types, and changes nothing on the switch. Published as they are: `engine`, `iftype`, `netType`, `mtu`, `mac`, `memif`, all of `bridge`, and of `vhost` the keys `mode` and `group`. The socket's published name is that of the host's side. The other keys of `vhost` (`socketfile`, `ingressPolicing…`, `enable…`) have no effect, with a warning.",
    whose: 'predecessor',
    absent: 'the defaults of its keys',
    example: { engine: 'ovs-dpdk', vhost: { mode: 'server' } },
  },
  'container.engine': {
    title: "the application's engine",
    whose: 'predecessor',
    absent: 'not published',
    example: 'ovs-dpdk',
  },
  'container.iftype': {
    title: 'type of interface',
    whose: 'predecessor',
    absent: '`host.iftype`',
    example: 'vhostuser',
    codes: [2],
  },
  'container.netType': { title: 'type of network', whose: 'predecessor', default: 'interface', example: 'interface' },
  'container.vhost': {
    title: 'the socket of vhost-user',
    whose: 'predecessor',
    absent: "the mode and the socket's name are published",
    example: { mode: 'server' },
  },
  'container.vhost.mode': {
    title: "the application's side of the socket",
    more: 'One of the two sides has to be the client, the other one the server.',
    whose: 'predecessor',
    absent: "the other end of host's",
    example: 'server',
  },
  'container.bridge.bridgeName': {
    title: "bridge of the application's engine",
    whose: 'predecessor',
    absent: 'not published',
    example: 'br0',
  },
  'container.bridge.bridgeId': {
    title: "number of the application's bridge",
    whose: 'predecessor',
    absent: 'not published',
    example: 4,
  },
  'container.memif': {
    title: "settings of the application's memif",
    whose: 'predecessor',
    absent: '`{}`',
    example: { role: 'slave' },
  },
};
