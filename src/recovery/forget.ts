/**
 * Dropping a debt by hand.
 */
import { keyText } from '../attachment.ts';
import { now } from '../deadlines.ts';
import { type Entry, isOfAnotherVersion, planOfHeader } from '../drive/entry.ts';
import { fold, openJournal, type Past } from '../drive/past.ts';
import type { Disk } from '../journal/disk.ts';
import type { Journal } from '../journal/journal.ts';
import { isAnnotation, type Plan, type Step } from '../machines/protocol.ts';

type Seen = Pick<Journal<Entry>, 'damaged' | 'records'>;

interface Forgetting {
  readonly disk: Disk;
  readonly clock: () => Date;
  readonly dryRun: boolean;
}

/**
 * Drops what is owed of an attachment.
 * @param path of its journal @param key its name in messages
 * @returns the things that stay, in words. @throws Error if the attachment is not owed
 */
export async function forgetDebt(path: string, key: string, { disk, clock, dryRun }: Forgetting): Promise<string[]> {
  const journal = openJournal(disk, path, { create: false, clock });
  if (!journal) throw new Error(`there is no journal of "${key}" any more`);
  try {
    if ((await journal.lock(now(), { repairs: !dryRun })) !== 'held')
      throw new Error(`another process works on "${key}"`);
    const folded = fold(journal.records);
    const past = journal.damaged ? undefined : folded;
    const isGoing = journal.going || folded?.state === 'going';
    if (!isGoing) throw new Error(`"${key}" is not owed: ${whyNot(past?.state, journal)}`);
    const left = leftBehind(past?.undo ?? planOfHeader(journal.records));
    if (!dryRun) journal.unlink();
    return left;
  } finally {
    journal.close();
  }
}

function whyNot(state: Past['state'] | undefined, { damaged, records }: Seen): string {
  if (state === 'attached') return "it is attached, and the runtime's DEL removes it";
  if (state === 'adding') return 'its ADD was interrupted, and "userspace recover" rolls it back';
  if (!damaged && records.length === 0) return 'its journal is empty, and "userspace recover" removes it';
  const found = !damaged && isOfAnotherVersion(records) ? 'of another format than this release writes' : 'damaged';
  return `its journal is ${found}, and the runtime's DEL removes it by its marks`;
}

/** The leftovers of each step for a person, in the order of the message. A new step does not compile without its line here. */
const remains: { readonly [step in Step]: (plan: Plan) => readonly string[] } = {
  address: ({ address, key }) =>
    address ? [`an address of IPAM plugin "${address.program}" for ${keyText(key)}`] : [],
  port: ({ port }) => (port ? [`port "${port.name}" on bridge "${port.bridge}"`] : []),
  socketDir: ({ socketDir }) => [
    ...(socketDir?.own ? [`directory "${socketDir.own}"`] : []),
    ...(socketDir?.link ? [`symlink "${socketDir.link}"`] : []),
  ],
  publication: ({ publication }) =>
    isAnnotation(publication) ? [`annotations of pod ${publication.pod.namespace}/${publication.pod.name}`] : [],
  // The next recovery removes a bridge of ours that no port uses. Device information is in the caller's own directory.
  bridge: () => [],
  deviceInfo: () => [],
};

function leftBehind(plan: Plan | undefined): string[] {
  if (!plan) return ['whatever it made: its journal cannot be read'];
  return Object.values(remains).flatMap((remainsOf) => remainsOf(plan));
}
