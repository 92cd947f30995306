/**
 * One journal under its lock: judges its attachment, and removes, restores or keeps it.
 */
import { join } from 'node:path';
import { type AttachmentKey, journalName, journalSuffix, keyText } from '../attachment.ts';
import { now, sleep } from '../deadlines.ts';
import { isNothingNew, nextTry } from '../drive/due.ts';
import { type Entry, planOfHeader } from '../drive/entry.ts';
import { openJournal, type Past, peekJournal } from '../drive/past.ts';
import { type Removed, takeAway } from '../drive/removal.ts';
import { putBack } from '../drive/restore.ts';
import { journalTrouble } from '../drive/trouble.ts';
import { type Journal, JournalError } from '../journal/journal.ts';
import { type Judgement, judge, keyOf } from './judge.ts';
import type { Recovered, Task, Visit } from './options.ts';
import type { Found } from './words.ts';

/** An ADD locks the journal right after creating it: an empty journal that is unlocked after this time belongs to no call. */
const secondLookMs = 1000;

/** Long enough for one look at the process that holds a lock (processes.ts). */
const leaseLookMs = 500;

/** The findings after which a recovery or a GC removes all of the attachment. */
const toRemove: ReadonlySet<Found> = new Set(['interrupted', 'going', 'rebooted', 'abandoned', 'empty']);

const labelOf = (name: string): string => name.slice(0, -journalSuffix.length);

/** Reports a journal that cannot be read, so that the others still get their turn. */
export async function reportUnreadable(
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

/** A journal by its name, and why it is visited. */
interface Target {
  readonly name: string;
  readonly task: Task;
  readonly visit: Visit;
}

/** A journal under its lock. */
interface Opened extends Target {
  readonly journal: Journal<Entry>;
}

/** The result of a visit to a journal. */
type Seen =
  | { readonly kind: 'recovered'; readonly one: Recovered }
  /** The journal went away meanwhile, or this visit does nothing in its state. */
  | { readonly kind: 'passed by' }
  /** Empty: an ADD may have created it a moment ago, and is about to lock it. */
  | { readonly kind: 'perhaps new' };

const recovered = (one: Recovered): Seen => ({ kind: 'recovered', one });
const passedBy: Seen = { kind: 'passed by' };
const perhapsNew: Seen = { kind: 'perhaps new' };

const isDryRun = (visit: Visit): boolean => visit.why === 'recovery' && visit.dryRun;

/** @returns undefined if the journal went away meanwhile, or this visit does nothing in its state. @throws JournalError */
export async function recoverOne(name: string, task: Task, visit: Visit): Promise<Recovered | undefined> {
  const target = { name, task, visit };
  let seen = await underLock(target, treat);
  if (seen.kind === 'perhaps new') {
    await sleep(secondLookMs);
    seen = await underLock(target, settle);
  }
  return seen.kind === 'recovered' ? seen.one : undefined;
}

async function underLock(
  target: Target,
  action: (opened: Opened, judgement: Judgement) => Promise<Seen>,
): Promise<Seen> {
  const { name, task, visit } = target;
  const { disk, clock, dataDir, host } = task;
  const path = join(dataDir, name);
  const isOrphan = visit.why === 'orphan';
  const journal = openJournal(disk, path, { create: isOrphan, clock });
  if (!journal && isOrphan)
    throw new JournalError('EROFS', `no journal can be made for "${name}", and so no lock be had`);
  if (!journal) return passedBy;
  try {
    // A dead call's program that keeps the lock beyond its lease is ended by the wait. Only a recovery waits for that.
    const patience = visit.why === 'recovery' ? leaseLookMs : 0;
    const outcome = await journal.lock(now() + patience, { repairs: !isDryRun(visit) });
    if (outcome === 'gone') return passedBy;
    if (outcome === 'busy') return recovered(held(target));
    const copy = copyOf(journal, name);
    if (copy) return recovered(copy);
    return await action({ ...target, journal }, await judge(journal, host, callOf(journal, task)));
  } finally {
    journal.close();
    // Closing the session ends this attachment's fence.
    host.close();
  }
}

/** The report on a locked journal: without the lock only the going mark can be read. */
function held({ name, task: { disk, dataDir }, visit }: Target): Recovered {
  const path = join(dataDir, name);
  const isGoing = peekJournal(disk, path)?.going === true;
  const holder = visit.why === 'recovery' || visit.why === 'orphan' ? visit.holderOf?.(path) : undefined;
  return { key: labelOf(name), found: isGoing ? 'going' : 'held', result: 'held', owed: [], ...(holder && { holder }) };
}

const unjudged = { note: 'its network namespace cannot be judged from here: DEL will remove it' };
const unasked = { note: 'the switch could not be asked whether its port is there' };
export const untold = { note: 'an address that it had may still be held by its IPAM plugin' };

/** Acts on the judgement, unless the journal may be that of an ADD that begins. */
async function treat(opened: Opened, judgement: Judgement): Promise<Seen> {
  const { why } = opened.visit;
  const mayBeNew = judgement.found === 'empty' && (why === 'recovery' || why === 'gc');
  return mayBeNew ? perhapsNew : await settle(opened, judgement);
}

/** Acts on the judgement. Here an empty journal counts as left behind by a dead call. */
async function settle(opened: Opened, judgement: Judgement): Promise<Seen> {
  const { visit } = opened;
  const { found, past } = judgement;
  switch (visit.why) {
    case 'orphan':
      // Records mean that another call began since the port was seen without a journal.
      return found === 'empty' ? recovered(await removeAndReport(opened, 'orphan')) : passedBy;
    case 'debt':
      return found === 'going' ? recovered(await removeAndReport(opened, found)) : passedBy;
    case 'gc':
      if (toRemove.has(found)) return recovered(await removeAndReport(opened, found));
      return recovered(
        isLater(opened, visit.calledAt) ? kept(opened, judgement) : await removeAndReport(opened, 'stale'),
      );
    case 'recovery':
      if (toRemove.has(found)) return recovered(await removeAndReport(opened, found));
      if (found === 'lost' && past) return recovered(await restore(opened, visit, past));
      return recovered(kept(opened, judgement));
  }
}

/** The report on a copy: a file whose records are those of another name, and so tell nothing of things to remove. */
function copyOf({ records }: Journal<Entry>, name: string): Recovered | undefined {
  const key = planOfHeader(records)?.key;
  if (key === undefined || journalName(key) === name) return undefined;
  const note = `its records are those of ${keyText(key)}: a copy, which nothing removes by itself: remove the file`;
  return { key: labelOf(name), found: 'damaged', result: 'kept', owed: [], note };
}

function kept({ journal, name }: Opened, { found, isUnasked }: Judgement): Recovered {
  const { strangeMode } = journal;
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

/** Whether the attachment came to rest after GC was called, so that it cannot be in the runtime's list. */
const isLater = ({ journal }: Opened, moment: string): boolean =>
  (journal.records.find(({ kind }) => kind === 'attached')?.at ?? '') > moment;

async function restore(opened: Opened, visit: Visit & { why: 'recovery' }, past: Past): Promise<Recovered> {
  const { journal, name, task } = opened;
  const { putBack: when, asChecked, dryRun } = visit;
  const key = labelOf(name);
  if (when === 'later') return { key, found: 'lost', result: 'kept', owed: [] };
  if (dryRun) return { key, found: 'lost', result: 'restored', owed: [] };
  const trouble = await putBack({ journal, past, host: task.host, asChecked, call: callOf(journal, task) });
  // The mark is read before the lock is released: a DEL that came meanwhile left the removal to this lock holder.
  if (journal.going) return await removeAndReport(opened, 'going');
  const owed = trouble ? [{ step: 'port', message: trouble.message }] : [];
  return { key, found: 'lost', result: trouble ? 'owed' : 'restored', owed };
}

async function removeAndReport(opened: Opened, found: Found): Promise<Recovered> {
  const { journal, name, task, visit } = opened;
  const key = visit.why === 'orphan' ? visit.key : keyOf(name, journal);
  const about = { key: key ? keyText(key) : labelOf(name), found };
  const owe = (step: string, message: string): Recovered => ({ ...about, result: 'owed', owed: [{ step, message }] });
  if (!key && (journal.damaged || journal.records.length > 0))
    return owe('journal', "neither it nor its name tells whose it is: the runtime's DEL will remove it");
  const isUntold = found !== 'empty' && !planOfHeader(journal.records) && visit.why !== 'gc';
  const removed: Recovered = { ...about, result: 'removed', owed: [], ...(isUntold && untold) };
  if (isDryRun(visit)) return removed;
  try {
    // If there may be more to remove than the journal, the journal is marked first (I1).
    if (hasMore(journal, found) && !journal.going) journal.markGoing();
    const before = journal.records.length;
    const { owed = [], warnings = [], elsewhere } = key ? await removal(opened, key) : {};
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

const hasMore = (journal: Journal<Entry>, found: Found): boolean => journal.records.length > 0 || found === 'orphan';

/** Keeps the debt. Marks here too, because a blank journal has no mark yet. @param before the number of records before this try */
function remember(journal: Journal<Entry>, before: number, { clock }: Task): void {
  journal.markGoing();
  if (isNothingNew(journal.records, before)) journalTrouble(() => journal.cutBack(before));
  journal.dueAt(nextTry(journal, clock()));
}

async function removal({ journal, task, visit }: Opened, key: AttachmentKey): Promise<Partial<Removed>> {
  const { host, disk, ovsdb } = task;
  const known = visit.why === 'gc' ? visit.planOf(key) : { key, ovsdb, request: { stdin: '', env: {} } };
  return await takeAway({ host, disk, journal, by: 'recover', known, call: callOf(journal, task) });
}
