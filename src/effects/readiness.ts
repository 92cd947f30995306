/**
 * STATUS: whether an ADD could be served (CNI SPEC 1.1.0). Takes no lock, and ends within its second whatever hangs. Changes
 * nothing, but that it raises next_cfg where no process of the switch is seen from here.
 */
import { code, type Trouble } from '../attachment.ts';
import type { Deadlines, Moment } from '../deadlines.ts';
import type { AddressPlan, Call, CallText } from '../machines/protocol.ts';
import { roomTroubles } from './files/room.ts';
import { DirectoryTimeout } from './outcome.ts';
import { noDpdk, notAtWork } from './ovs/daemon.ts';
import { type Row, TransactionError } from './ovs/operations.ts';
import { runDirectory, selectSwitch, socketPathOf } from './ovs/root-row.ts';
import { Unreachable } from './ovs/session.ts';
import { Switch } from './ovs/switch.ts';
import { switchUser } from './ovs/switch-user.ts';
import { vswitchdOf } from './ovs/vswitchd.ts';

export interface Readiness {
  readonly ovsdb: string;
  /** Absent: it is not looked at. */
  readonly dataDir?: string;
  readonly address?: AddressPlan;
  /** Directories of the configuration that the switch searches on its way to sockets of applications. */
  readonly searched: readonly string[];
  readonly text: CallText;
}

export async function readiness(asked: Readiness, call: Call, deadlines: Deadlines): Promise<Trouble[]> {
  const { dataDir, address, text } = asked;
  const [ofSwitch, ofAddresses] = await Promise.all([
    switchTroubles(asked, call, deadlines),
    address ? (await import('./ipam/plugin.ts')).addressStatus({ plan: address, text, call, deadlines }) : [],
  ]);
  const ofDisk = (dataDir === undefined ? [] : roomTroubles(dataDir)).map(({ message }) => ({
    code: code.notAvailable,
    message,
  }));
  return [...ofSwitch, ...ofDisk, ...ofAddresses];
}

async function switchTroubles(asked: Readiness, { end }: Call, deadlines: Deadlines): Promise<Trouble[]> {
  const { ovsdb } = asked;
  const ovs = new Switch(deadlines);
  try {
    const [root] = await ovs.read({ ovsdb }, [selectSwitch], end);
    const state = root?.rows?.[0];
    const lacking = noDpdk(ovsdb, state);
    if (lacking) return [{ code: code.limitedConnectivity, message: lacking }];
    const trouble = await notAtWork(ovs, asked, state, end);
    return trouble ? [{ ...trouble, code: code.notAvailable }] : await wayTroubles(asked, state, end);
  } catch (error) {
    if (error instanceof DirectoryTimeout) return [{ code: code.notAvailable, message: error.message }];
    if (!(error instanceof Unreachable || error instanceof TransactionError)) throw error;
    return [{ code: code.notAvailable, message: `${error.message}; is "ovsdb" right?` }];
  } finally {
    ovs.close();
  }
}

/** Of a switch that others find at work: which of the directories are closed to it. */
export async function closedWays(
  asked: Pick<Readiness, 'ovsdb' | 'searched'>,
  end: Moment,
  deadlines: Deadlines,
): Promise<Trouble[]> {
  const ovs = new Switch(deadlines);
  try {
    const [root] = await ovs.read(asked, [selectSwitch], end);
    return await wayTroubles(asked, root?.rows?.[0], end);
  } catch (error) {
    if (error instanceof DirectoryTimeout) return [{ code: code.notAvailable, message: error.message }];
    if (!(error instanceof Unreachable || error instanceof TransactionError)) throw error;
    return [];
  } finally {
    ovs.close();
  }
}

/** That the switch would not come to the sockets of what is attached, it says nowhere itself. */
async function wayTroubles(
  { searched, ovsdb }: Pick<Readiness, 'ovsdb' | 'searched'>,
  root: Row | undefined,
  end: Moment,
): Promise<Trouble[]> {
  if (searched.length === 0) return [];
  const daemon = vswitchdOf(runDirectory(ovsdb)) ?? vswitchdOf(runDirectory(ovsdb, root));
  const user = await switchUser(daemon?.pid, socketPathOf(ovsdb), end);
  if (user === undefined || user === 'unlimited') return [];
  const { searchTroubles } = await import('./ovs/switch-access.ts');
  const found: Trouble[] = [];
  for (const directory of searched) found.push(...(await searchTroubles(directory, user, end)));
  return found.map(({ message }) => ({ code: code.notAvailable, message }));
}
