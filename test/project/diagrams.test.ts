/** The pictures of the documents are those of the code that ships. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { dotOf } from '../../scripts/diagrams/dot.ts';
import { noJournal, recoveryWays, type Way } from '../../scripts/diagrams/recovery-ways.ts';
import { pathOf, pictures } from '../../scripts/diagrams.ts';
import { stateWords } from '../../src/cli/words.ts';
import { addMachine } from '../../src/machines/add.ts';
import { fateWords, foundWords } from '../../src/recovery/words.ts';

const root = join(import.meta.dirname, '../..');

/** Each picture, and the page that shows it by this link. */
const shown = [
  ['machines/add.svg', 'ARCHITECTURE.md', 'docs/machines/add.svg'],
  ['machines/del.svg', 'ARCHITECTURE.md', 'docs/machines/del.svg'],
  ['machines/restore.svg', 'ARCHITECTURE.md', 'docs/machines/restore.svg'],
  ['pictures/recovery.svg', 'docs/recovery.md', 'pictures/recovery.svg'],
  ['pictures/socket-client.svg', 'docs/kubernetes.md', 'pictures/socket-client.svg'],
  ['pictures/socket-server.svg', 'docs/kubernetes.md', 'pictures/socket-server.svg'],
] as const;

let drawn: Awaited<ReturnType<typeof pictures>> = {};
beforeAll(async () => {
  drawn = await pictures();
});

describe.each(shown)('%s', (name, page, link) => {
  test('shows the code (npm run diagrams)', () => {
    expect(readFileSync(pathOf(name), 'utf8')).toBe(drawn[name]);
  });

  test(`is shown by ${page}, with words for readers of screens`, () => {
    const text = readFileSync(join(root, page), 'utf8');
    const [, words = ''] = new RegExp(`!\\[([^\\]]*)\\]\\(${link.replaceAll('.', '\\.')}\\)`).exec(text) ?? [];
    expect(words.length).toBeGreaterThan(40);
    expect(drawn[name]).toMatch(/<title>[^<]{10,}<\/title>/);
  });
});

test('no picture is drawn that no page shows', () => {
  expect(Object.keys(drawn)).toEqual(shown.map(([name]) => name));
});

describe('the ways of recovery', () => {
  let ways: readonly Way[] = [];
  beforeAll(async () => {
    ways = await recoveryWays();
  });

  test('go over each state, each finding and each result', () => {
    expect(new Set(ways.map(({ state }) => state))).toEqual(new Set([...Object.keys(stateWords), noJournal]));
    expect(new Set(ways.map(({ found }) => found))).toEqual(new Set(Object.keys(foundWords)));
    expect(new Set(ways.map(({ fate }) => fate))).toEqual(new Set(Object.keys(fateWords)));
  });

  test('are told apart by what happened: an attachment that its switch lost is put back, a damaged one is kept', () => {
    expect(ways).toContainEqual({ state: 'attached', found: 'lost', fate: 'restored' });
    expect(ways).toContainEqual({ state: 'damaged', found: 'damaged', fate: 'kept' });
    expect(ways).not.toContainEqual({ state: 'damaged', found: 'damaged', fate: 'removed' });
  });
});

describe('a graph', () => {
  const dot = dotOf(addMachine).split('\n');

  test('has each way of a machine, with its event and its condition', () => {
    expect(dot).toContainEqual(expect.stringContaining('"address" -> "socketDir" [label="ensured"'));
    expect(dot).toContainEqual(expect.stringContaining('"port" -> "bridge" [label="displaced [bridge may return]"'));
    expect(dot).toContainEqual(expect.stringContaining('"removing/afterPort" -> "removing/done" [label="[owes port]"'));
    expect(dot).toContainEqual(expect.stringContaining('"removing/done" -> "failed"'));
  });

  test('leads from an operation that fails into the first state of the removal', () => {
    expect(dot).toContainEqual(expect.stringContaining('"ready" -> "removing/start" [label="abandon"'));
  });
});
