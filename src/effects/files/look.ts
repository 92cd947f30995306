/**
 * Looking at paths that a user, a pod or the kubelet named: do they exist, and can they be used? Each look has its moment.
 */
import { constants } from 'node:fs';
import { access as permitted, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { code, messageOf, type Trouble } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import { codeOf, DirectoryTimeout, inTime } from '../outcome.ts';

/** Finds the nearest existing directory, by which a directory that will be made is judged. @throws DirectoryTimeout */
export async function nearest(path: string, end: Moment): Promise<string> {
  if (path === '/') return path;
  const isThere = await inTime(() => stat(path), end, `"${path}"`).then(
    () => true,
    (error) => {
      if (error instanceof DirectoryTimeout) throw error;
      return false;
    },
  );
  return isThere ? path : await nearest(dirname(path), end);
}

/** @throws errno exceptions, DirectoryTimeout, an Error if it is not a directory */
export async function expectWritable(directory: string, end: Moment): Promise<void> {
  const stats = await inTime(() => stat(directory), end, `"${directory}"`);
  if (!stats.isDirectory()) throw new Error(`"${directory}" is no directory`);
  await inTime(() => permitted(directory, constants.W_OK | constants.X_OK), end, `"${directory}"`);
}

export const expectMakable = (path: string) => async (end: Moment) =>
  await expectWritable(await nearest(path, end), end);

/** @param expected throws if the path cannot be used */
export async function usable(name: string, path: string, expected: (end: Moment) => Promise<void>, end: Moment) {
  try {
    await expected(end);
    return [];
  } catch (error) {
    const why = messageOf(error);
    const isMissing = codeOf(error) === 'ENOENT';
    const remedy = isMissing ? ': the kubelet makes it, is "kubeletRootDir" right?' : '';
    return [{ code: faultOf(error), message: `${name} "${path}" cannot be used: ${why}${remedy}` }];
  }
}

/** A refusal of the disk is an I/O fault. A path that is missing or not a directory is the configuration's fault. */
function faultOf(error: unknown): number {
  if (error instanceof DirectoryTimeout) return code.tryAgainLater;
  return codeOf(error) && codeOf(error) !== 'ENOENT' ? code.io : code.invalidConfig;
}

/** @throws anything else */
export function onlySilence(error: unknown): Trouble[] {
  if (error instanceof DirectoryTimeout) return [silence(error)];
  throw error;
}

export const silence = (error: unknown): Trouble => ({
  code: code.tryAgainLater,
  message: messageOf(error),
});

/** @returns undefined if there is nothing. @throws DirectoryTimeout */
export async function identity(path: string, end: Moment): Promise<string | undefined> {
  const stats = await present(() => stat(path, { bigint: true }), path, end);
  return stats && `${stats.dev}:${stats.ino}`;
}

/** @returns undefined if there is nothing. @throws DirectoryTimeout */
export async function present<T>(look: () => Promise<T>, path: string, end: Moment): Promise<T | undefined> {
  return await inTime(look, end, `"${path}"`).catch((error) => {
    if (error instanceof DirectoryTimeout) throw error;
    return undefined;
  });
}

/**
 * @returns undefined if a part of the path is not a directory: the look at "sharedDir" reports that already, and its silence too.
 */
export async function device(path: string, end: Moment): Promise<number | undefined> {
  const there = await nearest(path, end);
  return (await present(() => stat(there), there, end))?.dev;
}
