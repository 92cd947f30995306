/**
 * The figures of a node at this moment: attachments by their journals, whether the switch and the API servers can be reached, and whether an
 * ADD could be served. Nothing is remembered from the last time, except an API server's answer.
 */
import { messageOf } from '../attachment.ts';
import { type Attachment, isOwing, type Reading, readAttachments } from '../cli/attachments.ts';
import type { CliNode } from '../cli/command-line.ts';
import type { HealthFinding } from '../cli/findings.ts';
import { lookAtNode } from '../cli/health.ts';
import { readIdentity } from '../cli/install.ts';
import { switchFindings } from '../cli/status.ts';
import { defaultDataDir, defaultOvsdb } from '../cni/config/defaults.ts';
import { defaultDeadlines, type Moment, now } from '../deadlines.ts';
import { JournalError } from '../journal/journal.ts';
import { isAnnotation } from '../machines/protocol.ts';
import type { Family, Sample } from './text.ts';

/** The places that the agent was told, in its words. */
export interface NodePlaces {
  readonly dataDir?: string | undefined;
  readonly ovsdb?: string | undefined;
  readonly kubeconfig?: string | undefined;
}

export interface NodeFigures {
  families(): Promise<Family[]>;
  /** Why an ADD could not be served, a line for each reason. */
  sick(): Promise<string[]>;
}

/** Series of more networks than these are summed up: a label's values are kept by Prometheus for as long as its data. */
const networksMax = 200;
/** A node has one switch and one API server; more are asked side by side. */
const serversMax = 8;
/** The label of everything beyond, and of a journal that does not tell its network. */
const other = 'other';

/** An API server answers for many nodes, so each asks it no more often than this. */
const apiPauseMs = 60_000;
/** How long the question may take. */
const apiMs = 1_000;

export function figuresOf(machine: CliNode, version: string, places: NodePlaces): NodeFigures {
  const { dataDir = defaultDataDir, ovsdb = defaultOvsdb } = places;
  const { commit, target } = readIdentity(version);
  const build: Family = {
    name: 'build_info',
    type: 'gauge',
    help: 'The executable of the agent.',
    samples: [{ labels: { version, commit, target }, value: 1 }],
  };
  const servers = new ApiServerLook(machine);
  return {
    families: async () => {
      const { readings, trouble } = read(machine, dataDir);
      const [ofSwitches, ofServers] = await Promise.all([
        switchFamilies(among([ovsdb, ...readings.flatMap(ovsdbOf)])),
        servers.families(among([places.kubeconfig ?? [], readings.flatMap(kubeconfigOf)].flat())),
      ]);
      const journals = single('journals_readable', 'Whether the data directory could be read.', trouble ? 0 : 1);
      return [build, journals, ...attachmentFamilies(readings, machine.clock()), ...ofSwitches, ...ofServers];
    },
    sick: async () => {
      const findings = await lookAtNode(machine, {
        files: undefined,
        debts: 'untold',
        ovsdb: { place: ovsdb, isSaid: places.ovsdb !== undefined },
        dataDir: { place: dataDir, isSaid: places.dataDir !== undefined },
      });
      return findings.filter(({ health }) => health === 'sick').map(findingLine);
    },
  };
}

const findingLine = ({ check, subject, finding, remedy }: HealthFinding): string =>
  `${check}: ${subject}: ${finding}${remedy ? ` -> ${remedy}` : ''}`.replaceAll('\n', ' ');

const among = (all: readonly string[]): string[] => [...new Set(all)].slice(0, serversMax);

const single = (name: string, help: string, value: number): Family => ({
  name,
  type: 'gauge',
  help,
  samples: [{ value }],
});

function read({ disk, clock }: CliNode, dataDir: string): { readings: readonly Reading[]; trouble?: string } {
  try {
    return { readings: readAttachments(disk, dataDir, clock()) };
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    return { readings: [], trouble: messageOf(error) };
  }
}

const ovsdbOf = ({ sought }: Reading): string[] => (sought ? [sought.plan.ovsdb] : []);

function kubeconfigOf({ sought }: Reading): string[] {
  const publication = sought?.plan.publication;
  return isAnnotation(publication) ? [publication.kubeconfig] : [];
}

function attachmentFamilies(readings: readonly Reading[], moment: Date): Family[] {
  const attachments = readings.map(({ attachment }) => attachment);
  const owing = attachments.filter(isOwing);
  const ages = owing.map(({ since }) => (moment.getTime() - Date.parse(since)) / 1000);
  const oldest = Math.max(0, ...ages.filter((age) => !Number.isNaN(age)));
  return [
    {
      name: 'attachments',
      type: 'gauge',
      help: 'Attachments by their journals, in the states of userspace list.',
      samples: attachmentSamples(attachments),
    },
    single('owed', 'Attachments of which something is still to be removed, or to be looked at.', owing.length),
    single('owed_oldest_seconds', 'For how long the oldest of them is owed; 0: nothing is.', oldest),
  ];
}

function attachmentSamples(attachments: readonly Attachment[]): Sample[] {
  const names = [...new Set(attachments.map(({ network }) => network))].sort().slice(0, networksMax);
  const counts = new Map<string, { network: string; state: string; value: number }>();
  for (const { network: name, state } of attachments) {
    const network = name !== '' && names.includes(name) ? name : other;
    const key = `${network} ${state}`;
    counts.set(key, { network, state, value: (counts.get(key)?.value ?? 0) + 1 });
  }
  return [...counts.values()].map(({ value, ...labels }) => ({ labels, value }));
}

/** Asks each switch as STATUS does, within the time of a STATUS. */
async function switchFamilies(databases: readonly string[]): Promise<Family[]> {
  const all = await Promise.all(
    databases.map(async (ovsdb) => ({ ovsdb, findings: await switchFindings(ovsdb, defaultDeadlines) })),
  );
  const samples = (check: string): Sample[] =>
    all.map(({ ovsdb, findings }) => {
      // A switch that cannot be asked has no finding on DPDK; one without DPDK has answered.
      const isUnknown = check === 'DPDK' && findings.some((one) => isSick(one, 'switch'));
      const isWell = !isUnknown && !findings.some((one) => isSick(one, check));
      return { labels: { ovsdb }, value: isWell ? 1 : 0 };
    });
  const help = 'Whether its database answers and ovs-vswitchd is at work.';
  return [
    { name: 'switch_up', type: 'gauge', help, samples: samples('switch') },
    { name: 'switch_dpdk', type: 'gauge', help: 'Whether it has initialized DPDK.', samples: samples('DPDK') },
  ];
}

const isSick = ({ check, health }: HealthFinding, wanted: string): boolean => check === wanted && health === 'sick';

/** Asks API servers for the rights of a kubeconfig's account, and keeps the answer for a while. */
class ApiServerLook {
  readonly #machine: CliNode;
  readonly #last = new Map<string, { readonly at: Moment; readonly isUp: boolean }>();

  constructor(machine: CliNode) {
    this.#machine = machine;
  }

  async families(kubeconfigs: readonly string[]): Promise<Family[]> {
    for (const known of this.#last.keys()) if (!kubeconfigs.includes(known)) this.#last.delete(known);
    const samples = await Promise.all(
      kubeconfigs.map(async (kubeconfig) => ({
        labels: { kubeconfig },
        value: (await this.#isUp(kubeconfig)) ? 1 : 0,
      })),
    );
    const help = 'Whether the API server of a kubeconfig answers to its account; asked once a minute at most.';
    return [{ name: 'api_server_up', type: 'gauge', help, samples }];
  }

  async #isUp(kubeconfig: string): Promise<boolean> {
    const last = this.#last.get(kubeconfig);
    if (last && now() < last.at + apiPauseMs) return last.isUp;
    const isUp = await this.#ask(kubeconfig);
    this.#last.set(kubeconfig, { at: now(), isUp });
    return isUp;
  }

  async #ask(kubeconfig: string): Promise<boolean> {
    const host = this.#machine.host();
    try {
      await host.missingRights(kubeconfig, undefined, now() + apiMs);
      return true;
    } catch {
      return false;
    } finally {
      host.close();
    }
  }
}
