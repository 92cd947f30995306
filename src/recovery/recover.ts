/**
 * `userspace recover`: finishes what was interrupted. A removal that was begun is completed, an ADD whose process is dead is rolled
 * back, what is attached is left alone; what somebody works on right now is his.
 */
import { join } from 'node:path';
import { type AttachmentKey, journalSuffix, keyOfJournalName, keyText } from '../attachment.ts';
import { now, remainingMs, sleep } from '../deadlines.ts';
import { type Entry, fold, planOfHeader } from '../drive.ts';
import type { Disk } from '../journal/disk.ts';
import { Journal, JournalError } from '../journal/journal.ts';
import { listGoing, listJournals, readInstance, syncNames } from '../journal/store.ts';
import type { Plan } from '../machines/protocol.ts';
import { type RemovalHost, takeAway } from './removal.ts';

type Found = 'interrupted' | 'going' | 'attached' | 'empty' | 'damaged';
type Fate = 'removed' | 'owed' | 'kept' | 'held';

export interface Recovered {
  readonly key: string;
  readonly found: Found;
  readonly result: Fate;
  readonly owed: readonly { readonly step: string; readonly message: string }[];
}

export interface RecoverOptions {
  readonly disk: Disk;
  readonly host: RemovalHost & { close(): void };
  readonly clock: () => Date;
  readonly dataDir: string;
  readonly ovsdb: string;
  /** For each attachment: as long as a DEL has. */
  readonly removeMs: number;
  readonly progress: (one: Recovered) => void;
}

/** An ADD locks the journal right after creating it: an empty one that is older than this belongs to nobody. */
const secondLookMs = 1000;

/** @throws JournalError if the data directory can not be read. */
export async function recover(options: RecoverOptions): Promise<readonly Recovered[]> {
  const { disk, dataDir, progress } = options;
  const instance = readInstance(disk, dataDir);
  const recovered: Recovered[] = [];
  if (instance !== undefined) syncNames(disk, dataDir);
  for (const name of listJournals(disk, dataDir, journalSuffix).sort()) {
    const one = instance === undefined ? undefined : await tolerant(name, () => recoverOne(name, instance, options));
    if (!one) continue;
    progress(one);
    recovered.push(one);
  }
  return recovered;
}

/** What a DEL may spend on what others owe: its own runtime is waiting. */
const payMs = 2000;

/** Works off owed removals, the one tried least recently first, for a moment. Held ones are somebody's work already. */
export async function payOwed(options: Omit<RecoverOptions, 'removeMs'>, instance: string): Promise<void> {
  const end = now() + payMs;
  for (const name of listGoing(options.disk, options.dataDir, journalSuffix)) {
    if (now() >= end) return;
    const one = await tolerant(name, () => recoverOne(name, instance, { ...options, removeMs: remainingMs(end) }));
    if (one && one.result !== 'held') options.progress(one);
  }
}

/** One journal that cannot be read is no reason to leave the others. */
async function tolerant(name: string, action: () => Promise<Recovered | undefined>): Promise<Recovered | undefined> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    const key = name.slice(0, -journalSuffix.length);
    return { key, found: 'interrupted', result: 'owed', owed: [{ step: 'journal', message: error.message }] };
  }
}

/** @returns undefined if the journal went away meanwhile. */
async function recoverOne(
  name: string,
  instance: string,
  options: RecoverOptions,
  looks = 1,
): Promise<Recovered | undefined> {
  const { disk, clock, dataDir } = options;
  const journal = Journal.open<Entry>(disk, join(dataDir, name), { create: false, clock });
  if (!journal) return undefined;
  try {
    const outcome = await journal.lock(now());
    if (outcome === 'gone') return undefined;
    const label = name.slice(0, -journalSuffix.length);
    if (outcome === 'busy') return { key: label, found: 'interrupted', result: 'held', owed: [] };
    const found = stateOf(journal);
    const key = keyOf(name, journal);
    // A rotten journal is no reason to take a living pod's network: DEL will, by the marks.
    if (found === 'attached' || found === 'damaged') return { key: label, found, result: 'kept', owed: [] };
    if (found !== 'empty' || looks > 1) return await finish(journal, key, label, found, instance, options);
  } finally {
    journal.close();
  }
  await sleep(secondLookMs);
  return await recoverOne(name, instance, options, looks + 1);
}

function stateOf(journal: Journal<Entry>): Found {
  if (journal.going) return 'going';
  if (journal.damaged) return 'damaged';
  if (journal.records.length === 0) return 'empty';
  const past = fold(journal.records);
  // Of another version: an upgrade must not take a living pod's network either.
  if (!past) return 'damaged';
  if (past.state === 'attached') return 'attached';
  return past.state === 'going' ? 'going' : 'interrupted';
}

function keyOf(name: string, journal: Journal<Entry>): AttachmentKey | undefined {
  return planOfHeader(journal.records)?.key ?? keyOfJournalName(name);
}

async function finish(
  journal: Journal<Entry>,
  key: AttachmentKey | undefined,
  label: string,
  found: Found,
  instance: string,
  { host, ovsdb, removeMs }: RecoverOptions,
): Promise<Recovered> {
  const owe = (step: string, message: string): Recovered => ({
    key: label,
    found,
    result: 'owed',
    owed: [{ step, message }],
  });
  if (!key && journal.damaged)
    return owe('journal', "it cannot be read, nor its name: the runtime's DEL will remove it");
  try {
    if (key) {
      const known: Plan = { key, ovsdb, request: { stdin: '', env: {} } };
      const call = { instance, lockFd: journal.fd, end: now() + removeMs };
      const owed = await takeAway({ host, journal, by: 'recover', known, call });
      if (owed.length > 0) {
        journal.touch();
        journal.markGoing();
        const reasons = owed.map(({ step, trouble }) => ({ step, message: trouble.message }));
        return { key: keyText(key), found, result: 'owed', owed: reasons };
      }
    }
    journal.unlink();
    return { key: key ? keyText(key) : label, found, result: 'removed', owed: [] };
  } catch (error) {
    if (error instanceof JournalError) return owe('journal', error.message);
    throw error;
  } finally {
    // With the session goes this attachment's fence.
    host.close();
  }
}
