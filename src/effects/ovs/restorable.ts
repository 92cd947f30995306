/**
 * Whether a port that the switch has lost can be put back just now. Asked before anything is written or changed: a put-back that cannot
 * succeed would leave a record at each try, and one that comes before ovs-vswitchd does would be taken back under a living pod.
 */
import { code, type Trouble } from '../../attachment.ts';
import { type Deadlines, within } from '../../deadlines.ts';
import type { Call, Request } from '../../machines/protocol.ts';
import { daemonTrouble } from './daemon.ts';
import { select, TransactionError } from './operations.ts';
import { heldTroubles, holdersOf } from './port-holder.ts';
import { bridgeTroubles } from './preflight.ts';
import { selectSwitch } from './root-row.ts';
import { Unreachable } from './session.ts';
import type { Switch } from './switch.ts';

/** Long enough for a daemon that loads flows; one that does not answer by then would not take the port in time either. */
const provenMs = 5_000;

const later = (message: string): Trouble => ({ code: code.tryAgainLater, message });

export async function restoreTrouble(
  ovs: Switch,
  { plan, facts }: Pick<Request, 'plan' | 'facts'>,
  call: Call,
  deadlines: Deadlines,
): Promise<Trouble | undefined> {
  const { port, bridge } = plan;
  if (!port) return undefined;
  const end = within(call.end, Math.min(provenMs, deadlines.switchMs));
  try {
    const ofBridge = select('Bridge', [['name', '==', port.bridge]], ['datapath_type']);
    const [root, bridges, ...holders] = await ovs.read(plan, [selectSwitch, ofBridge, ...holdersOf(plan, port)], end);
    const state = root?.rows?.[0];
    const found = bridges?.rows?.[0];
    const isOurs = facts.bridge?.ours ?? facts.bridge?.created;
    if (!found && !(bridge && isOurs)) return later(`bridge "${port.bridge}" is gone, and not ours to make`);
    return (
      bridgeTroubles(port.bridge, found)[0] ??
      heldTroubles(plan, port, holders, call)[0] ??
      (await daemonTrouble(ovs, plan, state, end))
    );
  } catch (error) {
    if (error instanceof Unreachable || error instanceof TransactionError) return later(error.message);
    throw error;
  }
}
