/**
 * The bridge of an attachment. Several attachments share one: the first makes it, the last takes it away, an administrator's is
 * never touched (I6). Each is one guarded transaction, so that no ADD and DEL can meet in the middle (B20, B21, B42).
 */
import { code } from '../attachment.ts';
import type { BridgePlan, Call, Outcome, Plan } from '../machines/protocol.ts';
import { map, named, readUuid, readUuids, set, uuid } from './ovsdb.ts';
import { guarded, instanceMarks, marked, type Switch, select, unless } from './switch.ts';

const byName = (name: string): unknown => ['name', '==', name];

export async function ensureBridge(ovs: Switch, plan: Plan, bridge: BridgePlan, call: Call): Promise<Outcome> {
  const { name } = bridge;
  try {
    await ovs.fenced(plan, creation(name, call), call);
    return { kind: 'ok', facts: { created: true, ours: true } };
  } catch (error) {
    if (!guarded(error)) throw error;
    const ours = [byName(name), marked(instanceMarks(call))];
    const [found] = await ovs.read(plan, [select('Bridge', ours, ['name'])], call.end);
    return { kind: 'ok', facts: { created: false, ours: found?.rows?.length === 1 } };
  }
}

/** A bridge needs a local port of its own; fail_mode standalone makes it a learning switch at once (B43). */
const creation = (name: string, call: Call) => [
  unless('Bridge', [byName(name)], []),
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
      external_ids: map(instanceMarks(call)),
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

export async function removeBridge(ovs: Switch, plan: Plan, bridge: BridgePlan, call: Call): Promise<Outcome> {
  await ovs.patiently(() => removeIfEmpty(ovs, plan, bridge.name, call), call.end);
  return { kind: 'ok' };
}

async function removeIfEmpty(ovs: Switch, plan: Plan, name: string, call: Call): Promise<void> {
  const ours = marked(instanceMarks(call));
  const [bridges, ports] = await ovs.read(
    plan,
    [select('Bridge', [byName(name), ours], ['_uuid', 'ports']), select('Port', [byName(name)], ['_uuid'])],
    call.end,
  );
  const found = bridges?.rows?.[0];
  const local = readUuid(ports?.rows?.[0]?._uuid);
  if (!found || readUuids(found.ports).some((port) => port !== local)) return;
  const id = uuid(readUuid(found._uuid));
  const operations = [
    unless('Bridge', [['_uuid', '==', id], ours], [{ ports: local ? uuid(local) : set([]) }]),
    {
      op: 'mutate',
      table: 'Open_vSwitch',
      where: [],
      mutations: [['bridges', 'delete', id]],
    },
  ];
  await ovs.fenced(plan, operations, call).catch((error) => {
    // A sibling came, or another DEL was faster.
    if (!guarded(error)) throw error;
  });
}

export async function findBridge(ovs: Switch, plan: Plan, bridge: BridgePlan, call: Call): Promise<Outcome> {
  const [bridges] = await ovs.read(plan, [select('Bridge', [byName(bridge.name)], ['datapath_type'])], call.end);
  const found = bridges?.rows?.[0];
  if (found?.datapath_type === 'netdev') return { kind: 'ok' };
  const seen = found ? `has datapath_type "${found.datapath_type}" instead of "netdev"` : 'is gone';
  return { kind: 'failed', trouble: { code: code.drift, message: `bridge "${bridge.name}" ${seen}` } };
}
