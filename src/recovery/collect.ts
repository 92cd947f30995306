/**
 * GC: whatever of a network the runtime did not know any more when it asked is removed; what cannot be is owed.
 */
import { join } from 'node:path';
import { type AttachmentKey, journalSuffix, keyOfJournalName } from '../attachment.ts';
import { peekJournal } from '../drive/past.ts';
import { listJournals } from '../journal/store.ts';
import { keyOf } from './judge.ts';
import { recoverOne, tolerant } from './one.ts';
import type { Recovered, RecoverOptions } from './options.ts';

export async function collect(
  options: RecoverOptions,
  instance: string,
  asked: Date,
  isStale: (key: AttachmentKey) => boolean,
): Promise<readonly Recovered[]> {
  const collected: Recovered[] = [];
  const task = { ...options, instance };
  for (const name of listJournals(options.disk, options.dataDir, journalSuffix).sort()) {
    const one = await tolerant(name, async () => {
      const key = keyOfJournalName(name) ?? keyPeeked(options, name);
      if (!key || !isStale(key)) return undefined;
      return await recoverOne(name, task, { kind: 'stale', since: asked.toISOString() });
    });
    if (!one) continue;
    options.progress(one);
    collected.push(one);
  }
  return collected;
}

/**
 * Of what there is a journal: each may have an address.
 * @returns the keys, and the names of journals that do not tell theirs
 * @throws JournalError
 */
export function keysOf(options: Pick<RecoverOptions, 'disk' | 'dataDir'>) {
  const keys: AttachmentKey[] = [];
  const untold: string[] = [];
  for (const name of listJournals(options.disk, options.dataDir, journalSuffix)) {
    const key = keyOfJournalName(name) ?? keyPeeked(options, name);
    if (key) keys.push(key);
    else untold.push(name);
  }
  return { keys, untold };
}

/** A key that is too long for a name is in the header. */
function keyPeeked(
  { disk, dataDir }: Pick<RecoverOptions, 'disk' | 'dataDir'>,
  name: string,
): AttachmentKey | undefined {
  const peeked = peekJournal(disk, join(dataDir, name));
  return peeked && keyOf(name, peeked);
}
