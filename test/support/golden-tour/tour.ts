/**
 * The golden tour: a fixed row of calls on an executable against a real switch and a real host-local, and everything that they
 * print and leave, without the values that must vary (normal.ts). Two executables of equal behaviour have equal records, byte for
 * byte.
 */
import type { Switch } from '../real/switch.ts';
import { attaching } from './attaching.ts';
import { type Chapter, type Chapters, type Counts, Ground } from './ground.ts';
import { recovering } from './recovering.ts';
import { refusing } from './refusing.ts';
import { upkeep } from './upkeep.ts';
import { words } from './words.ts';

/** In the order in which they are run. Each has its own directories and numbers its own tokens. */
const chapters: Chapters = { ...words, ...attaching, ...refusing, ...upkeep, ...recovering };

export const chapterNames: readonly string[] = Object.keys(chapters);

/** The record of one executable: its chapters by name. */
export type TourRecord = ReadonlyMap<string, Chapter>;

/** @param agent the directory of the agent that every call asks */
export async function runChapter(name: string, executable: string, theSwitch: Switch, agent = 'off'): Promise<Chapter> {
  const play = chapters[name];
  if (!play) throw new Error(`the tour has no chapter "${name}"`);
  const ground = await Ground.open(executable, theSwitch, agent);
  try {
    await play(ground);
  } catch (error) {
    // An executable whose answer stops the chapter has a record too, up to that call.
    ground.calls.push({ title: 'the chapter ended here', text: `${error}\n` });
  }
  return await ground.close();
}

/** @param names of its chapters, which do not depend on each other */
export async function runTour(executable: string, theSwitch: Switch, names = chapterNames): Promise<TourRecord> {
  const record = new Map<string, Chapter>();
  for (const name of names) record.set(name, await runChapter(name, executable, theSwitch));
  return record;
}

/** The text of a record's file, readable from top to bottom. */
export function textOfChapter({ calls }: Pick<Chapter, 'calls'>): string {
  return calls.map(({ title, text }, index) => `== ${index + 1}. ${title}\n${text}`).join('\n');
}

export function totalOf(record: TourRecord): Counts {
  const total: Counts = { calls: 0, files: 0, rows: 0, bytes: 0 };
  for (const { counts } of record.values()) {
    for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += counts[key];
  }
  return total;
}
