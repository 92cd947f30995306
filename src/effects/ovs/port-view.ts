/**
 * Looking at ports without changing anything: is our port as planned, is it lost, and which ports does the switch have?
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { code, owner } from '../../attachment.ts';
import { type Moment, within } from '../../deadlines.ts';
import type { Facts, KnownPort, Outcome, PortPlan } from '../../machines/protocol.ts';
import { Directory } from '../files/directory.ts';
import { codeOf, failed, inTime, ok } from '../outcome.ts';
import { columnDifferences, differenceOf, emptyType, plannedColumns, socketOf } from './columns.ts';
import { workTrouble } from './daemon.ts';
import { isOurs, type Marks, netnsMarks } from './marks.ts';
import { type Row, readMap, readSet, select, uuid, withId, withMarks } from './operations.ts';
import { seekOwn, soughtPort } from './own-ports.ts';
import { switchSocketDirectory } from './root-row.ts';
import type { AttachmentSwitch, BoundSwitch } from './switch.ts';

/** A link that is down is not drift, because the application may not have connected yet (case A3). */
export async function findPort(ovs: AttachmentSwitch, port: PortPlan, facts: Facts): Promise<Outcome> {
  const { own, root } = await seekOwn(ovs, soughtPort(ovs.plan, facts));
  const [found] = own;
  if (!found) return failed(code.drift, `port "${port.name}" is gone`);
  const [ports, interfaces, bridges] = await ovs.read([
    select('Port', [withId(found.id)], plannedColumns('Port')),
    select('Interface', [withId(found.device)], [...plannedColumns('Interface'), 'ofport', 'error']),
    select('Bridge', [['ports', 'includes', uuid(found.id)]], ['name']),
  ]);
  const rows = { Port: ports?.rows?.[0] ?? {}, Interface: interfaces?.rows?.[0] ?? {} };
  const drift = [
    ...(isOurs(found.marks) ? [] : ['its marks (external_ids) are gone']),
    ...differenceOf('bridge', port.bridge, String(bridges?.rows?.[0]?.name ?? '')),
    ...columnDifferences(port, rows),
    ...refusalsOf(rows.Interface),
    ...(port.mode === 'server' ? await socketDrift(port, switchSocketDirectory(ovs.ovsdb, root), ovs.end) : []),
  ];
  if (drift.length > 0) return failed(code.drift, `port "${port.name}": ${drift.join(', ')}`);
  // A dead daemon leaves its columns in the database, so the process is looked at too.
  const trouble = await workTrouble(ovs.until(within(ovs.end, workMs)), root);
  return trouble ? { kind: 'failed', trouble, unjudged: true } : ok;
}

/** A daemon that loads flows applies nothing for a while. */
const workMs = 5_000;

/**
 * Whether the switch lost the port (its database was wiped), or the socket that it made (it restarted). A port that only differs
 * from its plan is not lost, because an administrator may have changed it.
 */
export async function isPortLost(ovs: AttachmentSwitch, port: PortPlan, facts: Facts): Promise<boolean> {
  const { own, root } = await seekOwn(ovs, soughtPort(ovs.plan, facts));
  const [found] = own;
  if (!found) return true;
  const [devices] = await ovs.read([select('Interface', [withId(found.device)], ['type'])]);
  if (devices?.rows?.[0]?.type === emptyType) return true;
  if (port.mode === 'client') return false;
  return (await socketDrift(port, switchSocketDirectory(ovs.ovsdb, root), ovs.end)).length > 0;
}

/** Lists every port of this plugin on a switch, whichever data directory it belongs to. */
export async function listPorts(ovs: BoundSwitch): Promise<KnownPort[]> {
  const [ports] = await ovs.read([select('Port', [withMarks({ owner })], ['name', 'external_ids'])]);
  return (ports?.rows ?? []).map((row) => {
    const marks = readMap(row.external_ids) as Marks;
    const { key = '', instance = '', netns: path, begun } = marks;
    const netns = path && { path, file: marks[netnsMarks.file], directory: marks[netnsMarks.directory] };
    return { name: String(row.name), key, instance, ...(netns && { netns }), ...(begun && { begun }) };
  });
}

/** The words of ovs-vswitchd about an interface that it did not take. */
function refusalsOf(row: Row): string[] {
  const [trouble] = readSet(row.error);
  return [
    ...(trouble ? [`error is "${trouble}"`] : []),
    ...(Number(readSet(row.ofport)[0] ?? -1) < 0 ? ['it has no ofport'] : []),
  ];
}

/** A restarted switch makes the socket again in its own directory. The file in the pod's directory then leads nowhere. */
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
