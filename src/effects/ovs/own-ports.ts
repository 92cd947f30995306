/**
 * Which rows of table Port are an attachment's: by its marks; by the _uuid that its journal has; and, where another tool has cleared
 * the marks, by its name together with its socket. What none of these settles is said, and is not taken for absence.
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
  uuid,
  withMarks,
} from './operations.ts';
import { selectSwitch } from './root-row.ts';
import type { AttachmentSwitch } from './switch.ts';

export interface OwnPort {
  readonly id: string;
  /** _uuid of its Interface. */
  readonly device: string;
  readonly name: string;
  /** Its external_ids: none where another tool has cleared them. */
  readonly marks: Marks;
  /** The same as the database writes them: a row that has others by then is looked at again. */
  readonly external: unknown;
}

export interface Sighting {
  /** The row of table Open_vSwitch. */
  readonly root: Row | undefined;
  readonly own: readonly OwnPort[];
  /** The marks of ports of this key that were made through another data directory. */
  readonly elsewhere: readonly Marks[];
  /** Of a port that may be ours or not. */
  readonly unsettled: Trouble | undefined;
}

/** By what an attachment's port is known: its key, and where there was one the port that was planned and the row that was recorded. */
export interface SoughtPort {
  readonly key: AttachmentKey;
  readonly port?: PortPlan | undefined;
  /** _uuid of its row. */
  readonly recorded?: string | undefined;
}

export const soughtPort = ({ key, port }: Plan, facts: Facts): SoughtPort => ({
  key,
  port,
  recorded: isMadePort(facts.port) ? facts.port.uuid : undefined,
});

/** Rows that may be an attachment's. */
interface Candidates {
  /** Of table Port: those that bear our mark and the attachment's key; the one that its journal recorded; the one of its name. */
  readonly byKey: readonly Row[];
  readonly byId: Row | undefined;
  readonly byName: Row | undefined;
  /** Of table Interface, of the port's name. */
  readonly device: Row | undefined;
}

/** Under the fence: what a dead call had sent has landed by then, or never will. */
export async function seekOwn(ovs: AttachmentSwitch, sought: SoughtPort): Promise<Sighting> {
  const [root, marks, ...more] = await ovs.fenced(questions(sought));
  const found = ownAmong(sought, { byKey: marks?.rows ?? [], ...answersOf(sought, more) }, ovs.call);
  return { ...found, root: root?.rows?.[0] };
}

/** Whose these rows are. */
export function ownAmong(
  sought: SoughtPort,
  { byKey, byId, byName, device }: Candidates,
  call: Pick<Call, 'instance' | 'dataDir' | 'isAnothersSocket'>,
): Omit<Sighting, 'root'> {
  const elsewhere = byKey.map(marksOf).filter((found) => !isOwn(found, call));
  const byMarks = byKey.filter((row) => isOwn(marksOf(row), call));
  // An administrator keeps it by marking it.
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

/** Whether marks do not say that it is another's. Of a recorded row the key can only be one that was lost or spoilt. */
const isFree = (marks: Marks): boolean => marks.owner === undefined || isOurs(marks);

export const portColumns = ['_uuid', 'name', 'interfaces', 'external_ids'];

function questions({ key, port, recorded }: SoughtPort): Operation[] {
  const byName = [['name', '==', port?.name]];
  return [
    selectSwitch,
    select('Port', [withMarks(ownerMarks(key))], portColumns),
    ...(recorded === undefined ? [] : [select('Port', [['_uuid', '==', uuid(recorded)]], portColumns)]),
    ...(port ? [select('Port', byName, portColumns), select('Interface', byName, ['type', 'options'])] : []),
  ];
}

function answersOf({ port, recorded }: SoughtPort, answers: readonly OperationResult[]) {
  const rest = [...answers];
  const byId = recorded === undefined ? undefined : rest.shift()?.rows?.[0];
  const [byName, device] = port ? rest.map(({ rows }) => rows?.[0]) : [];
  return { byId, byName, device };
}

/**
 * A port without any mark that bears the name of ours. In client mode its socket tells; in server mode the switch names none, so that
 * only a recorded _uuid could, and one that is recorded is another row's.
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
