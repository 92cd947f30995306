/**
 * STATUS: whether an ADD could be served (CNI SPEC 1.1.0). It takes no lock, and ends within its second whatever hangs. It changes
 * nothing, except that it raises next_cfg if it can see no process of the switch.
 */
import { code, type Trouble } from '../attachment.ts';
import type { Deadlines } from '../deadlines.ts';
import type { AddressPlan, Call, CallText } from '../machines/protocol.ts';
import { roomTroubles } from './files/room.ts';
import { type SearchingSwitch, switchReadiness } from './ovs/readiness.ts';

export { closedWays } from './ovs/readiness.ts';

export interface Readiness extends SearchingSwitch {
  /** Absent: the data directory is not looked at. */
  readonly dataDir?: string;
  readonly address?: AddressPlan;
  readonly text: CallText;
}

export async function readiness(asked: Readiness, call: Call, deadlines: Deadlines): Promise<Trouble[]> {
  const { dataDir, address, text } = asked;
  const [ofSwitch, ofAddresses] = await Promise.all([
    switchReadiness(asked, call.end, deadlines),
    address ? (await import('./ipam/plugin.ts')).addressStatus({ plan: address, text, call, deadlines }) : [],
  ]);
  const ofDisk = (dataDir === undefined ? [] : roomTroubles(dataDir)).map(({ message }) => ({
    code: code.notAvailable,
    message,
  }));
  return [...ofSwitch, ...ofDisk, ...ofAddresses];
}
