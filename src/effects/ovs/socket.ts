/**
 * The socket file of a port, where the application sees it: which rows name it, and taking it away while none of another's does.
 */
import type { Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Moment } from '../../deadlines.ts';
import { Directory } from '../files/directory.ts';
import { map, type Operation, type OperationResult, readUuid, select, withMarks } from './operations.ts';

/** What to ask for `isNamed`. @param paths of one socket: its own, and the ones by which a switch may reach it through a symlink */
export const selectNamers = (socket: string, ...paths: readonly string[]): Operation[] => [
  select('Port', [withMarks({ socket })], ['_uuid']),
  ...[socket, ...paths].map((path) =>
    select('Interface', [['options', 'includes', map({ 'vhost-server-path': path })]], ['_uuid']),
  ),
];

/** Whether a row names it that is not among `mine` (_uuids of Port and Interface). */
export const isNamed = (answers: readonly OperationResult[], mine: ReadonlySet<string> = new Set()): boolean =>
  answers.some(({ rows }) => rows?.some((row) => !mine.has(readUuid(row._uuid))));

/** What lies there now. Asked for before the rows where no row of ours keeps the name: what is made there later is another's. */
export const statSocket = (socket: string, end: Moment): Promise<Stats | undefined> =>
  inDirectoryOf(socket, end, (directory, name) => directory.stat(name));

/** @param seen only this one goes; whatever lies there if it is not given */
export async function removeSocket(socket: string, end: Moment, seen?: Stats): Promise<void> {
  await inDirectoryOf(socket, end, (directory, name) => directory.remove(name, 'socket', seen));
}

async function inDirectoryOf<T>(
  socket: string,
  end: Moment,
  action: (directory: Directory, name: string) => Promise<T>,
): Promise<T | undefined> {
  const directory = await Directory.find(dirname(socket), end);
  try {
    return directory && (await action(directory, basename(socket)));
  } finally {
    await directory?.close();
  }
}
