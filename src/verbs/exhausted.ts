/**
 * An ADD's addition to its IPAM program's message when a range has no address left: how many addresses this node's attachments
 * hold. This module is read only when that has happened.
 */
import { join } from 'node:path';
import { journalSuffix } from '../attachment.ts';
import { now } from '../deadlines.ts';
import { fold, peekJournal } from '../drive/past.ts';
import type { Disk } from '../journal/disk.ts';
import { JournalError } from '../journal/journal.ts';
import { listJournals } from '../journal/store.ts';

/** The messages of host-local (allocator.go, Get) and of whereabouts. */
const exhausted = /no ip addresses available in range set|could not allocate ip in range/i;

/** Time to count the journals of a large range: enough for some thousand. */
const countMs = 500;

/** The attachments of one network in one data directory. */
interface Held {
  readonly disk: Disk;
  readonly dataDir: string;
  readonly network: string;
}

/** @returns the message; if it tells of an exhausted range, with the number of addresses that the node holds */
export function withHeld(message: string, held: Held): string {
  if (!exhausted.test(message)) return message;
  const { count, isAll } = countHeld(held);
  const holders =
    count === 1 ? '1 attachment of it here holds an address' : `${count} attachments of it here hold an address`;
  return `${message}; network "${held.network}": ${isAll ? '' : 'at least '}${holders} ("userspace list"; "userspace recover" releases what no sandbox uses)`;
}

function countHeld({ disk, dataDir, network }: Held): { count: number; isAll: boolean } {
  const end = now() + countMs;
  let count = 0;
  try {
    for (const name of listJournals(disk, dataDir, journalSuffix)) {
      if (now() > end) return { count, isAll: false };
      if (holdsAddress(disk, join(dataDir, name), network)) count++;
    }
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    return { count, isAll: false };
  }
  return { count, isAll: true };
}

function holdsAddress(disk: Disk, path: string, network: string): boolean {
  const past = fold(peekJournal(disk, path)?.records ?? []);
  return (
    past?.header.plan.key.network === network && past.facts.address !== undefined && !past.removed.includes('address')
  );
}
