/**
 * Which of many attachments' ports a switch has: one transaction for all of them, and no fence. For people: nothing is decided on it.
 */
import { keyText } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import type { Call, Database } from '../../machines/protocol.ts';
import { noType } from './columns.ts';
import { isOurs } from './marks.ts';
import { type Row, readMap, readUuid, select } from './operations.ts';
import { ownAmong, portColumns, recordedId, type Sought } from './own-ports.ts';
import type { Switch } from './switch.ts';

export interface SoughtPort extends Sought {
  /** The data directory that it was made through. */
  readonly call: Pick<Call, 'instance' | 'dataDir'>;
}

/** @returns for each, in order. @throws Unreachable, TransactionError */
export async function portsThere(
  ovs: Switch,
  database: Database,
  sought: readonly SoughtPort[],
  end: Moment,
): Promise<readonly boolean[]> {
  const deviceColumns = ['_uuid', 'name', 'type', 'options'];
  const [ports, devices] = await ovs.read(
    database,
    [select('Port', [], portColumns), select('Interface', [], deviceColumns)],
    end,
  );
  const byKey = new Map<string | undefined, Row[]>();
  for (const row of ports?.rows ?? []) {
    const marks = readMap(row.external_ids);
    if (isOurs(marks)) byKey.set(marks.key, [...(byKey.get(marks.key) ?? []), row]);
  }
  const [portById, portByName] = indexes(ports?.rows);
  const [deviceById, deviceByName] = indexes(devices?.rows);
  return sought.map(({ plan, facts, call }) => {
    const name = plan.port?.name ?? '';
    const answers = {
      byKey: byKey.get(keyText(plan.key)) ?? [],
      byId: portById.get(recordedId(facts) ?? ''),
      byName: portByName.get(name),
      device: deviceByName.get(name),
    };
    const [own] = ownAmong({ plan, facts }, answers, call).own;
    return own !== undefined && deviceById.get(own.device)?.type !== noType;
  });
}

const indexes = (rows: readonly Row[] = []) =>
  [
    new Map(rows.map((row) => [readUuid(row._uuid), row])),
    new Map(rows.map((row) => [String(row.name), row])),
  ] as const;
