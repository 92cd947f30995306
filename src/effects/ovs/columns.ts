/**
 * The columns of tables Port and Interface that make a port a vhost-user port (ovs-vswitchd.conf.db(5)).
 */
import { join } from 'node:path';
import type { PortPlan } from '../../machines/protocol.ts';
import { type Operation, type Row, readSet, select } from './operations.ts';

/** Of table Interface (ovs-vswitchd.conf.db(5)), by the switch's side of the socket. */
export const interfaceType = { client: 'dpdkvhostuserclient', server: 'dpdkvhostuser' } as const;

/** What ovn-controller looks for in external_ids of table Interface (ovn-controller(8)). */
export const ovnPortId = 'iface-id';

/** No datapath knows it: ovs-vswitchd keeps nothing under the name of such an interface. */
export const noType = 'none';

/** What bears the port's name, if anything. */
export const typeOf = ({ name }: Pick<PortPlan, 'name'>): Operation =>
  select('Interface', [['name', '==', name]], ['type']);

export const socketOf = (port: Pick<PortPlan, 'directory' | 'file'>): string => join(port.directory, port.file);

/** By which path the switch connects. */
export const switchPathOf = (port: Pick<PortPlan, 'directory' | 'file' | 'link'>): string =>
  join(port.link ?? port.directory, port.file);

/** Of a row of table Interface. @returns undefined of a vhost-user port that no application has used: column mtu is 0 until then */
export function usedMtu(row: Row | undefined): number | undefined {
  const mtu = Number(readSet(row?.mtu)[0] ?? 0);
  return mtu > 0 ? mtu : undefined;
}
