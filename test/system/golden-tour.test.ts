/**
 * The golden tour: every call of a fixed row prints and leaves what test/golden/tour has, byte for byte. A change that is meant is recorded
 * by `UPDATE_TOUR=1 npm run test:system -- test/system/golden-tour.test.ts` or `bun scripts/tour.ts --record dist/userspace`, and its
 * difference read in the commit.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { forgetOtherGolden, goldenChapters, goldenText, writeGolden } from '../support/golden-tour/compare.ts';
import { chapterNames, runChapter, textOfChapter } from '../support/golden-tour/tour.ts';
import { Agent } from '../support/real/agent.ts';
import { onRealSwitch } from '../support/real/suite.ts';
import { executable } from '../support/requirements.ts';

const isRecorded = process.env.UPDATE_TOUR === '1';

test('every golden file of the tour has its chapter, and every chapter its file', () => {
  if (isRecorded) forgetOtherGolden(chapterNames);
  else expect(goldenChapters().sort()).toEqual([...chapterNames].sort());
});

onRealSwitch('the golden tour', (theSwitch) => {
  const total = { calls: 0, files: 0, rows: 0, bytes: 0 };
  afterAll(() => console.log(`golden tour: ${JSON.stringify(total)}`));

  test.each(chapterNames)('%s prints and leaves what it did when it was recorded', async (name) => {
    const chapter = await runChapter(name, executable, theSwitch());
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += chapter.counts[key];
    if (isRecorded) writeGolden(name, chapter);
    else expect(textOfChapter(chapter)).toBe(goldenText(name));
  });

  describe.skipIf(isRecorded)('through an agent', () => {
    let agent: Agent;
    beforeAll(async () => {
      agent = await Agent.start();
    });
    afterAll(async () => {
      await agent?.stop();
      expect(agent.said).toEqual([]);
    });

    test.each(chapterNames)('%s prints and leaves the same', async (name) => {
      const chapter = await runChapter(name, executable, theSwitch(), agent.directory);
      expect(textOfChapter(chapter)).toBe(goldenText(name));
    });
  });
});
