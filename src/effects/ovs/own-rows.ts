/**
 * The rows of this plugin as they are, for a bug report: its ports with their interfaces, the bridges that have them or bear our mark, and
 * the columns of the switch itself that decide about vhost-user ports. One transaction, without a fence.
 */
import type { EngineRows } from '../engine.ts';
import { isOurs } from './marks.ts';
import { type OperationResult, type Row, readMap, readUuid, readUuids, select } from './operations.ts';
import type { BoundSwitch } from './switch.ts';

const columns = {
  Open_vSwitch: [
    ...[
      '_uuid',
      'ovs_version',
      'dpdk_version',
      'dpdk_initialized',
      'next_cfg',
      'cur_cfg',
      'datapath_types',
      'iface_types',
    ],
    ...['external_ids', 'other_config'],
  ],
  Bridge: [
    ...[
      '_uuid',
      'name',
      'ports',
      'datapath_type',
      'datapath_id',
      'fail_mode',
      'status',
      'external_ids',
      'other_config',
    ],
  ],
  Port: ['_uuid', 'name', 'interfaces', 'tag', 'trunks', 'vlan_mode', 'external_ids', 'other_config'],
  Interface: [
    ...[
      '_uuid',
      'name',
      'type',
      'options',
      'ofport',
      'error',
      'link_state',
      'mac_in_use',
      'mtu',
      'mtu_request',
      'status',
    ],
    ...['ingress_policing_rate', 'ingress_policing_burst', 'statistics', 'external_ids', 'other_config'],
  ],
} as const;

/** @throws Unreachable, TransactionError */
export async function ownRows(ovs: BoundSwitch): Promise<EngineRows> {
  const tables = Object.entries(columns);
  const results = await ovs.read(tables.map(([table, names]) => select(table, [], names)));
  const [roots = [], bridges = [], ports = [], interfaces = []] = results.map(
    ({ rows }: OperationResult) => rows ?? [],
  );
  const own = ports.filter((row) => isOurs(readMap(row.external_ids)));
  const ids = new Set(own.map((row) => readUuid(row._uuid)));
  const devices = new Set(own.flatMap((row) => readUuids(row.interfaces)));
  const isOwnBridge = (row: Row): boolean =>
    isOurs(readMap(row.external_ids)) || readUuids(row.ports).some((id) => ids.has(id));
  return {
    Open_vSwitch: roots.map(plainRow),
    Bridge: bridges.filter(isOwnBridge).map(plainRow),
    Port: own.map(plainRow),
    Interface: interfaces.filter((row) => devices.has(readUuid(row._uuid))).map(plainRow),
  };
}

const plainRow = (row: Row) =>
  Object.fromEntries(Object.entries(row).map(([column, value]) => [column, plainValue(value)]));

/** A map as an object, a set as a list, a uuid as its text (RFC 7047 5.1). */
function plainValue(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  const [kind, content] = value;
  if (kind === 'map') return readMap(value);
  if (kind === 'set') return (content as unknown[]).map(plainValue);
  return content;
}
