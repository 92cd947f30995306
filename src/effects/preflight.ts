/**
 * Everything about the world that can be known before an ADD touches it, all faults at once (I11). Reads only.
 */
import { accessSync, constants, lstatSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { code, socketPathBytesMax, type Trouble } from '../attachment.ts';
import { type Deadlines, within } from '../deadlines.ts';
import type { Call, Plan, PortPlan } from '../machines/protocol.ts';
import { codeOf } from './directory.ts';
import { programTroubles } from './ipam.ts';
import { type Row, Unreachable } from './ovsdb.ts';
import { portTroubles, recallPort } from './port-view.ts';
import { groupTroubles } from './socket-dir.ts';
import { type Switch, select, selectSwitch, socketOf, switchSocketDirectory } from './switch.ts';

/** A journal takes about 8 KiB; a file system this full will fail somebody soon. */
const roomBytesMin = 256n * 1024n;

export async function preflight(ovs: Switch, plan: Plan, dataDir: string, call: Call, deadlines: Deadlines) {
  return [
    ...(plan.port ? pathTroubles(plan.port) : []),
    ...(plan.socketDir ? [...baseTroubles(plan.socketDir.base), ...groupTroubles(plan.socketDir)] : []),
    ...(plan.address ? programTroubles(plan.address) : []),
    ...roomTroubles(dataDir),
    ...(await switchTroubles(ovs, plan, { ...call, end: within(call.end, deadlines.switchMs) })),
  ];
}

/** sun_path holds 107 bytes, and DPDK cuts a longer one in silence (A5, B31). */
function pathTroubles(port: PortPlan): Trouble[] {
  const socket = socketOf(port);
  const bytes = Buffer.byteLength(socket);
  if (bytes <= socketPathBytesMax) return [];
  const message = `socket path "${socket}" has ${bytes} bytes, ${socketPathBytesMax} is the most a unix socket can have: use a shorter "sharedDir" or "host.vhost.socketfile"`;
  return [{ code: code.invalidConfig, message }];
}

function baseTroubles(base: string): Trouble[] {
  try {
    accessSync(existing(base), constants.W_OK | constants.X_OK);
    return [];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    // What the disk refuses is its fault; what is no directory is the configuration's.
    return [
      { code: codeOf(error) ? code.io : code.invalidConfig, message: `"sharedDir" "${base}" cannot be used: ${why}` },
    ];
  }
}

/** The directory that will be made is judged by the nearest one above it that exists. */
function roomTroubles(dataDir: string): Trouble[] {
  try {
    const directory = existing(dataDir);
    accessSync(directory, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(directory, { bigint: true });
    if (bavail * bsize >= roomBytesMin) return [];
    return [{ code: code.io, message: `"dataDir" "${dataDir}" has no room left for a journal` }];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [{ code: code.io, message: `"dataDir" "${dataDir}" cannot be written: ${message}` }];
  }
}

/** @returns undefined where something is no directory: that is said of "sharedDir" already. */
function device(path: string): number | undefined {
  try {
    return statSync(existing(path)).dev;
  } catch {
    return undefined;
  }
}

function existing(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats && path !== '/') return existing(dirname(path));
  if (stats && !stats.isDirectory()) throw new Error(`"${path}" is no directory`);
  return path;
}

async function switchTroubles(ovs: Switch, plan: Plan, call: Call): Promise<Trouble[]> {
  try {
    const bridge = plan.bridge?.name ?? '';
    const [root, bridges] = await ovs.read(
      plan,
      [selectSwitch, select('Bridge', [['name', '==', bridge]], ['datapath_type'])],
      call.end,
    );
    return [
      ...bridgeTroubles(bridge, bridges?.rows?.[0]),
      ...(plan.port ? await portTroubles(ovs, plan, plan.port, call) : []),
      ...(plan.port?.mode === 'server' ? await serverTroubles(ovs, plan, plan.port, root?.rows?.[0], call) : []),
    ];
  } catch (error) {
    if (error instanceof Unreachable) return [{ code: code.tryAgainLater, message: error.message }];
    throw error;
  }
}

function bridgeTroubles(name: string, bridge: Row | undefined): Trouble[] {
  if (!bridge || bridge.datapath_type === 'netdev') return [];
  const message = `bridge "${name}" has datapath_type "${bridge.datapath_type}": vhost-user ports need "netdev"`;
  return [{ code: code.invalidConfig, message }];
}

/** The switch creates the socket in its own directory, and a rename does not cross file systems (B9). */
async function serverTroubles(
  ovs: Switch,
  plan: Plan,
  port: PortPlan,
  root: Row | undefined,
  call: Call,
): Promise<Trouble[]> {
  const bad = (message: string): Trouble[] => [{ code: code.invalidConfig, message }];
  const directory = switchSocketDirectory(plan.ovsdb, root);
  const from = join(directory, port.name);
  if (Buffer.byteLength(from) > socketPathBytesMax) return bad(`socket path "${from}" of the switch is too long`);
  // Of our own port it may be: a switch that restarted made it again.
  if (lstatSync(from, { throwIfNoEntry: false }) && !(await recallPort(ovs, plan, call))) {
    return bad(`"${from}" exists already: the switch could not create a socket of that name`);
  }
  const [here, to] = [device(directory), device(port.directory)];
  if (here === to || to === undefined) return [];
  return bad(
    `"host.vhost.mode" is "server", but sockets of the switch are created in "${directory}", on another file system than ` +
      `"${port.directory}": use "client", or a "sharedDir" on the same file system`,
  );
}
