/**
 * STATUS: whether an ADD could be served (CNI SPEC 1.1.0). Takes no lock, and ends within its second whatever hangs. Changes
 * nothing, but that it raises next_cfg where no process of the switch is seen from here.
 */
import { code, type Trouble } from '../attachment.ts';
import type { Deadlines } from '../deadlines.ts';
import type { AddressPlan, Call, CallText } from '../machines/protocol.ts';
import { roomTroubles } from './files/room.ts';
import { type SearchingSwitch, switchReadiness } from './ovs/readiness.ts';

export { closedWays } from './ovs/readiness.ts';

export interface Readiness extends SearchingSwitch {
  /** Absent: it is not looked at. */
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
