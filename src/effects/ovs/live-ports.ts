/**
 * Which of many attachments' ports a switch has, in one transaction and without a fence. It is for people: no decision depends on
 * it.
 */
import { keyText } from '../../attachment.ts';
import type { LivePort } from '../engine.ts';
import { emptyType } from './columns.ts';
import { isOurs } from './marks.ts';
import { type Row, readMap, readUuid, select } from './operations.ts';
import { ownAmong, portColumns, soughtPort } from './own-ports.ts';
import type { BoundSwitch } from './switch.ts';

/** @returns for each, in order. @throws Unreachable, TransactionError */
export async function portsThere(ovs: BoundSwitch, attachments: readonly LivePort[]): Promise<readonly boolean[]> {
  const deviceColumns = ['_uuid', 'name', 'type', 'options'];
  const [ports, devices] = await ovs.read([select('Port', [], portColumns), select('Interface', [], deviceColumns)]);
  const byKey = new Map<string | undefined, Row[]>();
  for (const row of ports?.rows ?? []) {
    const marks = readMap(row.external_ids);
    if (isOurs(marks)) byKey.set(marks.key, [...(byKey.get(marks.key) ?? []), row]);
  }
  const [portById, portByName] = indexes(ports?.rows);
  const [deviceById, deviceByName] = indexes(devices?.rows);
  return attachments.map(({ plan, facts, call }) => {
    const sought = soughtPort(plan, facts);
    const name = plan.port?.name ?? '';
    const answers = {
      byKey: byKey.get(keyText(plan.key)) ?? [],
      byId: portById.get(sought.recorded ?? ''),
      byName: portByName.get(name),
      device: deviceByName.get(name),
    };
    const [own] = ownAmong(sought, answers, call).own;
    return own !== undefined && deviceById.get(own.device)?.type !== emptyType;
  });
}

const indexes = (rows: readonly Row[] = []) =>
  [
    new Map(rows.map((row) => [readUuid(row._uuid), row])),
    new Map(rows.map((row) => [String(row.name), row])),
  ] as const;
