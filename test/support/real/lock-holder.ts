/**
 * A program that takes the lock of a journal by the product's own code, says how that went and holds on until its stdin ends:
 * `lock-holder.ts PATH WAIT_MS`.
 */
import { now } from '../../../src/deadlines.ts';
import { realDisk } from '../../../src/journal/disk.ts';
import { lock } from '../../../src/journal/lock.ts';

const [path = '', waitMs = '0'] = process.argv.slice(2);
const fd = realDisk.open(path, 'a+', 0o600);
console.log(await lock({ disk: realDisk, path, fd }, now() + Number(waitMs)));
process.stdin.on('end', () => process.exit(0)).resume();
