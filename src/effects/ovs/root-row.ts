/**
 * The one row of table Open_vSwitch (ovs-vswitchd.conf.db(5)). It tells which database it is, the run directory of both daemons,
 * and the last change that ovs-vswitchd has applied.
 */
import { dirname, join } from 'node:path';
import { type Operation, type Row, readMap, select } from './operations.ts';

export const selectSwitch = select(
  'Open_vSwitch',
  [],
  ['_uuid', 'external_ids', 'other_config', 'dpdk_initialized', 'dpdk_version', 'next_cfg', 'cur_cfg'],
);

/** Asks ovs-vswitchd to set cur_cfg to this number once it has applied all changes so far (ovs-vswitchd.conf.db(5)). */
export const raiseNextCfg: Operation = {
  op: 'mutate',
  table: 'Open_vSwitch',
  where: [],
  mutations: [['next_cfg', '+=', 1]],
};

/** Whether ovs-vswitchd has yet to apply changes. */
export const isBehind = (root: Row | undefined): boolean => Number(root?.cur_cfg) < Number(root?.next_cfg);

/** The run directory of both daemons: from the database, else the directory of the database's socket. */
export const runDirectory = (ovsdb: string, root?: Row): string =>
  readMap(root?.external_ids).rundir ?? dirname(socketPathOf(ovsdb));

/** The directory where server-mode sockets are created: rundir plus vhost-sock-dir, else beside the database's socket. */
export function switchSocketDirectory(ovsdb: string, root: Row | undefined): string {
  return join(runDirectory(ovsdb, root), readMap(root?.other_config)['vhost-sock-dir'] ?? '');
}

/** The path of the database's socket. */
export const socketPathOf = (ovsdb: string): string => ovsdb.replace(/^unix:/, '');
