/**
 * STATUS: whether an ADD could be served (CNI SPEC 1.1.0). Reads only, takes no lock, and ends within its second whatever hangs.
 */
import { dirname } from 'node:path';
import { code, type Trouble } from '../attachment.ts';
import type { Deadlines, Moment } from '../deadlines.ts';
import type { AddressPlan, Call, CallText } from '../machines/protocol.ts';
import { DirectoryTimeout } from './directory.ts';
import { type Row, Session, TransactionError, Unreachable } from './ovsdb.ts';
import { roomTroubles } from './room.ts';
import { rundirOf, selectSwitch, socketPathOf } from './switch.ts';
import { switchUser } from './switch-user.ts';
import { vswitchdPid } from './vswitchd.ts';

export interface Readiness {
  readonly ovsdb: string;
  readonly dataDir: string;
  readonly address?: AddressPlan;
  /** Directories of the configuration that the switch searches on its way to sockets of applications. */
  readonly searched: readonly string[];
  readonly text: CallText;
}

export async function readiness(asked: Readiness, call: Call, deadlines: Deadlines): Promise<Trouble[]> {
  const { dataDir, address, text } = asked;
  const [ofSwitch, ofAddresses] = await Promise.all([
    switchTroubles(asked, call),
    address ? (await import('./ipam.ts')).addressStatus({ plan: address, text, call, deadlines }) : [],
  ]);
  const ofDisk = roomTroubles(dataDir).map(({ message }) => ({ code: code.notAvailable, message }));
  return [...ofSwitch, ...ofDisk, ...ofAddresses];
}

async function switchTroubles({ ovsdb, searched }: Readiness, { end }: Call): Promise<Trouble[]> {
  let session: Session | undefined;
  try {
    session = await Session.open(ovsdb, end);
    const [root] = await session.transact([selectSwitch], end);
    if (root?.rows?.[0]?.dpdk_initialized === true) return await wayTroubles(searched, ovsdb, root.rows[0], end);
    const message = `Open vSwitch at "${ovsdb}" has no DPDK (dpdk_initialized is not true): is ovs-vswitchd running, and other_config:dpdk-init set?`;
    return [{ code: code.limitedConnectivity, message }];
  } catch (error) {
    if (error instanceof DirectoryTimeout) return [{ code: code.notAvailable, message: error.message }];
    if (!(error instanceof Unreachable || error instanceof TransactionError)) throw error;
    return [{ code: code.notAvailable, message: `${error.message}: is openvswitch running, and "ovsdb" right?` }];
  } finally {
    session?.close();
  }
}

/** That the switch would not come to the sockets of what is attached, it says nowhere itself. */
async function wayTroubles(searched: readonly string[], ovsdb: string, root: Row, end: Moment): Promise<Trouble[]> {
  if (searched.length === 0) return [];
  const [beside, rundir] = [dirname(socketPathOf(ovsdb)), rundirOf(ovsdb, root)];
  const pid = (await vswitchdPid(beside, end)) ?? (rundir === beside ? undefined : await vswitchdPid(rundir, end));
  const user = await switchUser(pid, socketPathOf(ovsdb), end);
  if (user === undefined || user === 'unlimited') return [];
  const { searchTroubles } = await import('./switch-access.ts');
  const found: Trouble[] = [];
  for (const directory of searched) found.push(...(await searchTroubles(directory, user, end)));
  return found.map(({ message }) => ({ code: code.notAvailable, message }));
}
