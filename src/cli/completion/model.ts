/** The table of commands as the completion of a shell needs it: what may stand at each place of a command line. */
import { schemaKeys } from '../../cni/config/paths.ts';
import {
  briefOf,
  type CommandName,
  commandNames,
  type OptionName,
  optionNames,
  valuesOf,
  wordsOf,
  wordsOfOption,
  wordValues,
} from '../commands.ts';

/** The kind of a value or a word: one of some words, or a thing that the shell or the executable can name. */
export type Offer = { readonly words: readonly string[] } | 'file' | 'directory' | 'id' | 'interface' | undefined;

interface CompletedOption {
  readonly name: OptionName;
  /** As it is typed: `--output`, and `-o` if it has a letter. */
  readonly spellings: readonly string[];
  readonly meaning: string;
  /** The name of its value; undefined for a flag. */
  readonly argument: string | undefined;
  readonly offer: Offer;
  readonly isRepeatable: boolean;
}

export interface CompletedCommand {
  readonly name: string;
  readonly meaning: string;
  readonly options: readonly CompletedOption[];
  /** For each place after the command's name. */
  readonly places: readonly CompletedPlace[];
}

interface CompletedPlace {
  readonly name: string;
  readonly offer: Offer;
  /** Whether all words after it are of its kind. */
  readonly isRepeatable: boolean;
}

const byName: { readonly [name: string]: Offer } = {
  FILE: 'file',
  PATH: 'file',
  DIR: 'directory',
  ID: 'id',
  IFNAME: 'interface',
  KEY: { words: schemaKeys.map(({ path }) => path) },
};

function completedOption(name: OptionName, command?: CommandName): CompletedOption {
  const { argument, short, meaning, isRepeatable = false } = wordsOfOption(name);
  const values = command && valuesOf(command, name);
  return {
    name,
    spellings: [`--${name}`, ...(short ? [`-${short}`] : [])],
    meaning: briefOf(meaning),
    argument,
    offer: values ? { words: values } : argument === undefined ? undefined : byName[argument],
    isRepeatable,
  };
}

/** @param word as the table has it: `[DIR]`, `FILE...` */
function placeOf(word: string): CompletedPlace {
  const name = word.replace(/[[\].]/g, '');
  const values = wordValues[name];
  return { name, offer: values ? { words: values } : byName[name], isRepeatable: word.includes('...') };
}

const completed = (name: CommandName): CompletedCommand => {
  const { meaning, options, words } = wordsOf(name);
  return {
    name,
    meaning: briefOf(meaning),
    options: [...options, 'help' as const].map((option) => completedOption(option, name)),
    places: words.filter((word) => !word.includes('--')).map(placeOf),
  };
};

export function completedCommands(): CompletedCommand[] {
  const help = { name: 'COMMAND', offer: { words: commandNames }, isRepeatable: false };
  return [
    ...commandNames.map(completed),
    { name: 'help', meaning: 'the help of a command', options: [], places: [help] },
  ];
}

/** The options that take a value, of whatever command: they are told from flags before the command is known. */
export const valued = (): string[] =>
  optionNames
    .map((name) => completedOption(name))
    .flatMap(({ argument, spellings }) => (argument === undefined ? [] : spellings));
