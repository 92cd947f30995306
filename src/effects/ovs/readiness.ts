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
  const ovs = new BoundSwitch(new Switch(deadlines), asked, end);
  return await askState(ovs, {
    judge: async (state) => {
      const lacking = describeNoDpdk(ovs.ovsdb, state);
      if (lacking) return [{ code: code.limitedConnectivity, message: lacking }];
      const trouble = await workTrouble(ovs, state);
      return trouble ? [unavailable(trouble.message)] : await wayTroubles(asked, state, end);
    },
    unasked: (error) => [unavailable(`${error.message}; is "ovsdb" right?`)],
  });
}

/** Looks for directories that are closed to a switch that is known to be at work. */
export async function closedWays(asked: SearchingSwitch, end: Moment, deadlines: Deadlines): Promise<Trouble[]> {
  const ovs = new BoundSwitch(new Switch(deadlines), asked, end);
  return await askState(ovs, { judge: (state) => wayTroubles(asked, state, end), unasked: () => [] });
}

interface Judgement {
  /** @param state the row of table Open_vSwitch */
  readonly judge: (state: Row | undefined) => Promise<Trouble[]>;
  /** The answer if the switch cannot be asked. */
  readonly unasked: (error: EngineFailure) => Trouble[];
}

/** Asks a switch for its state, and closes it. */
async function askState(ovs: BoundSwitch, { judge, unasked }: Judgement): Promise<Trouble[]> {
  try {
    const [root] = await ovs.read([selectSwitch]);
    return await judge(root?.rows?.[0]);
  } catch (error) {
    if (error instanceof DirectoryTimeout) return [unavailable(error.message)];
    if (error instanceof EngineFailure) return unasked(error);
    throw error;
  } finally {
    ovs.whole.close();
  }
}

const unavailable = (message: string): Trouble => ({ code: code.notAvailable, message });

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
  return found.map(({ message }) => unavailable(message));
}
