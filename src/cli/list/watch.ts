/**
 * `userspace list --watch`: the list, and then each attachment again whose journal has changed. The kernel tells of changes in the data
 * directory, and only the journals that it names are read. The directory may be made, and may go, meanwhile.
 *
 * As with kubectl, lines are added and none is written over: the output is a record of what happened.
 */
import { join } from 'node:path';
import { journalSuffix } from '../../attachment.ts';
import { type Changed, DirectoryWatch } from '../../os/inotify.ts';
import { inOrder, type Reading, readAttachments, readJournals } from '../attachments.ts';
import { exit } from '../command-line.ts';
import { isWanted } from './filters.ts';
import { type Listing, nothingText, pageOf, withLive } from './listing.ts';
import { type Listed, Table } from './table.ts';

/** Stays until a person ends it, or the reader of its output has gone. @throws Error if the directory cannot be watched or read */
export async function watchList(listing: Listing): Promise<number> {
  const { terminal } = listing.call;
  const work = followChanges(listing);
  await (terminal.ended ? Promise.race([work, terminal.ended()]) : work);
  return exit.done;
}

async function followChanges(listing: Listing): Promise<void> {
  const { call } = listing;
  const { written = () => Promise.resolve(true) } = call.terminal;
  const watch = new DirectoryWatch(call.words.values['data-dir']);
  const shown = new Shown(listing);
  do await shown.follow(await watch.next());
  while (await written());
}

type Change = 'added' | 'changed' | 'gone';

/** The attachments that are on the screen, by the path of their journal. */
class Shown {
  readonly #listing: Listing;
  readonly #readings = new Map<string, Reading>();
  readonly #listed = new Map<string, Listed>();
  #table: Table | undefined;
  #isFirst = true;

  constructor(listing: Listing) {
    this.#listing = listing;
  }

  async follow(changed: Changed): Promise<void> {
    const { machine, words } = this.#listing.call;
    const dataDir = words.values['data-dir'];
    const { disk, clock } = machine;
    const paths = changed === 'everything' ? [...this.#readings.keys()] : pathsOf(changed, dataDir);
    const found =
      changed === 'everything' ? readAttachments(disk, dataDir, clock()) : readJournals(disk, paths, clock());
    for (const path of paths) this.#readings.delete(path);
    for (const reading of found) this.#readings.set(reading.path, reading);
    const { attachments } = await withLive(found, this.#listing);
    const present = new Map(found.map(({ path }, index) => [path, attachments[index]]));
    const changes = [...new Set([...paths, ...present.keys()])].flatMap((path) =>
      this.#compare(path, present.get(path)),
    );
    this.#print(changes.sort(([, one], [, other]) => inOrder(one, other)));
  }

  /** Remembers an attachment as it is now, and tells how it differs from what is on the screen. */
  #compare(path: string, is: Listed | undefined): [Change, Listed][] {
    const was = this.#listed.get(path);
    if (is && isWanted(this.#listing.wanted)(is)) {
      this.#listed.set(path, is);
      if (was && JSON.stringify(was) === JSON.stringify(is)) return [];
      return [[was ? 'changed' : 'added', is]];
    }
    if (!was) return [];
    this.#listed.delete(path);
    // One that no longer has a state of --state is shown once more, in its new state.
    if (is) return [['gone', is]];
    // Whether the switch has the port of an attachment that went is not asked.
    const { live: _, ...rest } = was;
    return [['gone', { ...rest, isGone: true }]];
  }

  #print(changes: readonly [Change, Listed][]): void {
    const { call, format } = this.#listing;
    const lines =
      format === 'json' ? changes.map(documentOf) : format === 'name' ? namesOf(changes) : this.#rows(changes);
    this.#isFirst = false;
    if (lines.length > 0) call.terminal.stdout(`${lines.join('\n')}\n`);
  }

  #rows(changes: readonly [Change, Listed][]): string[] {
    const said = changes.map(([, one]) => one);
    const readings = [...this.#readings.values()];
    if (said.length === 0) return this.#isFirst ? [nothingText(this.#listing, readings.length).trimEnd()] : [];
    const table = new Table([...this.#listed.values(), ...said], pageOf(this.#listing, readings), this.#table?.widths);
    const head = this.#table ? [] : [table.head];
    this.#table = table;
    return [...head, ...said.map((one) => table.row(one))];
  }
}

/** Each on a line of its own, for a program that reads them one by one. */
function documentOf([change, { isGone: _, ...attachment }]: [Change, Listed]): string {
  return JSON.stringify({ change, attachment });
}

const namesOf = (changes: readonly [Change, Listed][]): string[] => changes.map(([, { key }]) => key);

/** The journals to which the changed files belong: a damaged journal has a copy beside it (`.corrupt`). */
const pathsOf = (names: ReadonlySet<string>, dataDir: string): string[] => [
  ...new Set(
    [...names]
      .map((name) => name.replace(/\.corrupt$/, ''))
      .filter((name) => name.endsWith(journalSuffix))
      .map((name) => join(dataDir, name)),
  ),
];
