/**
 * `userspace recover`: brings every attachment of a data directory to its proper state. It completes a removal that was begun,
 * and rolls back an ADD whose process is dead. It releases an attachment that no sandbox can use any more, and removes a port of
 * ours without a journal. Last, it puts back a port that a living sandbox has lost. An attachment whose lock another process
 * holds is left to that process: the lock decides, and never a clock.
 */
import { join } from 'node:path';
import { journalSuffix } from '../attachment.ts';
import { defaultDeadlines, now, sleep } from '../deadlines.ts';
import { planOfHeader } from '../drive/entry.ts';
import { adoptIdentity, instancesOfJournals } from '../drive/identity.ts';
import { fold, peekJournal } from '../drive/past.ts';
import type { Disk } from '../journal/disk.ts';
import { JournalError } from '../journal/journal.ts';
import { listJournals, readInstance, syncNames } from '../journal/store.ts';
import type { Database } from '../machines/protocol.ts';
import { recoverOne, reportUnreadable } from './one.ts';
import { isOwed, type Recovered, type RecoverOptions, type Round, type Task } from './options.ts';
import { idleBridges, portsOf, recoverPort, type SwitchPorts } from './orphans.ts';

/** @throws JournalError if the data directory cannot be read. */
export async function recover(options: RecoverOptions): Promise<readonly Recovered[]> {
  const { disk, dataDir, host, asChecked, dryRun = false, holderOf } = options;
  if (!dryRun) syncNames(disk, dataDir);
  const round: Round = { ...options, instance: (await identity(options)) ?? '' };
  const report = new Report(options.progress);
  // Ports before journals: a live ADD has its journal before its port.
  const switches: SwitchPorts[] = [];
  for (const database of switchesOf(round)) switches.push(await portsOf(round, database));
  const names = listJournals(disk, dataDir, journalSuffix).sort();
  const visit = async (all: readonly string[], putBack: 'now' | 'later') => {
    const why = { why: 'recovery', putBack, asChecked, dryRun, ...(holderOf && { holderOf }) } as const;
    for (const name of all) report.add(name, await reportUnreadable(name, () => recoverOne(name, round, why)));
  };
  await visit(names, 'later');
  const seen = new Set<string>();
  const ids = new Set([round.instance, ...instancesOfJournals(disk, dataDir)].filter((id) => id !== ''));
  for (const { ovsdb, ports = [] } of switches) {
    for (const port of ports) {
      const about = `${port.name} ${port.instance}`;
      // A database that moved may be seen at both of its places.
      if (!seen.has(about)) report.add(port.name, await recoverPort(port, { names, ids }, { ...round, ovsdb }));
      seen.add(about);
    }
  }
  await visit(report.namesOf('lost', names), 'now');
  await againUntil(now() + (options.patienceMs ?? 0), host, async () => {
    const owed = report.owedOf(names);
    if (owed.length > 0) await visit(owed, 'now');
    return report.owedOf(names).length === 0;
  });
  for (const { ovsdb, ports } of switches) {
    if (ports) for (const name of await idleBridges(round, ovsdb, ids)) report.add(name, emptied(name));
  }
  return report.end();
}

const emptied = (key: string): Recovered => ({ key, found: 'orphan', result: 'removed', owed: [] });

/** The pause before the second try; each later pause is twice as long. */
const firstPauseMs = 1_000;

/**
 * A server or program that was away when it was first needed was not asked again. It is asked once more now that everything else is
 * done; on a boot, for a while.
 * @param action says whether nothing is owed any more
 */
async function againUntil(end: number, host: RecoverOptions['host'], action: () => Promise<boolean>): Promise<void> {
  for (let pause = 0; host.forgetAway(); pause = Math.max(firstPauseMs, pause * 2)) {
    if (pause > 0 && now() + pause > end) break;
    await sleep(pause);
    if (await action()) break;
  }
}

async function identity({ disk, dataDir, dryRun }: RecoverOptions): Promise<string | undefined> {
  if (dryRun) return readInstance(disk, dataDir) ?? instancesOfJournals(disk, dataDir)[0];
  return await adoptIdentity(disk, dataDir, now() + defaultDeadlines.lockMs);
}

/** One line for each attachment, reported as soon as nothing more will be tried for it. */
class Report {
  readonly #found = new Map<string, Recovered>();
  readonly #said: Recovered[] = [];
  readonly #progress: (one: Recovered) => void;

  constructor(progress: (one: Recovered) => void) {
    this.#progress = progress;
  }

  add(name: string, one: Recovered | undefined): void {
    this.#found.delete(name);
    if (!one) return;
    if (isOwed(one) || one.found === 'lost') this.#found.set(name, one);
    else this.#say(one);
  }

  namesOf(found: Recovered['found'], names: readonly string[]): string[] {
    return names.filter((name) => this.#found.get(name)?.found === found && this.#found.get(name)?.result === 'kept');
  }

  owedOf(names: readonly string[]): string[] {
    return names.filter((name) => this.#found.get(name)?.result === 'owed');
  }

  end(): readonly Recovered[] {
    for (const one of this.#found.values()) this.#say(one);
    return this.#said;
  }

  #say(one: Recovered): void {
    this.#progress(one);
    this.#said.push(one);
  }
}

/** The switch in the options, and every other that a journal names. */
function switchesOf({ disk, dataDir, ovsdb: asked }: Task): Database[] {
  const found = new Map<string, Database>([[asked, { ovsdb: asked }]]);
  for (const name of listJournals(disk, dataDir, journalSuffix)) {
    const { ovsdb, database } = databaseOf(disk, join(dataDir, name));
    if (ovsdb && !found.get(ovsdb)?.database) found.set(ovsdb, { ovsdb, ...(database && { database }) });
  }
  return [...found.values()];
}

function databaseOf(disk: Disk, path: string): Partial<Database> {
  try {
    const records = peekJournal(disk, path)?.records ?? [];
    const plan = fold(records)?.undo ?? planOfHeader(records);
    return typeof plan?.ovsdb === 'string' ? plan : {};
  } catch (error) {
    // The visit to this journal reports it.
    if (error instanceof JournalError) return {};
    throw error;
  }
}
