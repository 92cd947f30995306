/**
 * Asks the switches whether the attachments' ports are there: each database once, with a short limit for one that does not answer.
 */
import { messageOf } from '../attachment.ts';
import type { Moment } from '../deadlines.ts';
import type { Host } from '../effects/host.ts';
import type { UnreachableSwitch } from '../recovery/options.ts';
import type { Reading } from './attachments.ts';
import type { Live } from './words.ts';

/** A switch answers in a few milliseconds, and a person is waiting for the list. */
export const liveMs = 1_000;

interface Asked {
  readonly reading: Reading;
  readonly sought: NonNullable<Reading['sought']>;
}

/** @returns a map by journal path, with every attachment whose journal names a port; and the reasons why some are unknown */
export async function askSwitches(readings: readonly Reading[], host: Host, dataDir: string, end: Moment) {
  const live = new Map<string, Live>();
  const unreachable: UnreachableSwitch[] = [];
  const byDatabase = new Map<string, Asked[]>();
  for (const reading of readings) {
    const { sought } = reading;
    if (!sought) continue;
    const { ovsdb } = sought.plan;
    byDatabase.set(ovsdb, [...(byDatabase.get(ovsdb) ?? []), { reading, sought }]);
  }
  const asking = [...byDatabase].map(async ([ovsdb, asked]) => {
    const ports = asked.map(({ sought: { plan, facts, instance } }) => ({ plan, facts, call: { instance, dataDir } }));
    try {
      const there = await host.portsThere({ ovsdb }, ports, end);
      for (const [index, { reading }] of asked.entries()) live.set(reading.path, there[index] ? 'yes' : 'no');
    } catch (error) {
      for (const { reading } of asked) live.set(reading.path, 'unknown');
      unreachable.push({ ovsdb, message: messageOf(error) });
    }
  });
  await Promise.all(asking);
  return { live, unreachable };
}
