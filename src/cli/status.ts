/**
 * `userspace status`: whether this node can serve an ADD, what is owed, and what to do about either. What STATUS asks is asked by the
 * same code (effects/readiness.ts); a configuration is read as an ADD reads it. Changes nothing.
 */
import { code } from '../attachment.ts';
import type { Basics } from '../cni/config.ts';
import { CniError } from '../cni/error.ts';
import { type DelRequest, parseAdd, parseDel } from '../cni/request.ts';
import { type Deadlines, defaultDeadlines, now } from '../deadlines.ts';
import type { Host } from '../effects/host.ts';
import { hugepages } from '../effects/hugepages.ts';
import { addressStatus } from '../effects/ipam.ts';
import { programIn, usualDirectories } from '../effects/program.ts';
import { readiness } from '../effects/readiness.ts';
import { roomTroubles } from '../effects/room.ts';
import { groupTroubles } from '../effects/socket-dir.ts';
import { planOf } from '../plan.ts';
import { type Attachment, owes } from './attachments.ts';
import type { Finding } from './findings.ts';
import type { BadFile, Network } from './networks.ts';
import { ageOf } from './print.ts';

export interface Looked {
  readonly networks: readonly Network[];
  readonly bad: readonly BadFile[];
  /** Where networks were looked for, if none was named. */
  readonly networkDir: string;
  readonly hugepagesDir: string;
  readonly ovsdb: Place;
  readonly dataDir: Place;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
  readonly host: Host;
  /** @throws JournalError */
  readonly attachments: (dataDir: string) => readonly Attachment[];
  readonly now: Date;
}

/** Looked at beside those that networks name, if a person said it; or if no network could be read. */
interface Place {
  readonly place: string;
  readonly isSaid: boolean;
}

export async function statusOfNode(looked: Looked): Promise<Finding[]> {
  const read = looked.networks.map((network) => asRead(network, looked));
  const configs = read.flatMap(({ config }) => config ?? []);
  const meant = ({ place, isSaid }: Place): string[] => (isSaid || configs.length === 0 ? [place] : []);
  const databases = new Map([
    ...meant(looked.ovsdb).map((ovsdb) => [ovsdb, defaultDeadlines] as const),
    ...configs.map(({ ovsdb, deadlines }) => [ovsdb, deadlines] as const),
  ]);
  const dataDirs = [...new Set([...meant(looked.dataDir), ...configs.map(({ dataDir }) => dataDir)])];
  const ofSwitches = Promise.all([...databases].map(([ovsdb, deadlines]) => switchFindings(ovsdb, deadlines)));
  const ofOthers = Promise.all([
    ...read.map(addressFindings),
    ...accountsOf(read).map((account) => kubeconfigFindings(account, looked.host)),
  ]);
  return [
    ...configurationFindings(read, looked),
    ...(await ofSwitches).flat(),
    hugepagesFinding(looked),
    ...dataDirs.map(roomFinding),
    ...(await ofOthers).flat(),
    ...dataDirs.flatMap((dataDir) => debtFindings(dataDir, looked)),
  ];
}

const well = (check: string, subject: string, finding: string): Finding => ({ check, subject, health: 'ok', finding });

const sick = (check: string, subject: string, finding: string, remedy: string): Finding => ({
  check,
  subject,
  health: 'sick',
  finding,
  remedy,
});

// ---- what a network says

interface Read {
  readonly network: Network;
  readonly path: readonly string[];
  /** Why an ADD would be refused. */
  readonly refused?: string;
  /** What can be used of it all the same. */
  readonly config?: Basics;
}

/** As an ADD of some pod would be asked for. */
const anyPod = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod';

function asRead(network: Network, looked: Looked): Read {
  const path = looked.path.length > 0 ? looked.path : usualDirectories;
  const names = { CNI_CONTAINERID: 'status', CNI_NETNS: '/run/netns/status', CNI_IFNAME: 'net1' };
  const env = { ...names, CNI_PATH: path.join(':'), CNI_ARGS: anyPod };
  const stdin = JSON.stringify(network.raw);
  try {
    const request = parseAdd(env, stdin);
    const { socketDir } = planOf(request);
    const [trouble] = socketDir ? groupTroubles(socketDir) : [];
    return { network, path, config: request.config, ...(trouble && { refused: trouble.message }) };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const salvaged = salvage(env, stdin);
    return { network, path, refused: error.message, ...(salvaged && { config: salvaged.config }) };
  }
}

function salvage(env: { readonly [name: string]: string }, stdin: string): DelRequest | undefined {
  try {
    return parseDel(env, stdin);
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

const nameOf = ({ name, file }: Network): string => `${name || 'a network without a name'} (${file})`;

function configurationFindings(read: readonly Read[], { bad, networkDir }: Looked): Finding[] {
  const check = 'configuration';
  const remedy = 'docs/configuration.md has every key';
  const none = 'no network of type "userspace" was found: what one needs beside the defaults was not looked at';
  return [
    ...bad.map(({ file, message }) =>
      sick(check, file, message, 'name a network, a list or a NetworkAttachmentDefinition'),
    ),
    ...read.map(({ network, refused }) =>
      refused ? sick(check, nameOf(network), refused, remedy) : well(check, nameOf(network), 'an ADD takes it'),
    ),
    ...(read.length + bad.length > 0
      ? []
      : [{ ...well(check, networkDir, none), health: 'unknown' as const, remedy: 'name one with --config FILE' }]),
  ];
}

// ---- the switch and the machine

const switchRemedy =
  'look at its service (systemctl status openvswitch-switch, on RHEL openvswitch) and its log (/var/log/openvswitch/ovs-vswitchd.log)';
const dpdkRemedy =
  'ovs-vsctl set Open_vSwitch . other_config:dpdk-init=true, with hugepages reserved, and restart ovs-vswitchd: its log says why DPDK does not start';

/** No answer of the network's own is needed: what STATUS asks of the switch. */
async function switchFindings(ovsdb: string, deadlines: Deadlines): Promise<Finding[]> {
  const call = { instance: '', end: now() + deadlines.statusMs };
  const troubles = await readiness({ ovsdb, searched: [], text: { stdin: '', env: {} } }, call, deadlines);
  if (troubles.length === 0) {
    return [
      well('switch', ovsdb, 'its database answers, and ovs-vswitchd is at work'),
      well('DPDK', ovsdb, 'it is initialized'),
    ];
  }
  return troubles.map((trouble) =>
    trouble.code === code.limitedConnectivity
      ? sick('DPDK', ovsdb, trouble.message, dpdkRemedy)
      : sick('switch', ovsdb, trouble.message, switchRemedy),
  );
}

function hugepagesFinding({ hugepagesDir }: Looked): Finding {
  const remedy =
    'reserve some (vm.nr_hugepages in /etc/sysctl.d, or hugepages= on the kernel command line), then restart ovs-vswitchd and the kubelet';
  try {
    const sizes = hugepages(hugepagesDir);
    const said = sizes.map(({ kiB, total, free }) => `${total} of ${kiB / 1024} MiB, ${free} free`).join('; ');
    return said
      ? well('hugepages', 'this machine', said)
      : sick('hugepages', 'this machine', 'none are reserved', remedy);
  } catch (error) {
    return sick('hugepages', 'this machine', error instanceof Error ? error.message : String(error), remedy);
  }
}

function roomFinding(dataDir: string): Finding {
  const [trouble] = roomTroubles(dataDir);
  const remedy = 'give it room, and root the right to write there; "dataDir" of the network names another one';
  return trouble
    ? sick('data directory', dataDir, trouble.message, remedy)
    : well('data directory', dataDir, 'it can be written, and has room');
}

// ---- what a network needs of others

async function addressFindings({ network, path, config }: Read): Promise<Finding[]> {
  if (!config?.ipam) return [];
  const { ipam: program, deadlines } = config;
  const text = { stdin: JSON.stringify(network.raw), env: { CNI_PATH: path.join(':') } };
  const call = { instance: '', end: now() + deadlines.statusMs };
  const [trouble] = await addressStatus({ plan: { program, path }, text, call, deadlines });
  const subject = `${program} of ${network.name}`;
  const file = programIn({ program, path });
  if (!trouble) return [well('IPAM', subject, `it is ${file}`)];
  const remedy = file
    ? 'its own documents say what it takes, and what its words mean'
    : "install it where the runtime has its plugins, or name that directory in this command's CNI_PATH";
  return [sick('IPAM', subject, trouble.message, remedy)];
}

interface Account {
  readonly kubeconfig: string;
  readonly namespace?: string;
  readonly deadlines: Deadlines;
}

/** Each is asked once. */
function accountsOf(read: readonly Read[]): Account[] {
  const accounts = read.flatMap(({ network: { namespace }, config }) =>
    config?.kubeconfig
      ? [{ kubeconfig: config.kubeconfig, deadlines: config.deadlines, ...(namespace && { namespace }) }]
      : [],
  );
  return [...new Map(accounts.map((one) => [`${one.namespace ?? ''} ${one.kubeconfig}`, one])).values()];
}

const rightsRemedy = 'docs/kubernetes.md has the role: bind it to the account of this kubeconfig';

async function kubeconfigFindings({ kubeconfig, namespace, deadlines }: Account, host: Host): Promise<Finding[]> {
  const where = namespace ? `namespace "${namespace}"` : 'all namespaces';
  try {
    const missing = await host.missingRights(kubeconfig, namespace, now() + deadlines.apiMs);
    if (missing.length === 0) return [well('kubeconfig', kubeconfig, `its account has its rights in ${where}`)];
    const finding = `its account may not ${missing.join(', nor ')} in ${where}`;
    if (namespace) return [sick('kubeconfig', kubeconfig, finding, rightsRemedy)];
    // The role may be bound in the namespaces that need it, which are not known here.
    const remedy = `${rightsRemedy}; where it is bound in single namespaces, name a NetworkAttachmentDefinition of one`;
    return [{ ...sick('kubeconfig', kubeconfig, finding, remedy), health: 'unknown' }];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [sick('kubeconfig', kubeconfig, message, 'is the path right, and the API server the one that it means?')];
  }
}

// ---- what is owed

function debtFindings(dataDir: string, { attachments, now: moment }: Looked): Finding[] {
  const remedy = 'userspace recover, once what its reason names works';
  try {
    const owing = attachments(dataDir).filter(owes);
    if (owing.length === 0) return [well('owed', dataDir, 'nothing')];
    return owing.map(({ key, since, owed, holder }) => {
      const reasons = owed.map(({ step, message }) => `${step}: ${message}`);
      const by = holder ? [`held by process ${holder.pid} (${holder.command}) since ${holder.since}`] : [];
      const age = since ? `for ${ageOf(since, moment)}, since ${since}` : 'since when is not known';
      return { check: 'owed', subject: key, health: 'owed', finding: [age, ...reasons, ...by].join('; '), remedy };
    });
  } catch (error) {
    return [sick('owed', dataDir, error instanceof Error ? error.message : String(error), 'userspace list')];
  }
}
