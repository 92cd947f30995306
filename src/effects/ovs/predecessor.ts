/**
 * The remains of an attachment of intel/userspace-cni-network-plugin or its fork: a port without our marks, a socket, perhaps a
 * bind mount (predecessor-mount.ts), and the state file that proves they are its own. Without that file nothing is touched (I6).
 *
 * Invariants
 *  PR1 The state file is removed last, once all that it names is proved gone. If that cannot be proved, the removal stays owed.
 *  PR2 A thing of the same name that another attachment, another tool or an administrator may hold stays.
 */
import { closeSync, lstatSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { owner, portName } from '../../attachment.ts';
import { type Moment, polled, within } from '../../deadlines.ts';
import type { Plan, PredecessorPlan } from '../../machines/protocol.ts';
import { flock } from '../../os/native.ts';
import { codeOf, DirectoryTimeout, Mismatch } from '../outcome.ts';
import { interfaceType } from './columns.ts';
import { map, type Row, readMap, readUuid, readUuids, select, withName } from './operations.ts';
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

/** If the state file cannot be looked for, it may exist. */
export function isPredecessors({ stateFile }: PredecessorPlan): boolean {
  try {
    return lstatSync(stateFile, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    return codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR';
  }
}

/** @returns the next_cfg to wait for before its address may be another's, as for a port of ours */
export async function removePredecessors(ovs: AttachmentSwitch, old: PredecessorPlan): Promise<number> {
  const near = () => within(ovs.end, ovs.whole.deadlines.directoryMs);
  return await alone(dirname(old.stateFile), ovs.end, async () => {
    const state = readState(old.stateFile, ovs.plan);
    // The state file goes last, so the port is gone, perhaps since a moment ago.
    if (!state) return await nextCfgOf(ovs);
    const others = otherStates(old.stateFile);
    return await removeAll({ ovs, old, state, others, near });
  });
}

/**
 * Removals run one after the other. Otherwise two interfaces of one pod would each see the other's state file and leave it the
 * mount. The predecessor itself takes no lock.
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

/**
 * Order: socket, mount, port, state file. The port goes even if its directory is out of reach, because a dead pod must not forward.
 */
async function removeAll(remains: Remains): Promise<number> {
  const { ovs, old, state } = remains;
  const { found, nextCfg } = await ovs.patiently(() => lookUp(remains));
  const troubles: unknown[] = [];
  // A stuck file system keeps one of few threads, and the next touch would only wait as long again.
  const isStuck = () => troubles.some((trouble) => trouble instanceof DirectoryTimeout);
  const attempt = async (action: () => Promise<void>) =>
    isStuck() ? undefined : await action().catch((error) => void troubles.push(error));
  let points: string[] = [];
  await attempt(async () => {
    points = await findPoints(remains, found);
  });
  await attempt(() => removeOldSockets(remains, found, points));
  for (const point of points) await attempt(() => removeMount(remains, point, found));
  // Only the row tells where the mount is. If this call dies after deleting it, the next call must not have to guess.
  if (found?.socket) saveState(old.stateFile, state, found);
  const goneAt = found && (await ovs.patiently(() => deletePort(ovs, { id: found.id })));
  if (!found && !state.isTold) await attempt(() => proveNone(remains));
  if (troubles.length > 0) throw troubles[0];
  removeState(old.stateFile);
  return goneAt ?? nextCfg;
}

// ---- the port

const isVhost = (device: Row): boolean => Object.values<unknown>(interfaceType).includes(device.type);

/** The fork marks the Interface: with the owner that we write on the Port, and with these two. */
const forkMarks = ({ key }: Plan) => ({ 'container-id': key.containerId, interface: key.ifName });

async function lookUp(remains: Remains): Promise<{ found?: OldPort; nextCfg: number }> {
  const { ovs, state } = remains;
  const portColumns = ['_uuid', 'name', 'interfaces', 'external_ids'];
  const columns = ['_uuid', 'name', 'type', 'options', 'external_ids'];
  const byName = state.names.map((name) => [withName(name)]);
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
 * Names are unique on a switch, whatever the bridge. If another port has this name, the predecessor's port is gone.
 * @throws Mismatch if only the name speaks for it, and the bridge speaks against it
 */
async function isIts({ ovs, state, others }: Remains, port: Row, device: Row): Promise<boolean> {
  const { plan, call } = ovs;
  const name = String(device.name);
  if (!isVhost(device) || port.name !== name || readUuids(port.interfaces).length !== 1) return false;
  const marks = readMap(device.external_ids);
  // A mark on the Port is ours or another tool's; the fork marks the Interface.
  if (readMap(port.external_ids).owner !== undefined) return false;
  if (marks.owner !== undefined) {
    const [id, interfaceName] = [marks['container-id'], marks.interface];
    return marks.owner === owner && id === plan.key.containerId && interfaceName === plan.key.ifName;
  }
  // A port of ours that lost its marks: the journal of a living attachment names the socket.
  const socket = readMap(device.options)['vhost-server-path'];
  if (socket && call.isAnothersSocket?.(socket)) return false;
  // If two files have one name, the first port was lost and the later attachment has made it again.
  if (others.some((other) => other.isTold && other.names.includes(name) && isLater(other, state))) return false;
  if (name === portName(plan.key) || !plan.bridge) return true;
  const [bridges] = await ovs.read([select('Bridge', [['ports', 'includes', port._uuid]], ['name'])]);
  const bridge = bridges?.rows?.[0]?.name;
  if (bridge === plan.bridge.name) return true;
  throw new Mismatch(
    `port "${name}" is on bridge "${bridge}" instead of "${plan.bridge.name}": if the predecessor made it, delete it (ovs-vsctl del-port ${name})`,
  );
}

/** A backup can give two files the same time. Then the sandbox decides, or each would leave the port to the other. */
const isLater = (one: SavedState, other: SavedState): boolean =>
  one.writtenMs > other.writtenMs || (one.writtenMs === other.writtenMs && one.sandbox > other.sandbox);

/** The name is a guess that no port has. The port is proved gone only if every vhost-user port is known to be another's. */
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

/** If no row tells the path, the socket may be in any directory where the predecessor put sockets. */
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
    // The predecessor forgot the slash when it moved a socket of server mode.
    for (const socket of [...places, ...points.map((point) => `${point}${name}`)])
      await removeOldSocket(remains, socket, found);
  }
}

/** The socket stays if a row or a journal names it, because it may belong to a later pod with a port of ours. */
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
