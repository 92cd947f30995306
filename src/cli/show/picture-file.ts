/** Writes a picture into its place: beside it, fsynced, then renamed, so that its name leads to the old or to the whole new one. */
import { closeSync, lstatSync, openSync, readSync } from 'node:fs';
import { messageOf } from '../../attachment.ts';
import type { Reading } from '../attachments.ts';
import { pictureOf, pictureStart } from './picture.ts';

/** @throws Error naming the file, the reason and the remedy; what was there is there still */
export async function writePicture(path: string, readings: readonly Reading[]): Promise<void> {
  const { default: writeFileAtomic } = await import('write-file-atomic');
  try {
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there && !there.isFile()) throw new Error('it is there, and is no regular file');
    if (there && there.size > 0 && !isPicture(path)) throw new Error('it is there, and is no picture');
    await writeFileAtomic(path, pictureOf(readings), { mode: 0o644 });
  } catch (cause) {
    throw new Error(
      `"${path}" cannot be written (${messageOf(cause)}): name a file that is not there yet, in a directory that can be written`,
      { cause },
    );
  }
}

/** Whether a file is an earlier picture: a journal or a network whose name was typed by mistake is not replaced. */
function isPicture(path: string): boolean {
  const begin = Buffer.alloc(pictureStart.length);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, begin);
  } finally {
    closeSync(fd);
  }
  return begin.toString() === pictureStart;
}
