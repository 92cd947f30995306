/**
 * Whether a port that the switch has lost can be put back just now. This is asked before anything is written or changed, because
 * each put-back that fails leaves a record. One that runs before ovs-vswitchd does would be taken back under a living pod.
 */
import { code, type Trouble } from '../../attachment.ts';
import { within } from '../../deadlines.ts';
import type { Facts } from '../../machines/protocol.ts';
import { EngineFailure } from '../engine.ts';
import { daemonTrouble } from './daemon.ts';
import { select, withName } from './operations.ts';
import { heldTroubles, selectHolders } from './port-holder.ts';
import { bridgeTroubles } from './preflight.ts';
import { selectSwitch } from './root-row.ts';
import type { AttachmentSwitch } from './switch.ts';

/** Long enough for a daemon that loads flows. A slower daemon would not take the port in time either. */
const provenMs = 5_000;

const later = (message: string): Trouble => ({ code: code.tryAgainLater, message });

export async function restoreTrouble(asked: AttachmentSwitch, facts: Facts): Promise<Trouble | undefined> {
  const { port, bridge } = asked.plan;
  if (!port) return undefined;
  const ovs = asked.until(within(asked.end, Math.min(provenMs, asked.whole.deadlines.switchMs)));
  try {
    const ofBridge = select('Bridge', [withName(port.bridge)], ['datapath_type']);
    const [root, bridges, ...holders] = await ovs.read([selectSwitch, ofBridge, ...selectHolders(ovs.plan, port)]);
    const state = root?.rows?.[0];
    const found = bridges?.rows?.[0];
    const isOurs = facts.bridge?.ours ?? facts.bridge?.created;
    if (!found && !(bridge && isOurs)) return later(`bridge "${port.bridge}" is gone, and not ours to make`);
    return (
      bridgeTroubles(port.bridge, found)[0] ?? heldTroubles(ovs, port, holders)[0] ?? (await daemonTrouble(ovs, state))
    );
  } catch (error) {
    if (error instanceof EngineFailure) return later(error.message);
    throw error;
  }
}
