/** A program that asks for the instance id of a data directory as every ADD does, and says it: `instance-maker.ts DATA_DIR`. */
import { randomBytes } from 'node:crypto';
import { now } from '../../../src/deadlines.ts';
import { realDisk } from '../../../src/journal/disk.ts';
import { ensureInstance } from '../../../src/journal/store.ts';

const [dataDir = ''] = process.argv.slice(2);
console.log(await ensureInstance(realDisk, dataDir, () => randomBytes(8).toString('hex'), now() + 60_000));
