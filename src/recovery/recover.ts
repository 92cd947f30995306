/**
 * `userspace recover`: every attachment of a data directory is brought to where it belongs. A removal that was begun is completed, an
 * ADD whose process is dead is rolled back; what no sandbox can use any more is released; what a living one has lost is put back; a
 * port of ours without a journal is removed. What somebody works on right now is his: what decides is the lock, and never a clock.
 */
import { join } from 'node:path';
import { type AttachmentKey, journalName, journalSuffix, keyOfJournalName, keyText } from '../attachment.ts';
import { defaultDeadlines, now, remainingMs, sleep, within } from '../deadlines.ts';
import { type Entry, fold, type Past, planOfHeader } from '../drive.ts';
import type { Disk } from '../journal/disk.ts';
import { Journal, JournalError } from '../journal/journal.ts';
import { listJournals, readInstance, syncNames } from '../journal/store.ts';
import type { Plan } from '../machines/protocol.ts';
import { type Found, judge, keyOf, type Witness } from './judge.ts';
import { type RemovalHost, takeAway } from './removal.ts';
import { putBack } from './restore.ts';

type Fate = 'removed' | 'restored' | 'owed' | 'kept' | 'held';

export interface Recovered {
  readonly key: string;
  readonly found: Found;
  /** Of a dry run: what would be. */
  readonly result: Fate;
  readonly owed: readonly { readonly step: string; readonly message: string }[];
  /** What a person has to know of it. */
  readonly note?: string;
}

/** As recovery sees a port. */
export interface KnownPort {
  readonly name: string;
  readonly key: string;
  readonly instance: string;
}

interface RecoveryHost extends RemovalHost, Witness {
  listPorts(ovsdb: string, end: number): Promise<readonly KnownPort[]>;
  close(): void;
}

export interface RecoverOptions {
  readonly disk: Disk;
  readonly host: RecoveryHost;
  readonly clock: () => Date;
  readonly dataDir: string;
  readonly ovsdb: string;
  /** For each attachment: as long as a DEL has. */
  readonly removeMs: number;
  /** What the caller's own configuration says of an attachment whose journal does not. */
  readonly known?: (key: AttachmentKey) => Plan;
  /** What an IPAM program's CHECK is told of an attachment at rest. */
  readonly asChecked: (plan: Plan, facts: Past['facts']) => Plan;
  readonly progress: (one: Recovered) => void;
  /** Told of ports on the switch that belong to other data directories: they are left alone. */
  readonly others?: (port: KnownPort) => void;
  /** Nothing is changed. */
  readonly dryRun?: boolean;
}

/** One journal, and what is to become of it. */
interface Task extends RecoverOptions {
  readonly instance: string;
  /** Whoever asked at this moment (ISO 8601) knows nothing of it: he can only mean what was at rest by then. */
  readonly staleSince?: string;
  /** Switches that cannot be asked: no port of theirs is known to be lost. */
  readonly silent?: ReadonlySet<string>;
  /** Nobody else made this journal: we did, to have the lock of a port without one. */
  readonly orphan?: true;
}

/** An ADD locks the journal right after creating it: an empty one that is older than this belongs to nobody. */
const secondLookMs = 1000;

const isReleased: ReadonlySet<Found> = new Set(['interrupted', 'going', 'rebooted', 'abandoned', 'empty']);

/** @throws JournalError if the data directory can not be read. */
export async function recover(options: RecoverOptions): Promise<readonly Recovered[]> {
  const { disk, dataDir, progress } = options;
  const instance = readInstance(disk, dataDir);
  if (instance === undefined) return [];
  const recovered: Recovered[] = [];
  const told = (one: Recovered | undefined): void => {
    if (!one) return;
    progress(one);
    recovered.push(one);
  };
  if (!options.dryRun) syncNames(disk, dataDir);
  const task: Task = { ...options, instance };
  // Ports before journals: a live ADD has its journal before its port.
  const switches: SwitchPorts[] = [];
  for (const ovsdb of switchesOf(task)) switches.push(await portsOf({ ...task, ovsdb }));
  const names = listJournals(disk, dataDir, journalSuffix).sort();
  // One that does not answer now is not asked once for each attachment.
  const silent = new Set(switches.filter(({ unreachable }) => unreachable).map(({ ovsdb }) => ovsdb));
  for (const name of names) told(await tolerant(name, () => recoverOne(name, { ...task, silent })));
  for (const { ovsdb, ports, unreachable } of switches) {
    told(unreachable);
    for (const port of ports) told(await recoverPort(port, names, { ...task, ovsdb }));
  }
  return recovered;
}

/** The one that was asked for, and every other that a journal names. */
function switchesOf({ disk, dataDir, ovsdb }: Task): string[] {
  const named = listJournals(disk, dataDir, journalSuffix).map((name) => {
    try {
      return planOfHeader(Journal.peek<Entry>(disk, join(dataDir, name))?.records ?? [])?.ovsdb;
    } catch (error) {
      // Its own turn says so.
      if (error instanceof JournalError) return undefined;
      throw error;
    }
  });
  return [...new Set([ovsdb, ...named.filter((one) => typeof one === 'string')])];
}

/** What a DEL may spend on what others owe: its own runtime is waiting. */
const payMs = 2000;

/** Works off owed removals in this order, for a moment. Held ones are somebody's work already. */
export async function payOwed(
  options: Omit<RecoverOptions, 'removeMs' | 'asChecked'>,
  instance: string,
  names: readonly string[],
): Promise<void> {
  const end = now() + payMs;
  const task = { ...options, instance, asChecked: (plan: Plan) => plan };
  for (const name of names) {
    if (now() >= end) return;
    const one = await tolerant(name, () => recoverOne(name, { ...task, removeMs: remainingMs(end) }));
    if (one && one.result !== 'held') options.progress(one);
  }
}

/** Whatever of a network the runtime did not know any more when it asked is removed; what cannot be is owed. */
export async function collect(
  options: RecoverOptions,
  instance: string,
  asked: Date,
  isStale: (key: AttachmentKey) => boolean,
): Promise<readonly Recovered[]> {
  const collected: Recovered[] = [];
  const task: Task = { ...options, instance, staleSince: asked.toISOString() };
  for (const name of listJournals(options.disk, options.dataDir, journalSuffix).sort()) {
    const one = await tolerant(name, async () => {
      const key = keyOfJournalName(name) ?? keyPeeked(options, name);
      return key && isStale(key) ? await recoverOne(name, task) : undefined;
    });
    if (!one) continue;
    options.progress(one);
    collected.push(one);
  }
  return collected;
}

/** Of whom there is a journal that tells it: each may have an address. @throws JournalError */
export function keysOf(options: Pick<RecoverOptions, 'disk' | 'dataDir'>): AttachmentKey[] {
  const names = listJournals(options.disk, options.dataDir, journalSuffix);
  return names.flatMap((name) => keyOfJournalName(name) ?? keyPeeked(options, name) ?? []);
}

/** A key that is too long for a name is in the header. */
function keyPeeked(
  { disk, dataDir }: Pick<RecoverOptions, 'disk' | 'dataDir'>,
  name: string,
): AttachmentKey | undefined {
  const peeked = Journal.peek<Entry>(disk, join(dataDir, name));
  return peeked && keyOf(name, peeked);
}

/** One journal that cannot be read is no reason to leave the others. */
async function tolerant(name: string, action: () => Promise<Recovered | undefined>): Promise<Recovered | undefined> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    const key = name.slice(0, -journalSuffix.length);
    return { key, found: 'interrupted', result: 'owed', owed: [{ step: 'journal', message: error.message }] };
  }
}

/** @returns undefined if the journal went away meanwhile. */
async function recoverOne(name: string, task: Task, looks = 1): Promise<Recovered | undefined> {
  const { disk, clock, dataDir, host } = task;
  const journal = Journal.open<Entry>(disk, join(dataDir, name), { create: task.orphan === true, clock });
  if (!journal && task.orphan)
    throw new JournalError('EROFS', `no journal can be made for "${name}", and so no lock be had`);
  if (!journal) return undefined;
  try {
    const outcome = await journal.lock(now(), task.dryRun !== true);
    if (outcome === 'gone') return undefined;
    const label = name.slice(0, -journalSuffix.length);
    if (outcome === 'busy') return { key: label, found: 'interrupted', result: 'held', owed: [] };
    const one = await treat(journal, name, label, task, looks);
    if (one !== 'look again') return one;
  } finally {
    journal.close();
    // With the session goes this attachment's fence.
    host.close();
  }
  await sleep(secondLookMs);
  return await recoverOne(name, task, looks + 1);
}

/** Under its lock. */
async function treat(
  journal: Journal<Entry>,
  name: string,
  label: string,
  task: Task,
  looks: number,
): Promise<Recovered | 'look again' | undefined> {
  const { host, instance, removeMs, staleSince, orphan, silent } = task;
  const call = { instance, lockFd: journal.fd, end: now() + removeMs };
  const isPortLost: Witness['isPortLost'] = async (plan, call) =>
    !silent?.has(plan.ovsdb) && (await host.isPortLost(plan, call));
  const witness = { ...host, isPortLost };
  const { found, past } = await judge(journal, witness, call);
  // Somebody began an attachment here since its port was seen without one.
  if (orphan) return found === 'empty' ? await finish(journal, keyOf(name, journal), label, 'orphan', task) : undefined;
  if (isReleased.has(found)) {
    if (found === 'empty' && looks === 1) return 'look again';
    return await finish(journal, keyOf(name, journal), label, found, task);
  }
  if (staleSince !== undefined && !isLater(journal, staleSince)) {
    return await finish(journal, keyOf(name, journal), label, 'stale', task);
  }
  if (found === 'lost' && past) return await restore(journal, past, label, task);
  return { key: label, found, result: 'kept', owed: [], ...(found === 'unjudged' && unjudged) };
}

/** An ADD that ran when GC was called can be in no list of those that its runtime knows. */
const isLater = ({ records }: Journal<Entry>, moment: string): boolean =>
  (records.find(({ kind }) => kind === 'attached')?.at ?? '') > moment;

const unjudged = { note: 'its network namespace cannot be judged from here: DEL will remove it' };
const untold = { note: 'an address that it had may still be held by its IPAM plugin' };

async function restore(journal: Journal<Entry>, past: Past, key: string, task: Task): Promise<Recovered> {
  const { host, instance, removeMs, asChecked, dryRun } = task;
  if (dryRun) return { key, found: 'lost', result: 'restored', owed: [] };
  const call = { instance, lockFd: journal.fd, end: now() + removeMs };
  const trouble = await putBack(journal, past, host.perform, asChecked, call);
  // Looked at before the lock is let go: a DEL that came meanwhile has left it to us.
  if (journal.going) return await finish(journal, past.header.plan.key, key, 'going', task);
  const owed = trouble ? [{ step: 'port', message: trouble.message }] : [];
  return { key, found: 'lost', result: trouble ? 'owed' : 'restored', owed };
}

async function finish(
  journal: Journal<Entry>,
  key: AttachmentKey | undefined,
  label: string,
  found: Found,
  task: Task,
): Promise<Recovered> {
  const { host, ovsdb, removeMs, instance, dryRun } = task;
  const owe = (step: string, message: string): Recovered => ({
    key: label,
    found,
    result: 'owed',
    owed: [{ step, message }],
  });
  if (!key && journal.damaged)
    return owe('journal', "it cannot be read, nor its name: the runtime's DEL will remove it");
  const known = key && (task.known?.(key) ?? { key, ovsdb, request: { stdin: '', env: {} } });
  const isUntold = found !== 'empty' && !planOfHeader(journal.records) && !(key && task.known);
  const about = { key: key ? keyText(key) : label, found, ...(isUntold && untold) };
  const removed: Recovered = { ...about, result: 'removed', owed: [] };
  if (dryRun) return removed;
  try {
    // What was at rest is marked before anything of it goes (I1).
    if (journal.records.length > 0 && !journal.going) journal.markGoing();
    if (known) {
      const call = { instance, lockFd: journal.fd, end: now() + removeMs };
      const owed = await takeAway({ host, journal, by: 'recover', known, call });
      if (owed.length > 0) {
        journal.touch();
        journal.markGoing();
        const reasons = owed.map(({ step, trouble }) => ({ step, message: trouble.message }));
        return { ...removed, result: 'owed', owed: reasons };
      }
    }
    journal.unlink();
    return removed;
  } catch (error) {
    if (error instanceof JournalError) return owe('journal', error.message);
    throw error;
  }
}

// ---- by hand

/** Drops what is owed of an attachment. @returns what it leaves, in words. @throws Error if it is not owed */
export async function forget(
  disk: Disk,
  dataDir: string,
  key: string,
  clock: () => Date,
  dryRun: boolean,
): Promise<string[]> {
  const path = join(dataDir, `${key}${journalSuffix}`);
  const journal = Journal.open<Entry>(disk, path, { create: false, clock });
  if (!journal) throw new Error(`there is no journal of "${key}" in ${dataDir}`);
  try {
    if ((await journal.lock(now(), !dryRun)) !== 'held') throw new Error(`somebody works on "${key}"`);
    const past = journal.damaged ? undefined : fold(journal.records);
    if (past?.state === 'attached' && !journal.going)
      throw new Error(`"${key}" is attached: the runtime's DEL removes it`);
    const left = leftBehind(past?.undo ?? planOfHeader(journal.records));
    if (!dryRun) journal.unlink();
    return left;
  } finally {
    journal.close();
  }
}

function leftBehind(plan: Plan | undefined): string[] {
  if (!plan) return ['whatever it made: its journal cannot be read'];
  const { address, port, socketDir, publication, key } = plan;
  return [
    ...(address ? [`an address of IPAM plugin "${address.program}" for ${keyText(key)}`] : []),
    ...(port ? [`port "${port.name}" on bridge "${port.bridge}"`] : []),
    ...(socketDir?.own ? [`directory "${socketDir.own}"`] : []),
    ...(socketDir?.link ? [`symlink "${socketDir.link}"`] : []),
    ...(publication && 'pod' in publication
      ? [`annotations of pod ${publication.pod.namespace}/${publication.pod.name}`]
      : []),
  ];
}

// ---- ports without a journal

interface SwitchPorts {
  readonly ovsdb: string;
  readonly ports: readonly KnownPort[];
  /** One that cannot be asked owes an answer: there may be ports. */
  readonly unreachable?: Recovered;
}

async function portsOf({ host, ovsdb, removeMs }: Task): Promise<SwitchPorts> {
  try {
    return { ovsdb, ports: await host.listPorts(ovsdb, within(now() + removeMs, defaultDeadlines.switchMs)) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const owed = [{ step: 'port', message: `ports without a journal could not be looked for: ${message}` }];
    return { ovsdb, ports: [], unreachable: { key: ovsdb, found: 'orphan', result: 'owed', owed } };
  } finally {
    host.close();
  }
}

async function recoverPort(
  { key, instance, name }: KnownPort,
  names: readonly string[],
  task: Task,
): Promise<Recovered | undefined> {
  if (instance !== task.instance) {
    task.others?.({ key, instance, name });
    return undefined;
  }
  const [network = '', containerId = '', ifName = ''] = key.split(':');
  const own = journalName({ network, containerId, ifName });
  if (names.includes(own)) return undefined;
  if (task.dryRun) return { key, found: 'orphan', result: 'removed', owed: [], ...untold };
  return await tolerant(own, () => recoverOne(own, { ...task, orphan: true }));
}
