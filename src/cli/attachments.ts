/**
 * The attachments that `list` and `show` print, read from their journals. Reads without the lock and changes nothing.
 */
import { basename, join } from 'node:path';
import { journalSuffix, keyOfJournalName, keyText, messageOf } from '../attachment.ts';
import { type Entry, headerOf, isOfAnotherVersion, planOfHeader } from '../drive/entry.ts';
import { fold, peekJournal } from '../drive/past.ts';
import { leadsNowhere } from '../effects/files/room.ts';
import type { Disk } from '../journal/disk.ts';
import { findJournalHolders, type HoldingProcess } from '../journal/holder.ts';
import { JournalError } from '../journal/journal.ts';
import type { Stamped } from '../journal/record.ts';
import { listJournals } from '../journal/store.ts';
import { type Facts, isAnnotation, type Plan } from '../machines/protocol.ts';
import type { LockHolder } from '../recovery/options.ts';
import type { AttachmentState, Live } from './words.ts';

export interface Attachment {
  readonly key: string;
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
  /** namespace/name, if the runtime gave it. */
  readonly pod?: string;
  readonly state: AttachmentState;
  /** ISO 8601: for a debt, the beginning of its removal; else the time of the last record. */
  readonly since: string;
  readonly bridge?: string;
  readonly port?: string;
  readonly socket?: string;
  /** The switch's word about the port, if the switch was asked. */
  readonly live?: Live;
  readonly addresses: readonly string[];
  readonly owed: readonly { readonly step: string; readonly message: string }[];
  /** For a debt: how often its removal was begun, and when it was last begun (ISO 8601). */
  readonly tried?: { readonly times: number; readonly last: string };
  readonly holder?: LockHolder;
  /** The journal's mode in octal, if it is one that no call of ours gives. It marks nothing. */
  readonly strangeMode?: string;
}

/** Whether something is still to be done: a removal, or a look into the journal. */
export const isOwing = ({ state, owed }: Attachment): boolean =>
  state === 'owed' || state === 'removing' || owed.length > 0;

export interface Reading {
  readonly attachment: Attachment;
  /** The journal's path. */
  readonly path: string;
  /** For the question to the switch: the plan, the facts, and the data directory's id at the time of ADD. */
  readonly sought?: { readonly plan: Plan; readonly facts: Facts; readonly instance: string };
  readonly records: readonly (Entry & Stamped)[];
}

/** Every attachment of a data directory, in the order of `inOrder`. @throws JournalError if the directory cannot be read. */
export const readAttachments = (disk: Disk, dataDir: string, now: Date): Reading[] =>
  readJournals(disk, pathsIn(disk, dataDir), now);

const pathsIn = (disk: Disk, dataDir: string): string[] =>
  listJournals(disk, dataDir, journalSuffix).map((name) => join(dataDir, name));

/** The attachments of these journals, without those that are gone. */
export function readJournals(disk: Disk, paths: readonly string[], now: Date): Reading[] {
  const held = findJournalHolders(paths);
  const readings = paths.flatMap((path) => {
    const process = held.get(path);
    return readAttachment(disk, path, process && holderAt(process, now)) ?? [];
  });
  return readings.sort((one, other) => inOrder(one.attachment, other.attachment));
}

/** Comes after the name of every pod. */
const last = '\uffff';

/** By network, and in it the interfaces of one pod together; net10 comes after net9. */
export function inOrder(one: Attachment, other: Attachment): number {
  return (
    compared(one.network, other.network) ||
    compared(one.pod ?? last, other.pod ?? last) ||
    compared(one.containerId, other.containerId) ||
    one.ifName.length - other.ifName.length ||
    compared(one.key, other.key)
  );
}

const compared = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

/**
 * As `findMatching`, and reads only the journals whose names may be meant. All are read if none of these is: a journal that was copied
 * tells of another attachment than its name does.
 */
export function readMatching({ disk, dataDir, now }: Place, id: string, ifName?: string): Reading[] {
  const paths = pathsIn(disk, dataDir);
  const meant = readJournals(
    disk,
    paths.filter((path) => mayMean(basename(path), id)),
    now,
  );
  const found = findMatching(meant, id, ifName);
  return found.length > 0 || id === '' ? found : findMatching(readJournals(disk, paths, now), id, ifName);
}

interface Place {
  readonly disk: Disk;
  readonly dataDir: string;
  readonly now: Date;
}

function mayMean(name: string, id: string): boolean {
  const key = keyOfJournalName(name);
  return key === undefined || key.containerId.startsWith(id) || keyText(key) === id;
}

/** @param now the time of the look at the process */
export const holderAt = ({ pid, command, ageMs }: HoldingProcess, now: Date): LockHolder => ({
  pid,
  command,
  since: new Date(now.getTime() - ageMs).toISOString(),
});

/** An attachment by its journal. @param holder the process that has its lock @returns undefined if there is no journal */
export function readAttachment(disk: Disk, path: string, holder: LockHolder | undefined): Reading | undefined {
  try {
    const journal = peekJournal(disk, path);
    return journal && readingOf(path, journal, holder);
  } catch (error) {
    // A journal that cannot be read must not hide the others; nor must one whose checksums are right and whose records are none of ours.
    const isKnown = error instanceof JournalError;
    return unreadableReading(
      path,
      isKnown ? error.message : `its records are none of this release (${messageOf(error)})`,
    );
  }
}

type Peeked = NonNullable<ReturnType<typeof peekJournal>>;

function readingOf(path: string, journal: Peeked, holder: LockHolder | undefined): Reading {
  const name = basename(path);
  const { records, going, damaged, strangeMode } = journal;
  const past = fold(records);
  const plan = planOfHeader(records);
  const key = plan?.key ?? keyOfJournalName(name);
  const owed = owedOf(records);
  const tries = triesOf(records);
  const empty = records.length === 0;
  const isNewer = isOfAnotherVersion(records);
  const state = stateOf({ going, empty, damaged, isNewer, past: past?.state, held: holder !== undefined });
  const port = plan?.port;
  const pod = plan && podOf(plan);
  const instance = headerOf(records)?.instance ?? '';
  return {
    records,
    path,
    ...(plan && port && { sought: { plan, facts: past?.facts ?? {}, instance } }),
    attachment: {
      ...(key ?? { network: '', containerId: '', ifName: '' }),
      key: key ? keyText(key) : name.slice(0, -journalSuffix.length),
      ...(pod && { pod }),
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

/** The pod by the port's marks, else by the place of its annotations. */
function podOf({ port, publication }: Plan): string | undefined {
  const pod = isAnnotation(publication) ? publication.pod : undefined;
  return port?.marks?.pod ?? (pod && `${pod.namespace}/${pod.name}`);
}

function unreadableReading(path: string, message: string): Reading {
  const name = basename(path);
  const label = name.slice(0, -journalSuffix.length);
  const key = keyOfJournalName(name) ?? { network: '', containerId: '', ifName: '' };
  const owed = [{ step: 'journal', message }];
  return { records: [], path, attachment: { ...key, key: label, state: 'unreadable', since: '', addresses: [], owed } };
}

interface Seen {
  readonly going: boolean;
  readonly empty: boolean;
  readonly damaged: boolean;
  readonly isNewer: boolean;
  readonly past: string | undefined;
  readonly held: boolean;
}

function stateOf({ going, empty, damaged, isNewer, past, held }: Seen): AttachmentState {
  if (going || past === 'going') return held ? 'removing' : 'owed';
  if (damaged) return 'damaged';
  if (empty) return 'empty';
  if (past === undefined) return isNewer ? 'newer' : 'damaged';
  return past === 'attached' ? 'attached' : 'adding';
}

/** The records where a removal began: its own record, or the first step back of a failed ADD. */
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

/** The failed steps of the last removal. */
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

/**
 * Finds the attachments of an id: a whole key, a container's id, or the beginning of a single container's id.
 * @throws Error naming the candidates if it is the beginning of several
 */
function findMatching(readings: readonly Reading[], id: string, ifName?: string): Reading[] {
  const byKey = readings.filter(({ attachment }) => attachment.key === id);
  if (byKey.length > 0 || id === '') return byKey;
  const meant = readings.filter(({ attachment }) => !ifName || attachment.ifName === ifName);
  const whole = meant.filter(({ attachment }) => attachment.containerId === id);
  if (whole.length > 0) return whole;
  const begun = meant.filter(({ attachment }) => attachment.containerId.startsWith(id));
  if (new Set(begun.map(({ attachment }) => attachment.containerId)).size > 1) throw ambiguityOf(id, begun);
  return begun;
}

/** As `readMatching`, for exactly one attachment. @throws Error also if there is none */
export function findOne(place: Place, id: string): Reading {
  const found = readMatching(place, id);
  const [one] = found;
  if (!one) throw new Error(`there is no journal of "${id}" in ${place.dataDir}`);
  if (found.length > 1) throw ambiguityOf(id, found);
  return one;
}

const ambiguityOf = (id: string, found: readonly Reading[]): Error =>
  new Error(
    `"${id}" may be any of these: ${found.map(({ attachment }) => attachment.key).join(', ')}: name one of them`,
  );

/** Says whether the directory is there at all, because a mistyped name has no attachments either. */
export function nothingIn(dataDir: string, disk: Disk): string {
  const isThere = disk.lookup(dataDir) !== undefined;
  const why = leadsNowhere(dataDir) ? ', which is a symlink that leads nowhere' : ', which is not there';
  return `no attachments in ${dataDir}${isThere ? '' : why}\n`;
}
