/**
 * DEL: mark, lock, remove; then spend a moment on the removals that earlier DELs owe.
 */
import { code, journalSuffix, keyText } from '../attachment.ts';
import { CniError, refuse } from '../cni/error.ts';
import type { DelRequest } from '../cni/request.ts';
import { now, within } from '../deadlines.ts';
import { nextTry } from '../drive/due.ts';
import { type Entry, planOfHeader } from '../drive/entry.ts';
import { ensureIdentity } from '../drive/identity.ts';
import { takeAway } from '../drive/removal.ts';
import { goingTrouble } from '../drive/trouble.ts';
import type { Disk } from '../journal/disk.ts';
import { type Journal, JournalError } from '../journal/journal.ts';
import type { LockOutcome } from '../journal/lock.ts';
import { listDue, readInstance } from '../journal/store.ts';
import { removalPlan } from '../plan/plans.ts';
import type { Recovered } from '../recovery/options.ts';
import {
  busy,
  callerGone,
  described,
  expectCaller,
  type OwnCall,
  openOwn,
  pathOf,
  tolerate,
  unlinkJournal,
  type Work,
  warn,
} from './locked.ts';
import type { Node } from './node.ts';

export async function del(request: DelRequest, node: Node): Promise<void> {
  const { config } = request;
  const end = node.began + config.deadlines.delMs;
  const call = { dataDir: config.dataDir, end };
  let instance: string;
  let journal: Journal<Entry>;
  let done: 'removed' | 'owed' | undefined;
  do {
    try {
      expectCaller(node);
      instance = await ensureIdentity(node.disk, config.dataDir, node.random, within(end, config.deadlines.lockMs));
      journal = openOwn(request, node);
    } catch (error) {
      if (!(error instanceof JournalError) || mayExist(node.disk, pathOf(request))) throw error;
      return await delWithoutJournal({ request, node, call }, error);
    }
    try {
      done = await markAndRemove({ journal, request, node, call: { ...call, instance, lockFd: journal.fd } });
    } finally {
      journal.close();
    }
    // An ADD that was refused before its first effect may have unlinked the journal just before our mark. Nothing was removed yet.
  } while (done === undefined && now() < end);
  if (done === undefined) throw busy(request);
  // If our own removal is owed, the switch or a program is down, and other removals would likely fail too.
  if (done === 'removed') await payForOthers(request, node, instance);
}

/** Whether the journal may exist. One that cannot be opened may be a living ADD's, and would stay after the removal. */
function mayExist(disk: Disk, path: string): boolean {
  try {
    return disk.lookup(path) !== undefined;
  } catch {
    return true;
  }
}

async function payForOthers({ config }: DelRequest, node: Node, instance: string): Promise<void> {
  const { dataDir, ovsdb } = config;
  const { host, log, disk } = node;
  // Closing the session ends this attachment's fence.
  host.close();
  try {
    const names = listDue(disk, dataDir, journalSuffix, node.clock());
    if (names.length === 0) return;
    const progress = ({ key, result }: Recovered) => log.info(`DEL: owed by an earlier one: ${key}: ${result}`);
    const { payOwed } = await import('../recovery/debts.ts');
    await payOwed({ disk, host, clock: node.clock, dataDir, ovsdb, instance }, names, progress);
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    log.error(error.message);
  }
}

/** @returns undefined if the journal was unlinked while it was blank: no removal has run. */
async function markAndRemove(work: Work<DelRequest>): Promise<'removed' | 'owed' | undefined> {
  const { journal, request, node, call } = work;
  const { key } = request;
  const { host, disk, log } = node;
  const { marked, outcome } = await markAndLock(work);
  if (outcome === 'gone') return journal.blank ? undefined : 'removed';
  if (outcome === 'busy') {
    if (!marked || !tolerate(log, () => journal.fsyncName())) throw busy(request);
    log.warning(`DEL ${keyText(key)}: ${busy(request).message}; it is marked and will go`);
    return 'owed';
  }
  const known = removalPlan(request);
  const { owed, warnings, elsewhere } = await takeAway({ host, disk, journal, by: 'DEL', known, call });
  if (elsewhere) {
    if (journal.records.length === 0) unlinkJournal(journal, log);
    refuse([elsewhere]);
  }
  warn(log, { verb: 'DEL', key }, warnings);
  if (owed.length === 0) {
    // If the journal stayed without a mark, a recovery would put the port back.
    if (!unlinkJournal(journal, log) && !marked) throw new CniError(code.io, stays(request));
    log.info(`DEL ${keyText(key)}: removed`);
    return 'removed';
  }
  journal.dueAt(nextTry(journal, node.clock()));
  // Only the journal can tell the next removal which IPAM program gave the address.
  const isTold = !known.address || planOfHeader(journal.records) !== undefined;
  const isKept = marked && isTold && tolerate(log, () => journal.fsyncName());
  log.error(`DEL ${keyText(key)}: owed: ${described(owed)}`);
  if (isKept) return 'owed';
  throw new CniError(owed[0]?.trouble.code ?? code.internal, `${described(owed)}; and it can not be recorded`);
}

async function markAndLock(
  work: Work<DelRequest>,
): Promise<{ readonly marked: boolean; readonly outcome: LockOutcome }> {
  const { journal, request, node, call } = work;
  const atOnce = await lockAtOnce(work);
  if (node.isCallerGone()) dropUnmarked(work, atOnce);
  // The mark comes before the wait for the lock: the lock holder sees it before its next step, and rolls itself back.
  const marked = tolerate(node.log, () => journal.markGoing());
  const end = within(call.end, request.config.deadlines.lockMs);
  return { marked, outcome: atOnce === 'busy' ? await journal.lock(end) : atOnce };
}

/**
 * Takes the lock if it is free, before the look at the caller. Without the lock, an ADD could come between that look and the mark: then
 * the mark of a call that nothing waits for any more would remove the ADD's attachment.
 * @throws JournalError once the journal is marked, so that a recovery removes what this call could not
 */
async function lockAtOnce({ journal, node }: Work<DelRequest>): Promise<LockOutcome> {
  try {
    return await journal.lock(now());
  } catch (error) {
    if (!node.isCallerGone()) tolerate(node.log, () => journal.markGoing());
    throw error;
  }
}

/** Unlinks the blank journal that this call may have made; one that another call has locked is that call's. @throws CniError */
function dropUnmarked({ journal, node }: Work<DelRequest>, atOnce: LockOutcome): never {
  if (atOnce === 'held' && !goingTrouble(journal)) tolerate(node.log, () => journal.discardBlank());
  throw new CniError(callerGone.code, callerGone.message);
}

const stays = ({ key, config }: DelRequest): string =>
  `all of ${keyText(key)} is gone but its journal, which can be neither marked nor unlinked: make "${config.dataDir}" writable, and DEL again`;

const ignored = () => undefined;

interface Unjournaled extends Pick<Work<DelRequest>, 'request' | 'node'> {
  readonly call: Pick<OwnCall, 'dataDir' | 'end'>;
}

/** For a disk that takes no journal, where no ADD can be at work: removes by marks, and reports every failure. */
async function delWithoutJournal({ request, node, call }: Unjournaled, why: JournalError): Promise<void> {
  const { host, disk, log } = node;
  const instance = readInstance(disk, call.dataDir) ?? '';
  const journal = { records: [], damaged: false, append: ignored, stage: ignored, note: ignored };
  const known = removalPlan(request);
  const { owed, elsewhere } = await takeAway({ host, disk, journal, by: 'DEL', known, call: { ...call, instance } });
  log.error(`DEL ${keyText(request.key)} without a journal: ${why.message}`);
  refuse([...(elsewhere ? [elsewhere] : []), ...owed.map(({ trouble }) => trouble)]);
}
