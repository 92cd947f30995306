/**
 * The attachments of this node that live or are owed: they are why the executable has to stay. Its DEL and its recovery are the only
 * ways to an attachment's end.
 */
import { existsSync } from 'node:fs';
import { keyOfText, messageOf } from '../../attachment.ts';
import { lenient, salvageConfig } from '../../cni/config/config.ts';
import { now } from '../../deadlines.ts';
import type { EngineRows } from '../../effects/engine.ts';
import { type Attachment, isOwing, readAttachments } from '../attachments.ts';
import type { CliNode } from '../command-line.ts';
import { installedNetworks, namedNetworks } from '../networks.ts';
import { readRecord } from './record.ts';

/** A switch answers in milliseconds; one that is away must not keep a node from being cleaned. */
const switchMs = 3_000;

export interface Living {
  readonly what: 'attachment' | 'port' | 'process';
  /** The attachment's key, the port's name, or the process. */
  readonly name: string;
  readonly state: string;
  readonly pod?: string;
  readonly network?: string;
  /** The data directory, the switch's database or the executable. */
  readonly at: string;
  readonly remedy: string;
}

export interface Survey {
  readonly living: readonly Living[];
  /** Every data directory that was looked at. */
  readonly dataDirs: readonly string[];
  /** Places that could not be looked at, and things that stay although nothing uses them. */
  readonly notes: readonly string[];
}

export interface Places {
  readonly dataDir: string;
  readonly ovsdb: string;
}

const unique = <T>(all: readonly T[]): T[] => [...new Set(all)];

/** @throws JournalError if a data directory cannot be read */
export async function findLiving(machine: CliNode, { dataDir, ovsdb }: Places): Promise<Survey> {
  const { networks, bad } = installedNetworks(machine.networkDir);
  // Install may have put a network into another directory.
  const elsewhere = namedNetworks(Object.keys(readRecord(machine.networkDir)).filter(isNetwork)).networks;
  const configs = [...networks, ...elsewhere].map(({ raw }) => salvageConfig(lenient(raw).raw));
  const dataDirs = unique([dataDir, ...configs.map((one) => one.dataDir)]);
  const attachments = dataDirs.flatMap((directory) =>
    readAttachments(machine.disk, directory, machine.clock()).map(({ attachment }) => livingOf(attachment, directory)),
  );
  const known = new Set(attachments.map(({ name }) => name));
  const asked = await Promise.all(
    unique([ovsdb, ...configs.map((one) => one.ovsdb)]).map((database) => rowsOf(machine, database)),
  );
  return {
    living: [...attachments, ...asked.flatMap(({ ports }) => ports.filter(({ name }) => !known.has(name)))],
    dataDirs,
    notes: [
      ...bad.map(({ file, message }) => `${file} ${message}: a data directory that it names was not looked at`),
      ...asked.flatMap(({ notes }) => notes),
    ],
  };
}

const isNetwork = (path: string): boolean => path.endsWith('.conflist') && existsSync(path);

function livingOf(attachment: Attachment, dataDir: string): Living {
  const { key, network, pod, state } = attachment;
  return {
    what: 'attachment',
    name: key,
    state,
    ...(pod && { pod }),
    ...(network && { network }),
    at: dataDir,
    remedy: remedyOf(attachment),
  };
}

function remedyOf(attachment: Attachment): string {
  const { state, pod, containerId } = attachment;
  if (state === 'attached' || state === 'adding') return podRemedy(pod, containerId);
  return isOwing(attachment) || state === 'empty'
    ? 'userspace recover, once what its reason names works'
    : 'userspace recover; userspace show tells what its journal has';
}

function podRemedy(pod: string | undefined, containerId: string): string {
  const [namespace, name] = pod?.split('/') ?? [];
  // An attachment without a pod may be that of another runtime, or of a person with cnitool.
  const ends = name ? [`kubectl delete pod -n ${namespace} ${name}`] : ['the DEL of what attached it'];
  return [...ends, `crictl rmp -f ${containerId}`, 'userspace recover if its sandbox is gone'].join(', or ');
}

interface Asked {
  readonly ports: readonly Living[];
  readonly notes: readonly string[];
}

async function rowsOf(machine: CliNode, ovsdb: string): Promise<Asked> {
  const host = machine.host();
  try {
    const rows = await host.ownRows({ ovsdb }, now() + switchMs);
    return { ports: (rows.Port ?? []).map((row) => portOf(row, ovsdb)), notes: idleBridges(rows) };
  } catch (error) {
    const unknown = `${ovsdb} could not be asked for ports without a journal, which would stay: ${messageOf(error)}`;
    return { ports: [], notes: [unknown] };
  } finally {
    host.close();
  }
}

type Row = NonNullable<EngineRows[string]>[number];

const marksOf = ({ external_ids: marks }: Row) => (marks ?? {}) as { readonly [mark: string]: string | undefined };

function portOf(row: Row, ovsdb: string): Living {
  const { key, pod, 'data-dir': dataDir } = marksOf(row);
  const network = key && keyOfText(key)?.network;
  const elsewhere = dataDir ? ` --data-dir ${dataDir}` : '';
  return {
    what: 'port',
    name: key || String(row.name),
    state: `port ${row.name} without a journal here`,
    ...(pod && { pod }),
    ...(network && { network }),
    at: ovsdb,
    remedy: `userspace recover${elsewhere}, or the end of its pod`,
  };
}

/** A bridge that an ADD has made goes with its last port, or with the recovery after it. */
function idleBridges({ Bridge: bridges = [], Port: ports = [] }: EngineRows): string[] {
  if (ports.length > 0) return [];
  return bridges.map(
    ({ name }) =>
      `bridge ${name}, which an ADD made, stays: userspace recover removes it before, ovs-vsctl del-br after`,
  );
}
