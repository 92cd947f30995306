/**
 * Looking at ports without changing anything: is ours as it was planned, who holds a name, what do marks tell.
 */

import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { code, owner } from '../../attachment.ts';
import { type Moment, within } from '../../deadlines.ts';
import type { Facts, KnownPort, Outcome, PortPlan } from '../../machines/protocol.ts';
import { Directory } from '../files/directory.ts';
import { codeOf, failed, inTime, ok } from '../outcome.ts';
import { interfaceType, noType, ovnPortId, socketOf, switchPathOf, usedMtu } from './columns.ts';
import { notAtWork } from './daemon.ts';
import { isOurs, type Marks, netnsMarks } from './marks.ts';
import { marked, type Row, readMap, readSet, select, uuid } from './operations.ts';
import { seekOwn, soughtPort } from './own-ports.ts';
import { switchSocketDirectory } from './root-row.ts';
import type { AttachmentSwitch, BoundSwitch } from './switch.ts';

/** A link that is down is no drift: the application may not have come yet (A3). */
export async function findPort(ovs: AttachmentSwitch, port: PortPlan, facts: Facts): Promise<Outcome> {
  const { own, root } = await seekOwn(ovs, soughtPort(ovs.plan, facts));
  const [found] = own;
  if (!found) return failed(code.drift, `port "${port.name}" is gone`);
  const [ports, interfaces, bridges] = await ovs.read([
    select('Port', [['_uuid', '==', uuid(found.id)]], ['tag', 'trunks', 'vlan_mode']),
    select(
      'Interface',
      [['_uuid', '==', uuid(found.device)]],
      [
        'type',
        'options',
        'external_ids',
        'mtu',
        'mtu_request',
        'ingress_policing_rate',
        'ingress_policing_burst',
        'ofport',
        'error',
      ],
    ),
    select('Bridge', [['ports', 'includes', uuid(found.id)]], ['name']),
  ]);
  const row = ports?.rows?.[0] ?? {};
  const drift = [
    ...(isOurs(found.marks) ? [] : ['its marks (external_ids) are gone']),
    ...differences(port, row, interfaces?.rows?.[0] ?? {}, String(bridges?.rows?.[0]?.name ?? '')),
    ...(port.mode === 'server' ? await socketDrift(port, switchSocketDirectory(ovs.ovsdb, root), ovs.end) : []),
  ];
  if (drift.length > 0) return failed(code.drift, `port "${port.name}": ${drift.join(', ')}`);
  // What the database says of it a dead daemon has left there.
  const trouble = await notAtWork(ovs.until(within(ovs.end, workMs)), root);
  return trouble ? { kind: 'failed', trouble, unjudged: true } : ok;
}

/** A daemon that loads flows applies nothing for a while. */
const workMs = 5_000;

/**
 * Whether the switch lost the port (its database was wiped), or the socket that it made (it restarted). What only differs from what
 * was asked is somebody's wish.
 */
export async function isPortLost(ovs: AttachmentSwitch, port: PortPlan, facts: Facts): Promise<boolean> {
  const { own, root } = await seekOwn(ovs, soughtPort(ovs.plan, facts));
  const [found] = own;
  if (!found) return true;
  const [devices] = await ovs.read([select('Interface', [['_uuid', '==', uuid(found.device)]], ['type'])]);
  if (devices?.rows?.[0]?.type === noType) return true;
  if (port.mode === 'client') return false;
  return (await socketDrift(port, switchSocketDirectory(ovs.ovsdb, root), ovs.end)).length > 0;
}

/** Every port of this plugin on a switch, whichever data directory it belongs to. */
export async function listPorts(ovs: BoundSwitch): Promise<KnownPort[]> {
  const [ports] = await ovs.read([select('Port', [marked({ owner })], ['name', 'external_ids'])]);
  return (ports?.rows ?? []).map((row) => {
    const marks = readMap(row.external_ids) as Marks;
    const { key = '', instance = '', netns: path, begun } = marks;
    const netns = path && { path, file: marks[netnsMarks.file], directory: marks[netnsMarks.directory] };
    return { name: String(row.name), key, instance, ...(netns && { netns }), ...(begun && { begun }) };
  });
}

function differences(port: PortPlan, row: Row, iface: Row, bridge: string): string[] {
  const one = (value: unknown): unknown => readSet(value)[0];
  const trunks = (values: readonly unknown[]) =>
    [...values]
      .map(Number)
      .sort((a, b) => a - b)
      .join(' ');
  const path = port.mode === 'client' ? switchPathOf(port) : undefined;
  const compared: [string, unknown, unknown][] = [
    ['bridge', port.bridge, bridge],
    ['type', interfaceType[port.mode], iface.type],
    ['vhost-server-path', path, readMap(iface.options)['vhost-server-path']],
    ['tag', port.vlan.tag, one(row.tag)],
    ['trunks', trunks(port.vlan.trunks ?? []), trunks(readSet(row.trunks))],
    ['vlan_mode', port.vlan.mode, one(row.vlan_mode)],
    // OVN's own, where none was asked for.
    [ovnPortId, port.ovnPort, port.ovnPort && readMap(iface.external_ids)[ovnPortId]],
    ['mtu_request', port.mtu, one(iface.mtu_request)],
    ['mtu', port.mtu, port.mtu && (usedMtu(iface) ?? port.mtu)],
    ['ingress_policing_rate', port.policingRate ?? 0, iface.ingress_policing_rate],
    ['ingress_policing_burst', port.policingBurst ?? 0, iface.ingress_policing_burst],
  ];
  const [trouble] = readSet(iface.error);
  return [
    ...compared
      .filter(([, wanted, seen]) => wanted !== seen)
      .map(([name, wanted, seen]) => `${name} is "${seen ?? ''}" instead of "${wanted ?? ''}"`),
    ...(trouble ? [`error is "${trouble}"`] : []),
    ...(Number(one(iface.ofport) ?? -1) < 0 ? ['it has no ofport'] : []),
  ];
}

/** A switch that restarted has made the socket again, where it makes them: what lies in the pod's directory is nobody's then. */
async function socketDrift(port: PortPlan, switchDirectory: string, end: Moment): Promise<string[]> {
  const again = join(switchDirectory, port.name);
  const made = await inTime(() => lstat(again), end, `"${again}"`).catch((error) => {
    if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw error;
    return undefined;
  });
  if (made?.isSocket()) return [`the switch made its socket again: "${again}"`];
  const directory = await Directory.find(port.directory, end);
  try {
    return (await directory?.stat(port.file))?.isSocket() ? [] : [`socket "${socketOf(port)}" is gone`];
  } finally {
    await directory?.close();
  }
}
