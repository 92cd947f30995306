/**
 * `userspace sysdump`: everything that a bug report needs, in one archive, with secrets taken out. It changes nothing, except that `status`,
 * which it runs, raises next_cfg. Whatever cannot be had is named, and fails nothing.
 */
import { now } from '../../deadlines.ts';
import { plain } from '../print.ts';
import { archivePath, dumpName, writeArchive } from './archive.ts';
import { collectJournals, collectMounts, collectRows, collectSockets } from './attachments.ts';
import { type Bag, collectAll, type Item, type Told } from './bag.ts';
import { collectKubeconfigs, collectNetworks } from './configurations.ts';
import { collectLogs, hostName } from './logs.ts';
import { collectProcesses, collectSettings, collectVersions } from './node-facts.ts';
import { Redactor } from './redact.ts';
import { type DumpCall, findSources, type Sources } from './sources.ts';
import { tarOf } from './tar.ts';

/** A person waits for it. */
const dumpMs = 60_000;

interface Dumped {
  readonly path: string;
  readonly bytes: number;
  readonly collected: readonly Told[];
  readonly missing: readonly Told[];
}

/** @throws Error if no archive could be written */
export async function sysdump(call: DumpCall): Promise<Dumped> {
  const { machine, output } = call;
  const at = machine.clock();
  const name = dumpName(await hostName(), at);
  const path = archivePath(output, name);
  const host = machine.host();
  try {
    const redactor = new Redactor();
    const { files, collected, missing } = await collectAll(itemsOf(findSources(call, host)), redactor, now() + dumpMs);
    const scrub = redactor.scrubber();
    const told = (all: readonly Told[]): Told[] => all.map(({ item, text }) => ({ item, text: scrub(text) }));
    const all = new Map(
      [['README.txt', readme(name, missing)], ...files].map(([file, content]) => [file, scrub(String(content))]),
    );
    const inTar = [...all].map(([file, text]) => ({ path: `${name}/${file}`, bytes: Buffer.from(text) }));
    return { path, bytes: writeArchive(path, tarOf(inTar, at)), collected: told(collected), missing: told(missing) };
  } finally {
    host.close();
  }
}

function itemsOf(sources: Sources): Item[] {
  const item = (name: string, collect: (bag: Bag, sources: Sources, end: number) => Promise<string>): Item => ({
    name,
    collect: (bag, end) => collect(bag, sources, end),
  });
  let listed: Promise<string> = Promise.resolve('');
  return [
    item('versions', collectVersions),
    item('networks', collectNetworks),
    item('kubeconfigs', collectKubeconfigs),
    item('journals', collectJournals),
    item('rows', collectRows),
    item('sockets', collectSockets),
    item('mounts', collectMounts),
    item('logs', collectLogs),
    item('settings', collectSettings),
    item('processes', collectProcesses),
    item('status', collectStatus),
    item('list', (bag) => {
      listed = collectOfPlaces(bag, sources, { file: 'list.json', words: ['list'] });
      return listed;
    }),
    item('recover', async (bag) => {
      // A dry run holds each journal's lock for a moment, and the list would name this process as the holder.
      await listed.catch(() => undefined);
      return await collectOfPlaces(bag, sources, { file: 'recover-dry-run.json', words: ['recover', '--dry-run'] });
    }),
  ];
}

async function collectStatus(bag: Bag, { call }: Sources): Promise<string> {
  const named = (call.configs ?? []).flatMap((file) => ['--config', file]);
  return await documentOf(bag, call, { file: 'status.json', words: ['status', ...named] });
}

/** The answers of `list` or of a dry run of `recover` about each data directory. */
async function collectOfPlaces(bag: Bag, { places, call }: Sources, { file, words }: Document): Promise<string> {
  const told: string[] = [];
  for (const [index, { dataDir, ovsdb }] of places.entries()) {
    const name = index === 0 ? file : file.replace('.json', `-${index + 1}.json`);
    const more = words.includes('recover') ? ['--ovsdb', ovsdb] : [];
    told.push(await documentOf(bag, call, { file: name, words: [...words, ...more, '--data-dir', dataDir] }));
  }
  return told.join('; ');
}

interface Document {
  readonly file: string;
  readonly words: readonly string[];
}

async function documentOf(bag: Bag, { command }: DumpCall, { file, words }: Document): Promise<string> {
  const { exitCode, out, err } = await command(...words, '--json');
  if (out === '') throw new Error(err.trim() || `exit code ${exitCode}`);
  bag.json(file, JSON.parse(out));
  return `exit code ${exitCode}`;
}

/** Text for a person: a line for each item, and where the archive is. */
export function dumpText({ path, bytes, collected, missing }: Dumped): string {
  const width = Math.max(...[...collected, ...missing].map(({ item }) => item.length));
  const lines = (head: string, all: readonly Told[]) =>
    all.map(({ item, text }) => `${head}  ${item.padEnd(width)}  ${plain(text)}\n`);
  const end = `${path}: ${bytes} bytes; secrets were taken out, but look through it before you send it\n`;
  return [...lines('collected', collected), ...lines('missing  ', missing), end].join('');
}

const readme = (
  name: string,
  missing: readonly Told[],
): string => `${name}: made by "userspace sysdump" for a bug report.

Secrets were taken out, and "[redacted]" stands in their place: values by the names of their keys and by their shape, texts of keys that
this plugin does not know, and every other place where such a value was found. Addresses, names of pods, networks and paths are here.
Look through it before you send it.

versions.txt          this executable, the agent, Open vSwitch, DPDK, kernel, operating system, container runtimes
status.json           what "userspace status --json" said
list.json             what "userspace list --json" said
recover-dry-run.json  what "userspace recover --dry-run --json" said
networks/             each network of type userspace; files.txt lists the runtime's directory
kubeconfigs.txt       which there are, their server and the kind of their credentials
journals/             the data directory's journals; a line that had a secret no longer fits its checksums
marks.txt             mode, owner, size, time and inode of each file there, and its marks
rows.json             our rows in the switch's database, and its own settings
sockets.txt           for each attachment the socket's directory and the way to it: type, mode, owner, time, ACL, symlinks
mounts.txt            id, parent, device, type, root and point of mounts that have our files, hugepages or control groups
logs/                 the ends of log files, and our units' lines in the system's journal
settings.txt          hugepages, memory, limits, security modules, control groups
processes.txt         our processes and the switch's
A second data directory or database has files with a number in their names.

${missing.length === 0 ? 'Nothing is missing.' : `Missing:\n${missing.map(({ item, text }) => `  ${item}: ${text}`).join('\n')}`}
`;
