/**
 * STATUS: whether an ADD could be served (CNI SPEC 1.1.0). Takes no lock, and ends within its second whatever hangs. Changes
 * nothing, but that it raises next_cfg where no process of the switch is seen from here.
 */
import { code, type Trouble } from '../attachment.ts';
import type { Deadlines, Moment } from '../deadlines.ts';
import type { AddressPlan, Call, CallText } from '../machines/protocol.ts';
import { daemonTrouble, noDpdk } from './daemon.ts';
import { type Row, TransactionError, Unreachable } from './ovsdb.ts';
import { roomTroubles } from './room.ts';
import { runDirectory, Switch, selectSwitch } from './switch.ts';
import { seenOf, vswitchdOf } from './vswitchd.ts';

export interface Readiness {
  readonly ovsdb: string;
  readonly dataDir: string;
  readonly address?: AddressPlan;
  readonly text: CallText;
}

export async function readiness(asked: Readiness, call: Call, deadlines: Deadlines): Promise<Trouble[]> {
  const { ovsdb, dataDir, address, text } = asked;
  const [ofSwitch, ofAddresses] = await Promise.all([
    switchTroubles(ovsdb, call, deadlines),
    address ? (await import('./ipam.ts')).addressStatus({ plan: address, text, call, deadlines }) : [],
  ]);
  const ofDisk = roomTroubles(dataDir).map(({ message }) => ({ code: code.notAvailable, message }));
  return [...ofSwitch, ...ofDisk, ...ofAddresses];
}

async function switchTroubles(ovsdb: string, { end }: Call, deadlines: Deadlines): Promise<Trouble[]> {
  const ovs = new Switch(deadlines);
  try {
    const [root] = await ovs.read({ ovsdb }, [selectSwitch], end);
    const state = root?.rows?.[0];
    const lacking = noDpdk(ovsdb, state);
    if (lacking) return [{ code: code.limitedConnectivity, message: lacking }];
    const trouble = await notAtWork(ovs, ovsdb, state, end);
    return trouble ? [{ ...trouble, code: code.notAvailable }] : [];
  } catch (error) {
    if (!(error instanceof Unreachable || error instanceof TransactionError)) throw error;
    return [{ code: code.notAvailable, message: `${error.message}; is "ovsdb" right?` }];
  } finally {
    ovs.close();
  }
}

/** A process that is there and not stopped is at work, however long a change takes it; of what is not seen, the database decides. */
async function notAtWork(
  ovs: Switch,
  ovsdb: string,
  state: Row | undefined,
  end: Moment,
): Promise<Trouble | undefined> {
  const rundir = runDirectory(ovsdb, state);
  const seen = vswitchdOf(rundir);
  if (!seen) return await daemonTrouble(ovs, { ovsdb }, state, end);
  return seen.isStopped ? { code: code.notAvailable, message: `ovs-vswitchd: ${seenOf(rundir)}` } : undefined;
}
