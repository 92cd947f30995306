/** The pictures in docs/machines are those of the machines that ship. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { dotOf } from '../../scripts/diagrams/dot.ts';
import { pathOf, pictures } from '../../scripts/diagrams.ts';
import { addMachine } from '../../src/machines/add.ts';

let drawn: Awaited<ReturnType<typeof pictures>> = {};
beforeAll(async () => {
  drawn = await pictures();
});

test.each(['add', 'del', 'restore'])('%s.svg shows the machine (npm run diagrams)', (name) => {
  expect(readFileSync(pathOf(name), 'utf8')).toBe(drawn[name]);
});

test('ARCHITECTURE shows each of them', () => {
  const text = readFileSync(join(import.meta.dirname, '../../ARCHITECTURE.md'), 'utf8');
  for (const name of Object.keys(drawn)) expect(text).toContain(`(docs/machines/${basename(pathOf(name))})`);
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
