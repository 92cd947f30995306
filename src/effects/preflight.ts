/**
 * Everything about the world that can be known before an ADD touches it, all faults at once (I11). Reads only.
 */
import { constants } from 'node:fs';
import { lstat, access as permitted, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bytesOf, code, socketPathBytesMax, type Trouble } from '../attachment.ts';
import { type Deadlines, type Moment, within } from '../deadlines.ts';
import type { Call, Plan, PortPlan, SocketDirPlan } from '../machines/protocol.ts';
import { roomTroubles } from './files/room.ts';
import { groupTroubles } from './files/socket-dir.ts';
import { programTroubles } from './ipam/plugin.ts';
import { codeOf, DirectoryTimeout, inTime } from './outcome.ts';
import type { Access } from './ovs/access.ts';
import { switchPathOf } from './ovs/columns.ts';
import { keyMarks } from './ovs/marks.ts';
import { marked, type Row, select, TransactionError } from './ovs/operations.ts';
import { heldTroubles, holdersOf } from './ovs/port-view.ts';
import { selectSwitch, switchSocketDirectory } from './ovs/root-row.ts';
import { Unreachable } from './ovs/session.ts';
import type { Switch } from './ovs/switch.ts';

/** What an ADD is about to use. */
interface Intended {
  readonly plan: Plan;
  readonly dataDir: string;
}

interface Means {
  readonly ovs: Switch;
  readonly access: Access;
}

export async function preflight({ ovs, access }: Means, { plan, dataDir }: Intended, call: Call, deadlines: Deadlines) {
  // Asked first: the rest is looked at while it answers.
  const soon = () => within(call.end, deadlines.directoryMs);
  const [ofSwitch, ofPlaces] = await Promise.all([
    switchTroubles(ovs, plan, { ...call, end: within(call.end, deadlines.switchMs) }, soon),
    placeTroubles(access, { plan, dataDir }, soon),
  ]);
  // A switch that cannot be asked is not waited for once more.
  const isAsked = ovs.databaseAt(plan.ovsdb) !== undefined;
  const ofAccess = isAsked ? await access.troubles(plan, soon()).catch(onlySilence) : [];
  return [...ofPlaces, ...ofSwitch, ...ofAccess];
}

/**
 * One look after the other: a dead file system keeps a thread for each look at it that has begun.
 * @param soon the end of a look that begins now
 */
async function placeTroubles(access: Access, { plan, dataDir }: Intended, soon: () => Moment): Promise<Trouble[]> {
  const { port, socketDir, address, ovsdb } = plan;
  return [
    ...(port ? pathTroubles(port) : []),
    ...(socketDir ? await directoryTroubles(socketDir, soon) : []),
    ...groupTroubles(socketDir ?? port ?? {}),
    ...(socketDir && port?.mode === 'client' ? await viewTroubles(access.pidBeside(ovsdb), port, soon) : []),
    ...(address ? programTroubles(address) : []),
    ...roomTroubles(dataDir),
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

async function directoryTroubles({ base, kubelet, own, link }: SocketDirPlan, soon: () => Moment): Promise<Trouble[]> {
  const name = own === undefined ? 'hostPath "shared-dir"' : '"sharedDir"';
  return [
    ...(await (kubelet
      ? usable('emptyDir "shared-dir"', base, (end) => expectWritable(base, end), soon())
      : usable(name, base, expectMakable(base), soon()))),
    ...(link ? await usable('"shortDir"', dirname(link), expectMakable(dirname(link)), soon()) : []),
  ];
}

/** The directory that will be made is judged by the nearest one above it that exists. @throws DirectoryTimeout */
async function nearest(path: string, end: Moment): Promise<string> {
  if (path === '/') return path;
  const isThere = await inTime(() => stat(path), end, `"${path}"`).then(
    () => true,
    (error) => {
      if (error instanceof DirectoryTimeout) throw error;
      return false;
    },
  );
  return isThere ? path : await nearest(dirname(path), end);
}

/** @throws errno exceptions, DirectoryTimeout, an Error if it is no directory */
async function expectWritable(directory: string, end: Moment): Promise<void> {
  const stats = await inTime(() => stat(directory), end, `"${directory}"`);
  if (!stats.isDirectory()) throw new Error(`"${directory}" is no directory`);
  await inTime(() => permitted(directory, constants.W_OK | constants.X_OK), end, `"${directory}"`);
}

const expectMakable = (path: string) => async (end: Moment) => await expectWritable(await nearest(path, end), end);

/** @param expected throws why it is not */
async function usable(name: string, path: string, expected: (end: Moment) => Promise<void>, end: Moment) {
  try {
    await expected(end);
    return [];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const isMissing = codeOf(error) === 'ENOENT';
    const remedy = isMissing ? ': the kubelet makes it, is "kubeletRootDir" right?' : '';
    return [{ code: faultOf(error), message: `${name} "${path}" cannot be used: ${why}${remedy}` }];
  }
}

/** What the disk refuses is its fault; what is missing or no directory is the configuration's. */
function faultOf(error: unknown): number {
  if (error instanceof DirectoryTimeout) return code.tryAgainLater;
  return codeOf(error) && codeOf(error) !== 'ENOENT' ? code.io : code.invalidConfig;
}

/**
 * A switch in a pod of its own has another file system: where ovs-vswitchd can be found, its view of the directory is compared
 * with ours. It would try for ever and say nothing (A2).
 */
async function viewTroubles(pid: number | undefined, port: PortPlan, soon: () => Moment): Promise<Trouble[]> {
  if (pid === undefined) return [];
  const troubles: Trouble[] = [];
  for (const directory of [port.directory, ...(port.link ? [dirname(port.link)] : [])]) {
    troubles.push(...(await viewOf(directory, pid, soon())));
  }
  return troubles;
}

async function viewOf(directory: string, pid: number, end: Moment): Promise<Trouble[]> {
  let path: string;
  let here: string | undefined;
  try {
    path = await nearest(directory, end);
    here = await identity(path, end);
  } catch {
    // That is said of the directory already.
    return [];
  }
  const there = `/proc/${pid}/root${path}`;
  try {
    if (here === undefined || here === (await identity(there, end))) return [];
  } catch (error) {
    return [silence(error)];
  }
  return bad(
    `the switch (ovs-vswitchd, pid ${pid}) does not see "${path}": mount it into its pod at the same path, with mountPropagation HostToContainer`,
  );
}

/** @throws anything else */
function onlySilence(error: unknown): Trouble[] {
  if (error instanceof DirectoryTimeout) return [silence(error)];
  throw error;
}

const silence = (error: unknown): Trouble => ({
  code: code.tryAgainLater,
  message: error instanceof Error ? error.message : String(error),
});

/** @returns undefined if there is nothing. @throws DirectoryTimeout */
async function identity(path: string, end: Moment): Promise<string | undefined> {
  const stats = await present(() => stat(path, { bigint: true }), path, end);
  return stats && `${stats.dev}:${stats.ino}`;
}

/** @returns undefined if there is nothing. @throws DirectoryTimeout */
async function present<T>(look: () => Promise<T>, path: string, end: Moment): Promise<T | undefined> {
  return await inTime(look, end, `"${path}"`).catch((error) => {
    if (error instanceof DirectoryTimeout) throw error;
    return undefined;
  });
}

async function switchTroubles(ovs: Switch, plan: Plan, call: Call, soon: () => Moment): Promise<Trouble[]> {
  const { port } = plan;
  const bridge = plan.bridge?.name ?? port?.bridge ?? '';
  const ofBridge = select('Bridge', [['name', '==', bridge]], ['datapath_type']);
  const isOurs = async (): Promise<boolean> => {
    const [ports] = await ovs.read(plan, [select('Port', [marked(keyMarks(plan, call))], ['_uuid'])], call.end);
    return ports?.rows?.length === 1;
  };
  try {
    const asked = [selectSwitch, ofBridge, ...(port ? holdersOf(plan, port) : [])];
    const [root, bridges, ...holders] = await ovs.read(plan, asked, call.end);
    ovs.noteDatabase(plan.ovsdb, root?.rows?.[0]);
    return [
      ...(plan.bridge || bridges?.rows?.length ? [] : bad(notMade(bridge))),
      ...bridgeTroubles(bridge, bridges?.rows?.[0]),
      ...(port ? heldTroubles(plan, port, holders, call) : []),
      // Where sockets lie is not known without a directory.
      ...(plan.socketDir && port?.mode === 'server'
        ? await serverTroubles(port, switchSocketDirectory(plan.ovsdb, root?.rows?.[0]), soon(), isOurs)
        : []),
    ];
  } catch (error) {
    const isKnown = [Unreachable, TransactionError, DirectoryTimeout].some((kind) => error instanceof kind);
    if (isKnown) return [silence(error)];
    throw error;
  }
}

const notMade = (bridge: string): string =>
  `bridge "${bridge}" is not there, and OVN's to make: is ovn-controller running on this node? If its integration bridge has another name, say it as "host.bridge.bridgeName"`;

export function bridgeTroubles(name: string, bridge: Row | undefined): Trouble[] {
  if (!bridge || bridge.datapath_type === 'netdev') return [];
  const message = `bridge "${name}" has datapath_type "${bridge.datapath_type}": vhost-user ports need "netdev"`;
  return [{ code: code.invalidConfig, message }];
}

/** The switch creates the socket in its own directory, and a rename does not cross file systems (B9). */
async function serverTroubles(
  port: PortPlan,
  directory: string,
  end: Moment,
  isOurs: () => Promise<boolean>,
): Promise<Trouble[]> {
  const from = join(directory, port.name);
  if (Buffer.byteLength(from) > socketPathBytesMax) return bad(`socket path "${from}" of the switch is too long`);
  // Of our own port it may be: a switch that restarted made it again.
  if ((await present(() => lstat(from), from, end)) && !(await isOurs())) {
    return bad(`"${from}" exists already: the switch could not create a socket of that name`);
  }
  const to = await device(port.directory, end).catch(() => undefined);
  if (to === undefined || to === (await device(directory, end))) return [];
  return bad(
    `"host.vhost.mode" is "server", but sockets of the switch are created in "${directory}", on another file system than ` +
      `"${port.directory}": use "client", or a "sharedDir" on the same file system`,
  );
}

/** @returns undefined where something is no directory: that is said of "sharedDir" already, as its silence is. */
async function device(path: string, end: Moment): Promise<number | undefined> {
  const there = await nearest(path, end);
  return (await present(() => stat(there), there, end))?.dev;
}
