/**
 * One journal under its lock: judged, and brought to where its attachment belongs.
 */
import { join } from 'node:path';
import { type AttachmentKey, journalName, journalSuffix, keyText } from '../attachment.ts';
import { now, sleep } from '../deadlines.ts';
import { isNothingNew, nextTry } from '../drive/due.ts';
import { type Entry, planOfHeader } from '../drive/entry.ts';
import { openJournal, type Past, peekJournal } from '../drive/past.ts';
import { type Removed, takeAway } from '../drive/removal.ts';
import { putBack } from '../drive/restore.ts';
import { recorded } from '../drive/trouble.ts';
import { type Journal, JournalError } from '../journal/journal.ts';
import { type Judgement, judge, keyOf } from './judge.ts';
import type { Recovered, Task } from './options.ts';
import type { Found } from './words.ts';

/** Why a journal is opened, and so what may be done with it. */
export type Purpose =
  /** `later`: what is lost is put back once all else is done. */
  | { readonly kind: 'recovery'; readonly putBack: 'now' | 'later' }
  /** An owed removal alone. */
  | { readonly kind: 'debt' }
  /** What came to rest by then (ISO 8601), and is not in the runtime's list. */
  | { readonly kind: 'stale'; readonly since: string }
  /** To have the lock of a port that has no journal. */
  | { readonly kind: 'orphan'; readonly key: AttachmentKey };

/** An ADD locks the journal right after creating it: an empty one that is older than this is no call's. */
const secondLookMs = 1000;

/** Long enough for one look at the process that holds a lock (processes.ts). */
const leaseLookMs = 500;

const released: ReadonlySet<Found> = new Set(['interrupted', 'going', 'rebooted', 'abandoned', 'empty']);

const labelOf = (name: string): string => name.slice(0, -journalSuffix.length);

/** One journal that cannot be read is no reason to leave the others. */
export async function tolerant(
  name: string,
  action: () => Promise<Recovered | undefined>,
): Promise<Recovered | undefined> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    const owed = [{ step: 'journal', message: error.message }];
    return { key: labelOf(name), found: 'unreadable', result: 'owed', owed };
  }
}

/** @returns undefined if the journal went away meanwhile, or is not for this purpose. @throws JournalError */
export async function recoverOne(
  name: string,
  task: Task,
  purpose: Purpose,
  looks = 1,
): Promise<Recovered | undefined> {
  const { disk, clock, dataDir, host } = task;
  const path = join(dataDir, name);
  const isOrphan = purpose.kind === 'orphan';
  const journal = openJournal(disk, path, { create: isOrphan, clock });
  if (!journal && isOrphan)
    throw new JournalError('EROFS', `no journal can be made for "${name}", and so no lock be had`);
  if (!journal) return undefined;
  try {
    // A lock that a dead call's program has beyond its time is taken from it; only a recovery waits for that.
    const patience = purpose.kind === 'recovery' ? leaseLookMs : 0;
    const outcome = await journal.lock(now() + patience, task.dryRun !== true);
    if (outcome === 'gone') return undefined;
    if (outcome === 'busy') return held(name, task);
    const one = copyOf(journal, name) ?? (await treat(journal, name, task, purpose, looks));
    if (one !== 'look again') return one;
  } finally {
    journal.close();
    // With the session goes this attachment's fence.
    host.close();
  }
  await sleep(secondLookMs);
  return await recoverOne(name, task, purpose, looks + 1);
}

/** That a removal was begun is seen without the lock; all else is the holder's. */
function held(name: string, { disk, dataDir, holderOf }: Task): Recovered {
  const path = join(dataDir, name);
  const isGoing = peekJournal(disk, path)?.going === true;
  const holder = holderOf?.(path);
  return { key: labelOf(name), found: isGoing ? 'going' : 'held', result: 'held', owed: [], ...(holder && { holder }) };
}

const unjudged = { note: 'its network namespace cannot be judged from here: DEL will remove it' };
const unasked = { note: 'the switch could not be asked whether its port is there' };
export const untold = { note: 'an address that it had may still be held by its IPAM plugin' };

async function treat(
  journal: Journal<Entry>,
  name: string,
  task: Task,
  purpose: Purpose,
  looks: number,
): Promise<Recovered | 'look again' | undefined> {
  const judgement = await judge(journal, task.host, callOf(journal, task));
  const { found, past } = judgement;
  const finish = (why: Found) => finished({ journal, name, found: why }, task, purpose);
  switch (purpose.kind) {
    case 'orphan':
      // Anything else was begun here since its port was seen without a journal.
      return found === 'empty' ? await finish('orphan') : undefined;
    case 'debt':
      return found === 'going' ? await finish(found) : undefined;
    default:
      if (found === 'empty' && looks === 1) return 'look again';
      if (released.has(found)) return await finish(found);
      if (purpose.kind === 'stale')
        return isLater(journal, purpose.since) ? kept(journal, name, judgement) : finish('stale');
      if (found === 'lost' && past) return await restore({ journal, name, past }, task, purpose.putBack);
      return kept(journal, name, judgement);
  }
}

/** A file that bears another name than its records give it is a copy: it tells nothing of what there is to remove. */
function copyOf({ records }: Journal<Entry>, name: string): Recovered | undefined {
  const key = planOfHeader(records)?.key;
  if (key === undefined || journalName(key) === name) return undefined;
  const note = `its records are those of ${keyText(key)}: a copy, which nothing removes by itself: remove the file`;
  return { key: labelOf(name), found: 'damaged', result: 'kept', owed: [], note };
}

function kept({ strangeMode }: Journal<Entry>, name: string, { found, isUnasked }: Judgement): Recovered {
  const odd = strangeMode && { note: `the mode ${strangeMode} of its journal is none of ours, and means nothing` };
  const note = found === 'unjudged' ? unjudged : isUnasked ? unasked : odd;
  return { key: labelOf(name), found, result: isUnasked ? 'not looked at' : 'kept', owed: [], ...note };
}

const callOf = (journal: Journal<Entry>, { instance, dataDir, removeMs }: Task) => ({
  instance,
  dataDir,
  lockFd: journal.fd,
  end: now() + removeMs,
});

/** An ADD that ran when GC was called can be in no list of those that its runtime knows. */
const isLater = ({ records }: Journal<Entry>, moment: string): boolean =>
  (records.find(({ kind }) => kind === 'attached')?.at ?? '') > moment;

interface Lost {
  readonly journal: Journal<Entry>;
  readonly name: string;
  readonly past: Past;
}

async function restore({ journal, name, past }: Lost, task: Task, when: 'now' | 'later'): Promise<Recovered> {
  const { host, asChecked, dryRun } = task;
  const key = labelOf(name);
  if (when === 'later') return { key, found: 'lost', result: 'kept', owed: [] };
  if (dryRun) return { key, found: 'lost', result: 'restored', owed: [] };
  const trouble = await putBack({ journal, past, host, asChecked, call: callOf(journal, task) });
  // Looked at before the lock is let go: a DEL that came meanwhile has left it to us.
  if (journal.going) return await finished({ journal, name, found: 'going' }, task, { kind: 'debt' });
  const owed = trouble ? [{ step: 'port', message: trouble.message }] : [];
  return { key, found: 'lost', result: trouble ? 'owed' : 'restored', owed };
}

interface Ending {
  readonly journal: Journal<Entry>;
  readonly name: string;
  readonly found: Found;
}

async function finished(ending: Ending, task: Task, purpose: Purpose): Promise<Recovered> {
  const { journal, name, found } = ending;
  const key = purpose.kind === 'orphan' ? purpose.key : keyOf(name, journal);
  const about = { key: key ? keyText(key) : labelOf(name), found };
  const owe = (step: string, message: string): Recovered => ({ ...about, result: 'owed', owed: [{ step, message }] });
  if (!key && (journal.damaged || journal.records.length > 0))
    return owe('journal', "neither it nor its name tells whose it is: the runtime's DEL will remove it");
  const isUntold = found !== 'empty' && !planOfHeader(journal.records) && !(key && task.known);
  const removed: Recovered = { ...about, result: 'removed', owed: [], ...(isUntold && untold) };
  if (task.dryRun) return removed;
  try {
    // All but what is blank is marked before anything of it goes (I1).
    if (hasMore(ending) && !journal.going) journal.markGoing();
    const before = journal.records.length;
    const { owed = [], warnings = [], elsewhere } = key ? await removal(journal, key, task) : {};
    if (elsewhere) return owe('port', elsewhere.message);
    if (owed.length > 0) {
      remember(journal, before, task);
      return {
        ...removed,
        result: 'owed',
        owed: owed.map(({ step, trouble }) => ({ step, message: trouble.message })),
      };
    }
    journal.unlink();
    return warnings.length > 0 ? { ...removed, note: warnings.join('; ') } : removed;
  } catch (error) {
    if (error instanceof JournalError) return owe('journal', error.message);
    throw error;
  }
}

const hasMore = ({ journal, found }: Ending): boolean => journal.records.length > 0 || found === 'orphan';

/** Marked here too: a blank journal was not. @param before how many records there were before this try */
function remember(journal: Journal<Entry>, before: number, { clock }: Task): void {
  journal.markGoing();
  if (isNothingNew(journal.records, before)) recorded(() => journal.cutBack(before));
  journal.dueAt(nextTry(journal, clock()));
}

async function removal(journal: Journal<Entry>, key: AttachmentKey, task: Task): Promise<Partial<Removed>> {
  const { host, disk, ovsdb } = task;
  const known = task.known?.(key) ?? { key, ovsdb, request: { stdin: '', env: {} } };
  return await takeAway({ host, disk, journal, by: 'recover', known, call: callOf(journal, task) });
}
