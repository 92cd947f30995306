/**
 * The bridge of an attachment. Several attachments share one: the first makes it, and the last removes it. A bridge of an
 * administrator is never touched (I6). Making and removing are one guarded transaction each, because an ADD and a DEL could
 * otherwise interleave (bug B20, bug B21, bug B42).
 */
import { code, owner } from '../../attachment.ts';
import type { BridgePlan, Call, Facts, IdleBridges, Outcome } from '../../machines/protocol.ts';
import { failed, ok } from '../outcome.ts';
import type { Marks } from './marks.ts';
import { dataDirMark, instanceMarks, isOfAnother, isOwn } from './marks.ts';
import {
  isGuardFailure,
  map,
  named,
  type Row,
  readMap,
  readUuid,
  readUuids,
  select,
  unless,
  uuid,
  withId,
  withMarks,
  withName,
} from './operations.ts';
import type { Switch } from './switch.ts';
import { AttachmentSwitch } from './switch.ts';

export async function ensureBridge(ovs: AttachmentSwitch, { name }: BridgePlan): Promise<Outcome> {
  const { call } = ovs;
  try {
    const [, , , made] = await ovs.fenced(creation(name, call));
    return { kind: 'ok', facts: { created: true, ours: true, uuid: readUuid(made?.uuid) } };
  } catch (error) {
    if (!isGuardFailure(error)) throw error;
    const [bridges] = await ovs.read([select('Bridge', [withName(name)], ['_uuid', 'external_ids'])]);
    const found = bridges?.rows?.[0];
    const ours = found !== undefined && isOwners(found);
    const isOwn = found !== undefined && isOurs(found, undefined, call);
    return { kind: 'ok', facts: { created: false, ours, ...(isOwn && { uuid: readUuid(found._uuid) }) } };
  }
}

/** Whether this plugin made the bridge, through any data directory. If it is lost, any attachment on it makes it again. */
const isOwners = ({ external_ids }: Row): boolean => (readMap(external_ids) as Marks).owner === owner;

/**
 * Whether the bridge's marks name this data directory, by id or by path. If another tool has cleared them, the _uuid in the journal
 * decides. A bridge with another owner's mark is not ours.
 */
function isOurs({ _uuid, external_ids }: Row, known: Facts['bridge'], call: Call): boolean {
  const marks: Marks = readMap(external_ids);
  if (marks.owner === undefined) return known?.uuid !== undefined && known.uuid === readUuid(_uuid);
  return marks.owner === owner && isOwn(marks, call);
}

/** A bridge needs a local port. fail_mode standalone makes it a learning switch at once (bug B43). */
const creation = (name: string, call: Call) => [
  unless('Bridge', [withName(name)], []),
  { op: 'insert', table: 'Interface', row: { name, type: 'internal' }, 'uuid-name': 'interface' },
  { op: 'insert', table: 'Port', row: { name, interfaces: named('interface') }, 'uuid-name': 'port' },
  {
    op: 'insert',
    table: 'Bridge',
    row: {
      name,
      datapath_type: 'netdev',
      fail_mode: 'standalone',
      ports: named('port'),
      external_ids: map({ ...instanceMarks(call), ...(call.dataDir && { [dataDirMark]: call.dataDir }) }),
    },
    'uuid-name': 'bridge',
  },
  {
    op: 'mutate',
    table: 'Open_vSwitch',
    where: [],
    mutations: [['bridges', 'insert', named('bridge')]],
  },
];

/** @param known the journal's facts about the bridge */
export async function removeBridge(
  ovs: AttachmentSwitch,
  { name }: BridgePlan,
  known: Facts['bridge'],
): Promise<Outcome> {
  await ovs.patiently(async () => {
    const [found] = await look(ovs, [withName(name)]);
    if (found && isOurs(found, known, ovs.call)) await removeIfEmpty(ovs, found);
  });
  return ok;
}

/**
 * Removes our bridges that no port uses. A bridge is left over if another owner's port was on it when our last port went, or if its
 * data directory lost its id.
 * @returns their names
 */
export async function removeIdleBridges(
  whole: Switch,
  { database, ids, used, dryRun }: IdleBridges,
  call: Call,
): Promise<string[]> {
  const ovs = new AttachmentSwitch(whole, { ...nothing, ...database }, call);
  const gone: string[] = [];
  for (const bridge of await look(ovs, [withMarks({ owner })])) {
    const marks = readMap(bridge.external_ids) as Marks;
    const isOurOwn = (marks.instance !== undefined && ids.has(marks.instance)) || isOurs(bridge, undefined, call);
    const name = String(bridge.name);
    if (!isOurOwn || isOfAnother(marks, call.dataDir) || used.has(name) || !isEmpty(bridge)) continue;
    if (dryRun || (await removeIfEmpty(ovs, bridge))) gone.push(name);
  }
  return gone;
}

/** The key of no attachment: a recovery removes idle bridges under this fence. */
const nothing = { key: { network: '', containerId: '', ifName: '' }, request: { stdin: '', env: {} } };

async function look(ovs: AttachmentSwitch, where: readonly unknown[]): Promise<readonly Row[]> {
  const columns = ['_uuid', 'name', 'ports', 'external_ids'];
  const [bridges] = await ovs.read([select('Bridge', where, columns)]);
  return bridges?.rows ?? [];
}

/** At most one port. The removal's guard proves that it is the local port. */
const isEmpty = ({ ports }: Row): boolean => readUuids(ports).length <= 1;

/** @returns false if another attachment used the bridge meanwhile, or another DEL removed it first */
async function removeIfEmpty(ovs: AttachmentSwitch, bridge: Row): Promise<boolean> {
  if (!isEmpty(bridge)) return false;
  const { name, ports, external_ids } = bridge;
  const id = readUuid(bridge._uuid);
  const asSeen = [withId(id), ['external_ids', '==', external_ids]];
  const operations = [
    unless('Bridge', asSeen, [{ ports }]),
    ...readUuids(ports).map((local) => unless('Port', [withId(local)], [{ name }])),
    {
      op: 'mutate',
      table: 'Open_vSwitch',
      where: [],
      mutations: [['bridges', 'delete', uuid(id)]],
    },
  ];
  try {
    await ovs.fenced(operations);
    return true;
  } catch (error) {
    if (!isGuardFailure(error)) throw error;
    return false;
  }
}

export async function findBridge(ovs: AttachmentSwitch, bridge: BridgePlan): Promise<Outcome> {
  const [bridges] = await ovs.read([select('Bridge', [withName(bridge.name)], ['datapath_type'])]);
  const found = bridges?.rows?.[0];
  if (found?.datapath_type === 'netdev') return ok;
  const seen = found ? `has datapath_type "${found.datapath_type}" instead of "netdev"` : 'is gone';
  return failed(code.drift, `bridge "${bridge.name}" ${seen}`);
}
