/**
 * Waiting until ovs-vswitchd has applied a change. It does not answer transactions, it writes columns.
 */
import { code } from '../../attachment.ts';
import { remainingMs } from '../../deadlines.ts';
import { askedBefore } from '../away.ts';
import { type Failed, failed, ok } from '../outcome.ts';
import { isGuardFailure, type Operation, type Row, set, untilDiffers, withId } from './operations.ts';
import { runDirectory, selectSwitch } from './root-row.ts';
import type { BoundSwitch } from './switch.ts';
import { describeDaemon } from './vswitchd.ts';

/** Waits for ovs-vswitchd to take an interface. If it does not in that time, the transaction fails (`isGuardFailure`). */
export const untilApplied = (id: string, timeoutMs: number): Operation =>
  untilDiffers('Interface', [withId(id)], { ofport: set([]) }, timeoutMs);

/**
 * Waits until ovs-vswitchd has reached a next_cfg. A port that was deleted before it then forwards no packets, so another
 * attachment may have its address and name (case A32).
 */
export async function waitUntilReleased(ovs: BoundSwitch, goneAt: number): Promise<typeof ok | Failed> {
  let seen: Row | undefined;
  for (let wait: readonly Operation[] = []; ; ) {
    const results = await ovs.read([...wait, selectSwitch]).catch((error) => {
      if (!isGuardFailure(error)) throw error;
      return undefined;
    });
    const root = results?.at(-1)?.rows?.[0];
    if (!root) {
      const message = behind(ovs.ovsdb, seen);
      ovs.whole.noteDaemon(ovs, new Error(askedBefore(message)));
      return failed(code.tryAgainLater, message);
    }
    // A lower next_cfg belongs to another database, which never had the port.
    if (Number(root.cur_cfg) >= goneAt || Number(root.next_cfg) < goneAt) return ok;
    const known = ovs.whole.daemonOf(ovs);
    if (known instanceof Error) return failed(code.tryAgainLater, known.message);
    seen = root;
    // The server's own timeout ends before ours: its answer says which of the two is stuck.
    wait = [untilDiffers('Open_vSwitch', [], { cur_cfg: root.cur_cfg }, remainingMs(ovs.end) * 0.9)];
  }
}

/** The message about an ovs-vswitchd that does not apply its changes. */
const behind = (ovsdb: string, root: Row | undefined): string =>
  `ovs-vswitchd has applied ${root?.cur_cfg} of ${root?.next_cfg} changes, and no more in time: ${describeDaemon(runDirectory(ovsdb, root))}`;
