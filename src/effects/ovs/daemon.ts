/**
 * Whether ovs-vswitchd is at work. Columns such as dpdk_initialized and ofport outlive the process, so only a change that it
 * applies proves that it runs.
 */
import { code, type Trouble } from '../../attachment.ts';
import { waitUntilReleased } from './applied.ts';
import type { Row } from './operations.ts';
import { isBehind, raiseNextCfg, runDirectory, selectSwitch } from './root-row.ts';
import type { BoundSwitch } from './switch.ts';
import { describeDaemon, findVswitchd } from './vswitchd.ts';

/**
 * Asks ovs-vswitchd to apply a next_cfg, as ovs-vsctl does with each change. If it has not applied the current one, that one is
 * enough.
 * @param state the row of table Open_vSwitch
 * @returns code 11 if it does not apply it
 */
export async function daemonTrouble(ovs: BoundSwitch, state: Row | undefined): Promise<Trouble | undefined> {
  const known = ovs.whole.daemonOf(ovs);
  if (known === 'alive' && !isBehind(state)) return undefined;
  if (known instanceof Error) return { code: code.tryAgainLater, message: known.message };
  const wanted = isBehind(state) ? state : await raised(ovs);
  const caughtUp = await waitUntilReleased(ovs, Number(wanted?.next_cfg));
  if (caughtUp.kind === 'failed') return caughtUp.trouble;
  ovs.whole.noteDaemon(ovs, 'alive');
  return undefined;
}

/** A visible process that is not stopped is at work, however long a change takes. For an invisible one the database decides. */
export async function workTrouble(ovs: BoundSwitch, state: Row | undefined): Promise<Trouble | undefined> {
  const rundir = runDirectory(ovs.ovsdb, state);
  const seen = findVswitchd(rundir);
  if (!seen) return await daemonTrouble(ovs, state);
  return seen.isStopped ? { code: code.tryAgainLater, message: `ovs-vswitchd: ${describeDaemon(rundir)}` } : undefined;
}

async function raised(ovs: BoundSwitch): Promise<Row | undefined> {
  const [, root] = await ovs.read([raiseNextCfg, selectSwitch]);
  return root?.rows?.[0];
}

/** A switch without DPDK takes the rows of vhost-user ports but opens none. @returns undefined if it has DPDK */
export function describeNoDpdk(ovsdb: string, root: Row | undefined): string | undefined {
  if (root?.dpdk_initialized === true) return undefined;
  const cause =
    root?.dpdk_version === builtWithout
      ? `(dpdk_version is ${builtWithout}): this ovs-vswitchd was built without it.`
      : '(dpdk_initialized is not true): is other_config:dpdk-init set?';
  return `Open vSwitch at "${ovsdb}" has no DPDK ${cause} ovs-vswitchd: ${describeDaemon(runDirectory(ovsdb, root))}`;
}

/** The dpdk_version of a build without DPDK (lib/dpdk-stub.c), as Debian's alternatives choose it by default. */
const builtWithout = 'none';
