/** The help text: what the executable is, for a runtime and for a person. */
import { fateWords, foundWords } from '../recovery/words.ts';
import { healthWords, liveWords, stateWords } from './words.ts';

type Words = { readonly [word: string]: string };

/** For each command: the words that it prints. */
const printed: { readonly [command: string]: { readonly [what: string]: Words } } = {
  list: { STATE: stateWords, LIVE: liveWords },
  recover: { 'What is found': foundWords, 'What is done': fateWords },
  status: { HEALTH: healthWords },
};

/** An example of each command, as a person types it. */
const examples: { readonly [command: string]: string } = {
  list: 'userspace list --json',
  show: 'userspace show 0123456789ab net1',
  recover: 'userspace recover --dry-run',
  status: 'userspace status --config network.json',
  install: 'userspace install /opt/cni/bin --units --conflist',
  uninstall: 'userspace uninstall /opt/cni/bin',
  sysdump: 'userspace sysdump --since 2h --output /tmp',
  agent: 'userspace agent --recover --metrics 127.0.0.1:9468',
  daemonset: 'userspace daemonset /opt/cni/bin -- --recover',
};

/** The options of commands that read their own words. */
const ownOptions: { readonly [command: string]: readonly string[] } = {
  agent: ['recover', 'recover-every', 'events', 'metrics', 'workers', 'data-dir', 'ovsdb', 'kubeconfig'],
  daemonset: ['uninstall', 'server', 'service-account', 'token-seconds', 'renew-after', 'host-process', 'health'],
};

/**
 * @param command whose own help is asked for; without it, and for a word that is none, the general one
 * @param options of that command
 */
export function help(version: string, command = '', options: readonly string[] = ownOptions[command] ?? []): string {
  const text = general(version);
  const [synopsis] = entriesOf(text, `userspace ${command}`);
  const example = examples[command];
  if (!synopsis || !example) return withoutOptions(text);
  const said = `${synopsis}\n${options.flatMap((name) => entriesOf(text, `--${name}`)).join('')}`;
  const paragraphs = text.trimEnd().split('\n\n');
  const id = / ID\b/.test(said) ? paragraphs.filter((one) => one.startsWith('ID is ')) : [];
  const explained = Object.entries(printed[command] ?? {}).map(([what, words]) => explainWords(what, words).trimEnd());
  const exits = paragraphs.filter((one) => one.startsWith('Exit codes'));
  return `${[said.trimEnd(), `Example: ${example}`, ...id, ...explained, ...exits].join('\n\n')}\n`;
}

/** Each command's own help has its options. */
const withoutOptions = (text: string): string =>
  text
    .split('\n\n')
    .filter((paragraph) => !paragraph.startsWith('  --'))
    .join('\n\n');

/** The lines of the general text about a command or an option, so that each is written once. */
const entriesOf = (text: string, name: string): string[] =>
  text.match(new RegExp(`^ {2}${name}(?![\\w-]).*\\n(?: {3,}.*\\n)*`, 'gm')) ?? [];

function explainWords(what: string, words: Words): string {
  const width = Math.max(...Object.keys(words).map(({ length }) => length));
  return `${what}:\n${Object.entries(words)
    .map(([word, meaning]) => `  ${word.padEnd(width)}  ${meaning}\n`)
    .join('')}`;
}

const general = (
  version: string,
): string => `userspace ${version}: a CNI plugin for vhost-user interfaces on Open vSwitch with DPDK

A container runtime calls it with CNI_COMMAND (ADD, CHECK, DEL, GC, STATUS, VERSION) in its environment and a network
configuration of type "userspace" on stdin. For people:

  userspace list                     every attachment: its state, pod, port, addresses, and what is owed
  userspace show ID [IFNAME]         the journal of an attachment as a timeline
  userspace recover                  finish what was interrupted, release what no sandbox can use any more, put back the
                                     ports of living ones that the switch lost, remove ports without a journal
  userspace status                   whether this node can serve an ADD, what is owed, and what to do about either
  userspace install [DIR]            put this executable into the runtime's plugin directory (default /opt/cni/bin), also over
                                     one that runs; with --units, --conflist or --kubeconfig also what a node needs beside it
  userspace uninstall [DIR]          take away what install put there, if no attachment lives and none is owed
  userspace sysdump                  write one archive for a bug report: versions, networks, journals, rows, logs, settings of the
                                     node; secrets are taken out
  userspace agent                    stay, and make the calls that ask for it: they take two thirds of the time, and need
                                     no agent; with --recover also recover when the node needs it
  userspace daemonset [DIR] [-- WORDS]
                                     in a pod of each node (deploy/kubernetes): install into DIR of the node, keep the plugin's
                                     kubeconfig fresh, and run the agent, which gets the WORDS
  userspace --version                version, commit, target, runtime and size of this executable
  userspace help

ID is a container's id or the beginning of one, or the whole key as list --json has it.

  --json             one JSON document instead of text
  --no-live          list does not ask the switch which ports are there
  --boot             recover waits up to a minute for the switch first
  --events           recover also tells pods, as Kubernetes Events, what is owed for more than a minute, what was put back and
                     what was released; with agent --recover too
  --forget ID        recover drops what is owed of one attachment, and says what that leaves
  --units            install also writes the agent's systemd unit, and starts it
  --conflist         install also writes a network to start from (/etc/cni/net.d/50-userspace.conflist)
  --force            uninstall although something lives, and say what will not be cleaned
  --dry-run          recover says what it would do, and changes nothing
  --config FILE      status of this network too: a network, a list of plugins or a NetworkAttachmentDefinition, as JSON
                     or YAML (default: all of type "userspace" in /etc/cni/net.d); may be said more than once
  --data-dir DIR     where the journals are (default /var/lib/cni/userspace)
  --ovsdb ADDRESS    the Open vSwitch database (default unix:/var/run/openvswitch/db.sock): where recover looks
                     for ports without a journal, and for an attachment's own database that moved
  --kubeconfig FILE  used where a journal's own kubeconfig is gone, or has no rights any more; install copies it to
                     /etc/cni/net.d/userspace.d/kubeconfig
  --output PATH      where sysdump puts its archive: a new file, or a directory (default: the working directory)
  --conf-dir DIR     where sysdump finds the runtime's networks, and install puts one (default /etc/cni/net.d)
  --log FILE         a log for sysdump, beside those that the networks name; may be said more than once
  --since TIME       sysdump takes no older lines of logs: a time as ISO 8601 has it, or 90m, 12h, 2d ago
  --recover          agent also recovers: at its start, after the switch was away, and every five minutes
  --recover-every N  seconds between two of the agent's recoveries, instead of 300
  --metrics ADDRESS  agent also serves /metrics and /healthz at 127.0.0.1:PORT, [::1]:PORT or unix:/path
  --workers N        agent makes as many calls at once, at most (default 8, or one for each processor)
  --uninstall        daemonset takes away what it has installed, once no attachment lives
  --server URL       where daemonset and its kubeconfig find the API server (default: as the kubelet tells each pod)
  --service-account NAME
                     whose token daemonset puts into the kubeconfig (default userspace-cni, in the pod's own namespace)
  --token-seconds N  how long daemonset lets such a token live (default 86400, at least 600)
  --renew-after N    daemonset asks for the next token after N seconds (default: half of the life of the last one)
  --host-process PID daemonset acts in the mount namespace of this process (default 1)
  --health ADDRESS   where daemonset --uninstall tells how far it is (default 127.0.0.1:9468)

userspace COMMAND --help has the options of one command, an example, and the words that it prints.

Exit codes: 0 done, nothing left to do (status: healthy); 1 it failed (status: sick); 2 wrong words; 3 something is owed
(list, recover, status), there is something to be done (recover --dry-run), something lives (uninstall), or something
could not be had (sysdump).
`;
