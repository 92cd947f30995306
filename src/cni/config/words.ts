/**
 * The words on each key of the network configuration, for people: `userspace explain`, docs/configuration.md and the JSON Schema are made
 * of them. Types, limits and values are in keys.ts, defaults in defaults.ts: none of them is said again here.
 *
 * The order is that of the reference. A key of `container` that is not here has the words of the same key of `host`. A text may have
 * Markdown's links and code; a terminal gets neither.
 */
import { defaultDeadlines } from '../../deadlines.ts';
import {
  defaultDataDir,
  defaultKubeletRootDir,
  defaultLogLevel,
  defaultOvsdb,
  defaultPredecessorDir,
  defaultSharedDir,
  defaultShortDir,
} from './defaults.ts';
import { containerWords, hostWords } from './side-words.ts';
import type { KeyTable } from './word-shape.ts';

const protocol: KeyTable = {
  cniVersion: {
    title: 'version of the CNI specification',
    more: "A version that is not supported is refused, and so is one that cannot express the result: before 0.3.0 a network needs `ipam`. In a plugin of a list, the list's version takes its place.",
    whose: 'CNI',
    absent: '0.1.0',
    example: '1.0.0',
    codes: [1],
  },
  name: {
    title: 'name of the network',
    more: "A part of each attachment's key: journals, locks and marks are named after it. In a plugin of a list, the list's name takes its place. Multus takes the name of the NetworkAttachmentDefinition if there is none.",
    whose: 'CNI',
    absent: 'required',
    example: 'dpdk-net',
  },
  type: {
    title: 'the plugin: "userspace"',
    more: 'The runtime finds the executable by it, and an ADD takes any text here. `check` and `status` read the networks of this type only.',
    whose: 'CNI',
    absent: 'required',
    example: 'userspace',
  },
};

const places: KeyTable = {
  sharedDir: {
    title: 'directory below which sockets are',
    more: "It is created when missing, and never removed. Each sandbox gets a directory of its own below it, named by the first 12 characters of its id, which goes with the last interface. With a `kubeconfig` the pod's volume `shared-dir` takes its place, if the pod has one.",
    whose: 'predecessor',
    default: defaultSharedDir,
    example: '/var/lib/vhost_sockets',
    codes: [7],
  },
  kubeconfig: {
    title: 'access to the API server',
    more: "The plugin looks pods up with it, and tells them of their interfaces by annotations: [kubernetes.md](kubernetes.md). Needs the pod's namespace and name in CNI_ARGS. A server that cannot be reached is code 11.",
    whose: 'predecessor',
    absent: 'no API server is asked',
    example: '/etc/cni/net.d/userspace.d/kubeconfig',
    codes: [7, 11],
  },
  kubeletRootDir: {
    title: "the kubelet's --root-dir",
    whose: 'ours',
    default: defaultKubeletRootDir,
    example: '/var/data/kubelet',
  },
  shortDir: {
    title: 'directory of short links to sockets',
    more: 'One link for each client-mode socket whose own path has more than 107 bytes, the most that a socket can have.',
    whose: 'ours',
    default: defaultShortDir,
    example: '/run/vhost',
  },
  grantAccess: {
    title: 'give a switch that is not root access',
    more: "Whether an ovs-vswitchd that is not root is given the rights that it lacks on the kubelet's directories and ours: [switch.md](switch.md#a-switch-that-is-not-root). With `false` an ADD that would need it is refused with the directory, the user and what to do.",
    whose: 'ours',
    default: true,
    example: false,
    codes: [7],
  },
};

const others: KeyTable = {
  mtu: {
    title: 'the same as host.mtu',
    more: 'Where both are there, they have to be equal.',
    whose: 'ours',
    absent: '`host.mtu`',
    example: 9000,
    codes: [7],
  },
  ipam: {
    title: 'address, from another plugin',
    more: 'The whole configuration is handed to that program. The address is released only after the port is gone. `{}` means no address; with any key in it, `type` is required. Its other keys are read by that program alone.',
    whose: 'CNI',
    absent: 'no address',
    example: { type: 'host-local', ranges: [[{ subnet: '10.56.0.0/16' }]] },
    codes: [7, 999],
  },
  'ipam.type': {
    title: 'name of the IPAM program',
    more: 'It is looked for in the directories of CNI_PATH.',
    whose: 'CNI',
    absent: 'no address',
    example: 'host-local',
    codes: [7],
  },
  dns: {
    title: 'name servers for the result',
    more: 'They stand in the result of a network whose IPAM program gives none.',
    whose: 'CNI',
    absent: "the IPAM program's",
    example: { nameservers: ['10.56.0.1'] },
  },
  logFile: {
    title: 'file of the log',
    more: "Errors and warnings always go to stderr too, each once. A log file that cannot be written, or is this call's stdout, fails no call. A slow one delays the end of a call by half a second at most. A journal or another file of `dataDir` is refused.",
    whose: 'predecessor',
    absent: 'stderr alone',
    example: '/var/log/userspace-cni.log',
  },
  logLevel: {
    title: 'least important level of the log file',
    more: 'Read in any case of letters; for an unknown level the default is taken, with a warning.',
    whose: 'predecessor',
    default: defaultLogLevel,
    example: 'info',
  },
  dataDir: {
    title: 'directory of the journals',
    more: 'On a disk that survives a reboot. ADD and DEL of an attachment have to name the same one: while its port is there, a call with another one is refused.',
    whose: 'ours',
    default: defaultDataDir,
    example: '/var/lib/cni/userspace-blue',
    codes: [5, 7],
  },
  ovsdb: {
    title: "the switch's database",
    whose: 'ours',
    default: defaultOvsdb,
    example: 'unix:/run/openvswitch/db.sock',
    codes: [11],
  },
  predecessorDir: {
    title: "the predecessor's state files",
    more: 'By them a DEL of an attachment that the predecessor made removes its port, socket, address and, with the last interface of a pod, the bind mount.',
    whose: 'ours',
    default: defaultPredecessorDir,
    example: '/var/lib/cni/usrspcni/data',
  },
};

const deadline = (key: keyof typeof defaultDeadlines, title: string, more?: string): KeyTable => ({
  [`deadlines.${key}`]: {
    title,
    whose: 'ours',
    default: defaultDeadlines[key],
    example: defaultDeadlines[key],
    ...(more && { more }),
  },
});

const deadlines: KeyTable = {
  deadlines: {
    title: 'the longest waits, in milliseconds',
    whose: 'ours',
    example: { addMs: 30_000, rollbackMs: 10_000 },
  },
  ...deadline('addMs', 'an ADD, its rollback included', 'Has to be more than `rollbackMs`.'),
  ...deadline('rollbackMs', "part of addMs kept for ADD's rollback"),
  ...deadline('delMs', 'a DEL', 'Runtimes allow 60 s, and do not call again.'),
  ...deadline('statusMs', 'a STATUS'),
  ...deadline('lockMs', "the attachment's lock"),
  ...deadline('ipamMs', 'one run of the IPAM program'),
  ...deadline('switchMs', 'ovs-vswitchd to apply a change'),
  ...deadline('reconnectMs', "a removal's retries of a connection"),
  ...deadline('apiMs', 'one request to the API server'),
  ...deadline('apiRetryMs', "an ADD's retries at the API server", 'A removal retries for `reconnectMs`.'),
  ...deadline('directoryMs', "one call into a pod's directory"),
};

const given: KeyTable = {
  capabilities: {
    title: 'what the runtime puts into runtimeConfig',
    more: 'Read by the runtime, not by the plugin.',
    whose: 'CNI',
    example: { mac: true },
  },
  runtimeConfig: {
    title: 'values of the runtime for this interface',
    more: 'Written by the runtime for the capabilities of the network; not by people.',
    whose: 'CNI',
    example: { mac: '02:00:00:00:00:01' },
  },
  'runtimeConfig.mac': {
    title: 'MAC address; comes before all others',
    whose: 'CNI',
    absent: '`args.cni.mac`',
    example: '02:00:00:00:00:01',
  },
  'runtimeConfig.CNIDeviceInfoFile': {
    title: 'file of device information',
    more: 'Device Information Specification 1.1.0 is written there; a file of another living attachment is refused, and never removed.',
    whose: 'Multus',
    absent: 'none is written',
    example: '/var/run/k8s.cni.cncf.io/devinfo/cni/dpdk-net-0123_net1',
    codes: [7],
  },
  args: { title: 'arguments in the configuration', whose: 'CNI', example: { cni: { OvnPort: 'blue' } } },
  'args.cni': {
    title: "the pod's arguments (cni-args of Multus)",
    more: 'Names in any case; unknown ones are ignored.',
    whose: 'CNI',
    example: { OvnPort: 'blue' },
  },
  'args.cni.mac': {
    title: 'MAC address; comes before CNI_ARGS',
    whose: 'fork',
    absent: '`MAC` in CNI_ARGS',
    example: '02:00:00:00:00:01',
  },
  'args.cni.OvnPort': {
    title: "the interface's logical port in OVN",
    more: '`external_ids:iface-id` of the interface. OVN makes `br-int`, or the bridge that is named: it is never created here, and without it ADD is refused.',
    whose: 'fork',
    absent: '`OvnPort` in CNI_ARGS',
    example: 'blue',
    codes: [7],
  },
  prevResult: {
    title: "result of the list's previous plugin",
    more: 'Written by the runtime. CHECK compares it.',
    whose: 'CNI',
  },
  disableCheck: { title: 'of a list: the runtime calls no CHECK', whose: 'CNI', example: true },
  disableGC: { title: 'of a list: the runtime calls no GC', whose: 'CNI', example: true },
  loadOnlyInlinedPlugins: { title: 'of a list: its plugins are all in it', whose: 'CNI', example: true },
  ipMasq: { title: 'accepted, and without effect', whose: 'CNI' },
  deviceID: { title: "Multus': accepted, and without effect", whose: 'Multus' },
  pciBusID: { title: "Multus': accepted, and without effect", whose: 'Multus' },
};

/** The variable CNI_ARGS of a call, `NAME=value;NAME=value`. No part of the configuration's schema. */
const variables: KeyTable = {
  CNI_ARGS: {
    title: 'variable of a call, NAME=value;NAME=value',
    whose: 'CNI',
    example: 'IgnoreUnknown=1;MAC=02:00:00:00:00:01',
  },
  'CNI_ARGS.MAC': {
    title: 'MAC address; comes before host.mac',
    whose: 'CNI',
    absent: '`host.mac`',
    example: '02:00:00:00:00:01',
    codes: [4],
  },
  'CNI_ARGS.OvnPort': {
    title: 'logical port in OVN, if args.cni has none',
    whose: 'fork',
    absent: 'no port of OVN',
    example: 'blue',
  },
  'CNI_ARGS.IP': { title: 'for the IPAM program; not read here', whose: 'CNI', example: '10.56.0.9' },
  'CNI_ARGS.IgnoreUnknown': {
    title: '1 or true: unknown arguments are ignored',
    more: 'Without it each argument that is no key of this reference is refused.',
    whose: 'CNI',
    default: 'false',
    example: '1',
    codes: [4],
  },
  'CNI_ARGS.K8S_POD_NAMESPACE': {
    title: 'namespace of the pod',
    more: 'Needed where there is a `kubeconfig`.',
    whose: 'Kubernetes',
    example: 'default',
    codes: [4, 7],
  },
  'CNI_ARGS.K8S_POD_NAME': {
    title: 'name of the pod',
    more: 'Needed where there is a `kubeconfig`.',
    whose: 'Kubernetes',
    example: 'testpmd-0',
    codes: [4, 7],
  },
  'CNI_ARGS.K8S_POD_UID': {
    title: 'uid of the pod',
    more: 'A pod of the same name with another uid is another pod.',
    whose: 'Kubernetes',
    example: '5f0c0000-0000-4000-8000-000000000001',
    codes: [4],
  },
  'CNI_ARGS.K8S_POD_INFRA_CONTAINER_ID': {
    title: 'accepted, and not read',
    whose: 'Kubernetes',
    example: '0123456789ab',
  },
};

/** Words by dotted path: the configuration's keys, then the arguments. */
export const keyWords: KeyTable = {
  ...protocol,
  ...places,
  ...hostWords,
  ...containerWords,
  ...others,
  ...deadlines,
  ...given,
  ...variables,
};
