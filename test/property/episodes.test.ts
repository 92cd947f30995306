/** Journals of any records as bars and as a picture: nothing is lost, nothing is too wide, and no clock confuses an axis. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Reading } from '../../src/cli/attachments.ts';
import { coloursOf } from '../../src/cli/print.ts';
import { barsOf } from '../../src/cli/show/bars.ts';
import { type EpisodeRow, episodesOf, type TimedRecord } from '../../src/cli/show/episodes.ts';
import { pictureOf } from '../../src/cli/show/picture.ts';
import { steps } from '../../src/machines/protocol.ts';
import { textWidth } from '../../src/os/native.ts';
import { begin } from '../support/fake/cli-scene.ts';
import { withSeed } from '../support/seed.ts';
import { keyOf } from '../support/stand-in/scene.ts';
import { elementsOf } from '../support/svg.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 120 }),
  fc.string({ unit: fc.constantFrom('a', ' ', '<', '&', '"', '\u0007', '\ud800', 'あ', '\n'), maxLength: 200 }),
);
const trouble = fc.record({ code: fc.constant(11), message: text });
const step = fc.constantFrom(...steps);
const outcome = fc.oneof(
  fc.constant({ kind: 'ok' }),
  text.map((warning) => ({ kind: 'ok', warning })),
  trouble.map((one) => ({ kind: 'failed', trouble: one })),
  trouble.map((one) => ({ kind: 'displaced', trouble: one })),
  // Of a release to come.
  fc.constantFrom(undefined, { kind: 'postponed' }),
);
const ms = fc.oneof(fc.double({ min: 0, max: 1e5, noNaN: true }), fc.constantFrom(-1, 0, 1e300, undefined, 'long'));
const entry = fc.oneof(
  fc.constant(begin(keyOf('aaaa'))),
  fc.constant({ kind: 'begin', format: 99 }),
  step.map((name) => ({ kind: 'intent', step: name })),
  fc.record({
    kind: fc.constant('outcome'),
    step,
    verb: fc.constantFrom('ensure', 'remove', 'restore', 'withdraw'),
    outcome,
    ms,
  }),
  trouble.map((one) => ({ kind: 'abandon', trouble: one })),
  fc.constantFrom({ kind: 'attached' }, { kind: 'restoring' }, { kind: 'to come' }),
  text.map((by) => ({ kind: 'going', by })),
);

/** The time between two records: usually none or a little, sometimes days, sometimes a clock that is set back. */
const passed = fc.oneof(
  fc.integer({ min: 0, max: 50 }),
  fc.integer({ min: -7_200_000, max: 7_200_000 }),
  fc.integer({ min: 0, max: 30 * 86_400_000 }),
);

/** The times of all records, of which some may be none. */
const records: fc.Arbitrary<TimedRecord[]> = fc
  .array(fc.tuple(entry, passed, fc.integer({ min: 0, max: 30 })), { maxLength: 40 })
  .map((all) => {
    let at = Date.parse('2025-01-17T12:00:00.000Z');
    return all.map(([one, later, odd], index) => {
      at += later;
      return { seq: index + 1, at: odd === 0 ? 'no time' : new Date(at).toISOString(), ...one } as TimedRecord;
    });
  });

const readingOf = (all: readonly TimedRecord[], key: string): Reading => ({
  path: '/journal',
  records: all,
  attachment: {
    key,
    network: 'net',
    containerId: 'aaaa',
    ifName: 'net1',
    state: 'owed',
    since: all[0]?.at ?? '',
    addresses: [],
    owed: [{ step: 'port', message: key }],
  },
});

const numbersOf = (row: EpisodeRow): readonly number[] => row.records;

describe(withSeed('any records'), () => {
  it(`each are in one place of one episode, and each row lies on its axis (EP1, EP2, EP3)`, () => {
    fc.assert(
      fc.property(records, (all) => {
        const episodes = episodesOf(all);
        const shown = episodes.flatMap(({ opening, rows }) => [
          ...(opening ? [opening] : []),
          ...rows.flatMap(numbersOf),
        ]);
        expect(shown.sort((a, b) => a - b)).toEqual(all.map(({ seq }) => seq));
        for (const { rows, spanMs } of episodes) {
          for (const row of rows) {
            if (row.kind === 'clock') continue;
            const { asked, from, to } = row;
            expect([asked >= 0, asked <= from, from <= to, to <= spanMs, row.kind]).toEqual([
              true,
              true,
              true,
              true,
              row.kind,
            ]);
          }
        }
      }),
    );
  });

  it(`are bars no wider than the terminal, with a line for each row and each record`, () => {
    const page = fc.record({
      columns: fc.integer({ min: 64, max: 200 }),
      charset: fc.constantFrom('utf-8' as const, 'ascii' as const),
    });
    fc.assert(
      fc.property(records, page, text, (all, { columns, charset }, key) => {
        const reading = readingOf(all, key);
        const colours = coloursOf({ interactive: false });
        const bars = barsOf(reading, { colours, now: new Date(), charset, columns }, { adds: 'records' });
        const lines = bars.split('\n');
        expect(lines.filter((line) => textWidth(line) > columns)).toEqual([]);
        if (charset === 'ascii') expect(bars).toMatch(/^[\n -~]*$/);
        const edge = charset === 'ascii' ? '|' : '│';
        const rows = episodesOf(all).flatMap((episode) => episode.rows);
        const drawn = lines.filter((line) => line.split(edge).length >= 3 && !line.includes('WAITED FOR'));
        expect(drawn.length).toBeGreaterThanOrEqual(rows.filter(({ kind }) => kind !== 'clock').length);
        // Each with its time as it was written.
        const listed = lines.slice(lines.lastIndexOf('records:'));
        for (const { at } of all) expect(listed.some((line) => line.startsWith(`  ${at}  `))).toBe(true);
      }),
    );
  });

  it(`are a picture that is well-formed, with a shape for each row`, () => {
    fc.assert(
      fc.property(records, text, (all, key) => {
        const elements = elementsOf(pictureOf([readingOf(all, key)]));
        const rows = episodesOf(all).flatMap((episode) => episode.rows.filter(({ kind }) => kind !== 'clock'));
        expect(elements.filter((name) => name === 'g')).toHaveLength(rows.length);
        expect(elements.slice(0, 2)).toEqual(['svg', 'title']);
      }),
    );
  });
});
