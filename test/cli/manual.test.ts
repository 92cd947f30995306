/** Manual pages and completions, from the table of commands. By man(1) and by the shells: test/system/shells.test.ts. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { commandNames, commands, optionNames, wordsOf, wordsOfOption } from '../../src/cli/commands.ts';
import { completions } from '../../src/cli/completion/completion.ts';
import { manualPages } from '../../src/cli/manual/pages.ts';
import { letters, typed } from '../../src/cli/manual/roff.ts';
import { placeExtras, planExtras } from '../../src/cli/setup/extras.ts';
import { configKeys } from '../../src/cni/config/reference.ts';
import { cliScene } from '../support/fake/cli-scene.ts';
import { schemaFaults } from '../support/network-validator.ts';

describe('a manual page', () => {
  const pages = new Map(manualPages('1.2.3').map(({ name, text }) => [name, text]));

  it('is there for each command, and names its options and words', () => {
    for (const name of commandNames) {
      const text = pages.get(`userspace-${name}.1`) ?? '';
      const { options, prints = {} } = wordsOf(name);
      for (const option of options) {
        const { short } = wordsOfOption(option);
        expect(text).toContain(`\\fB${letters(`${short ? `-${short}, ` : ''}--${option}`)}`);
      }
      for (const words of Object.values(prints))
        for (const word of Object.keys(words)) expect(text).toContain(`\n\\fB${letters(word)}\\fR\n`);
      expect(pages.get('userspace.1')).toContain(`\\fBuserspace\\-${name}\\fR(1)`);
    }
  });

  it('is there for the configuration, and names each key', () => {
    const text = pages.get('userspace.conf.5') ?? '';
    for (const { path } of configKeys()) expect(text).toContain(`\n\\fB${letters(path)}\\fR (`);
    const [, example = ''] = /\.nf\n([\s\S]*)\n\.fi/.exec(text) ?? [];
    const network = JSON.parse(example.replaceAll('\\-', '-'));
    expect(schemaFaults(network)).toEqual([]);
  });

  it('shows each letter as it is typed', () => {
    expect(letters(".that's --it\\\n'and")).toBe('\\&.that\\(aqs \\-\\-it\\e\n\\(aqand'.replace("'", ''));
    expect(typed('--config FILE')).toBe('\\fB\\-\\-config \\fR\\fIFILE\\fR');
    expect(typed('show ID [IFNAME]')).toBe('\\fBshow \\fR\\fIID\\fR\\fB [\\fR\\fIIFNAME\\fR\\fB]\\fR');
  });
});

describe('userspace completion', () => {
  it.each(Object.keys(completions))('%s: each command and each option is in the script', (shell) => {
    const script = completions[shell]?.script() ?? '';
    for (const name of commandNames) expect(script).toMatch(new RegExp(`[ ']${name}[: ']`));
    for (const name of optionNames) expect(script).toMatch(new RegExp(`(--|-l )${name}[[=\\s']`));
  });
});

test('uninstall takes pages and completions away, and the directories that were made for them', async () => {
  const s = await cliScene();
  const bin = join(dirname(s.dataDir), 'bin');
  const theirs = join(s.systemRoot, 'usr/local/share/zsh/site-functions/_theirs');
  const changed = join(s.systemRoot, 'usr/local/share/man/man1/userspace-list.1');
  for (const directory of [bin, dirname(theirs)]) mkdirSync(directory, { recursive: true });
  writeFileSync(theirs, '');
  const extras = { units: false, conflist: false, confDir: undefined, kubeconfig: undefined, manual: true };
  const executable = { path: join(bin, 'userspace'), version: '1.2.3' };
  placeExtras(s.machine(), await planExtras(s.machine(), executable, extras));
  writeFileSync(changed, 'words of a person');
  const { exitCode, out } = await s.run('uninstall', bin);
  expect(exitCode).toBe(0);
  expect(out).toContain(`${changed}: left: it is not as install wrote it`);
  expect(out).toContain(`${dirname(changed)}: left: it holds userspace-list.1`);
  const share = join(s.systemRoot, 'usr/local/share');
  expect(readdirSync(share, { recursive: true }).map(String).sort()).toEqual([
    'man',
    'man/man1',
    'man/man1/userspace-list.1',
    'zsh',
    'zsh/site-functions',
    'zsh/site-functions/_theirs',
  ]);
  expect(existsSync(join(s.systemRoot, 'etc'))).toBe(false);
});

test('each option belongs to a command', () => {
  const used = Object.values(commands).flatMap(({ options }): readonly string[] => options);
  expect(optionNames.filter((name) => !used.includes(name))).toEqual(['help', 'version']);
});
