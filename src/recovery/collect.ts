/**
 * GC: removes every attachment of a network that the runtime no longer listed when it called. A failed removal is owed.
 */
import { join } from 'node:path';
import { type AttachmentKey, journalSuffix, keyOfJournalName } from '../attachment.ts';
import { peekJournal } from '../drive/past.ts';
import { listJournals } from '../journal/store.ts';
import type { Plan } from '../machines/protocol.ts';
import { keyOf } from './judge.ts';
import { recoverOne, reportUnreadable } from './one.ts';
import type { Recovered, Task } from './options.ts';

/** The rest of a GC's request, beside the data directory. */
interface Collection {
  readonly calledAt: Date;
  readonly isStale: (key: AttachmentKey) => boolean;
  /** The plan by GC's configuration, for an attachment whose journal has none. */
  readonly planOf: (key: AttachmentKey) => Plan;
  readonly progress: (one: Recovered) => void;
}

export async function collect(task: Task, collection: Collection): Promise<readonly Recovered[]> {
  const { calledAt, isStale, planOf, progress } = collection;
  const collected: Recovered[] = [];
  for (const name of listJournals(task.disk, task.dataDir, journalSuffix).sort()) {
    const one = await reportUnreadable(name, async () => {
      const key = keyOfJournalName(name) ?? keyPeeked(task, name);
      if (!key || !isStale(key)) return undefined;
      return await recoverOne(name, task, { why: 'gc', calledAt: calledAt.toISOString(), planOf });
    });
    if (!one) continue;
    progress(one);
    collected.push(one);
  }
  return collected;
}

/**
 * The keys of all journals, because each may have an address.
 * @returns the keys, and the names of journals that do not tell their key
 * @throws JournalError
 */
export function keysOf(options: Pick<Task, 'disk' | 'dataDir'>) {
  const keys: AttachmentKey[] = [];
  const untold: string[] = [];
  for (const name of listJournals(options.disk, options.dataDir, journalSuffix)) {
    const key = keyOfJournalName(name) ?? keyPeeked(options, name);
    if (key) keys.push(key);
    else untold.push(name);
  }
  return { keys, untold };
}

/** The key from the header, for one that is too long for a file name. */
function keyPeeked({ disk, dataDir }: Pick<Task, 'disk' | 'dataDir'>, name: string): AttachmentKey | undefined {
  const peeked = peekJournal(disk, join(dataDir, name));
  return peeked && keyOf(name, peeked);
}
