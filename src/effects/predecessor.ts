/**
 * What intel/userspace-cni-network-plugin left of an attachment: a port without marks, a socket, perhaps a bind mount, and the state
 * file that says it was its own. Without that file nothing here is touched (I6).
 */
import { readFileSync } from 'node:fs';
import { lstat, readFile, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { owner, portName } from '../attachment.ts';
import { defaultDeadlines, type Moment, within } from '../deadlines.ts';
import type { Call, Plan, PredecessorPlan } from '../machines/protocol.ts';
import { unmount } from '../native.ts';
import { codeOf, DirectoryTimeout, inTime, Mismatch } from './directory.ts';
import { readMap, readUuid } from './ovsdb.ts';
import { deletePort } from './port-removal.ts';
import { isNamed, lyingAt, namersOf, removeSocket } from './socket.ts';
import { interfaceType, type Switch, select, selectSwitch } from './switch.ts';

/** One call into a directory that a pod may have, or a dead file system. */
const soon = (end: Moment): Moment => within(end, defaultDeadlines.directoryMs);

/** What does not answer may be there: its removal is owed then. */
export async function isPredecessors({ stateFile }: PredecessorPlan, end: Moment): Promise<boolean> {
  return await inTime(() => stat(stateFile), soon(end), `"${stateFile}"`).then(
    () => true,
    (error) => error instanceof DirectoryTimeout,
  );
}

/**
 * The state file goes last: until then whoever comes next finds the rest by it.
 * @returns what to wait for before its address may be another's, as of a port of ours
 */
export async function removePredecessors(ovs: Switch, plan: Plan, old: PredecessorPlan, call: Call): Promise<number> {
  const name = (await portNameIn(old.stateFile, call.end)) ?? portName(plan.key);
  const { found, nextCfg } = await ovs.patiently(() => look(ovs, plan, name, call), call.end);
  const sockets = found?.socket ? [found.socket] : old.directories.map((directory) => join(directory, name));
  for (const socket of sockets) await leaveSocket(ovs, plan, socket, found, call);
  const goneAt = found && (await ovs.patiently(() => deletePort(ovs, plan, found.id, [], call), call.end));
  if (old.mount) await leaveMount(ovs, plan, old.mount, call);
  await inTime(() => unlink(old.stateFile), soon(call.end), `"${old.stateFile}"`).catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
  return goneAt ?? nextCfg;
}

/** By its name it may be that of a pod that came later, and has a port of ours. */
async function leaveSocket(ovs: Switch, plan: Plan, socket: string, found: Found | undefined, call: Call) {
  const lying = await lyingAt(socket, soon(call.end));
  if (!lying) return;
  const namers = await ovs.patiently(() => ovs.read(plan, namersOf(socket), call.end), call.end);
  const mine = new Set(found && [found.id, found.device]);
  if (!isNamed(namers, mine)) await removeSocket(socket, soon(call.end), lying);
}

/** It wrote the file without care: what is no JSON, or no name, says only that it was there. */
async function portNameIn(stateFile: string, end: Moment): Promise<string | undefined> {
  const text = await inTime(() => readFile(stateFile, 'utf8'), soon(end), `"${stateFile}"`).catch((error) => {
    if (error instanceof DirectoryTimeout) throw error;
    return '';
  });
  try {
    const { vhostname } = JSON.parse(text);
    return typeof vhostname === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.:@+-]*$/.test(vhostname) ? vhostname : undefined;
  } catch {
    return undefined;
  }
}

interface Found {
  /** _uuids of its Port and its Interface. */
  readonly id: string;
  readonly device: string;
  readonly socket?: string;
}

async function look(ovs: Switch, plan: Plan, name: string, call: Call): Promise<{ found?: Found; nextCfg: number }> {
  const byName = [['name', '==', name]];
  const asked = [
    select('Port', byName, ['_uuid', 'external_ids']),
    select('Interface', byName, ['_uuid', 'type', 'options']),
    selectSwitch,
  ];
  const [ports, interfaces, root] = await ovs.fenced(plan, asked, call);
  const [port, device] = [ports?.rows?.[0], interfaces?.rows?.[0]];
  const isVhost = Object.values<unknown>(interfaceType).includes(device?.type);
  // A port with marks is somebody's who will take care of it.
  const nextCfg = Number(root?.rows?.[0]?.next_cfg);
  if (!port || !isVhost || readMap(port.external_ids).owner === owner) return { nextCfg };
  const socket = readMap(device?.options)['vhost-server-path'];
  const found = { id: readUuid(port._uuid), device: readUuid(device?._uuid), ...(socket && { socket }) };
  return { found, nextCfg };
}

/** The predecessor bound a pod's directory to a short path, one for all interfaces of the pod: the last of them leaves it. */
async function leaveMount(ovs: Switch, plan: Plan, mount: string, call: Call): Promise<void> {
  if (!isMounted(mount)) return;
  const [interfaces] = await ovs.read(plan, [select('Interface', [], ['options'])], call.end);
  const paths = (interfaces?.rows ?? []).map(({ options }) => readMap(options)['vhost-server-path'] ?? '');
  if (paths.some((path) => path.startsWith(`${mount}/`))) return;
  // umount2 waits for what is above it, and cannot be left alone.
  await inTime(() => lstat(dirname(mount)), soon(call.end), `"${dirname(mount)}"`);
  if (!unmount(mount)) throw new Mismatch(`"${mount}" cannot be unmounted: is it in use?`);
  await inTime(() => rmdir(mount), soon(call.end), `"${mount}"`).catch(() => undefined);
}

const isMounted = (path: string): boolean =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === path);
