/**
 * The remains of a tour's calls: every file below the tour's own directories, byte for byte, and every row of the switch in the
 * columns that the plugin writes. Read only by ovs-vsctl and from the file tree.
 */
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Row, Tables } from '../real/world.ts';
import { type Normaliser, unsealed } from './normal.ts';

/** One file or row: its kind, and its lines. */
interface Entry {
  readonly kind: 'file' | 'row';
  readonly about: string;
  readonly lines: readonly string[];
}

/** By name: a path behind a place's token, or a table and a row's name. */
export type Snapshot = ReadonlyMap<string, Entry>;

/** A directory that is looked through, and the name it has in the record. */
export interface Place {
  readonly name: string;
  readonly path: string;
}

/** @param tables for a switch that cannot be asked: the snapshot before, whose rows are taken over */
export async function takeSnapshot(
  places: readonly Place[],
  tables: Tables | Snapshot,
  normaliser: Normaliser,
): Promise<Snapshot> {
  const snapshot = new Map<string, Entry>();
  for (const place of places) await addFiles(place, snapshot, normaliser);
  if (tables instanceof Map) for (const [name, entry] of tables) if (entry.kind === 'row') snapshot.set(name, entry);
  for (const [name, entry] of 'Port' in tables ? rowsOf(tables) : []) {
    snapshot.set(name, { ...entry, lines: entry.lines.map((line) => normaliser.text(line)) });
  }
  return snapshot;
}

async function addFiles({ name, path }: Place, into: Map<string, Entry>, normaliser: Normaliser): Promise<void> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (names?.includes('instance')) {
    const [, instance] = /^([0-9a-f]{16})$/m.exec(await textOf(join(path, 'instance'))) ?? [];
    // Random for each data directory; marks and journals name it.
    if (instance) normaliser.knowNext(instance, 'instance');
  }
  if (names) into.set(`${name}/`, { kind: 'file', about: await aboutFile(path), lines: [] });
  for (const child of names?.filter((one) => name !== 'run' || !isDaemons(one)).sort() ?? []) {
    const [childName, childPath] = [normaliser.text(`${name}/${child}`), join(path, child)];
    const stats = await lstat(childPath);
    if (stats.isDirectory()) await addFiles({ name: childName, path: childPath }, into, normaliser);
    else {
      const text = stats.isFile() ? withOwnInode(await textOf(childPath), `${stats.dev}:${stats.ino}`) : '';
      const about = await aboutFile(childPath);
      into.set(childName, { kind: 'file', about: normaliser.text(about), lines: linesOf(normaliser.text(text)) });
    }
  }
}

/** In the switch's run directory: the database's socket, control sockets, and two for each bridge. */
const isDaemons = (name: string): boolean => /^db\.sock(\.away)?$/.test(name) || /\.(ctl|mgmt|snoop|pid)$/.test(name);

/** Kind, mode, owner. Times are left out; the one that matters, a debt's due time, shows in later calls. */
async function aboutFile(path: string): Promise<string> {
  const stats = await lstat(path);
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  const kinds: [boolean, string][] = [
    [stats.isDirectory(), 'directory'],
    [stats.isFile(), 'file'],
    [stats.isSocket(), 'socket'],
    [stats.isFIFO(), 'FIFO'],
  ];
  const kind = stats.isSymbolicLink()
    ? `link to ${await readlink(path)}`
    : (kinds.find(([is]) => is)?.[1] ?? 'something else');
  return `${kind} ${mode} ${stats.uid}:${stats.gid}`;
}

/**
 * A journal names its own inode, so that a copy is detected. It is compared here and not numbered, because inodes are used again.
 */
const withOwnInode = (text: string, inode: string): string =>
  text.replace(/(?<=^\{"seq":1,.*"file":")\d+:\d+(?=","crc")/, (found) =>
    found === inode ? '<own inode>' : '<other inode>',
  );

/** Bytes that are not UTF-8, and control characters, are shown as in C. */
async function textOf(path: string): Promise<string> {
  const bytes = await readFile(path);
  const text = bytes.toString('utf8');
  return unsealed(Buffer.from(text).equals(bytes) ? text : bytes.toString('latin1'));
}

/** The last line says whether the text ends with a newline. */
export function linesOf(text: string): string[] {
  if (text === '') return [];
  const lines = text.split('\n').map((line) => line.replace(/\p{Cc}/gu, escaped));
  return lines.at(-1) === '' ? lines.slice(0, -1) : [...lines.slice(0, -1), `${lines.at(-1)}<no newline>`];
}

const escaped = (character: string): string => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;

// ---- the switch

/**
 * The columns that the plugin writes. ovs-vswitchd's answers (ofport, mtu, statistics) are left out; only the presence of an
 * error counts.
 */
const columns = {
  Bridge: ['_uuid', 'ports', 'datapath_type', 'fail_mode', 'external_ids', 'other_config', 'protocols'],
  Port: ['_uuid', 'interfaces', 'tag', 'trunks', 'vlan_mode', 'external_ids', 'other_config'],
  Interface: [
    ...['_uuid', 'type', 'options', 'mtu_request', 'ingress_policing_rate', 'ingress_policing_burst'],
    ...['mac', 'ofport_request', 'external_ids', 'other_config'],
  ],
} as const;

/** The rows by name. Another row's uuid becomes that row's name, because a set of uuids has no order. */
function rowsOf(tables: Tables): [string, Entry][] {
  const names = new Map<string, string>();
  for (const rows of Object.values(tables)) for (const row of rows) names.set(uuidOf(row._uuid), String(row.name));
  return (['Bridge', 'Port', 'Interface'] as const).flatMap((table) =>
    [...tables[table]]
      .sort((a, b) => (String(a.name) < String(b.name) ? -1 : 1))
      // Only the presence of the bridge's own port and interface counts, because ovs-vswitchd writes them.
      .map((row): [string, Entry] => [
        `${table} ${row.name}`,
        { kind: 'row', about: 'row', lines: linesOfRow(row, columns[table], names) },
      ]),
  );
}

function linesOfRow(row: Row, wanted: readonly string[], names: ReadonlyMap<string, string>): string[] {
  const shown = wanted
    .filter((column) => !isUnset(row[column]))
    .flatMap((column) => {
      if (column === '_uuid') return [`_uuid = ${uuidOf(row._uuid)}`];
      const value = row[column];
      if (isMap(value)) return pairsOf(value).map(([key, one]) => `${column}:${key} = ${JSON.stringify(one)}`);
      return [`${column} = ${JSON.stringify(readable(value, names))}`];
    });
  return isUnset(row.error) || isLocalPort(row) ? shown : [...shown, 'error is set'];
}

/** A bridge's own port. Its error speaks of the tap device, which ovs-vswitchd makes again until the last one of the name is gone. */
const isLocalPort = (row: Row): boolean => row.type === 'internal';

const isMap = (value: unknown): value is ['map', [string, unknown][]] => Array.isArray(value) && value[0] === 'map';

const pairsOf = ([, pairs]: ['map', [string, unknown][]]) => [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));

const isUnset = (value: unknown): boolean =>
  value === undefined || value === '' || (Array.isArray(value) && Array.isArray(value[1]) && value[1].length === 0);

const uuidOf = (value: unknown): string => String(Array.isArray(value) ? value[1] : value);

function readable(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (!Array.isArray(value)) return value;
  if (value[0] === 'uuid') return names.get(String(value[1])) ?? value[1];
  if (value[0] !== 'set') return value;
  return (value[1] as unknown[]).map((one) => readable(one, names)).sort();
}

// ---- the changes between two snapshots

/** The changes of a snapshot: new, changed, gone. Equal histories of changes mean equal histories of snapshots. */
export function changesBetween(before: Snapshot, after: Snapshot): string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name) => {
    const [old, fresh] = [before.get(name), after.get(name)];
    if (!fresh) return [`- ${name}`];
    if (!old) return [`+ ${name}  (${fresh.about})`, ...fresh.lines.map(indented)];
    if (old.about === fresh.about && isSame(old.lines, fresh.lines)) return [];
    const head = old.about === fresh.about ? `~ ${name}` : `~ ${name}  (${fresh.about})`;
    if (isSame(old.lines, fresh.lines)) return [head];
    const isLonger = fresh.lines.length > old.lines.length && isSame(old.lines, fresh.lines.slice(0, old.lines.length));
    return isLonger
      ? [`${head}  appended`, ...fresh.lines.slice(old.lines.length).map(indented)]
      : [head, ...fresh.lines.map(indented)];
  });
}

const indented = (line: string): string => `    ${line}`;

const isSame = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((line, index) => line === other[index]);
