/**
 * Attachments as their journals tell them: what `list` and `show` print. Reads without the lock and changes nothing.
 */
import { join } from 'node:path';
import { journalSuffix, keyOfJournalName, keyText } from '../attachment.ts';
import { type Entry, fold, peekJournal, planOfHeader } from '../drive.ts';
import type { Disk } from '../journal/disk.ts';
import { type Holder, holders } from '../journal/holder.ts';
import { JournalError } from '../journal/journal.ts';
import type { Stamped } from '../journal/record.ts';
import { listJournals } from '../journal/store.ts';

type State = 'attached' | 'adding' | 'removing' | 'owed' | 'empty' | 'damaged' | 'unreadable';

export interface Attachment {
  readonly key: string;
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
  readonly state: State;
  /** ISO 8601. What is owed: since its removal was begun; else of the last record. */
  readonly since: string;
  readonly bridge?: string;
  readonly port?: string;
  readonly socket?: string;
  readonly addresses: readonly string[];
  readonly owed: readonly { readonly step: string; readonly message: string }[];
  /** Of what is owed: how often its removal was begun, and when last (ISO 8601). */
  readonly tried?: { readonly times: number; readonly last: string };
  readonly holder?: Holder;
  /** A mode of its journal that no call of ours gives, in octal; it means nothing. */
  readonly strangeMode?: string;
}

export interface Reading {
  readonly attachment: Attachment;
  readonly records: readonly (Entry & Stamped)[];
}

/** Every attachment of a data directory, oldest name first. @throws JournalError if it can not be read. */
export function readAttachments(disk: Disk, dataDir: string): Reading[] {
  const names = listJournals(disk, dataDir, journalSuffix).sort();
  const held = holders(names.map((name) => join(dataDir, name)));
  return names.flatMap((name) => read(disk, dataDir, name, held) ?? []);
}

function read(disk: Disk, dataDir: string, name: string, held: ReadonlyMap<string, Holder>): Reading | undefined {
  let journal: ReturnType<typeof peekJournal>;
  try {
    journal = peekJournal(disk, join(dataDir, name));
  } catch (error) {
    // One that cannot be read hides no other.
    if (error instanceof JournalError) return unreadable(name, error.message);
    throw error;
  }
  if (!journal) return undefined;
  const { records, going, damaged, strangeMode } = journal;
  const past = fold(records);
  const plan = planOfHeader(records);
  const key = plan?.key ?? keyOfJournalName(name);
  const holder = held.get(join(dataDir, name));
  const owed = owedOf(records);
  const tries = triesOf(records);
  const empty = records.length === 0;
  const state = stateOf({ going, empty, damaged, past: past?.state, held: holder !== undefined });
  const port = plan?.port;
  return {
    records,
    attachment: {
      ...(key ?? { network: '', containerId: '', ifName: '' }),
      key: key ? keyText(key) : name.slice(0, -journalSuffix.length),
      state,
      since: (going ? tries[0]?.at : undefined) ?? records.at(-1)?.at ?? '',
      ...(port && { bridge: port.bridge, port: port.name, socket: join(port.directory, port.file) }),
      addresses: past?.facts.address?.ips.map(({ address }) => address) ?? [],
      owed: state === 'owed' ? owed : [],
      ...(state === 'owed' && tries.length > 0 && { tried: { times: tries.length, last: tries.at(-1)?.at ?? '' } }),
      ...(holder && { holder }),
      ...(strangeMode && { strangeMode }),
    },
  };
}

function unreadable(name: string, message: string): Reading {
  const label = name.slice(0, -journalSuffix.length);
  const key = keyOfJournalName(name) ?? { network: '', containerId: '', ifName: '' };
  const owed = [{ step: 'journal', message }];
  return { records: [], attachment: { ...key, key: label, state: 'unreadable', since: '', addresses: [], owed } };
}

interface Seen {
  readonly going: boolean;
  readonly empty: boolean;
  readonly damaged: boolean;
  readonly past: string | undefined;
  readonly held: boolean;
}

function stateOf({ going, empty, damaged, past, held }: Seen): State {
  if (going || past === 'going') return held ? 'removing' : 'owed';
  if (damaged) return 'damaged';
  if (empty) return 'empty';
  if (past === undefined) return 'unreadable';
  return past === 'attached' ? 'attached' : 'adding';
}

/** Where each removal began: at its record, or where a failed ADD began to take itself back. */
function triesOf(records: Reading['records']): Reading['records'] {
  let ending = false;
  return records.filter((entry) => {
    const begins = entry.kind === 'going' || (!ending && takesBack(entry));
    ending ||= begins;
    return begins;
  });
}

const takesBack = (entry: Entry): boolean =>
  entry.kind === 'abandon' || (entry.kind === 'outcome' && entry.verb === 'remove');

/** Of the last removal that was tried. */
function owedOf(records: readonly Entry[]): Attachment['owed'] {
  const begun = records.findLastIndex(({ kind }) => kind === 'going');
  return records
    .slice(begun + 1)
    .flatMap((entry) =>
      entry.kind === 'outcome' && entry.verb === 'remove' && entry.outcome.kind !== 'ok'
        ? [{ step: entry.step, message: entry.outcome.trouble.message }]
        : [],
    );
}

/** What a person means by an id: the container's, whole or its beginning, or the whole key. */
export function matching(readings: readonly Reading[], id: string, ifName: string | undefined): Reading[] {
  return readings.filter(
    ({ attachment }) =>
      attachment.key === id || (attachment.containerId.startsWith(id) && (!ifName || attachment.ifName === ifName)),
  );
}
