/**
 * The common part of ADD, CHECK and DEL: the journal of one attachment, its lock, and the answers when it fails.
 */
import { join } from 'node:path';
import { type AttachmentKey, code, journalName, keyText, type Trouble } from '../attachment.ts';
import { CniError, refuse } from '../cni/error.ts';
import type { DelRequest } from '../cni/request.ts';
import type { Entry } from '../drive/entry.ts';
import { openJournal } from '../drive/past.ts';
import { findJournalHolder } from '../journal/holder.ts';
import { type Journal, JournalError } from '../journal/journal.ts';
import type { Log } from '../log.ts';
import type { Call } from '../machines/protocol.ts';
import type { Owed } from '../machines/steps.ts';
import { holderText } from '../os/processes.ts';
import type { Node } from './node.ts';

/** A call on an attachment through its data directory. */
export type OwnCall = Call & { readonly dataDir: string };

type Request = Pick<DelRequest, 'key' | 'config'>;

/** One call on one attachment, from the moment its journal is open. */
export interface Work<R> {
  readonly journal: Journal<Entry>;
  readonly request: R;
  readonly node: Node;
  readonly call: OwnCall;
}

export const pathOf = ({ key, config }: Request): string => join(config.dataDir, journalName(key));

/** @throws JournalError */
export function openOwn(request: Request, node: Node): Journal<Entry> {
  const journal = openJournal(node.disk, pathOf(request), { create: true, clock: node.clock });
  if (journal) return journal;
  throw new JournalError('ENOENT', `there is no journal for ${keyText(request.key)}, and none can be created`);
}

/** Code 11, naming the process that has the lock where it can be seen. */
export function busy(request: Request): CniError {
  const holder = findJournalHolder(pathOf(request));
  const by = holder ? ` by ${holderText(holder)}` : '';
  return new CniError(code.tryAgainLater, `another call works on ${keyText(request.key)}: its journal is locked${by}`);
}

export const callerGone: Trouble = {
  code: code.tryAgainLater,
  message: 'the process that made this call has gone, so nothing is done for it',
};

/**
 * Asked under the attachment's lock before an ADD, and before a DEL has marked anything. A caller that has gone may have been followed
 * by other calls, which this one must not undo. @throws CniError
 */
export function expectCaller({ isCallerGone }: Node): void {
  if (isCallerGone()) refuse([callerGone]);
}

/** The end of a removal. If the marked journal stays, recovery finds nothing else to remove and unlinks it. */
export function unlinkJournal(journal: Journal<Entry>, log: Log): boolean {
  return tolerate(log, () => journal.unlink());
}

export function tolerate(log: Log, action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    log.error(error.message);
    return false;
  }
}

export const described = (owed: readonly Owed[]): string => owed.map(({ trouble }) => trouble.message).join('; ');

export const warn = (
  log: Log,
  { verb, key }: { verb: string; key: AttachmentKey },
  warnings: readonly string[],
): void => {
  for (const warning of warnings) log.warning(`${verb} ${keyText(key)}: ${warning}`);
};
