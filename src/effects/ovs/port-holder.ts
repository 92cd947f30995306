/**
 * Which attachment holds a port name or a socket. A published file names its attachment's port, which is also the name of the
 * socket's file. A switch has one port of each name. So while that port exists, its attachment lives and the published file is its
 * own.
 */
import { code, keyText, owner, type Trouble } from '../../attachment.ts';
import type { Plan, PortPlan } from '../../machines/protocol.ts';
import type { FindHolder } from '../files/holder.ts';
import { socketOf, switchPathOf } from './columns.ts';
import { isOwn, madeElsewhere, ownerMarks } from './marks.ts';
import { map, type Operation, type OperationResult, readMap, select, withMarks, withName } from './operations.ts';
import type { AttachmentSwitch } from './switch.ts';

export const otherHolder =
  (ovs: AttachmentSwitch): FindHolder =>
  async (name) => {
    const [ports] = await ovs.read([select('Port', [withName(name)], ['external_ids'])]);
    const [row] = ports?.rows ?? [];
    if (!row) return undefined;
    const marks = readMap(row.external_ids);
    if (marks.owner !== owner) return `port "${name}", which is not ours`;
    return marks.key === keyText(ovs.plan.key) ? undefined : `attachment "${marks.key}"`;
  };

/** The questions for `heldTroubles`. */
export function selectHolders({ key }: Pick<Plan, 'key'>, port: PortPlan): Operation[] {
  return [
    select('Port', [withName(port.name)], ['external_ids']),
    select('Interface', [withName(port.name)], ['external_ids']),
    select('Port', [withMarks({ owner, socket: socketOf(port) })], ['external_ids']),
    select('Interface', [['options', 'includes', map({ 'vhost-server-path': switchPathOf(port) })]], ['name']),
    select('Port', [withMarks(ownerMarks(key))], ['external_ids']),
  ];
}

/** Names and sockets that another attachment or tool holds (bug B28): code 7 naming the holder. */
export function heldTroubles(
  { plan, call }: AttachmentSwitch,
  port: PortPlan,
  answers: readonly OperationResult[],
): Trouble[] {
  const [byName, interfaces, bySocket, byPath, byKey] = answers;
  const socket = socketOf(port);
  const own = keyText(plan.key);
  const foreign = (byKey?.rows ?? []).map((row) => readMap(row.external_ids)).find((marks) => !isOwn(marks, call));
  if (foreign) return [madeElsewhere(plan.key, foreign)];
  const holders = [...(byName?.rows ?? []), ...(bySocket?.rows ?? [])].map((row) => readMap(row.external_ids));
  const taken = holders.find((marks) => marks.owner !== owner || marks.key !== own);
  if (taken) {
    const remedy = 'give one of the two another interface name or "host.vhost.socketfile"';
    const by = taken.owner === owner ? `attachment "${taken.key}": ${remedy}` : 'a port that is not ours';
    return [{ code: code.invalidConfig, message: `port name "${port.name}" or socket "${socket}" is held by ${by}` }];
  }
  const strangers = holders.length === 0 && [...(interfaces?.rows ?? []), ...(byPath?.rows ?? [])].length > 0;
  const message = `port name "${port.name}" or socket "${socket}" is held by an interface that is not ours`;
  return strangers ? [{ code: code.invalidConfig, message }] : [];
}
