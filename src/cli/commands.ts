/**
 * The commands for people, and their options: each is said once, here. The parser, the help, the manual pages and the completions of
 * shells are cut from this table.
 */
import { defaultDataDir, defaultOvsdb } from '../cni/config/defaults.ts';
import { fateWords, foundWords } from '../recovery/words.ts';
import { barWords, endingWords, healthWords, liveWords, resultWords, stateWords } from './words.ts';

export interface OptionWords {
  /** The name of its value. An option without one is a flag. */
  readonly argument?: string;
  /** The only values that it takes. */
  readonly values?: readonly string[];
  readonly default?: string;
  /** Its letter, as in -h. */
  readonly short?: string;
  readonly isRepeatable?: true;
  /** Its value names a file, a directory or a socket: an empty one would mean the working directory. */
  readonly isPlace?: true;
  readonly meaning: string;
}

export interface CommandWords {
  /** The words after its name. One in brackets may be left out, and the last one may be said more than once if it ends in `...`. */
  readonly words: readonly string[];
  readonly meaning: string;
  /** Paragraphs for a person before the first use. */
  readonly details?: readonly string[];
  readonly options: readonly OptionName[];
  readonly example: string;
  /** Values of options, where it takes fewer than others do. */
  readonly values?: { readonly [option: string]: readonly string[] };
  /** The meanings of its exit codes, where they say more than those of all commands. */
  readonly exits?: { readonly [code: number]: string };
  /** The words that it prints, and where they stand. */
  readonly prints?: { readonly [place: string]: { readonly [word: string]: string } };
}

export const options = {
  help: { short: 'h', meaning: 'what a command is for, its options, and the words that it prints' },
  version: { meaning: 'version, commit, target, runtime and size of this executable' },
  json: { meaning: 'one JSON document instead of text' },
  'no-live': { meaning: 'list does not ask the switch which ports are there' },
  format: {
    argument: 'FORMAT',
    short: 'o',
    values: ['wide', 'json', 'name'],
    meaning:
      'list: wide (whole ids, bridges and ports, however long the lines), json (as --json), or name (keys, one a line, for xargs); show: wide (each record with its time too) or json',
  },
  network: {
    argument: 'NAME',
    isRepeatable: true,
    meaning: 'list only attachments of this network; may be said more than once',
  },
  pod: {
    argument: 'POD',
    isRepeatable: true,
    meaning: 'list only attachments of this pod: NAMESPACE/NAME, or NAME; may be said more than once',
  },
  state: {
    argument: 'STATE',
    isRepeatable: true,
    values: Object.keys(stateWords),
    meaning: 'list only attachments in this state; may be said more than once',
  },
  watch: {
    short: 'w',
    meaning:
      'list stays, and prints each attachment again whose journal changes, until Ctrl-C. It learns nothing of a change in the switch alone',
  },
  svg: {
    argument: 'FILE',
    isPlace: true,
    meaning: 'show writes the timeline as a picture into FILE, for a bug report',
  },
  boot: {
    meaning: 'recover waits up to a minute for the switch first, and as long at the end for servers that were silent',
  },
  events: {
    meaning:
      'recover also sends pods Kubernetes Events of what is owed for more than a minute, was put back or was released; so does agent with --recover',
  },
  forget: {
    argument: 'ID',
    meaning: 'recover gives up what is owed of one attachment, and says what may still be there',
  },
  units: { meaning: "install also writes the agent's systemd unit, and starts it" },
  conflist: {
    meaning: 'install also writes a network to start from (/etc/cni/net.d/50-userspace.conflist)',
  },
  manual: {
    meaning:
      'install also writes the manual pages, and the completions of bash, zsh and fish, where man and these shells find them',
  },
  force: { meaning: 'uninstall although something lives, and say what will not be cleaned' },
  'dry-run': { meaning: 'recover says what it would do, and changes nothing' },
  schema: { meaning: 'explain prints all keys as one JSON Schema, for editors and other checks' },
  config: {
    argument: 'FILE',
    isRepeatable: true,
    isPlace: true,
    meaning:
      'status and sysdump look at the networks of this file alone: a network, a list of plugins or NetworkAttachmentDefinitions, as JSON or YAML (default: all of type "userspace" in /etc/cni/net.d); may be said more than once',
  },
  'data-dir': {
    argument: 'DIR',
    default: defaultDataDir,
    isPlace: true,
    meaning: `where the journals are (default ${defaultDataDir})`,
  },
  ovsdb: {
    argument: 'ADDRESS',
    default: defaultOvsdb,
    isPlace: true,
    meaning: `the Open vSwitch database (default ${defaultOvsdb}): recover and uninstall look at it beside those that journals and networks name, recover also in the place of one that moved; agent watches it; status and sysdump look at it if it is said or no network is found`,
  },
  kubeconfig: {
    argument: 'FILE',
    isPlace: true,
    meaning:
      'recover uses it where the kubeconfig that a journal names is gone or has no rights any more; agent hands it to its recoveries; install copies it to /etc/cni/net.d/userspace.d/kubeconfig',
  },
  output: {
    argument: 'PATH',
    isPlace: true,
    meaning: 'where sysdump puts its archive: a new file, or a directory (default: the working directory)',
  },
  'conf-dir': {
    argument: 'DIR',
    isPlace: true,
    meaning: "where sysdump finds the runtime's networks, and install puts one (default /etc/cni/net.d)",
  },
  log: {
    argument: 'FILE',
    isRepeatable: true,
    isPlace: true,
    meaning: 'sysdump also takes this log, beside those that the networks name; may be said more than once',
  },
  since: {
    argument: 'TIME',
    meaning: 'sysdump leaves out older lines of logs; TIME is as ISO 8601 writes it, or an age such as 90m, 12h or 2d',
  },
} as const satisfies { readonly [name: string]: OptionWords };

/** Options of commands that parse their own words, because these run where the code for people is not loaded. */
const ownOptions = {
  recover: { meaning: 'agent also recovers: at its start, after the switch was away, and every five minutes' },
  'recover-every': { argument: 'N', meaning: "seconds between two of the agent's recoveries (default 300)" },
  metrics: {
    argument: 'ADDRESS',
    meaning: 'agent also serves /metrics and /healthz at 127.0.0.1:PORT, [::1]:PORT or unix:/path',
  },
  workers: {
    argument: 'N',
    meaning: 'the most calls that agent makes at once (default: one for each processor, but from 8 to 32)',
  },
  uninstall: { meaning: 'daemonset takes away what it has installed, once no attachment lives and none is owed' },
  server: {
    argument: 'URL',
    meaning: 'the API server of daemonset and of the kubeconfig (default: the one that the kubelet tells each pod)',
  },
  'service-account': {
    argument: 'NAME',
    meaning:
      "the account of the pod's namespace whose token daemonset puts into the kubeconfig (default userspace-cni)",
  },
  'token-seconds': {
    argument: 'N',
    meaning: 'for how many seconds that token is asked for (default 86400, at least 600)',
  },
  'renew-after': {
    argument: 'N',
    meaning: 'seconds after which daemonset asks for the next token (default: half of the life of the last one)',
  },
  'host-process': { argument: 'PID', meaning: 'daemonset acts in the mount namespace of this process (default 1)' },
  health: {
    argument: 'ADDRESS',
    meaning: 'where daemonset --uninstall answers HTTP: 503 with what is left, then 200 (default 127.0.0.1:9468)',
  },
} as const satisfies { readonly [name: string]: OptionWords };

export type OptionName = keyof typeof options | keyof typeof ownOptions;

const allOptions: { readonly [name in OptionName]: OptionWords } = { ...ownOptions, ...options };

export const wordsOfOption = (name: OptionName): OptionWords => allOptions[name];

export const commands = {
  list: {
    words: [],
    meaning: 'every attachment: its state, pod, addresses, and what is owed',
    details: [
      "STATE comes from the attachment's journal. LIVE is the word of the switch's database, which is asked for at most a second. What is owed stands below its attachment, with the reason.",
      'Lines fit the terminal, and ids are as short as they can be told apart. They are sorted by network, pod, container and interface. The exit code tells of the attachments that are shown.',
    ],
    options: ['network', 'pod', 'state', 'watch', 'format', 'no-live', 'json', 'data-dir'],
    exits: { 3: 'an attachment that is shown is owed or going, or its journal cannot be read' },
    example: 'userspace list --state owed -o wide',
    prints: { STATE: stateWords, LIVE: liveWords },
  },
  show: {
    words: ['ID', '[IFNAME]'],
    meaning: 'the journal of an attachment as a timeline: each step, what it waited for, and how it went',
    details: [
      'It reads the journal without its lock, and changes nothing: it may be run beside a call that is at work.',
    ],
    options: ['format', 'svg', 'json', 'data-dir'],
    values: { format: ['wide', 'json'] },
    example: 'userspace show 0123456789ab net1 --svg net1.svg',
    prints: { RESULT: resultWords, 'Ends of a try': endingWords, Bars: barWords },
  },
  recover: {
    words: [],
    meaning:
      'complete or roll back what was interrupted, release what no sandbox can use any more, put back lost ports of living sandboxes, remove ports without a journal',
    details: [
      'It may be run at any time, beside calls and twice at once: it touches nothing that another process works on. If it is killed at any point, the next run comes to the same end. Removals come first, ports are put back last.',
      'While its network namespace lives, an attachment is removed only if its ADD died before its end, or if its removal was begun. What cannot be judged is kept.',
    ],
    options: ['boot', 'events', 'forget', 'dry-run', 'ovsdb', 'kubeconfig', 'json', 'data-dir'],
    exits: {
      0: 'done, nothing is owed',
      1: 'it could not look',
      3: 'a removal or a put-back is owed, or a switch could not be asked for ports without a journal; with --dry-run, there is something to be done',
    },
    example: 'userspace recover --dry-run',
    prints: { 'What is found': foundWords, 'What is done': fateWords },
  },
  status: {
    words: [],
    meaning: 'whether this node can serve an ADD, what is owed, and what to do about either',
    details: [
      "It looks at what an ADD needs: the networks, the data directory, the switch, the IPAM programs, the kubeconfigs and the hugepages. It changes nothing, except that it raises next_cfg, a counter of the switch's database, if it sees no process of ovs-vswitchd. Each line that is not ok says what to do.",
      'It is for root: for another user, what only root can see is unknown.',
    ],
    options: ['config', 'ovsdb', 'json', 'data-dir'],
    exits: {
      0: 'healthy, nothing is owed',
      1: 'sick: an ADD would fail, or what is attached suffers',
      3: 'healthy, and something is owed',
    },
    example: 'userspace status --config network.json',
    prints: { HEALTH: healthWords },
  },
  check: {
    words: ['FILE...'],
    meaning: 'every fault of a network, from its file alone',
    details: [
      'A file is a network, a list of plugins or a NetworkAttachmentDefinition, or what kubectl printed of many, as JSON or YAML; - is standard input. Each fault has the code with which an ADD would refuse the network. A warning names a key that an ADD takes and that does nothing.',
      'Nothing but the files is looked at: no switch, no directory, no program, no API server. status --config reads a file the same way, and looks at those too. CNI CHECK is another thing: the runtime calls it for an attachment.',
    ],
    options: ['json'],
    exits: { 0: 'no fault, perhaps a warning', 1: 'a fault' },
    example: 'userspace check network.json',
  },
  explain: {
    words: ['[KEY]'],
    meaning: 'the keys of a network configuration: what each takes and means',
    details: [
      'Without a KEY there is a line for each. A KEY is written with dots, in any case of letters; an object shows the keys below it.',
    ],
    options: ['schema', 'json'],
    example: 'userspace explain host.vhost.mode',
  },
  install: {
    words: ['[DIR]'],
    meaning:
      "put this executable into the runtime's plugin directory (default /opt/cni/bin), also over one that runs; with --units, --conflist, --kubeconfig or --manual also what these name",
    details: [
      'The name "userspace" there leads to the old or to the whole new executable at any moment, also after a power cut. The new one has run once before it gets the name, and replaces any file that had it.',
      'Of the other files, none that a person has made or changed is overwritten: if there is one, install says so and changes nothing.',
    ],
    options: ['units', 'conflist', 'conf-dir', 'kubeconfig', 'manual', 'json'],
    example: 'userspace install /opt/cni/bin --units --conflist',
  },
  uninstall: {
    words: ['[DIR]'],
    meaning:
      "take away the executable in the runtime's plugin directory (default /opt/cni/bin), what install wrote beside it, and what calls left, if no attachment lives and none is owed",
    details: [
      'A file that a person has changed since install wrote it is left and named. While an attachment lives or is owed nothing is removed, because without the executable nothing could remove that attachment.',
    ],
    options: ['force', 'ovsdb', 'json', 'data-dir'],
    exits: {
      0: 'done, except what was left with a reason',
      1: 'something could not be removed',
      3: 'an attachment lives or is owed: nothing was removed',
    },
    example: 'userspace uninstall /opt/cni/bin',
  },
  completion: {
    words: ['SHELL'],
    meaning: 'print the completion of a shell: bash, zsh or fish; install --manual writes those of all three',
    options: [],
    example: 'source <(userspace completion bash)',
  },
  sysdump: {
    words: [],
    meaning:
      "write one archive for a bug report: versions, networks, journals, rows of the switch's database, logs, settings of the node; secrets are taken out",
    details: [
      'In the place of each token, key, password and certificate, and of each text under a key of a network that this plugin does not know, stands "[redacted]". Read the archive before you send it all the same: it names pods, networks and addresses.',
      'A part that cannot be had is named, and the archive has the others.',
    ],
    options: ['output', 'conf-dir', 'config', 'log', 'since', 'ovsdb', 'json', 'data-dir'],
    exits: { 3: 'done, and something could not be had: the archive says what' },
    example: 'userspace sysdump --since 2h --output /tmp',
  },
  agent: {
    words: [],
    meaning:
      "stay and make runtimes' calls in about four fifths of the time that they take alone; no call needs it; with --recover also recover when the node needs it",
    details: [
      "Each call's own process asks the agent, and makes the call itself if no agent answers at once. So an agent may be killed, upgraded or missing at any time.",
    ],
    options: ['recover', 'recover-every', 'events', 'metrics', 'workers', 'data-dir', 'ovsdb', 'kubeconfig'],
    example: 'userspace agent --recover --metrics 127.0.0.1:9468',
  },
  daemonset: {
    words: ['[DIR]', '[-- WORDS]'],
    meaning:
      'install the plugin on the node of this pod, keep its kubeconfig fresh, and run the agent; deploy/kubernetes runs it on each node',
    details: [
      "DIR is the node's plugin directory (default /opt/cni/bin). The WORDS behind -- are those of the agent. Everything is done in the node's mount namespace.",
    ],
    options: ['uninstall', 'server', 'service-account', 'token-seconds', 'renew-after', 'host-process', 'health'],
    example: 'userspace daemonset /opt/cni/bin -- --recover',
  },
} as const satisfies { readonly [name: string]: CommandWords };

export type CommandName = keyof typeof commands;

export const commandNames = Object.keys(commands) as readonly CommandName[];
export const optionNames = Object.keys(allOptions) as readonly OptionName[];

/** A word that a person typed, as a command. */
export const commandNamed = (word: string): CommandName | undefined =>
  Object.hasOwn(commands, word) ? (word as CommandName) : undefined;

export const wordsOf = (name: CommandName): CommandWords => commands[name];

/** The only words that some of `words` may be. */
export const wordValues: { readonly [word: string]: readonly string[] } = { SHELL: ['bash', 'zsh', 'fish'] };

/** `show ID [IFNAME]`. */
export const synopsisOf = (name: CommandName): string => [name, ...wordsOf(name).words].join(' ');

/** `-x, --config FILE`. */
export function optionText(name: OptionName): string {
  const { argument, short } = wordsOfOption(name);
  return `${short ? `-${short}, ` : ''}--${name}${argument ? ` ${argument}` : ''}`;
}

/** The beginning of a meaning, for a list in which each has a line. */
export const briefOf = (meaning: string): string => meaning.split(/[;:,]| \(/)[0] ?? '';

/** The exit codes of a command: what each means. */
export const exitsOf = (name: CommandName): (readonly [code: string, meaning: string])[] =>
  Object.entries({ ...commonExits, ...wordsOf(name).exits });

const commonExits: { readonly [code: number]: string } = { 0: 'done', 1: 'it failed', 2: 'wrong words' };

export const exitMeanings =
  '0 done, 1 failed, 2 wrong words, 3 something is left to do. The help of a command says what each means there.';

/** The only values of an option of a command, if it takes no others. */
export const valuesOf = (command: CommandName, option: OptionName): readonly string[] | undefined =>
  wordsOf(command).values?.[option] ?? wordsOfOption(option).values;

export const idMeaning = "ID is a container's id or the beginning of one, or the whole key as list --json has it.";
