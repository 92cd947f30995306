/**
 * Looking at ports without changing anything: is ours as it was planned, who holds a name, what do marks tell.
 */

import { lstat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { code, configDataName, holdFileName, keyText, owner, shortId, type Trouble } from '../../attachment.ts';
import { type Moment, within } from '../../deadlines.ts';
import type {
  AnnotationPlan,
  Call,
  Database,
  FilePlan,
  KnownPort,
  Outcome,
  Plan,
  PortPlan,
  Request,
  SocketDirPlan,
} from '../../machines/protocol.ts';
import { Directory } from '../files/directory.ts';
import { isLater, readNetns } from '../netns.ts';
import { codeOf, failed, inTime } from '../outcome.ts';
import { interfaceType, noType, ovnPortId, socketOf, switchPathOf } from './columns.ts';
import { notAtWork } from './daemon.ts';
import { isOurs, isOwn, type Marks, madeElsewhere, netnsMarks, ownerMarks } from './marks.ts';
import {
  map,
  marked,
  type Operation,
  type OperationResult,
  type Row,
  readMap,
  readSet,
  select,
  uuid,
} from './operations.ts';
import { seekOwn } from './own-ports.ts';
import { switchSocketDirectory } from './root-row.ts';
import type { Switch } from './switch.ts';

type Sought = Pick<Request, 'plan' | 'facts'>;

/** A link that is down is no drift: the application may not have come yet (A3). */
export async function findPort(ovs: Switch, { plan, facts }: Sought, port: PortPlan, call: Call): Promise<Outcome> {
  const { own, root } = await seekOwn(ovs, { plan, facts }, call);
  const [found] = own;
  if (!found) return failed(code.drift, `port "${port.name}" is gone`);
  const [ports, interfaces, bridges] = await ovs.read(
    plan,
    [
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
    ],
    call.end,
  );
  const row = ports?.rows?.[0] ?? {};
  const drift = [
    ...(isOurs(found.marks) ? [] : ['its marks (external_ids) are gone']),
    ...differences(port, row, interfaces?.rows?.[0] ?? {}, String(bridges?.rows?.[0]?.name ?? '')),
    ...(port.mode === 'server' ? await socketDrift(port, switchSocketDirectory(plan.ovsdb, root), call.end) : []),
  ];
  if (drift.length > 0) return failed(code.drift, `port "${port.name}": ${drift.join(', ')}`);
  // What the database says of it a dead daemon has left there.
  const trouble = await notAtWork(ovs, plan, root, within(call.end, workMs));
  return trouble ? { kind: 'failed', trouble, unjudged: true } : { kind: 'ok' };
}

/** A daemon that loads flows applies nothing for a while. */
const workMs = 5_000;

/**
 * Whether the switch lost the port (its database was wiped), or the socket that it made (it restarted). What only differs from what
 * was asked is somebody's wish.
 */
export async function isPortLost(ovs: Switch, { plan, facts }: Sought, port: PortPlan, call: Call): Promise<boolean> {
  const { own, root } = await seekOwn(ovs, { plan, facts }, call);
  const [found] = own;
  if (!found) return true;
  const [devices] = await ovs.read(
    plan,
    [select('Interface', [['_uuid', '==', uuid(found.device)]], ['type'])],
    call.end,
  );
  if (devices?.rows?.[0]?.type === noType) return true;
  if (port.mode === 'client') return false;
  return (await socketDrift(port, switchSocketDirectory(plan.ovsdb, root), call.end)).length > 0;
}

/** Every port of this plugin on a switch, whichever data directory it belongs to. */
export async function listPorts(ovs: Switch, database: Database, end: Moment): Promise<KnownPort[]> {
  const [ports] = await ovs.read(database, [select('Port', [marked({ owner })], ['name', 'external_ids'])], end);
  return (ports?.rows ?? []).map((row) => {
    const marks = readMap(row.external_ids) as Marks;
    const { key = '', instance = '', netns: path, begun } = marks;
    const netns = path && { path, file: marks[netnsMarks.file], directory: marks[netnsMarks.directory] };
    return { name: String(row.name), key, instance, ...(netns && { netns }), ...(begun && { begun }) };
  });
}

/** Of a row of table Interface. @returns undefined of a vhost-user port that no application has used: column mtu is 0 until then */
export function usedMtu(row: Row | undefined): number | undefined {
  const mtu = Number(readSet(row?.mtu)[0] ?? 0);
  return mtu > 0 ? mtu : undefined;
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

/** What to ask for `heldTroubles`. */
export function holdersOf(plan: Plan, port: PortPlan): Operation[] {
  return [
    select('Port', [['name', '==', port.name]], ['external_ids']),
    select('Interface', [['name', '==', port.name]], ['external_ids']),
    select('Port', [marked({ owner, socket: socketOf(port) })], ['external_ids']),
    select('Interface', [['options', 'includes', map({ 'vhost-server-path': switchPathOf(port) })]], ['name']),
    select('Port', [marked(ownerMarks(plan))], ['external_ids']),
  ];
}

/** Names and sockets that somebody else holds (B28): code 7 naming the holder. */
export function heldTroubles(plan: Plan, port: PortPlan, answers: readonly OperationResult[], call: Call): Trouble[] {
  const [byName, interfaces, bySocket, byPath, byKey] = answers;
  const socket = socketOf(port);
  const own = keyText(plan.key);
  const foreign = (byKey?.rows ?? []).map((row) => readMap(row.external_ids)).find((marks) => !isOwn(marks, call));
  if (foreign) return [madeElsewhere(plan, foreign)];
  const holders = [...(byName?.rows ?? []), ...(bySocket?.rows ?? [])].map((row) => readMap(row.external_ids));
  const taken = holders.find((marks) => marks.owner !== owner || marks.key !== own);
  if (taken) {
    const remedy = 'give one of the two another interface name or "host.vhost.socketfile"';
    const by = taken.owner === owner ? `attachment "${taken.key}": ${remedy}` : 'a port that is not ours';
    return [{ code: code.invalidConfig, message: `port name "${port.name}" or socket "${socket}" is held by ${by}` }];
  }
  const strangers = holders.length === 0 && [...(interfaces?.rows ?? []), ...(byPath?.rows ?? [])].length > 0;
  const message = `port name "${port.name}" or socket "${socket}" is held by an interface that is not ours`;
  return strangers ? [{ code: code.invalidConfig, message }] : [];
}

/** What the switch says of an attachment that no journal tells of. */
export type RecalledPort =
  | { readonly kind: 'none' }
  /** Ours; and what its marks say of the rest of the attachment. */
  | { readonly kind: 'own'; readonly instance: string; readonly plan: Partial<Plan> }
  | { readonly kind: 'elsewhere'; readonly trouble: Trouble };

export async function recallPort(ovs: Switch, plan: Plan, call: Call): Promise<RecalledPort> {
  const { own, elsewhere } = await seekOwn(ovs, { plan, facts: {} }, call);
  const [found] = own;
  if (found)
    return { kind: 'own', instance: found.marks.instance ?? call.instance, plan: planOfMarks(plan, found.marks) };
  const [foreign] = elsewhere;
  return foreign ? { kind: 'elsewhere', trouble: madeElsewhere(plan, foreign) } : { kind: 'none' };
}

function planOfMarks(plan: Plan, marks: Marks): Partial<Plan> {
  const { directory, bridge } = marks;
  return {
    ...(bridge && { bridge: { name: bridge } }),
    ...(directory && { socketDir: recallDirectory(plan, directory, marks.link) }),
    ...(directory && { publication: recallPublication(plan, directory, marks) }),
  };
}

/** Ours by its name, or one that the pod or its kubelet named and nobody here removes. */
function recallDirectory({ key, socketDir }: Plan, directory: string, mark: string | undefined): SocketDirPlan {
  const link = mark ?? socketDir?.link;
  const rest = { hold: holdFileName(key), ...(link && { link }) };
  if (basename(directory) !== shortId(key)) return { base: directory, ...rest };
  return { base: dirname(directory), own: directory, ...rest };
}

function recallPublication({ key, publication }: Plan, directory: string, marks: Marks): FilePlan | AnnotationPlan {
  const [namespace, name] = marks.pod?.split('/') ?? [];
  const uid = marks['pod-uid'];
  if (marks.kubeconfig && namespace && name) {
    return { kubeconfig: marks.kubeconfig, pod: { namespace, name, ...(uid && { uid }) }, mappedDir: '', data: {} };
  }
  if (publication && 'pod' in publication) return publication;
  return { directory, file: configDataName(key), data: {} };
}

/** Whether a port of ours says that this sandbox began after a moment (netns.ts), and its namespace lives. */
export async function isLaterSandbox(
  ovs: Switch,
  plan: Plan,
  containerId: string,
  moment: string,
  call: Call,
): Promise<boolean> {
  const key = keyText({ ...plan.key, containerId });
  const [ports] = await ovs.read(plan, [select('Port', [marked({ owner, key })], ['external_ids'])], call.end);
  const marks = readMap(ports?.rows?.[0]?.external_ids);
  return isLater(marks.begun ?? '', moment) && readNetns(marks.netns ?? '') !== undefined;
}
