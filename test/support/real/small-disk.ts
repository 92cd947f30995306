/**
 * A program that works on a file system of a few KiB until it is full, then makes it read-only: `small-disk.ts MOUNT_POINT`.
 * It says as JSON what the product's own code met there.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { now } from '../../../src/deadlines.ts';
import { realDisk } from '../../../src/journal/disk.ts';
import { Journal, JournalError } from '../../../src/journal/journal.ts';
import { attempt, bytesOf, readOnlyCases, withOpenFilesClosed } from '../fake/disk-cases.ts';

interface Filler {
  readonly filler: string;
}

const [directory = ''] = process.argv.slice(2);
const path = join(directory, 'a:b:c.journal');
const clock = (): Date => new Date();

async function locked(): Promise<Journal<Filler>> {
  const journal = Journal.open<Filler>(realDisk, path, { create: true, clock, tells: () => undefined });
  if (!journal || (await journal.lock(now() + 1_000)) !== 'held') throw new Error('the journal could not be locked');
  return journal;
}

/** The code of the JournalError that appending ends in. */
function appendUntilRefused(journal: Journal<Filler>): string {
  for (;;) {
    try {
      journal.append({ filler: 'x'.repeat(1_000) });
    } catch (error) {
      if (error instanceof JournalError) return error.code;
      throw error;
    }
  }
}

async function fill(): Promise<Record<string, unknown>> {
  const journal = await locked();
  const append = appendUntilRefused(journal);
  const kept = journal.records.length;
  const appendWithRoom = appendUntilRefused(journal);
  journal.markGoing();
  const { going } = journal;
  journal.close();

  realDisk.unlink(join(directory, 'ballast'));
  const next = await locked();
  const found = next.records.length;
  next.append({ filler: 'y' });
  next.close();
  const last = await locked();
  const appendAfterRepair = last.records.length === kept + 1 ? 'kept and one more' : last.records.length;
  const goingForTheNext = last.going;
  last.close();
  return { append, appendWithRoom, going, goingForTheNext, kept: found === kept, appendAfterRepair };
}

function refuseEverything(): unknown[] {
  realDisk.unlink(path);
  withOpenFilesClosed(realDisk, (disk) => disk.write(disk.open(join(directory, 'f'), 'a+', 0o600), bytesOf('abc')));
  const { status } = spawnSync('mount', ['-o', 'remount,ro', directory]);
  if (status !== 0) throw new Error('the file system could not be made read-only');
  return readOnlyCases.map(({ run }) => withOpenFilesClosed(realDisk, (disk) => run(disk, directory)));
}

withOpenFilesClosed(realDisk, (disk) => {
  attempt(() => disk.write(disk.open(join(directory, 'ballast'), 'a+', 0o600), new Uint8Array(20_000)));
});
console.log(JSON.stringify({ full: await fill(), readOnly: refuseEverything() }));
