/**
 * `userspace status`: whether this node can serve an ADD, what is owed, and what to do about either. Its questions to the switch
 * are those of STATUS (effects/readiness.ts). It reads a configuration and looks at its needs as an ADD does
 * (effects/preflight.ts). It changes nothing, except that it raises next_cfg as STATUS does.
 */
import { code, messageOf, type Trouble } from '../attachment.ts';
import type { Basics } from '../cni/config/config.ts';
import { type Deadlines, defaultDeadlines, now } from '../deadlines.ts';
import { roomTroubles } from '../effects/files/room.ts';
import type { Host } from '../effects/host.ts';
import { addressStatus } from '../effects/ipam/plugin.ts';
import { programIn } from '../effects/program.ts';
import { closedWays, readiness } from '../effects/readiness.ts';
import type { Plan } from '../machines/protocol.ts';
import { hugepages } from '../os/hugepages.ts';
import { searchedBy } from '../verbs/status.ts';
import { type Attachment, isOwing } from './attachments.ts';
import type { HealthFinding } from './findings.ts';
import type { BadFile, FoundNetwork } from './networks.ts';
import { ageOf } from './print.ts';
import { type NetworkReading, readNetwork } from './read-network.ts';

export interface NodeView {
  readonly networks: readonly FoundNetwork[];
  readonly bad: readonly BadFile[];
  /** The directory that was searched for networks, if none was named. */
  readonly networkDir: string;
  readonly hugepagesDir: string;
  readonly ovsdb: Place;
  readonly dataDir: Place;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
  readonly host: Host;
  /** This process's effective uid. */
  readonly uid: number;
  /** @throws JournalError */
  readonly attachments: (dataDir: string) => readonly Attachment[];
  readonly now: Date;
}

/** Looked at beside the networks' own places, if a person named it or no network could be read. */
interface Place {
  readonly place: string;
  readonly isSaid: boolean;
}

/** For a plain user, turns a finding that only says "permission denied" from sick into unknown. */
export async function statusOfNode(view: NodeView): Promise<HealthFinding[]> {
  const findings = await findingsOf(view);
  if (view.uid === 0) return findings;
  const remedy = 'run it as root: sudo userspace status';
  const finding = 'not root: what only root may look at cannot be told';
  return [
    { check: 'user', subject: `uid ${view.uid}`, health: 'unknown', finding, remedy },
    ...findings.map((one) =>
      one.health === 'sick' && isForbidden.test(one.finding) ? { ...one, health: 'unknown' as const, remedy } : one,
    ),
  ];
}

const isForbidden = /\bE(ACCES|PERM)\b|permission denied/i;

async function findingsOf(view: NodeView): Promise<HealthFinding[]> {
  const read = view.networks.map((network) => readNetwork(network, view.path));
  const configs = read.flatMap(({ config }) => config ?? []);
  const meant = ({ place, isSaid }: Place): string[] => (isSaid || configs.length === 0 ? [place] : []);
  const databases = new Map([
    ...meant(view.ovsdb).map((ovsdb) => [ovsdb, defaultDeadlines] as const),
    ...configs.map(({ ovsdb, deadlines }) => [ovsdb, deadlines] as const),
  ]);
  const dataDirs = [...new Set([...meant(view.dataDir), ...configs.map(({ dataDir }) => dataDir)])];
  const ofSwitches = Promise.all([...databases].map(([ovsdb, deadlines]) => switchFindings(ovsdb, deadlines)));
  const ofConfigurations = configurationFindings(read, view);
  const ofOthers = Promise.all([
    ...read.map(addressFindings),
    ...accountsOf(read).map((account) => kubeconfigFindings(account, view.host)),
  ]);
  return [
    ...(await ofConfigurations),
    ...(await ofSwitches).flat(),
    hugepagesFinding(view),
    ...dataDirs.map(roomFinding),
    ...(await ofOthers).flat(),
    ...dataDirs.flatMap((dataDir) => debtFindings(dataDir, view)),
  ];
}

const well = (check: string, subject: string, finding: string): HealthFinding => ({
  check,
  subject,
  health: 'ok',
  finding,
});

const sick = (check: string, subject: string, finding: string, remedy: string): HealthFinding => ({
  check,
  subject,
  health: 'sick',
  finding,
  remedy,
});

// ---- the networks

const nameOf = ({ name, file }: FoundNetwork): string => `${name || 'a network without a name'} (${file})`;

async function configurationFindings(
  read: readonly NetworkReading[],
  { bad, networkDir, host }: NodeView,
): Promise<HealthFinding[]> {
  const check = 'configuration';
  const none = 'no network of type "userspace" was found: what one needs beside the defaults was not looked at';
  const badRemedy = {
    sick: 'name a network, a list or a NetworkAttachmentDefinition',
    unknown: 'mend it, or take it away: the runtime cannot use it either',
  };
  const ofNetworks = await Promise.all(read.map((one) => networkFindings(one, host)));
  return [
    ...bad.map(({ file, message, health }) => ({
      ...sick(check, file, message, badRemedy[health]),
      health,
    })),
    ...ofNetworks.flat(),
    ...(read.length + bad.length > 0
      ? []
      : [{ ...well(check, networkDir, none), health: 'unknown' as const, remedy: 'name one with --config FILE' }]),
  ];
}

/** The time for all pre-flight looks together, because a person is waiting for the answer. */
const preflightMs = 2_000;

async function networkFindings(read: NetworkReading, host: Host): Promise<HealthFinding[]> {
  const { network, config, plan, troubles: faults } = read;
  const [check, subject] = ['configuration', nameOf(network)];
  if (!config || !plan) {
    const remedy = 'userspace explain KEY says what a key takes';
    return [sick(check, subject, faults.map(({ message }) => message).join('; '), remedy)];
  }
  const { troubles, isAsked } = await findTroubles(plan, config, host);
  if (troubles.length > 0) {
    const remedy = 'where the message has a line to type, that one; docs/troubleshooting.md has the rest';
    return troubles.map(({ message }) => sick(check, subject, message, remedy));
  }
  if (isAsked) return [well(check, subject, 'an ADD takes it')];
  const finding = 'an ADD takes it, unless the switch, which could not be asked, has something against it';
  return [{ ...well(check, subject, finding), health: 'unknown', remedy: switchRemedy }];
}

/**
 * The troubles of an ADD's pre-flight, without those that have their own findings: IPAM program, data directory, silent database.
 */
async function findTroubles({ address: _, ...plan }: Plan, config: Basics, host: Host) {
  const { ovsdb, dataDir, deadlines, kubeconfig } = config;
  const call = { instance: '', end: now() + preflightMs };
  // The pod's volume decides where sockets are.
  const { socketDir, publication, ...placeless } = plan;
  const found = await host.preflight(kubeconfig ? placeless : plan, dataDir, call);
  const isAsked = host.databaseAt(ovsdb) !== undefined;
  const searched = kubeconfig && isAsked ? searchedBy(config) : [];
  const closed = searched.length > 0 ? await closedWays({ ovsdb, searched }, call.end, deadlines) : [];
  const told = roomTroubles(dataDir).map(({ message }) => message);
  const isNew = ({ code: number, message }: Trouble): boolean =>
    !told.includes(message) && (isAsked || number !== code.tryAgainLater) && !heldByOurs.test(message);
  return { troubles: [...found.filter(isNew), ...closed], isAsked };
}

/** A fixed socketfile that a pod of this node uses is not a fault. */
const heldByOurs = /is held by attachment "/;

// ---- the switch and the machine

const switchRemedy =
  'look at its service (systemctl status openvswitch-switch, on RHEL openvswitch; without systemd /usr/share/openvswitch/scripts/ovs-ctl status) and its log (/var/log/openvswitch/ovs-vswitchd.log)';
const dpdkRemedy =
  'ovs-vsctl set Open_vSwitch . other_config:dpdk-init=true, with hugepages reserved, and restart ovs-vswitchd: its log says why DPDK does not start; Debian runs a build without DPDK until update-alternatives --set ovs-vswitchd /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk';

/** Asks the switch what STATUS asks; this needs no network. */
export async function switchFindings(ovsdb: string, deadlines: Deadlines): Promise<HealthFinding[]> {
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

function hugepagesFinding({ hugepagesDir }: NodeView): HealthFinding {
  const remedy =
    'reserve some (vm.nr_hugepages in /etc/sysctl.d, or hugepages= on the kernel command line), then restart ovs-vswitchd and the kubelet';
  try {
    const sizes = hugepages(hugepagesDir);
    const said = sizes.map(({ kiB, total, free }) => `${total} of ${kiB / 1024} MiB, ${free} free`).join('; ');
    return said
      ? well('hugepages', 'this machine', said)
      : sick('hugepages', 'this machine', 'none are reserved', remedy);
  } catch (error) {
    return sick('hugepages', 'this machine', messageOf(error), remedy);
  }
}

function roomFinding(dataDir: string): HealthFinding {
  const [trouble] = roomTroubles(dataDir);
  const remedy = 'give it room, and root the right to write there; "dataDir" of the network names another one';
  return trouble
    ? sick('data directory', dataDir, trouble.message, remedy)
    : well('data directory', dataDir, 'it can be written, and has room');
}

// ---- the networks' needs

async function addressFindings({ network, path, config }: NetworkReading): Promise<HealthFinding[]> {
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

/** Each kubeconfig once per namespace. */
function accountsOf(read: readonly NetworkReading[]): Account[] {
  const accounts = read.flatMap(({ network: { namespace }, config }) =>
    config?.kubeconfig
      ? [{ kubeconfig: config.kubeconfig, deadlines: config.deadlines, ...(namespace && { namespace }) }]
      : [],
  );
  return [...new Map(accounts.map((one) => [`${one.namespace ?? ''} ${one.kubeconfig}`, one])).values()];
}

const rightsRemedy = 'docs/kubernetes.md has the role: bind it to the account of this kubeconfig';

async function kubeconfigFindings({ kubeconfig, namespace, deadlines }: Account, host: Host): Promise<HealthFinding[]> {
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
    const message = messageOf(error);
    return [sick('kubeconfig', kubeconfig, message, 'is the path right, and the API server the one that it means?')];
  }
}

// ---- debts

function debtFindings(dataDir: string, { attachments, now: moment }: NodeView): HealthFinding[] {
  const remedy = 'userspace recover, once what its reason names works';
  try {
    const owing = attachments(dataDir).filter(isOwing);
    if (owing.length === 0) return [well('owed', dataDir, 'nothing')];
    return owing.map(({ key, since, owed, holder }) => {
      const reasons = owed.map(({ step, message }) => `${step}: ${message}`);
      const by = holder ? [`held by process ${holder.pid} (${holder.command}) since ${holder.since}`] : [];
      const age = since ? `for ${ageOf(since, moment)}, since ${since}` : 'since when is not known';
      return { check: 'owed', subject: key, health: 'owed', finding: [age, ...reasons, ...by].join('; '), remedy };
    });
  } catch (error) {
    return [sick('owed', dataDir, messageOf(error), 'userspace list')];
  }
}
