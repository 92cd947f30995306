/** `install --manual`: the manual pages as man(1) formats them, and the completions as real shells find and use them. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { journalName } from '../../src/attachment.ts';
import { attached, writeJournal } from '../support/fake/cli-scene.ts';
import { ownPlaces } from '../support/real/own-places.ts';
import { executable, missing } from '../support/requirements.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { keyOf } from '../support/stand-in/scene.ts';

// Never skipped in CI: a part that is missing fails there.
const lacking = process.env.CI ? [] : missing(['executable', 'root', 'shells']);
const title = 'manual pages and completions';

/** A program of the executable's name that tells its words, and leaves questions for attachments to the executable. */
const teller = `#!/bin/sh
case $1 in list) exec /opt/cni/bin/userspace "$@" ;; esac
echo "WORDS:[$*]"
`;

/** The name of an interface that a shell could run. */
const evil = '$(id>p)';

/** Lines to type, a tabulator for each \\t, and the words that the program gets. */
const typed: readonly (readonly [line: string, words: string])[] = [
  ['userspace comp\\tba\\t', 'completion bash'],
  ['userspace help sysd\\t', 'help sysdump'],
  ['userspace recover --dr\\t', 'recover --dry-run'],
  ['userspace show c0\\tne\\t', 'show c0ffee net1'],
  ['userspace recover --forget be\\t', 'recover --forget beef'],
  ['userspace show --data-dir /var/lib/other ca\\t', 'show --data-dir /var/lib/other cafe'],
  ["userspace show --data-dir '/var/lib/other' ca\\t", 'show --data-dir /var/lib/other cafe'],
  ['userspace show --data-dir /var/lib/o\\ \\$\\(id\\>p\\) fe\\t', `show --data-dir /var/lib/o ${evil} feed`],
  ['userspace show d0\\t\\t', `show d0d0 ${evil}`],
  ['userspace status --config /etc/netw\\t', 'status --config /etc/network.json'],
  ['userspace status --config=/etc/netw\\t', 'status --config=/etc/network.json'],
  ['userspace install /opt/cn\\t', 'install /opt/cni'],
];

/** A node with the executable, its pages and completions, and attachments. */
async function installed() {
  const places = ownPlaces();
  const run = (words: readonly string[], input = '', more = {}) => {
    const [program = '', ...rest] = [...places.under, ...words];
    const PATH = `/etc/bin:/opt/cni/bin:${process.env.PATH}`;
    const env = { PATH, HOME: '/etc', TERM: 'dumb', ...more };
    return execa(program, rest, { input, extendEnv: false, env, cwd: places.outside('/etc'), reject: false });
  };
  const { exitCode, stderr } = await run([executable, 'install', '--manual']);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  for (const path of ['/etc/bin', '/var/lib/other', `/var/lib/o ${evil}`, '/var/lib/cni/userspace'])
    mkdirSync(places.outside(path), { recursive: true });
  writeFileSync(places.outside('/etc/bin/userspace'), teller, { mode: 0o755 });
  writeFileSync(places.outside('/etc/network.json'), '{}');
  for (const [directory, id] of [
    ['/var/lib/cni/userspace', 'c0ffee'],
    ['/var/lib/cni/userspace', 'beef'],
    ['/var/lib/other', 'cafe'],
    [`/var/lib/o ${evil}`, 'feed'],
  ] as const)
    await writeJournal(join(places.outside(directory), journalName(keyOf(id))), attached(keyOf(id)));
  const key = { ...keyOf('d0d0'), ifName: evil };
  await writeJournal(join(places.outside('/var/lib/cni/userspace'), journalName(key)), attached(key));
  return { places, run };
}

describe.skipIf(lacking.length > 0)(lacking.length > 0 ? skippedTitle(title, lacking.join('; ')) : title, () => {
  test('man(1) formats each page without a warning, and whatis(1) knows its line', async () => {
    const { places, run } = await installed();
    const directories = ['man1', 'man5'].map((name) => `/usr/local/share/man/${name}`);
    const pages = directories.flatMap((path) => readdirSync(places.outside(path)).map((name) => join(path, name)));
    expect(pages.length).toBeGreaterThan(9);
    const settings = { MANWIDTH: '80', LC_ALL: 'C.UTF-8' };
    for (const page of pages) {
      const { stdout, stderr, exitCode } = await run(['man', '--warnings', '-l', page], '', settings);
      expect({ page, stderr, exitCode }).toEqual({ page, stderr: '', exitCode: 0 });
      expect(Math.max(...stdout.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
      expect((await run(['lexgrog', page])).stdout).toMatch(/: "userspace[\w.-]* - \w/);
    }
    const found = await run(['man', 'userspace-recover'], '', { MANPATH: '/usr/local/share/man' });
    expect(found.stdout).toContain('--dry-run');
  });

  test.each([
    ['bash', 'bash --norc -i', 'source /usr/share/bash-completion/bash_completion'],
    ['zsh', 'zsh -f -i', 'autoload -Uz compinit; compinit -u -D'],
  ])('%s finds the completion by itself, and completes what is typed', async (_, shell, setting) => {
    const { places, run } = await installed();
    for (const [line, words] of typed) {
      const input = `${setting}\n${line.replaceAll('\\t', '\t')}\nexit\n`;
      const { stdout } = await run(['script', '-qec', shell, '/dev/null'], input);
      const given = /WORDS:\[(.*?)\/?\]/.exec(stdout)?.[1]?.trim();
      expect({ line, given }, stdout).toEqual({ line, given: words });
      expect(existsSync(places.outside('/etc/p'))).toBe(false);
    }
  });

  test('fish finds the completion by itself, and offers what fits', async () => {
    const { run } = await installed();
    for (const [line, offered] of [
      ['userspace comp', 'completion'],
      ['userspace show c0', 'c0ffee'],
      ['userspace show c0ffee ', 'net1'],
      ['userspace recover --dr', '--dry-run'],
      ['userspace show --data-dir /var/lib/other ', 'cafe'],
    ] as const) {
      const { stdout } = await run(['fish', '-c', 'complete -C $argv[1]', line]);
      expect({ line, said: stdout.split('\n').map((one) => one.split('\t')[0]) }).toEqual({ line, said: [offered] });
    }
  });
});
