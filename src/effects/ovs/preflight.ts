/**
 * The part of the pre-flight that looks at the switch. Nothing is touched.
 */
import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bytesOf, code, socketPathBytesMax, type Trouble } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import type { PortPlan } from '../../machines/protocol.ts';
import { EngineFailure } from '../engine.ts';
import { device, identity, nearest, present, silence } from '../files/look.ts';
import { DirectoryTimeout } from '../outcome.ts';
import { switchPathOf } from './columns.ts';
import { keyMarks } from './marks.ts';
import { type Row, select, withMarks, withName } from './operations.ts';
import { heldTroubles, selectHolders } from './port-holder.ts';
import { selectSwitch, switchSocketDirectory } from './root-row.ts';
import type { AttachmentSwitch } from './switch.ts';

const bad = (message: string): Trouble[] => [{ code: code.invalidConfig, message }];

/**
 * sun_path holds 107 bytes, and DPDK silently cuts a longer path (case A5, bug B31). A server's socket is made elsewhere and moved.
 */
export function pathTroubles(port: PortPlan): Trouble[] {
  const path = port.mode === 'client' ? switchPathOf(port) : '';
  const bytes = bytesOf(path);
  if (bytes <= socketPathBytesMax) return [];
  const keys = port.link ? '"shortDir"' : '"sharedDir"';
  return bad(
    `socket path "${path}" has ${bytes} bytes, ${socketPathBytesMax} is the most a unix socket can have: use a shorter ${keys} or "host.vhost.socketfile"`,
  );
}

/**
 * A switch in its own pod has another file system. If ovs-vswitchd can be found, its view of the directory is compared with ours.
 * A switch that cannot find the socket would try for ever and report nothing (case A2).
 */
export async function viewTroubles(pid: number | undefined, port: PortPlan, soon: () => Moment): Promise<Trouble[]> {
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
    // Another look at the directory reports this already.
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

export async function stateTroubles(ovs: AttachmentSwitch, soon: () => Moment): Promise<Trouble[]> {
  const { plan } = ovs;
  const { port } = plan;
  const bridge = plan.bridge?.name ?? port?.bridge ?? '';
  const ofBridge = select('Bridge', [withName(bridge)], ['datapath_type']);
  const isOurs = async (): Promise<boolean> => {
    const [ports] = await ovs.read([select('Port', [withMarks(keyMarks(ovs))], ['_uuid'])]);
    return ports?.rows?.length === 1;
  };
  try {
    const asked = [selectSwitch, ofBridge, ...(port ? selectHolders(plan, port) : [])];
    const [root, bridges, ...holders] = await ovs.read(asked);
    ovs.whole.noteDatabase(plan.ovsdb, root?.rows?.[0]);
    return [
      ...(plan.bridge || bridges?.rows?.length ? [] : bad(notMade(bridge))),
      ...bridgeTroubles(bridge, bridges?.rows?.[0]),
      ...(port ? heldTroubles(ovs, port, holders) : []),
      // Without a directory the socket's place is not known.
      ...(plan.socketDir && port?.mode === 'server'
        ? await serverTroubles(port, switchSocketDirectory(plan.ovsdb, root?.rows?.[0]), soon(), isOurs)
        : []),
    ];
  } catch (error) {
    if (error instanceof EngineFailure || error instanceof DirectoryTimeout) return [silence(error)];
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

/** The switch creates the socket in its own directory, and a rename does not cross file systems (bug B9). */
async function serverTroubles(
  port: PortPlan,
  directory: string,
  end: Moment,
  isOurs: () => Promise<boolean>,
): Promise<Trouble[]> {
  const from = join(directory, port.name);
  if (Buffer.byteLength(from) > socketPathBytesMax) return bad(`socket path "${from}" of the switch is too long`);
  // It may be our own port's, because a restarted switch makes it again.
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
