/** A program that writes an archive of random bytes: `archive-writer.ts PATH BYTES`. It says as JSON how that ended. */
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeArchive } from '../../../src/cli/sysdump/archive.ts';

const [path = '', bytes = ''] = process.argv.slice(2);

function write(): string {
  try {
    return `${writeArchive(path, randomBytes(Number(bytes)))} bytes`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

console.log(JSON.stringify({ said: write(), left: readdirSync(dirname(path)) }));
