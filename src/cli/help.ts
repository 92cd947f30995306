/** The help text: what the executable is, for a runtime and for a person. */
import {
  type CommandName,
  commandNamed,
  commandNames,
  exitMeanings,
  exitsOf,
  idMeaning,
  type OptionName,
  optionText,
  synopsisOf,
  wordsOf,
  wordsOfOption,
} from './commands.ts';
import { wrapped } from './text.ts';

export interface HelpPage {
  readonly version: string;
  /** The width of the terminal, if there is one. */
  readonly columns?: number | undefined;
}

/** As wide as text is read with ease, and as narrow as still holds a name and its meaning. */
const [usualColumns, columnsMin, columnsMax] = [80, 60, 100];

export const widthOf = ({ columns = usualColumns }: HelpPage): number =>
  Math.min(columnsMax, Math.max(columnsMin, columns));

/** @param word the command whose own help is asked for; without it, and for a word that is none, the general one */
export function help(page: HelpPage, word = ''): string {
  const command = commandNamed(word);
  return `${(command ? ownPage(command, page) : generalPage(page)).join('\n\n')}\n`;
}

function generalPage(page: HelpPage): string[] {
  const width = widthOf(page);
  const others = [
    entry('userspace --version', wordsOfOption('version').meaning, width),
    entry('userspace help', 'this text; userspace help COMMAND, or userspace COMMAND --help, that of a command', width),
  ];
  return [
    `userspace ${page.version}: a CNI plugin for vhost-user interfaces on Open vSwitch with DPDK`,
    wrap(
      'A container runtime calls it with CNI_COMMAND (ADD, CHECK, DEL, GC, STATUS, VERSION) in its environment and a network configuration of type "userspace" on stdin. For people:',
      width,
    ),
    [...commandNames.map((name) => commandEntry(name, width)), ...others].join('\n'),
    wrap(idMeaning, width),
    wrap('userspace COMMAND --help has the options of one command, an example, and the words that it prints.', width),
    wrap(`Exit codes: ${exitMeanings}`, width),
  ];
}

function ownPage(command: CommandName, page: HelpPage): string[] {
  const width = widthOf(page);
  const { details = [], options, example, prints = {} } = wordsOf(command);
  const takesId = synopsisOf(command).includes('ID') || options.includes('forget');
  return [
    commandEntry(command, width),
    ...details.map((text) => wrap(text, width)),
    ...(options.length > 0 ? [optionLines(options, width)] : []),
    `Example: ${example}`,
    ...(takesId ? [wrap(idMeaning, width)] : []),
    ...Object.entries(prints).map(([place, words]) => explainWords(place, words, width)),
    wrap(
      `Exit codes: ${exitsOf(command)
        .map((one) => one.join(' '))
        .join('; ')}.`,
      width,
    ),
  ];
}

const optionLines = (options: readonly OptionName[], width: number): string =>
  options.map((name) => entry(optionText(name), wordsOfOption(name).meaning, width)).join('\n');

const commandEntry = (name: CommandName, width: number): string =>
  entry(`userspace ${synopsisOf(name)}`, wordsOf(name).meaning, width);

/** The column in which meanings begin. A longer name has a line of its own. */
const meaningAt = 22;

function entry(name: string, meaning: string, width: number, at = meaningAt): string {
  const lines = wrap(meaning, width - at).split('\n');
  const head = `  ${name}`;
  const isShort = head.length + 2 <= at;
  const first = isShort ? `${head.padEnd(at)}${lines.shift()}` : head;
  return [first, ...lines.map((line) => ' '.repeat(at) + line)].join('\n');
}

function explainWords(place: string, words: { readonly [word: string]: string }, width: number): string {
  const at = Math.max(...Object.keys(words).map(({ length }) => length)) + 4;
  return [`${place}:`, ...Object.entries(words).map(([word, meaning]) => entry(word, meaning, width, at))].join('\n');
}

/** Breaks a text at its spaces. A longer word stands alone. */
export const wrap = (text: string, width: number): string => wrapped(text, width, 'whole').join('\n');
