/**
 * Whether two executables behave alike: `bun scripts/tour.ts OLD NEW`. Plays the golden tour with both, each on a switch of its own, and
 * compares byte for byte what they print and leave. Exit codes: 0 equal, 1 different, 2 wrong words.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { differencesBetween, forgetOtherGolden, writeGolden } from '../test/support/golden-tour/compare.ts';
import { chapterNames, runTour, type TourRecord, totalOf } from '../test/support/golden-tour/tour.ts';
import { startSwitch } from '../test/support/real/switch.ts';
import { missing, switchParts } from '../test/support/requirements.ts';

const help = `bun scripts/tour.ts OLD NEW     play the golden tour with two executables and compare what they print and leave
bun scripts/tour.ts --record EXECUTABLE
                                write what it prints and leaves to test/golden/tour, which the system lane compares
  --chapter NAME                this chapter alone; may be said more than once: ${chapterNames.join(', ')}
  --help

Exit codes: 0 equal, 1 different, 2 wrong words. Needs what the system lane needs: root, Open vSwitch with DPDK, host-local, hugepages.
`;

/** Long lines of journals are cut here: the whole ones are in a record. */
const columns = 400;

async function play(executable: string, names: readonly string[]): Promise<TourRecord> {
  const theSwitch = await startSwitch();
  try {
    return await runTour(resolve(executable), theSwitch, names);
  } finally {
    await theSwitch.stop();
  }
}

function sizeOf(record: TourRecord): string {
  const { calls, files, rows, bytes } = totalOf(record);
  return `${calls} calls in ${record.size} chapters; after them ${files} files and ${rows} rows, ${bytes} bytes`;
}

async function record(executable: string, names: readonly string[]): Promise<number> {
  const played = await play(executable, names);
  for (const [name, chapter] of played) writeGolden(name, chapter);
  forgetOtherGolden(chapterNames);
  console.log(`recorded: ${sizeOf(played)}`);
  return 0;
}

async function compare(old: string, fresh: string, names: readonly string[]): Promise<number> {
  const [before, after] = [await play(old, names), await play(fresh, names)];
  const differences = differencesBetween(before, after);
  for (const { chapter, call, lines } of differences) {
    console.log(`${chapter}: ${call}`);
    for (const line of lines) console.log(`  ${line.length > columns ? `${line.slice(0, columns)}…` : line}`);
  }
  console.log(`compared: ${sizeOf(before)}`);
  console.log(differences.length === 0 ? 'equal, byte for byte' : `different: ${differences.length} calls`);
  return differences.length === 0 ? 0 : 1;
}

function refused(message: string): number {
  console.error(`${message}\n\n${help}`);
  return 2;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      record: { type: 'string' },
      chapter: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const strange = values.chapter.find((name) => !chapterNames.includes(name));
  if (strange !== undefined) return refused(`the tour has no chapter "${strange}"`);
  if (positionals.length !== (values.record === undefined ? 2 : 0))
    return refused('name two executables, or one to record');
  const lacking = missing([...switchParts, 'ipam']);
  if (lacking.length > 0) return refused(lacking.join('\n'));
  const names = values.chapter.length > 0 ? values.chapter : chapterNames;
  const [old = '', fresh = ''] = positionals;
  return values.record === undefined ? await compare(old, fresh, names) : await record(values.record, names);
}

process.exit(await main());
