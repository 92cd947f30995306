/** The manual pages, from the table of commands. `userspace install --manual` writes them. */
import { defaultDataDir, defaultShortDir } from '../../cni/config/defaults.ts';
import {
  briefOf,
  type CommandName,
  commandNames,
  exitMeanings,
  exitsOf,
  idMeaning,
  optionText,
  synopsisOf,
  wordsOf,
  wordsOfOption,
} from '../commands.ts';
import { configurationPage } from './configuration.ts';
import { bold, letters, literal, page, section, terms, typed } from './roff.ts';

export interface ManualPage {
  /** `userspace-list.1`. */
  readonly name: string;
  readonly text: string;
}

export const manualPages = (version: string): ManualPage[] => [
  { name: 'userspace.1', text: overview(version) },
  ...commandNames.map((name) => ({ name: `${titleOf(name)}.1`, text: commandPage(name, version) })),
  { name: 'userspace.conf.5', text: configurationPage(version) },
];

const titleOf = (name: CommandName): string => `userspace-${name}`;

const seeAlso = (pages: readonly (readonly [name: string, section: number])[]): string =>
  section('SEE ALSO', pages.map(([name, number]) => `${bold(name)}(${number})`).join(',\n'));

const environment = section(
  'ENVIRONMENT',
  terms([
    [
      bold('CNI_COMMAND'),
      'ADD, CHECK, DEL, GC, STATUS or VERSION: a container runtime calls, as the CNI specification says.',
    ],
    [
      bold('CNI_PATH'),
      'Directories in which status and recover look for IPAM plugins; recover looks first where its journals say.',
    ],
    [
      bold('USERSPACE_CNI_AGENT'),
      'The directory of the agent\'s socket, for the agent and for calls. With "off" a call asks no agent.',
    ],
    [bold('NO_COLOR'), 'Any value but an empty one keeps colours away from a terminal.'],
  ]),
);

const files = section(
  'FILES',
  terms([
    ['/opt/cni/bin/userspace', 'The executable, where runtimes look for plugins.'],
    ['/etc/cni/net.d', 'The networks.'],
    [`${defaultDataDir}/NETWORK:CONTAINER:INTERFACE.journal`, 'The journal of an attachment, a text file.'],
    [defaultShortDir, 'Short links to directories whose own path is too long for a socket.'],
  ]),
);

function overview(version: string): string {
  const brief = 'CNI plugin for vhost-user interfaces on Open vSwitch with DPDK';
  return page(
    { name: 'userspace', section: 1, version, brief },
    section('SYNOPSIS', `${bold('userspace')} ${typed('COMMAND')}\n[${typed('OPTION')}...] [${typed('WORD')}...]`),
    section(
      'DESCRIPTION',
      letters(
        'A container runtime calls the executable for each attachment of a pod to a network of type "userspace". An attachment is a port on the switch, a socket for the application, and an address. Each step is in a journal before it begins, so that an operation which is killed is completed or rolled back.',
      ),
      letters('People call it with one of these commands.'),
    ),
    section('COMMANDS', terms(commandNames.map((name) => [typed(synopsisOf(name)), wordsOf(name).meaning]))),
    section('EXIT STATUS', letters(exitMeanings)),
    environment,
    files,
    seeAlso([...commandNames.map((name) => [titleOf(name), 1] as const), ['userspace.conf', 5]]),
  );
}

function commandPage(name: CommandName, version: string): string {
  const { meaning, details = [], options, example, prints = {} } = wordsOf(name);
  const head = { name: titleOf(name), section: 1, version, brief: briefOf(meaning) } as const;
  const takesId = synopsisOf(name).includes('ID') || options.includes('forget');
  return page(
    head,
    section(
      'SYNOPSIS',
      `${bold('userspace')} ${typed(synopsisOf(name))}\n${options.length > 0 ? `[${typed('OPTION')}...]` : ''}`,
    ),
    section('DESCRIPTION', ...[sentence(meaning), ...details, ...(takesId ? [idMeaning] : [])].map(letters)),
    ...(options.length > 0
      ? [section('OPTIONS', terms(options.map((one) => [typed(optionText(one)), wordsOfOption(one).meaning])))]
      : []),
    ...Object.entries(prints).map(([place, words]) =>
      section(place.toUpperCase(), terms(Object.entries(words).map(([word, said]) => [bold(word), said]))),
    ),
    section('EXIT STATUS', terms(exitsOf(name).map(([number, said]) => [bold(number), said]))),
    section('EXAMPLE', literal(example)),
    seeAlso([['userspace', 1]]),
  );
}

const sentence = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
