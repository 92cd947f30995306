/**
 * The commands for people: commands.ts says what each is and what its exit codes mean. Text on a terminal, one JSON document with --json.
 */
import { resolve } from 'node:path';
import { messageOf } from '../attachment.ts';
import { forgetDebt } from '../recovery/forget.ts';
import { findOne } from './attachments.ts';
import {
  answer,
  type CliNode,
  type CommandCall,
  exit,
  json,
  momentOf,
  parseWords,
  places,
  refuseWords,
  type Terminal,
  type Words,
} from './command-line.ts';
import { type CommandName, commandNamed, commandNames, valuesOf, wordsOf, wordValues } from './commands.ts';
import { findingsTable, type HealthFinding } from './findings.ts';
import { help, widthOf } from './help.ts';
import { nearestOf, noSuch } from './nearest.ts';
import { coloursOf } from './print.ts';
import { recoverAlone } from './recovery.ts';

/** Runs a command. @returns the exit code */
type Run = (call: CommandCall) => number | Promise<number>;

/** The commands whose words are parsed here; the executable runs the others without this code. */
const runs: { readonly [command in CommandName]?: Run } = {
  list: async (call) => (await import('./list/list.ts')).runList(call),
  show: async (call) => (await import('./show/show.ts')).runShow(call),
  recover: recoverOrForget,
  status: reportStatus,
  check: checkNetworks,
  explain: explainKeys,
  install: async (call) => (await import('./setup/commands.ts')).runInstall(call),
  uninstall: async (call) => (await import('./setup/commands.ts')).runUninstall(call),
  completion: printCompletion,
  sysdump: dumpSystem,
};

/** @returns the exit code. */
export async function runCli(terminal: Terminal, machine: CliNode): Promise<number> {
  let words: Words;
  try {
    words = parseWords(terminal.args);
  } catch (error) {
    // The rest of parseArgs' message is advice for programmers.
    return refuseWords(terminal, messageOf(error).split('. ')[0] ?? '');
  }
  const [command] = words.positionals;
  if (words.values.version) return await tellVersion(words, terminal);
  if (words.values.help || command === undefined || command === 'help')
    return tellHelp(terminal, command === 'help' ? words.positionals[1] : command);
  const name = commandNamed(command);
  const run = name && runs[name];
  if (!run) return refuseWords(terminal, noCommand(command));
  const misuse = misuseOf(name, words);
  if (misuse) return refuseWords(terminal, misuse);
  words.values['data-dir'] = resolve(words.values['data-dir']);
  try {
    return await run({ words, terminal, machine });
  } catch (error) {
    terminal.stderr(`userspace ${command}: ${messageOf(error)}\n`);
    return exit.failed;
  }
}

function tellHelp(terminal: Terminal, word = ''): number {
  if (word !== '' && word !== 'help' && !commandNamed(word)) return refuseWords(terminal, noCommand(word));
  return answer(terminal, help(terminal, word));
}

function noCommand(word: string): string {
  const near = nearestOf(word, [...commandNames, 'help']);
  return `there is no command "${word}"${near ? ` (did you mean ${near}?)` : ''}`;
}

const misuseOf = (command: CommandName, words: Words): string | undefined =>
  wrongWord(command, words) ?? wrongOption(command, words);

function wrongWord(command: CommandName, { positionals }: Words): string | undefined {
  const { words } = wordsOf(command);
  const [, ...said] = positionals;
  if (said.length > words.length && !words.at(-1)?.endsWith('...'))
    return `"${command}" takes no word "${said[words.length]}"`;
  const missing = words.find((word, index) => !word.startsWith('[') && !said[index]);
  if (missing) return `"${command}" needs ${needed[missing] ?? missing}`;
  const wrong = words.find((word, index) => wordValues[word]?.includes(said[index] ?? '') === false);
  if (wrong) return noSuch(wrong.toLowerCase(), said[words.indexOf(wrong)] ?? '', wordValues[wrong] ?? []);
  return said.includes('') ? `"${command}" takes no empty word: leave it out, or name one` : undefined;
}

/** An option that a command ignores is refused, because its user would rely on it. */
function wrongOption(command: CommandName, { tokens }: Words): string | undefined {
  const said = tokens.filter((token) => token.kind === 'option');
  const given = said.map(({ name }) => name);
  const { options } = wordsOf(command);
  const strange = given.find((name) => !options.some((one) => one === name));
  if (strange) return `"${command}" takes no --${strange}`;
  const empty = said.find(({ name, value }) => places.includes(name) && value === '');
  if (empty) return `--${empty.name} is empty: name one, or leave it out`;
  for (const name of options) {
    const values = valuesOf(command, name);
    const other = said.find((one) => one.name === name && values?.includes(one.value ?? '') === false);
    if (values && other) return noSuch(name, other.value ?? '', values);
  }
  return rivalOptions(command, given);
}

function rivalOptions(command: CommandName, given: readonly string[]): string | undefined {
  if (command === 'install' && given.includes('conf-dir') && !given.includes('conflist'))
    return '--conf-dir is where --conflist goes: say both';
  const rival = given.includes('forget') ? 'forget' : given.includes('dry-run') ? 'dry-run' : undefined;
  const refused = given.find((name) => name === 'events' || (name === 'boot' && rival === 'forget'));
  return rival && refused ? `--${rival} takes no --${refused}` : undefined;
}

/** Words that have to be said, in words for people. */
const needed: { readonly [word: string]: string } = {
  ID: 'a container id',
  SHELL: 'a shell: bash, zsh or fish',
  'FILE...': 'a file with a network',
};

async function recoverOrForget(call: CommandCall): Promise<number> {
  const { forget } = call.words.values;
  return forget === undefined ? await recoverAlone(call) : await forgetOne(forget, call);
}

async function tellVersion({ values }: Words, terminal: Terminal): Promise<number> {
  const { readIdentity, identityText } = await import('./install.ts');
  const identity = readIdentity(terminal.version);
  return answer(terminal, values.json ? json(identity) : `${identityText(identity)}\n`);
}

async function printCompletion({ words: { positionals }, terminal }: CommandCall): Promise<number> {
  const { completions } = await import('./completion/completion.ts');
  return answer(terminal, completions[positionals[1] ?? '']?.script() ?? '');
}

const isSaid = (name: string, tokens: Words['tokens']): boolean =>
  tokens.some((token) => token.kind === 'option' && token.name === name);

/** Imports its code here, because no other command needs it. */
async function reportStatus({ words: { values, tokens }, terminal, machine }: CommandCall): Promise<number> {
  const { lookAtNode } = await import('./health.ts');
  const findings = await lookAtNode(machine, {
    files: values.config?.map((file) => resolve(file)),
    debts: 'told',
    ovsdb: { place: values.ovsdb, isSaid: isSaid('ovsdb', tokens) },
    dataDir: { place: values['data-dir'], isSaid: isSaid('data-dir', tokens) },
  });
  const has = (health: HealthFinding['health']) => findings.some((one) => one.health === health);
  const exitCode = has('sick') ? exit.failed : has('owed') ? exit.owed : exit.done;
  const healthy = exitCode === exit.done;
  terminal.stdout(values.json ? json({ healthy, findings }) : findingsTable(findings, coloursOf(terminal)));
  return exitCode;
}

async function checkNetworks({ words: { values, positionals }, terminal }: CommandCall): Promise<number> {
  const { checkFiles, checkedText } = await import('./check.ts');
  const checked = checkFiles(positionals.slice(1));
  terminal.stdout(values.json ? json(checked) : checkedText(checked, coloursOf(terminal)));
  return checked.faults.length > 0 ? exit.failed : exit.done;
}

async function explainKeys({ words: { values, positionals }, terminal }: CommandCall): Promise<number> {
  const [, word] = positionals;
  if (values.schema && word !== undefined) return refuseWords(terminal, '--schema has all keys: leave the KEY out');
  const { findKey, keyJson, keysJson, keyPage, keysTree, networkSchema, noKey } = await import('./explain.ts');
  if (values.schema) return answer(terminal, json(networkSchema(terminal.version)));
  const colours = coloursOf(terminal);
  if (word === undefined) return answer(terminal, values.json ? json(keysJson()) : keysTree(colours));
  const key = findKey(word);
  if (!key) return refuseWords(terminal, `${noKey(word)}; userspace explain has a line for each`);
  return answer(terminal, values.json ? json(keyJson(key)) : keyPage(key, { colours, columns: widthOf(terminal) }));
}

/** Other commands are a part of it: each is run as a person would, and prints into the archive. */
async function dumpSystem({ words: { values, tokens }, terminal, machine }: CommandCall): Promise<number> {
  const since = values.since === undefined ? undefined : momentOf(values.since, machine.clock());
  if (values.since !== undefined && !since)
    return refuseWords(
      terminal,
      `--since "${values.since}" is neither a time such as 2026-01-31T12:00:00Z nor an age such as 90m`,
    );
  const { sysdump, dumpText } = await import('./sysdump/sysdump.ts');
  const networkDir = resolve(values['conf-dir'] ?? machine.networkDir);
  const command = async (...args: string[]) => {
    const [out, err]: [string[], string[]] = [[], []];
    const said = { stdout: (text: string) => void out.push(text), stderr: (text: string) => void err.push(text) };
    const exitCode = await runCli({ ...terminal, ...said, args, interactive: false }, { ...machine, networkDir });
    return { exitCode, out: out.join(''), err: err.join('') };
  };
  const dumped = await sysdump({
    machine,
    version: terminal.version,
    place: { dataDir: values['data-dir'], ovsdb: values.ovsdb },
    said: { dataDir: isSaid('data-dir', tokens), ovsdb: isSaid('ovsdb', tokens) },
    networkDir,
    configs: values.config?.map((file) => resolve(file)),
    logs: (values.log ?? []).map((file) => resolve(file)),
    since,
    output: values.output,
    command,
  });
  terminal.stdout(values.json ? json(dumped) : dumpText(dumped));
  return dumped.missing.length > 0 ? exit.owed : exit.done;
}

async function forgetOne(id: string, { words: { values }, terminal, machine }: CommandCall): Promise<number> {
  const { disk, clock } = machine;
  const dryRun = values['dry-run'];
  const dataDir = values['data-dir'];
  const { path, attachment } = findOne({ disk, dataDir, now: clock() }, id);
  const { key } = attachment;
  const left = await forgetDebt(path, key, { disk, clock, dryRun });
  if (values.json) return answer(terminal, json({ forgotten: key, dryRun, left }));
  const done = dryRun
    ? 'would be forgotten; if it is still there, it would stay'
    : 'forgotten; if it is still there, it stays';
  return answer(terminal, `${key}: ${done}: ${left.join(', ') || 'nothing'}\n`);
}
