/** The places that a dump is about, found once: data directories, databases, networks, attachments. */
import { lenient, salvageConfig } from '../../cni/config/config.ts';
import { type Moment, within } from '../../deadlines.ts';
import type { EngineRows } from '../../effects/engine.ts';
import type { Host } from '../../effects/host.ts';
import { isAnnotation } from '../../machines/protocol.ts';
import { type Reading, readAttachments } from '../attachments.ts';
import type { CliNode } from '../command-line.ts';
import { type BadFile, type FoundNetwork, installedNetworks, namedNetworks } from '../networks.ts';

/** One call of the command. */
export interface DumpCall {
  readonly machine: CliNode;
  readonly version: string;
  /** Looked at beside the networks' own places, if a person named it or no network could be read. */
  readonly place: NodePlace;
  readonly said: { readonly [part in keyof NodePlace]: boolean };
  /** The runtime's directory of networks. */
  readonly networkDir: string;
  /** Networks that were named instead. */
  readonly configs: readonly string[] | undefined;
  readonly logs: readonly string[];
  readonly since: Date | undefined;
  /** A file or a directory. */
  readonly output: string | undefined;
  /** Runs another command for people, as a person would. */
  readonly command: (
    ...words: string[]
  ) => Promise<{ readonly exitCode: number; readonly out: string; readonly err: string }>;
}

/** Where attachments are, and the database that belongs to them. */
interface NodePlace {
  readonly dataDir: string;
  readonly ovsdb: string;
}

export interface Sources {
  readonly call: DumpCall;
  readonly networks: readonly FoundNetwork[];
  readonly bad: readonly BadFile[];
  readonly places: readonly NodePlace[];
  readonly readings: readonly Reading[];
  /** The data directories that could not be read, with the reason. */
  readonly unread: readonly string[];
  readonly databases: readonly string[];
  /** Paths that the networks' and the attachments' configurations name. */
  readonly logFiles: readonly string[];
  readonly kubeconfigs: readonly string[];
  /** Asks each database once. @throws if it cannot be asked */
  rows(ovsdb: string, end: Moment): Promise<EngineRows>;
}

/** A switch answers in milliseconds, and the parts that ask it have other things to tell. */
const rowsMs = 5_000;

const unique = <T>(all: readonly T[]): T[] => [...new Set(all)];

/** The place that was named comes first; a database that was named is the one of all of them. */
function placesOf({ place, said }: DumpCall, basics: readonly NodePlace[]): NodePlace[] {
  const isMeant = said.dataDir || basics.length === 0;
  const ofNetworks = new Map(basics.map(({ dataDir, ovsdb }) => [dataDir, ovsdb]));
  const dataDirs = unique([...(isMeant ? [place.dataDir] : []), ...ofNetworks.keys()]);
  return dataDirs.map((dataDir) => ({
    dataDir,
    ovsdb: said.ovsdb ? place.ovsdb : (ofNetworks.get(dataDir) ?? place.ovsdb),
  }));
}

export function findSources(call: DumpCall, host: Host): Sources {
  const { machine, configs, networkDir } = call;
  const { networks, bad } = configs ? namedNetworks(configs) : installedNetworks(networkDir);
  const basics = networks.map(({ raw }) => salvageConfig(lenient(raw).raw));
  const places = placesOf(call, basics);
  const unread: string[] = [];
  const readings = places.flatMap(({ dataDir }) => {
    try {
      return readAttachments(machine.disk, dataDir, machine.clock());
    } catch (error) {
      unread.push(`the attachments of "${dataDir}": ${error instanceof Error ? error.message : error}`);
      return [];
    }
  });
  const plans = readings.flatMap(({ sought }) => sought?.plan ?? []);
  const asked = new Map<string, Promise<EngineRows>>();
  return {
    call,
    networks,
    bad,
    places,
    readings,
    unread,
    databases: unique([
      ...places.map(({ ovsdb }) => ovsdb),
      ...basics.map(({ ovsdb }) => ovsdb),
      ...plans.map(({ ovsdb }) => ovsdb),
    ]),
    logFiles: unique(basics.flatMap(({ logFile }) => logFile ?? [])),
    kubeconfigs: unique([
      ...basics.flatMap(({ kubeconfig }) => kubeconfig ?? []),
      ...plans.flatMap(({ publication }) => (isAnnotation(publication) ? [publication.kubeconfig] : [])),
    ]),
    rows: (ovsdb, end) => {
      const answer = asked.get(ovsdb) ?? host.ownRows({ ovsdb }, within(end, rowsMs));
      asked.set(ovsdb, answer);
      return answer;
    },
  };
}
