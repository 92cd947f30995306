/**
 * The one directory with everything of a demo. At its end the mounts in it go first, then the directory. It is locked as long as
 * its demo lives, so the next demo removes the directory of a killed one.
 */
import { closeSync, lstatSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flock, unmount } from '../src/os/native.ts';

const prefix = 'usw-demo-';

export interface Place {
  readonly directory: string;
  /** Directories of dead demos, which are removed now. */
  readonly leftovers: readonly string[];
  /** Whether no other demo runs. */
  readonly alone: boolean;
  close(): void;
}

/** Makes the place, and all later temporary directories of this process in it. */
export function openPlace(): Place {
  const parent = tmpdir();
  const mine = readdirSync(parent)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(parent, name))
    .filter((path) => isOwn(path));
  const leftovers = mine.filter((path) => {
    const lock = lockOf(path);
    if (lock === undefined) return false;
    removeAll(path);
    closeSync(lock);
    return true;
  });
  const directory = mkdtempSync(join(parent, prefix));
  const lock = lockOf(directory);
  process.env.TMPDIR = directory;
  return {
    directory,
    leftovers,
    alone: leftovers.length === mine.length,
    close: () => {
      process.env.TMPDIR = parent;
      removeAll(directory);
      if (lock !== undefined) closeSync(lock);
    },
  };
}

function isOwn(path: string): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false });
  return there?.isDirectory() === true && there.uid === process.getuid?.();
}

/** @returns undefined if its demo lives */
function lockOf(directory: string): number | undefined {
  const fd = openSync(directory, 'r');
  if (flock(fd)) return fd;
  closeSync(fd);
  return undefined;
}

/** @throws Error naming what is still mounted: nothing below a mount is removed */
function removeAll(directory: string): void {
  for (const path of mountsBelow(directory)) {
    if (!unmount(path)) throw new Error(`"${path}" cannot be unmounted: umount it, then remove "${directory}"`);
  }
  rmSync(directory, { recursive: true, force: true });
}

/** The mounts below a directory, the innermost first. mountinfo (proc(5)) writes blanks as octal numbers. */
function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    )
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}
