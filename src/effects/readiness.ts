/**
 * STATUS: whether an ADD could be served (CNI SPEC 1.1.0). Reads only, takes no lock, and ends within its second whatever hangs.
 */
import { code, type Trouble } from '../attachment.ts';
import type { Deadlines } from '../deadlines.ts';
import type { AddressPlan, Call, CallText } from '../machines/protocol.ts';
import { Session, TransactionError, Unreachable } from './ovsdb.ts';
import { roomTroubles } from './room.ts';
import { selectSwitch } from './switch.ts';

export interface Readiness {
  readonly ovsdb: string;
  /** Absent: it is not looked at. */
  readonly dataDir?: string;
  readonly address?: AddressPlan;
  readonly text: CallText;
}

export async function readiness(asked: Readiness, call: Call, deadlines: Deadlines): Promise<Trouble[]> {
  const { ovsdb, dataDir, address, text } = asked;
  const [ofSwitch, ofAddresses] = await Promise.all([
    switchTroubles(ovsdb, call),
    address ? (await import('./ipam.ts')).addressStatus({ plan: address, text, call, deadlines }) : [],
  ]);
  const ofDisk = (dataDir === undefined ? [] : roomTroubles(dataDir)).map(({ message }) => ({
    code: code.notAvailable,
    message,
  }));
  return [...ofSwitch, ...ofDisk, ...ofAddresses];
}

async function switchTroubles(ovsdb: string, { end }: Call): Promise<Trouble[]> {
  let session: Session | undefined;
  try {
    session = await Session.open(ovsdb, end);
    const [root] = await session.transact([selectSwitch], end);
    if (root?.rows?.[0]?.dpdk_initialized === true) return [];
    const message = `Open vSwitch at "${ovsdb}" has no DPDK (dpdk_initialized is not true): is ovs-vswitchd running, and other_config:dpdk-init set?`;
    return [{ code: code.limitedConnectivity, message }];
  } catch (error) {
    if (!(error instanceof Unreachable || error instanceof TransactionError)) throw error;
    return [{ code: code.notAvailable, message: `${error.message}: is openvswitch running, and "ovsdb" right?` }];
  } finally {
    session?.close();
  }
}
