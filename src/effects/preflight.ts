/**
 * Everything about the world that can be known before an ADD touches it, all faults at once (I11). Reads only.
 */
import { accessSync, constants, lstatSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bytesOf, code, socketPathBytesMax, type Trouble } from '../attachment.ts';
import { type Deadlines, within } from '../deadlines.ts';
import type { Call, Plan, PortPlan, SocketDirPlan } from '../machines/protocol.ts';
import { codeOf } from './directory.ts';
import { programTroubles } from './ipam.ts';
import { type Row, TransactionError, Unreachable } from './ovsdb.ts';
import { heldTroubles, holdersOf } from './port-view.ts';
import { nearest, roomTroubles } from './room.ts';
import { groupTroubles } from './socket-dir.ts';
import { keyMarks, marked, type Switch, select, selectSwitch, switchPathOf, switchSocketDirectory } from './switch.ts';

export async function preflight(ovs: Switch, plan: Plan, dataDir: string, call: Call, deadlines: Deadlines) {
  // Asked first: the rest is looked at while it answers.
  const ofSwitch = switchTroubles(ovs, plan, { ...call, end: within(call.end, deadlines.switchMs) });
  return [
    ...(plan.port ? pathTroubles(plan.port) : []),
    ...(plan.socketDir ? [...directoryTroubles(plan.socketDir), ...groupTroubles(plan.socketDir)] : []),
    ...(plan.port?.mode === 'client' ? viewTroubles(plan.ovsdb, plan.port) : []),
    ...(plan.address ? programTroubles(plan.address) : []),
    ...roomTroubles(dataDir),
    ...(await ofSwitch),
  ];
}

const bad = (message: string): Trouble[] => [{ code: code.invalidConfig, message }];

/** sun_path holds 107 bytes, and DPDK cuts a longer one in silence (A5, B31). A server's socket is made elsewhere and moved. */
function pathTroubles(port: PortPlan): Trouble[] {
  const path = port.mode === 'client' ? switchPathOf(port) : '';
  const bytes = bytesOf(path);
  if (bytes <= socketPathBytesMax) return [];
  const keys = port.link ? '"shortDir"' : '"sharedDir"';
  return bad(
    `socket path "${path}" has ${bytes} bytes, ${socketPathBytesMax} is the most a unix socket can have: use a shorter ${keys} or "host.vhost.socketfile"`,
  );
}

function directoryTroubles({ base, kubelet, own, link }: SocketDirPlan): Trouble[] {
  const name = own === undefined ? 'hostPath "shared-dir"' : '"sharedDir"';
  return [
    ...(kubelet ? usable('emptyDir "shared-dir"', base, base) : usable(name, base, nearest(base))),
    ...(link ? usable('"shortDir"', dirname(link), nearest(dirname(link))) : []),
  ];
}

/** @param judged what is there of the path */
function usable(name: string, path: string, judged: string): Trouble[] {
  try {
    if (!statSync(judged).isDirectory()) throw new Error(`"${judged}" is no directory`);
    accessSync(judged, constants.W_OK | constants.X_OK);
    return [];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const isMissing = codeOf(error) === 'ENOENT';
    // What the disk refuses is its fault; what is missing or no directory is the configuration's.
    const fault = codeOf(error) && !isMissing ? code.io : code.invalidConfig;
    const remedy = isMissing ? ': the kubelet makes it, is "kubeletRootDir" right?' : '';
    return [{ code: fault, message: `${name} "${path}" cannot be used: ${why}${remedy}` }];
  }
}

/**
 * A switch in a pod of its own has another file system: where ovs-vswitchd can be found, its view of the directory is compared
 * with ours. It would try for ever and say nothing (A2).
 */
function viewTroubles(ovsdb: string, port: PortPlan): Trouble[] {
  const pid = vswitchdPid(ovsdb);
  if (pid === undefined) return [];
  return [port.directory, ...(port.link ? [dirname(port.link)] : [])].flatMap((directory) => {
    const path = nearest(directory);
    const here = identity(path);
    if (here === undefined || here === identity(`/proc/${pid}/root${path}`)) return [];
    return bad(
      `the switch (ovs-vswitchd, pid ${pid}) does not see "${path}": mount it into its pod at the same path, with mountPropagation HostToContainer`,
    );
  });
}

/** By its pid file, beside the database's socket. Of another pid namespace, or gone: nothing can be said. */
function vswitchdPid(ovsdb: string): string | undefined {
  try {
    const pid = readFileSync(join(dirname(ovsdb.replace(/^unix:/, '')), 'ovs-vswitchd.pid'), 'utf8').trim();
    return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('ovs-vswitchd') ? pid : undefined;
  } catch {
    return undefined;
  }
}

function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/** @returns undefined where something is no directory: that is said of "sharedDir" already. */
function device(path: string): number | undefined {
  try {
    return statSync(nearest(path)).dev;
  } catch {
    return undefined;
  }
}

async function switchTroubles(ovs: Switch, plan: Plan, call: Call): Promise<Trouble[]> {
  const { port } = plan;
  const bridge = plan.bridge?.name ?? '';
  const ofBridge = select('Bridge', [['name', '==', bridge]], ['datapath_type']);
  try {
    const asked = [selectSwitch, ofBridge, ...(port ? holdersOf(plan, port) : [])];
    const [root, bridges, ...holders] = await ovs.read(plan, asked, call.end);
    return [
      ...bridgeTroubles(bridge, bridges?.rows?.[0]),
      ...(port ? heldTroubles(plan, port, holders, call) : []),
      ...(port?.mode === 'server' ? await serverTroubles(ovs, plan, port, root?.rows?.[0], call) : []),
    ];
  } catch (error) {
    if (error instanceof Unreachable || error instanceof TransactionError) {
      return [{ code: code.tryAgainLater, message: error.message }];
    }
    throw error;
  }
}

export function bridgeTroubles(name: string, bridge: Row | undefined): Trouble[] {
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
  const directory = switchSocketDirectory(plan.ovsdb, root);
  const from = join(directory, port.name);
  if (Buffer.byteLength(from) > socketPathBytesMax) return bad(`socket path "${from}" of the switch is too long`);
  // Of our own port it may be: a switch that restarted made it again.
  if (lstatSync(from, { throwIfNoEntry: false }) && !(await isOurs(ovs, plan, call))) {
    return bad(`"${from}" exists already: the switch could not create a socket of that name`);
  }
  const [here, to] = [device(directory), device(port.directory)];
  if (here === to || to === undefined) return [];
  return bad(
    `"host.vhost.mode" is "server", but sockets of the switch are created in "${directory}", on another file system than ` +
      `"${port.directory}": use "client", or a "sharedDir" on the same file system`,
  );
}

async function isOurs(ovs: Switch, plan: Plan, call: Call): Promise<boolean> {
  const [ports] = await ovs.read(plan, [select('Port', [marked(keyMarks(plan, call))], ['_uuid'])], call.end);
  return ports?.rows?.length === 1;
}
