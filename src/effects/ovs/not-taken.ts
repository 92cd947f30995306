/**
 * Why ovs-vswitchd did not take a port: it answers no transaction, so what it says is gathered from the columns that it writes, and
 * from its process. Read only when that has happened.
 */
import type { Moment } from '../../deadlines.ts';
import type { Plan } from '../../machines/protocol.ts';
import { noDpdk } from './daemon.ts';
import { type Row, readMap, readSet, select, TransactionError } from './operations.ts';
import { runDirectory, selectSwitch } from './root-row.ts';
import { Unreachable } from './session.ts';
import type { Switch } from './switch.ts';
import { seenOf } from './vswitchd.ts';

/** @returns what the switch says of the port's bridge and of itself, and where to look */
export async function whyNotTaken(ovs: Switch, plan: Plan, bridge: string, end: Moment): Promise<string> {
  const asked = [
    select('Bridge', [['name', '==', bridge]], ['datapath_id', 'datapath_type', 'status']),
    select('Interface', [['name', '==', bridge]], ['error']),
    selectSwitch,
  ];
  const answers = await ovs.read(plan, asked, end).catch((error) => {
    // What is said then is what the process tells.
    if (!(error instanceof Unreachable || error instanceof TransactionError)) throw error;
    return [];
  });
  const [row, local, root] = answers.map(({ rows }) => rows?.[0]);
  const said = [
    ...(row ? bridgeWords(bridge, row) : []),
    ...readSet(local?.error).map((error) => `Interface "${bridge}" says: ${error}`),
    (root && noDpdk(plan.ovsdb, root)) ?? `ovs-vswitchd: ${seenOf(runDirectory(plan.ovsdb, root))}`,
  ];
  return said.join('; ');
}

/** ovs-vswitchd writes a bridge's datapath_id when it has made it. */
function bridgeWords(name: string, row: Row): string[] {
  const status = Object.entries(readMap(row.status)).map(([key, value]) => `status ${key} is "${value}"`);
  const isMade = readSet(row.datapath_id).length > 0;
  return [
    ...(isMade ? [] : [`bridge "${name}" (datapath_type "${row.datapath_type}") was not made either`]),
    ...status,
  ];
}
