/** IPAM programs of a test's own: shell scripts in a directory that is CNI_PATH. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttachmentKey } from '../../src/attachment.ts';
import { temporaryDirectory } from './temporary.ts';

/**
 * The key of an attachment of the test's own. A DEL ends what earlier calls started for its key, on the whole machine: with one key
 * in two files, a test of one ends the programs of the other.
 */
export const ownKey = (network = 'net'): AttachmentKey => ({
  network,
  containerId: randomBytes(8).toString('hex'),
  ifName: 'net1',
});

export interface Programs {
  readonly directory: string;
  /** `body` is run by sh with `$D` as this directory. @returns the program's path */
  write(name: string, body: string): string;
  /** The text that a program wrote into this directory. */
  read(name: string): string;
  has(name: string): boolean;
}

/** Writes an executable shell script. */
export function writeProgram(path: string, body: string): void {
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
}

export function programs(): Programs {
  const directory = temporaryDirectory();
  return {
    directory,
    write: (name, body) => {
      const path = join(directory, name);
      writeProgram(path, `D='${directory}'\n${body}`);
      return path;
    },
    read: (name) => readFileSync(join(directory, name), 'utf8'),
    has: (name) => existsSync(join(directory, name)),
  };
}
