/**
 * The one row of table Open_vSwitch (ovs-vswitchd.conf.db(5)): which database it is, where both daemons run, and how far ovs-vswitchd
 * has come.
 */
import { dirname, join } from 'node:path';
import { type Operation, type Row, readMap, select } from './operations.ts';

export const selectSwitch = select(
  'Open_vSwitch',
  [],
  ['_uuid', 'external_ids', 'other_config', 'dpdk_initialized', 'next_cfg', 'cur_cfg'],
);

/** Asks to be told when everything up to here is applied: ovs-vswitchd then sets cur_cfg to it (ovs-vswitchd.conf.db(5)). */
export const raiseNextCfg: Operation = {
  op: 'mutate',
  table: 'Open_vSwitch',
  where: [],
  mutations: [['next_cfg', '+=', 1]],
};

/** ovs-vswitchd has not applied yet what it was asked for. */
export const isBehind = (root: Row | undefined): boolean => Number(root?.cur_cfg) < Number(root?.next_cfg);

/** Of both daemons, as the database tells it, else where the database's socket is. */
export const runDirectory = (ovsdb: string, root?: Row): string =>
  readMap(root?.external_ids).rundir ?? dirname(socketPathOf(ovsdb));

/** Where server-mode sockets are created: rundir plus vhost-sock-dir, else beside the database's socket. */
export function switchSocketDirectory(ovsdb: string, root: Row | undefined): string {
  return join(runDirectory(ovsdb, root), readMap(root?.other_config)['vhost-sock-dir'] ?? '');
}

/** Of the database. */
export const socketPathOf = (ovsdb: string): string => ovsdb.replace(/^unix:/, '');
