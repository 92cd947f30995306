/**
 * The switch's part of STATUS: is it there, has it DPDK, is ovs-vswitchd at work, and may it search the way to the sockets?
 */

import { code, type Trouble } from '../../attachment.ts';
import type { Deadlines, Moment } from '../../deadlines.ts';
import { EngineFailure } from '../engine.ts';
import { DirectoryTimeout } from '../outcome.ts';
import { describeNoDpdk, workTrouble } from './daemon.ts';
import type { Row } from './operations.ts';
import { runDirectory, selectSwitch, socketPathOf } from './root-row.ts';
import { BoundSwitch, Switch } from './switch.ts';
import { switchUser } from './switch-user.ts';
import { findVswitchd } from './vswitchd.ts';

/** A switch, and the directories of a configuration that it searches on its way to sockets of applications. */
export interface SearchingSwitch {
  readonly ovsdb: string;
  readonly searched: readonly string[];
}

export async function switchReadiness(asked: SearchingSwitch, end: Moment, deadlines: Deadlines): Promise<Trouble[]> {
  const { ovsdb } = asked;
  const whole = new Switch(deadlines);
  const ovs = new BoundSwitch(whole, { ovsdb }, end);
  try {
    const [root] = await ovs.read([selectSwitch]);
    const state = root?.rows?.[0];
    const lacking = describeNoDpdk(ovsdb, state);
    if (lacking) return [{ code: code.limitedConnectivity, message: lacking }];
    const trouble = await workTrouble(ovs, state);
    return trouble ? [{ ...trouble, code: code.notAvailable }] : await wayTroubles(asked, state, end);
  } catch (error) {
    if (error instanceof DirectoryTimeout) return [{ code: code.notAvailable, message: error.message }];
    if (!(error instanceof EngineFailure)) throw error;
    return [{ code: code.notAvailable, message: `${error.message}; is "ovsdb" right?` }];
  } finally {
    whole.close();
  }
}

/** Looks for directories that are closed to a switch that is known to be at work. */
export async function closedWays(asked: SearchingSwitch, end: Moment, deadlines: Deadlines): Promise<Trouble[]> {
  const ovs = new Switch(deadlines);
  try {
    const [root] = await ovs.read(asked, [selectSwitch], end);
    return await wayTroubles(asked, root?.rows?.[0], end);
  } catch (error) {
    if (error instanceof DirectoryTimeout) return [{ code: code.notAvailable, message: error.message }];
    if (!(error instanceof EngineFailure)) throw error;
    return [];
  } finally {
    ovs.close();
  }
}

/** Looks at the way because the switch itself reports nowhere that it cannot reach a socket. */
async function wayTroubles(
  { searched, ovsdb }: SearchingSwitch,
  root: Row | undefined,
  end: Moment,
): Promise<Trouble[]> {
  if (searched.length === 0) return [];
  const daemon = findVswitchd(runDirectory(ovsdb)) ?? findVswitchd(runDirectory(ovsdb, root));
  const user = await switchUser(daemon?.pid, socketPathOf(ovsdb), end);
  if (user === undefined || user === 'unlimited') return [];
  const { searchTroubles } = await import('./switch-access.ts');
  const found: Trouble[] = [];
  for (const directory of searched) found.push(...(await searchTroubles(directory, user, end)));
  return found.map(({ message }) => ({ code: code.notAvailable, message }));
}
