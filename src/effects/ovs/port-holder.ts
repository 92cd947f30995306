/**
 * Whose port bears a name. What is published of an attachment tells the name of its port, which is the name of its socket's file:
 * a switch has one port of a name, so while it stands its attachment lives, and what was published of it is its own.
 */
import { keyText, owner } from '../../attachment.ts';
import type { Call, Plan } from '../../machines/protocol.ts';
import { readMap, select } from './operations.ts';
import type { Switch } from './switch.ts';

/** @returns the holder in words; undefined if there is none, or it is this attachment */
export type OtherHolder = (port: string) => Promise<string | undefined>;

export const otherHolder =
  (ovs: Switch, plan: Plan, call: Call): OtherHolder =>
  async (name) => {
    const [ports] = await ovs.read(plan, [select('Port', [['name', '==', name]], ['external_ids'])], call.end);
    const [row] = ports?.rows ?? [];
    if (!row) return undefined;
    const marks = readMap(row.external_ids);
    if (marks.owner !== owner) return `port "${name}", which is not ours`;
    return marks.key === keyText(plan.key) ? undefined : `attachment "${marks.key}"`;
  };
