/** The archive of a dump: its name, and its way to the disk. It is there whole, or it is not there. */
import * as fs from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { messageOf } from '../../attachment.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;

/** Also the name of the directory in the archive. Without colons, which tar takes for another machine's name. */
export const dumpName = (host: string, at: Date): string =>
  `userspace-sysdump-${host}-${at.toISOString().replace(/[-:]|\.\d+/g, '')}`;

/**
 * @param output a file, or a directory that exists @throws Error if there is something at that path: nothing is overwritten
 */
export function archivePath(output: string | undefined, name: string): string {
  const said = resolve(output ?? '.');
  const isDirectory = fs.statSync(said, { throwIfNoEntry: false })?.isDirectory() === true;
  const path = isDirectory ? join(said, `${name}.tar.gz`) : said;
  if (fs.lstatSync(path, { throwIfNoEntry: false })) throw new Error(`"${path}" exists: name another file`);
  return path;
}

/** Root's alone. @returns how many bytes it has @throws Error; nothing of it is left then */
export function writeArchive(path: string, tar: Uint8Array): number {
  const bytes = gzipSync(tar);
  let fd: number;
  try {
    fd = fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw new Error(`cannot make the archive: ${messageOf(cause)}`, { cause });
  }
  try {
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at);
    fs.fchmodSync(fd, 0o600);
    fs.fsyncSync(fd);
  } catch (cause) {
    fs.rmSync(path, { force: true });
    throw new Error(`cannot write the archive "${path}": ${messageOf(cause)}`, { cause });
  } finally {
    fs.closeSync(fd);
  }
  return bytes.length;
}
