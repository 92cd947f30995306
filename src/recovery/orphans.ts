/**
 * Ports on a switch that bear our marks and have no journal.
 */
import { join } from 'node:path';
import { type AttachmentKey, journalName, journalSuffix, keyOfText, messageOf } from '../attachment.ts';
import { defaultDeadlines, now, within } from '../deadlines.ts';
import { planOfHeader } from '../drive/entry.ts';
import { peekJournal } from '../drive/past.ts';
import { JournalError } from '../journal/journal.ts';
import { listJournals } from '../journal/store.ts';
import type { Database, KnownPort, Plan } from '../machines/protocol.ts';
import { recoverOne, reportUnreadable, untold } from './one.ts';
import type { Recovered, Round } from './options.ts';

export interface SwitchPorts {
  readonly ovsdb: string;
  /** Absent if the switch cannot be asked, which `unreachable` reports. */
  readonly ports?: readonly KnownPort[];
}

export async function portsOf({ host, removeMs, unreachable }: Round, database: Database): Promise<SwitchPorts> {
  const { ovsdb } = database;
  try {
    return { ovsdb, ports: await host.listPorts(database, within(now() + removeMs, defaultDeadlines.switchMs)) };
  } catch (error) {
    unreachable?.({ ovsdb, message: messageOf(error) });
    return { ovsdb };
  } finally {
    host.close();
  }
}

/** Removes bridges of ours that no port uses, or whose data directory lost its id. @returns the names of the removed ones */
export async function idleBridges(round: Round, ovsdb: string, ids: ReadonlySet<string>): Promise<readonly string[]> {
  const { host, disk, instance, dataDir, removeMs, dryRun = false } = round;
  const call = { instance, dataDir, end: within(now() + removeMs, defaultDeadlines.switchMs) };
  const plans = listJournals(disk, dataDir, journalSuffix).map((name) => planOf(round, name));
  // A journal that cannot be read may name any bridge.
  if (plans.includes(undefined)) return [];
  const used = new Set(plans.flatMap((plan) => plan?.bridge?.name ?? plan?.port?.bridge ?? []));
  try {
    return await host.removeIdleBridges({ database: { ovsdb }, ids, used, dryRun }, call);
  } catch {
    // The switch answered a moment ago, and the next recovery tries again. A bridge without ports forwards nothing.
    return [];
  } finally {
    host.close();
  }
}

/** The names and ids of one data directory. */
interface Own {
  /** The file names of its journals. */
  readonly names: readonly string[];
  /** Every id that the directory has had: that of its file, and those of its journals. */
  readonly ids: ReadonlySet<string>;
}

export async function recoverPort(port: KnownPort, { names, ids }: Own, round: Round): Promise<Recovered | undefined> {
  const { key: text, instance } = port;
  if (!ids.has(instance)) {
    round.others?.(port);
    return undefined;
  }
  const key: AttachmentKey | undefined = keyOfText(text);
  if (!key) return names.some((name) => planOf(round, name)?.port?.name === port.name) ? undefined : nameless(port);
  const own = journalName(key);
  if (names.includes(own)) return undefined;
  const life = lifeOf(port, round);
  if (life !== 'gone') return { key: text, found: 'orphan', result: 'kept', owed: [], ...bereft[life] };
  if (round.dryRun) return { key: text, found: 'orphan', result: 'removed', owed: [], ...untold };
  const { holderOf } = round;
  const visit = { why: 'orphan', key, ...(holderOf && { holderOf }) } as const;
  return await reportUnreadable(own, () => recoverOne(own, { ...round, instance }, visit));
}

const bereft = {
  alive: { note: 'its journal is lost, and its network namespace lives: its DEL removes it by its marks' },
  unknown: {
    note: 'its journal is lost, and its network namespace cannot be judged from here: its DEL removes it by its marks',
  },
};

/** Whether the port's sandbox lives: its journal can be lost, or be in another copy of the directory, while the pod lives. */
function lifeOf({ netns, begun }: KnownPort, { host }: Round): 'alive' | 'gone' | 'unknown' {
  if (netns === undefined || (begun !== undefined && !begun.startsWith(`${host.bootId()} `))) return 'gone';
  const { path, file, directory } = netns;
  if (file !== undefined && directory !== undefined) return host.judgeNetns({ path, file, directory });
  // With only a path, a namespace that cannot be seen from here may still be seen elsewhere.
  return host.readNetns(path) === undefined ? 'unknown' : 'alive';
}

/** The report on a port whose owner neither its marks nor a journal tell: a person has to decide. */
function nameless({ name, key }: KnownPort): Recovered {
  const message = `its marks tell no attachment (key "${key}"), and no journal names it: if nothing uses it, remove it by hand (ovs-vsctl del-port ${name})`;
  return { key: name, found: 'orphan', result: 'owed', owed: [{ step: 'port', message }] };
}

function planOf({ disk, dataDir }: Round, journal: string): Plan | undefined {
  try {
    return planOfHeader(peekJournal(disk, join(dataDir, journal))?.records ?? []);
  } catch (error) {
    if (error instanceof JournalError) return undefined;
    throw error;
  }
}
