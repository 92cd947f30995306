/**
 * What intel/userspace-cni-network-plugin or its fork left of an attachment: a port without marks of ours, a socket, perhaps a bind
 * mount (predecessor-mount.ts), and the state file that says it was its own. Without that file nothing here is touched (I6).
 *
 * Invariants
 *  PR1 The state file goes last, and only once all that it spoke of is proved gone: what cannot be settled is owed.
 *  PR2 What another attachment, another tool or an administrator may hold under the same name stays.
 */

import { closeSync, lstatSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { owner, portName } from '../../attachment.ts';
import { type Moment, polled, within } from '../../deadlines.ts';
import type { Plan, PredecessorPlan } from '../../machines/protocol.ts';
import { flock } from '../../os/native.ts';
import { codeOf, DirectoryTimeout, Mismatch } from '../outcome.ts';
import { interfaceType } from './columns.ts';
import { map, type Row, readMap, readUuid, readUuids, select } from './operations.ts';
import { deletePort } from './port-removal.ts';
import { findPoints, isDead, removeMount } from './predecessor-mount.ts';
import {
  type OldPort,
  otherStates,
  type Remains,
  readState,
  removeState,
  type SavedState,
  saveState,
} from './predecessor-state.ts';
import { selectSwitch } from './root-row.ts';
import { isNamed, removeSocket, selectNamers, statSocket } from './socket.ts';
import type { AttachmentSwitch } from './switch.ts';

/** What cannot be looked for may be there. */
export function isPredecessors({ stateFile }: PredecessorPlan): boolean {
  try {
    return lstatSync(stateFile, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    return codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR';
  }
}

/** @returns what to wait for before its address may be another's, as of a port of ours */
export async function removePredecessors(ovs: AttachmentSwitch, old: PredecessorPlan): Promise<number> {
  const near = () => within(ovs.end, ovs.whole.deadlines.directoryMs);
  return await alone(dirname(old.stateFile), ovs.end, async () => {
    const state = readState(old.stateFile, ovs.plan);
    // It went last: the port is gone, perhaps a moment ago.
    if (!state) return await nextCfgOf(ovs);
    const others = otherStates(old.stateFile);
    return await removeAll({ ovs, old, state, others, near });
  });
}

/**
 * Of two interfaces of one pod each would leave the mount to the other, as long as it sees the other's state file: one after the
 * other. The predecessor itself takes no lock.
 */
async function alone<T>(directory: string, end: Moment, action: () => Promise<T>): Promise<T> {
  let fd: number | undefined;
  try {
    fd = openSync(directory, 'r');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error;
  }
  try {
    const lock = fd;
    if (lock !== undefined && !(await polled(() => flock(lock), end)))
      throw new Mismatch(`another call takes away what the predecessor left: "${directory}" is locked`);
    return await action();
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

async function nextCfgOf(ovs: AttachmentSwitch): Promise<number> {
  const [root] = await ovs.patiently(() => ovs.fenced([selectSwitch]));
  return Number(root?.rows?.[0]?.next_cfg);
}

/** Socket, mount, port, state file. The port goes although its directory cannot be reached: a pod that is gone must not forward. */
async function removeAll(remains: Remains): Promise<number> {
  const { ovs, old, state } = remains;
  const { found, nextCfg } = await ovs.patiently(() => lookUp(remains));
  const troubles: unknown[] = [];
  // One that is stuck keeps a thread of few: the next touch would only wait as long again.
  const isStuck = () => troubles.some((trouble) => trouble instanceof DirectoryTimeout);
  const attempt = async (action: () => Promise<void>) =>
    isStuck() ? undefined : await action().catch((error) => void troubles.push(error));
  let points: string[] = [];
  await attempt(async () => {
    points = await findPoints(remains, found);
  });
  await attempt(() => removeOldSockets(remains, found, points));
  for (const point of points) await attempt(() => removeMount(remains, point, found));
  // The row is all that tells where the mount is, and a call that dies after it went must not have to guess.
  if (found?.socket) saveState(old.stateFile, state, found);
  const goneAt = found && (await ovs.patiently(() => deletePort(ovs, { id: found.id })));
  if (!found && !state.isTold) await attempt(() => proveNone(remains));
  if (troubles.length > 0) throw troubles[0];
  removeState(old.stateFile);
  return goneAt ?? nextCfg;
}

// ---- the port

const isVhost = (device: Row): boolean => Object.values<unknown>(interfaceType).includes(device.type);

/** The fork marks the Interface, with the same owner as ours on the Port, and these two beside it. */
const forkMarks = ({ key }: Plan) => ({ 'container-id': key.containerId, interface: key.ifName });

async function lookUp(remains: Remains): Promise<{ found?: OldPort; nextCfg: number }> {
  const { ovs, state } = remains;
  const portColumns = ['_uuid', 'name', 'interfaces', 'external_ids'];
  const columns = ['_uuid', 'name', 'type', 'options', 'external_ids'];
  const byName = state.names.map((name) => [['name', '==', name]]);
  const asked = [
    selectSwitch,
    select('Interface', [['external_ids', 'includes', map(forkMarks(ovs.plan))]], columns),
    ...byName.map((where) => select('Interface', where, columns)),
  ];
  const [root, ...answers] = await ovs.fenced(asked);
  const nextCfg = Number(root?.rows?.[0]?.next_cfg);
  for (const device of answers.flatMap(({ rows = [] }) => rows)) {
    const where = [['interfaces', 'includes', device._uuid]];
    const [ports] = await ovs.read([select('Port', where, portColumns)]);
    const port = ports?.rows?.[0];
    if (!port || !(await isIts(remains, port, device))) continue;
    const socket = readMap(device.options)['vhost-server-path'];
    const ids = { id: readUuid(port._uuid), device: readUuid(device._uuid), name: String(device.name) };
    return { nextCfg, found: { ...ids, ...(socket?.startsWith('/') && { socket }) } };
  }
  return { nextCfg };
}

/**
 * Names are unique on a switch, whatever the bridge: what bears this one and is not its port proves that its port is gone.
 * @throws Mismatch where only the name speaks for it, and the bridge against it
 */
async function isIts({ ovs, state, others }: Remains, port: Row, device: Row): Promise<boolean> {
  const { plan, call } = ovs;
  const name = String(device.name);
  if (!isVhost(device) || port.name !== name || readUuids(port.interfaces).length !== 1) return false;
  const marks = readMap(device.external_ids);
  // With marks it is another's: ours and other tools' are on the Port, the fork's on the Interface.
  if (readMap(port.external_ids).owner !== undefined) return false;
  if (marks.owner !== undefined) {
    const [id, interfaceName] = [marks['container-id'], marks.interface];
    return marks.owner === owner && id === plan.key.containerId && interfaceName === plan.key.ifName;
  }
  // Ours without its marks: the journal of a living attachment names the socket.
  const socket = readMap(device.options)['vhost-server-path'];
  if (socket && call.isAnothersSocket?.(socket)) return false;
  // Two files with one name: the first port was lost, the later attachment has made it again.
  if (others.some((other) => other.isTold && other.names.includes(name) && isLater(other, state))) return false;
  if (name === portName(plan.key) || !plan.bridge) return true;
  const [bridges] = await ovs.read([select('Bridge', [['ports', 'includes', port._uuid]], ['name'])]);
  const bridge = bridges?.rows?.[0]?.name;
  if (bridge === plan.bridge.name) return true;
  throw new Mismatch(
    `port "${name}" is on bridge "${bridge}" instead of "${plan.bridge.name}": if the predecessor made it, delete it (ovs-vsctl del-port ${name})`,
  );
}

/** Files that a backup gave one time must not leave the port to each other. */
const isLater = (one: SavedState, other: SavedState): boolean =>
  one.writtenMs > other.writtenMs || (one.writtenMs === other.writtenMs && one.sandbox > other.sandbox);

/** Its name is a guess, and nothing bears it: only if every vhost-user port is known to be another's, it is gone. */
async function proveNone({ ovs, old, others }: Remains): Promise<void> {
  const columns = ['name', 'external_ids'];
  const asked = Object.values(interfaceType).map((type) => select('Interface', [['type', '==', type]], columns));
  const [ports, ...devices] = await ovs.read([select('Port', [], columns), ...asked]);
  const owned = (rows: readonly Row[] = []) => rows.filter((row) => readMap(row.external_ids).owner !== undefined);
  const all = devices.flatMap(({ rows = [] }) => rows);
  const known = [...owned(ports?.rows), ...owned(all)].map((row) => String(row.name));
  const explained = new Set([...known, ...others.flatMap(({ names }) => names)]);
  const left = all.map((row) => String(row.name)).filter((name) => !explained.has(name));
  if (left.length === 0) return;
  throw new Mismatch(
    `"${old.stateFile}" cannot be read, and one of these ports may be what it spoke of: ${left.join(', ')}. If one is, delete it; then remove the file`,
  );
}

// ---- the socket

const isFileName = (name: string): boolean => !name.includes('/') && name !== '.' && name !== '..';

/** Where no row says its path, it may lie wherever the predecessor put sockets. */
async function removeOldSockets(
  remains: Remains,
  found: OldPort | undefined,
  points: readonly string[],
): Promise<void> {
  const { old, state, others } = remains;
  if (found?.socket) return await removeOldSocket(remains, found.socket, found);
  const shared = new Set(others.flatMap(({ names }) => names));
  for (const name of state.names.filter((one) => isFileName(one) && !shared.has(one))) {
    const places = [...old.directories, ...points].map((directory) => join(directory, name));
    // It forgot the slash where it moved a socket of server mode.
    for (const socket of [...places, ...points.map((point) => `${point}${name}`)])
      await removeOldSocket(remains, socket, found);
  }
}

/** By its name it may be that of a pod that came later, and has a port of ours. */
async function removeOldSocket({ ovs, near }: Remains, socket: string, found: OldPort | undefined) {
  const lying = await statSocket(socket, near()).catch((error) => {
    if (!isDead(error)) throw error;
    return undefined;
  });
  if (!lying) return;
  const namers = await ovs.patiently(() => ovs.read(selectNamers(socket)));
  const mine = new Set(found && [found.id, found.device]);
  if (!isNamed(namers, mine) && !ovs.call.isAnothersSocket?.(socket)) await removeSocket(socket, near(), lying);
}
