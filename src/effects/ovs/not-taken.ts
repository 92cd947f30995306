/**
 * Why ovs-vswitchd did not take a port: it answers no transaction, so what it says is gathered from the columns that it writes, and
 * from its process. Read only when that has happened.
 */
import { EngineFailure } from '../engine.ts';
import { describeNoDpdk } from './daemon.ts';
import { type Row, readMap, readSet, select } from './operations.ts';
import { runDirectory, selectSwitch } from './root-row.ts';
import type { BoundSwitch } from './switch.ts';
import { describeDaemon } from './vswitchd.ts';

/** @returns what the switch says of the port's bridge and of itself, and where to look */
export async function whyNotTaken(ovs: BoundSwitch, bridge: string): Promise<string> {
  const asked = [
    select('Bridge', [['name', '==', bridge]], ['datapath_id', 'datapath_type', 'status']),
    select('Interface', [['name', '==', bridge]], ['error']),
    selectSwitch,
  ];
  const answers = await ovs.read(asked).catch((error) => {
    // What is said then is what the process tells.
    if (!(error instanceof EngineFailure)) throw error;
    return [];
  });
  const [row, local, root] = answers.map(({ rows }) => rows?.[0]);
  const said = [
    ...(row ? bridgeWords(bridge, row) : []),
    ...readSet(local?.error).map((error) => `Interface "${bridge}" says: ${error}`),
    (root && describeNoDpdk(ovs.ovsdb, root)) ?? `ovs-vswitchd: ${describeDaemon(runDirectory(ovs.ovsdb, root))}`,
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
