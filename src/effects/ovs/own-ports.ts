/**
 * Which rows of table Port are an attachment's: by its marks, or by the _uuid in its journal. If another tool has cleared the
 * marks, its name and its socket together decide. A port that none of these settles is reported, and is not taken for absent.
 */
import { type AttachmentKey, code, keyText, type Trouble } from '../../attachment.ts';
import { type Call, type Facts, isMadePort, type Plan, type PortPlan } from '../../machines/protocol.ts';
import { interfaceType, socketOf, switchPathOf } from './columns.ts';
import { isOurs, isOwn, type Marks, ownerMarks } from './marks.ts';
import {
  type Operation,
  type OperationResult,
  type Row,
  readMap,
  readUuid,
  select,
  withId,
  withMarks,
  withName,
} from './operations.ts';
import { selectSwitch } from './root-row.ts';
import type { AttachmentSwitch } from './switch.ts';

export interface OwnPort {
  readonly id: string;
  /** The _uuid of its Interface. */
  readonly device: string;
  readonly name: string;
  /** Its external_ids; empty if another tool has cleared them. */
  readonly marks: Marks;
  /** The same in the database's notation: if the row has others when it is deleted, it is looked at again. */
  readonly external: unknown;
}

export interface Sighting {
  /** The row of table Open_vSwitch. */
  readonly root: Row | undefined;
  readonly own: readonly OwnPort[];
  /** The marks of ports of this key that were made through another data directory. */
  readonly elsewhere: readonly Marks[];
  /** The trouble about a port that may or may not be ours. */
  readonly unsettled: Trouble | undefined;
}

/** The means to find an attachment's port: its key, the planned port if there was one, and the recorded row if there was one. */
export interface SoughtPort {
  readonly key: AttachmentKey;
  readonly port?: PortPlan | undefined;
  /** The _uuid of its row. */
  readonly recorded?: string | undefined;
}

export const soughtPort = ({ key, port }: Plan, facts: Facts): SoughtPort => ({
  key,
  port,
  recorded: isMadePort(facts.port) ? facts.port.uuid : undefined,
});

/** Rows that may be an attachment's. */
interface Candidates {
  /**
   * Rows of table Port: those with our mark and the attachment's key, the one that its journal recorded, and the one of its name.
   */
  readonly byKey: readonly Row[];
  readonly byId: Row | undefined;
  readonly byName: Row | undefined;
  /** The row of table Interface with the port's name. */
  readonly device: Row | undefined;
}

/** Looks under the fence, because a transaction of a dead call has then either landed or never will. */
export async function seekOwn(ovs: AttachmentSwitch, sought: SoughtPort): Promise<Sighting> {
  const [root, marks, ...more] = await ovs.fenced(questions(sought));
  const found = ownAmong(sought, { byKey: marks?.rows ?? [], ...answersOf(sought, more) }, ovs.call);
  return { ...found, root: root?.rows?.[0] };
}

/** Sorts the rows by owner. */
export function ownAmong(
  sought: SoughtPort,
  { byKey, byId, byName, device }: Candidates,
  call: Pick<Call, 'instance' | 'dataDir' | 'isAnothersSocket'>,
): Omit<Sighting, 'root'> {
  const elsewhere = byKey.map(marksOf).filter((found) => !isOwn(found, call));
  const byMarks = byKey.filter((row) => isOwn(marksOf(row), call));
  // An administrator can keep the port by marking it.
  const recorded = byId && isFree(marksOf(byId)) ? [byId] : [];
  const named = byName && marksOf(byName).owner === undefined && !byId ? byName : undefined;
  const settled = named && isSettled(sought, device, call);
  const found = [...byMarks, ...recorded, ...(named && settled === 'own' ? [named] : [])];
  const own = new Map(found.map((row) => [readUuid(row._uuid), ownPort(row)]));
  return {
    own: [...own.values()],
    elsewhere,
    unsettled: settled === 'unsettled' && own.size === 0 ? unsettledPort(sought) : undefined,
  };
}

/**
 * Whether no mark names another owner. The key does not count, because a recorded row is ours and another tool can have changed it.
 */
const isFree = (marks: Marks): boolean => marks.owner === undefined || isOurs(marks);

export const portColumns = ['_uuid', 'name', 'interfaces', 'external_ids'];

function questions({ key, port, recorded }: SoughtPort): Operation[] {
  return [
    selectSwitch,
    select('Port', [withMarks(ownerMarks(key))], portColumns),
    ...(recorded === undefined ? [] : [select('Port', [withId(recorded)], portColumns)]),
    ...(port ? selectNamed(port) : []),
  ];
}

const selectNamed = ({ name }: PortPlan): Operation[] => [
  select('Port', [withName(name)], portColumns),
  select('Interface', [withName(name)], ['type', 'options']),
];

function answersOf({ port, recorded }: SoughtPort, answers: readonly OperationResult[]) {
  const rest = [...answers];
  const byId = recorded === undefined ? undefined : rest.shift()?.rows?.[0];
  const [byName, device] = port ? rest.map(({ rows }) => rows?.[0]) : [];
  return { byId, byName, device };
}

/**
 * Judges a port without marks that has our port's name. In client mode its socket path decides. In server mode the row has no
 * socket path, so only a recorded _uuid could decide, and a recorded one belongs to another row.
 */
function isSettled({ port, recorded }: SoughtPort, device: Row | undefined, call: Pick<Call, 'isAnothersSocket'>) {
  if (!port) return 'anothers';
  if (port.mode === 'client') {
    const path = readMap(device?.options)['vhost-server-path'];
    const isOurs = path === switchPathOf(port) && !call.isAnothersSocket?.(socketOf(port));
    return isOurs ? 'own' : 'anothers';
  }
  return device?.type === interfaceType.server && recorded === undefined ? 'unsettled' : 'anothers';
}

function unsettledPort({ key, port }: SoughtPort): Trouble {
  const message = `port "${port?.name}" has no marks, and the journal of ${keyText(key)} no record of its row: whose it is cannot be told. If it is this attachment's, remove it by hand (ovs-vsctl del-port); if it is not, mark it (external_ids:owner)`;
  return { code: code.tryAgainLater, message };
}

const marksOf = (row: Row): Marks => readMap(row.external_ids);

const ownPort = (row: Row): OwnPort => ({
  id: readUuid(row._uuid),
  device: readUuid(row.interfaces),
  name: String(row.name),
  marks: marksOf(row),
  external: row.external_ids,
});
