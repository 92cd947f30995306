/**
 * What a person sees on a node with 1, 100 and 1,000 attachments, at 80 and 120 columns: test/golden/screens has it, and docs/screens.md shows
 * a part of it. A change that is meant is recorded by `UPDATE_SCREENS=1` before the command of this lane, and its difference read in the commit.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultDeadlines } from '../../src/deadlines.ts';
import { createHost } from '../../src/effects/host.ts';
import { fillNode, idOf, lookedAt } from '../support/screens.ts';
import { node } from '../support/stand-in/status-scene.ts';

const directory = join(import.meta.dirname, '../golden/screens');
const isRecorded = process.env.UPDATE_SCREENS === '1';

/** Of a long screen: this much of its beginning and of its end. */
const [head, tail] = [14, 4];

const commandsOn = (count: number, config: string): readonly (readonly string[])[] => [
  ['list'],
  ['list', '--state', 'owed', '--state', 'adding', '--state', 'damaged'],
  ['list', '-o', 'wide'],
  ['list', '-o', 'name'],
  ...(count === 1
    ? [
        ['show', idOf(0)],
        ['show', idOf(0), '-o', 'wide'],
      ]
    : []),
  ...(count > 1
    ? [
        ['show', idOf('owed')],
        ['show', idOf('putBack')],
        ['show', idOf('died')],
        ['show', idOf('adding')],
      ]
    : []),
  ['recover', '--dry-run'],
  ['status', '--config', config],
];

function shortened(text: string): string {
  const lines = text.trimEnd().split('\n');
  const left = lines.length - head - tail;
  // A timeline is shown whole.
  if (left < 10 || /^ADD /m.test(text)) return lines.join('\n');
  return [...lines.slice(0, head), `[${left} more lines]`, ...lines.slice(-tail)].join('\n');
}

/** A table or a timeline, and not a form that is as wide as its contents. */
const isFitted = (words: readonly string[], text: string): boolean =>
  words[0] === 'show' || (text.startsWith('NETWORK ') && !words.includes('-o'));

/** A thousand attachments are attached one by one. */
const timeoutMs = 60_000;

describe('the screens of a node', () => {
  it.each([1, 100, 1000])(
    'with %i attachments are those that are recorded, and no line is wider than the terminal',
    async (count) => {
      const { s, file, network, directory: temporary } = await node();
      await fillNode(s.dataDir, count);
      const host = createHost(defaultDeadlines);
      s.preflight = host.preflight;
      s.databaseAt = host.databaseAt;
      s.now = lookedAt;
      const removed = [idOf('owed'), idOf('died')];
      s.isThere = (_, { key }) => !removed.some((id) => key.containerId.startsWith(id));
      const config = file(network());
      const replaced = (text: string): string =>
        text.replaceAll(config, 'network.json').replaceAll(s.dataDir, '/data').replaceAll(temporary, '/tmp');
      const screens: string[] = [];
      for (const columns of [80, 120]) {
        s.columns = columns;
        for (const words of commandsOn(count, config)) {
          const { exitCode, out, err } = await s.run(...words);
          expect(err).toBe('');
          const text = replaced(out);
          if (isFitted(words, text)) expect(text.split('\n').filter((line) => line.length > columns)).toEqual([]);
          screens.push(
            `== ${columns} columns: userspace ${replaced(words.join(' '))} (exit code ${exitCode})\n\n${shortened(text)}\n`,
          );
        }
      }
      host.close();
      const path = join(directory, `${count}.txt`);
      if (isRecorded) {
        mkdirSync(directory, { recursive: true });
        writeFileSync(path, screens.join('\n'));
      }
      expect(screens.join('\n')).toBe(readFileSync(path, 'utf8'));
    },
    timeoutMs,
  );
});

const page = join(import.meta.dirname, '../../docs/screens.md');

/** The screens of docs/screens.md: the number of attachments, the title of the screen, and its text. */
const shown = /<!-- (\d+): (.*) -->\n```\n[\s\S]*?```\n/g;

function screenOf(count: string, title: string): string {
  const all = readFileSync(join(directory, `${count}.txt`), 'utf8').split(/^== /m);
  const one = all.find((text) => text.startsWith(`${title} (`));
  if (one === undefined) throw new Error(`test/golden/screens/${count}.txt has no screen "${title}"`);
  return `${one.slice(one.indexOf('\n')).trim()}\n`;
}

describe('docs/screens.md', () => {
  it('shows screens as they are recorded', () => {
    const text = readFileSync(page, 'utf8');
    const fresh = text.replaceAll(
      shown,
      (_, count: string, title: string) => `<!-- ${count}: ${title} -->\n\`\`\`\n${screenOf(count, title)}\`\`\`\n`,
    );
    if (isRecorded) writeFileSync(page, fresh);
    expect(readFileSync(page, 'utf8')).toBe(fresh);
    expect([...fresh.matchAll(shown)].length).toBeGreaterThan(5);
  });
});
