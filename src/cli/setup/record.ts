/**
 * The record of what install wrote beside the executable: for each path, the sums of the contents that it gave the file, or the word
 * `directory`. By it uninstall tells a file that is still ours from one that a person has changed since.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../attachment.ts';

/** The directory beside the runtime's networks that is ours alone: the kubeconfig, and this record. */
export const ownDirectory = (networkDir: string): string => join(networkDir, 'userspace.d');

export const recordPath = (networkDir: string): string => join(ownDirectory(networkDir), 'installed.json');

export interface WrittenFiles {
  readonly [path: string]: readonly string[];
}

/** In the place of sums: a directory that install made. */
export const directoryMark = 'directory';

export const sumOf = (contents: string | Uint8Array): string => createHash('sha256').update(contents).digest('hex');

/** @throws Error if it cannot be read: without it, a file of ours would be taken for a person's */
export function readRecord(networkDir: string): WrittenFiles {
  const path = recordPath(networkDir);
  try {
    const said: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!isRecord(said)) throw new Error('it is no list of files and sums');
    return said;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new Error(
      `"${path}", the record of what install wrote, cannot be read (${messageOf(error)}): take it away; what it told of is a person's then, and stays`,
    );
  }
}

/** The beginning of a kubeconfig that a DaemonSet's pod writes again and again: it is in no record. */
const daemonsetMark = '# Of "userspace daemonset"';

/** Whether a file is as one of us wrote it. */
export const isAsWritten = (contents: Uint8Array, sums: readonly string[]): boolean =>
  sums.includes(sumOf(contents)) || Buffer.from(contents).toString('latin1').startsWith(daemonsetMark);

const isRecord = (said: unknown): said is WrittenFiles =>
  typeof said === 'object' &&
  said !== null &&
  Object.entries(said).every(([path, sums]) => path.startsWith('/') && Array.isArray(sums));
