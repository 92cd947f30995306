/**
 * The socket file of a port, where the application sees it: which rows name it, and how it is removed if no other row does.
 */
import type { Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Moment } from '../../deadlines.ts';
import { Directory } from '../files/directory.ts';
import { map, type Operation, type OperationResult, readUuid, select, withMarks } from './operations.ts';

/** The questions for `isNamed`. @param paths other paths of the socket, through symlinks by which a switch may reach it */
export const selectNamers = (socket: string, ...paths: readonly string[]): Operation[] => [
  select('Port', [withMarks({ socket })], ['_uuid']),
  ...[socket, ...paths].map((path) =>
    select('Interface', [['options', 'includes', map({ 'vhost-server-path': path })]], ['_uuid']),
  ),
];

/** Whether a row names the socket that is not among `mine` (_uuids of Port and Interface). */
export const isNamed = (answers: readonly OperationResult[], mine: ReadonlySet<string> = new Set()): boolean =>
  answers.some(({ rows }) => rows?.some((row) => !mine.has(readUuid(row._uuid))));

/** Without a row of ours, the file is looked at before the rows are, because a file that is made later is another attachment's. */
export const statSocket = (socket: string, end: Moment): Promise<Stats | undefined> =>
  inDirectoryOf(socket, end, (directory, name) => directory.stat(name));

/** @param seen only this file is removed; if absent, any socket at that path */
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
