/** The parts of a dump that tell what is attached: journals and their marks, rows of the switch, sockets, mounts. */
import { dirname, join } from 'node:path';
import { messageOf } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import { isBelow, remoteFiles } from '../../effects/remote-files.ts';
import type { Disk } from '../../journal/disk.ts';
import { isGoing } from '../../journal/marks.ts';
import { readMounts } from '../../os/mountinfo.ts';
import type { Reading } from '../attachments.ts';
import type { Bag } from './bag.ts';
import { lineOf, namesIn, tailOf } from './files.ts';
import { knownMapKeys } from './known-names.ts';
import type { Redactor } from './redact.ts';
import type { Sources } from './sources.ts';

/** Twice what a journal can grow to. */
const journalBytesMax = 4 * 1024 * 1024;

const isJournal = (name: string): boolean => /\.journal(\.corrupt)?$/.test(name);

/** A journal without a secret is copied byte for byte. One with a secret no longer fits its checksums. */
export async function collectJournals(bag: Bag, { places, unread, call }: Sources, end: Moment): Promise<string> {
  for (const why of unread) bag.lacks(why);
  const marks: string[] = [];
  let count = 0;
  for (const [index, { dataDir }] of places.entries()) {
    marks.push(await lineOf(dataDir, end));
    for (const name of await namesIn(dataDir, end).catch(() => [])) {
      const path = join(dataDir, name);
      marks.push((await lineOf(path, end)) + markOf(call.machine.disk, path));
      if (!isJournal(name)) continue;
      try {
        const { text, isCut } = await tailOf(path, journalBytesMax, end, { isOurs: true });
        const shown = text.split('\n').map((line) => bag.redactor.line(line));
        bag.file(`journals${index === 0 ? '' : `-${index + 1}`}/${bag.redactor.text(name)}`, shown.join('\n'));
        if (isCut) bag.lacks(`the beginning of "${path}": only its last ${journalBytesMax} bytes are here`);
        count++;
      } catch (error) {
        bag.lacks(`journal "${path}": ${messageOf(error)}`);
      }
    }
  }
  bag.lines('marks.txt', marks);
  return `${count} in ${places.map(({ dataDir }) => dataDir).join(', ')}`;
}

/** The marks that are not in the file's mode alone. */
function markOf(disk: Disk, path: string): string {
  if (!isJournal(path)) return '';
  try {
    const fd = disk.open(path, 'r');
    try {
      return `${isGoing(disk.stat(fd)) ? ' going' : ''}${disk.hasAttribute(fd) ? ' was at rest' : ''}`;
    } finally {
      disk.close(fd);
    }
  } catch {
    return ' cannot be opened';
  }
}

export async function collectRows(bag: Bag, sources: Sources, end: Moment): Promise<string> {
  const told: string[] = [];
  for (const [index, ovsdb] of sources.databases.entries()) {
    try {
      const rows = await sources.rows(ovsdb, end);
      const tables = Object.entries(rows).map(([table, all]) => [table, all.map((row) => shownRow(row, bag.redactor))]);
      const name = index === 0 ? 'rows.json' : `rows-${index + 1}.json`;
      bag.file(name, `${JSON.stringify({ ovsdb, ...Object.fromEntries(tables) }, null, 2)}\n`);
      told.push(`${rows.Port?.length ?? 0} ports of ours at ${ovsdb}`);
    } catch (error) {
      bag.lacks(`the switch at ${ovsdb}: ${messageOf(error)}`);
    }
  }
  return told.join('; ');
}

function shownRow(row: { readonly [column: string]: unknown }, redactor: Redactor) {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => {
      const known = knownMapKeys[column];
      const isMap = known && typeof value === 'object' && value !== null;
      return [
        column,
        isMap ? redactor.map(value as { readonly [key: string]: unknown }, known) : redactor.value(value),
      ];
    }),
  );
}

/** Enough to see a directory that many pods share. */
const entriesMax = 200;

/** For each attachment: its socket's directory with everything in it, and the way there. */
export async function collectSockets(bag: Bag, { readings }: Sources, end: Moment): Promise<string> {
  const isRemote = remoteFiles();
  const told = new Map<string, Promise<string>>();
  const look = (path: string): Promise<string> => {
    const line = told.get(path) ?? lineOf(path, end, { hasAcl: !isRemote(path) });
    told.set(path, line);
    return line;
  };
  const listed = new Set<string>();
  const linesOf = async (directory: string): Promise<string[]> => {
    if (listed.has(directory)) return [await look(directory)];
    listed.add(directory);
    const names = await namesIn(directory, end).catch(() => []);
    const paths = [...wayTo(directory), ...names.slice(0, entriesMax).map((name) => join(directory, name))];
    const more = names.length > entriesMax ? [`${names.length - entriesMax} more`] : [];
    return [...(await Promise.all(paths.map(look))), ...more];
  };
  const lines: string[] = [];
  for (const { attachment, sought } of readings) {
    const port = sought?.plan.port;
    if (!port) continue;
    lines.push(`${attachment.key} (${port.mode})`);
    for (const directory of [port.directory, ...(port.link ? [port.link] : [])]) {
      lines.push(...(await linesOf(directory)).map((line) => `  ${line}`));
    }
  }
  bag.lines('sockets.txt', lines);
  return `${listed.size} directories`;
}

/** A directory with all directories above it, the root first. */
function wayTo(directory: string): string[] {
  const above = dirname(directory);
  return above === directory ? [directory] : [...wayTo(above), directory];
}

const usualTypes = ['hugetlbfs', 'cgroup', 'cgroup2', 'bpf'];

/** The mounts on which our places are, hugepages, and control groups. The other ones are other programs' business. */
export async function collectMounts(bag: Bag, { readings, places, call }: Sources): Promise<string> {
  const ours = [
    ...places.map(({ dataDir }) => dataDir),
    ...new Set(readings.flatMap(({ sought }: Reading) => sought?.plan.port?.directory ?? [])),
    ...[call.networkDir, '/run', '/var/run/netns', '/dev/shm', '/opt/cni/bin'],
  ];
  const isMeant = ({ point, type }: { readonly point: string; readonly type: string }): boolean =>
    usualTypes.includes(type) || ours.some((path) => isBelow(path, point === '/' ? '' : point) || isBelow(point, path));
  const mounts = readMounts('self').filter(isMeant);
  bag.lines(
    'mounts.txt',
    mounts.map(({ id, parent, device, type, root, point, isOrphan }) =>
      [id, parent, device, type, root, point, ...(isOrphan ? ['(its directory was removed)'] : [])].join(' '),
    ),
  );
  return `${mounts.length} of this process's mounts`;
}
