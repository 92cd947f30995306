/**
 * Why ovs-vswitchd did not take a port. It does not answer transactions, so the reason is gathered from its columns and its
 * process. This file is loaded only in that case.
 */
import { EngineFailure } from '../engine.ts';
import { describeNoDpdk } from './daemon.ts';
import { type Row, readMap, readSet, select, withName } from './operations.ts';
import { runDirectory, selectSwitch } from './root-row.ts';
import type { BoundSwitch } from './switch.ts';
import { describeDaemon } from './vswitchd.ts';

/** @returns the switch's words about the port's bridge and about itself, and where to look */
export async function whyNotTaken(ovs: BoundSwitch, bridge: string): Promise<string> {
  const asked = [
    select('Bridge', [withName(bridge)], ['datapath_id', 'datapath_type', 'status']),
    select('Interface', [withName(bridge)], ['error']),
    selectSwitch,
  ];
  const answers = await ovs.read(asked).catch((error) => {
    // Then the process alone is described.
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

/** ovs-vswitchd writes a bridge's datapath_id once it has made the bridge. */
function bridgeWords(name: string, row: Row): string[] {
  const status = Object.entries(readMap(row.status)).map(([key, value]) => `status ${key} is "${value}"`);
  const isMade = readSet(row.datapath_id).length > 0;
  return [
    ...(isMade ? [] : [`bridge "${name}" (datapath_type "${row.datapath_type}") was not made either`]),
    ...status,
  ];
}
