/** Puts a file in its place: beside, fsynced, then renamed, so that its name leads to the old or to the new one at any moment. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../../attachment.ts';

export interface PlacedFile {
  readonly path: string;
  readonly contents: string;
  readonly mode: number;
}

/** The name of a file that is not whole yet. Only the holder of the plugin directory's lock writes it. */
export const besideOf = (path: string): string => join(dirname(path), `.${basename(path)}.new`);

/** @throws Error naming the file; its name leads where it led before */
export function placeFile(file: PlacedFile): 'installed' | 'replaced' | 'already there' {
  const { path, contents, mode } = file;
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isFile() && (there.mode & 0o7777) === mode && readFileSync(path, 'utf8') === contents) {
    syncDirectory(dirname(path));
    return 'already there';
  }
  const beside = besideOf(path);
  try {
    makeDirectories(dirname(path));
    rmSync(beside, { force: true });
    writeWhole(beside, contents, mode);
    renameSync(beside, path);
  } catch (cause) {
    rmSync(beside, { force: true });
    throw new Error(`"${path}" cannot be written (${messageOf(cause)}): mend that, and run install once more`, {
      cause,
    });
  }
  syncDirectory(dirname(path));
  return there ? 'replaced' : 'installed';
}

function writeWhole(path: string, contents: string, mode: number): void {
  const bytes = Buffer.from(contents);
  const fd = openSync(path, 'wx', mode);
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    // The umask may have taken bits away.
    fchmodSync(fd, mode);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** mkdir -p, with the names of new directories fsynced. */
function makeDirectories(directory: string): void {
  if (existsSync(directory)) return;
  makeDirectories(dirname(directory));
  mkdirSync(directory, 0o755);
  syncDirectory(dirname(directory));
}

export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** @throws Error if no file could be made or replaced at this path */
export function expectPlaceable(path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there && !there.isFile()) throw new Error(`"${path}" is no regular file: take it away; nothing was touched`);
  let directory = dirname(path);
  try {
    for (; !existsSync(directory); directory = dirname(directory))
      if (lstatSync(directory, { throwIfNoEntry: false })) throw new Error(`"${directory}" leads nowhere`);
    if (!statSync(directory).isDirectory()) throw new Error(`"${directory}" is no directory`);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new Error(`"${path}" cannot be written (${messageOf(cause)}): nothing was touched`, { cause });
  }
}
