/** The parts of an installation beside the executable, and how each is taken away. What a person has made or changed stays. */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { journalSuffix, messageOf } from '../../attachment.ts';
import { connectUnix } from '../../os/native.ts';
import type { CliNode } from '../command-line.ts';
import { networkFile } from './extras.ts';
import { besideOf, syncDirectory } from './place.ts';
import { directoryMark, isAsWritten, ownDirectory, readRecord, recordPath } from './record.ts';
import { agentUnit, isActive, isSystemdThere, systemctl } from './systemd.ts';

export interface Ending {
  readonly path: string;
  readonly done: 'removed' | 'not there' | 'left' | 'failed';
  /** For what is left or failed: the reason, and the remedy. */
  readonly why?: string;
  /** A later uninstall has to know of it still. */
  readonly isRecorded?: true;
}

export interface Part {
  readonly path: string;
  /** Stays as long as something that it tells of could not be removed. */
  readonly isRecord?: true;
  readonly remove: () => Ending | Promise<Ending>;
}

const ourUnits: readonly string[] = [
  agentUnit,
  'userspace-recover-boot.service',
  'userspace-recover-switch.path',
  'userspace-recover.service',
  'userspace-recover.timer',
];

/** In the order in which they go: the record last of the files that it tells about, so that a second uninstall still has it. */
export function partsOf(machine: CliNode, dataDirs: readonly string[], executable: string): Part[] {
  const { networkDir, systemd, agentDir, shortDir } = machine;
  const written = readRecord(networkDir);
  const [first = '', ...others] = ourUnits.map((unit) => join(systemd.units, unit));
  const usual = [first, join(networkDir, networkFile), kubeconfigIn(networkDir)];
  const isDirectory = (path: string) => written[path]?.includes(directoryMark) === true;
  const [directories, paths] = [true, false].map((is) =>
    Object.keys(written).filter((path) => isDirectory(path) === is),
  );
  const files = new Set([...(paths ?? []), ...others.filter(existsSync), ...usual]);
  const about = { machine, executable };
  return [
    ...[...files].map((path) => ({ path, remove: () => removeWritten(path, written[path] ?? [], about) })),
    ...(directories ?? []).map(directoryPart),
    ...leftovers(networkDir).map((path) => ({ path, remove: () => removeFile(path) })),
    { path: recordPath(networkDir), isRecord: true, remove: () => removeFile(recordPath(networkDir)) },
    directoryPart(ownDirectory(networkDir)),
    ...(agentDir ? [{ path: agentDir, remove: () => removeSockets(agentDir) }] : []),
    ...dataDirs.map((path) => ({ path, remove: () => removeDataDir(path) })),
    directoryPart(shortDir),
  ];
}

const directoryPart = (path: string): Part => ({ path, remove: () => removeDirectory(path) });

/** @throws Error before anything was touched, if something of the parts could not be taken away */
export function expectRemovable(paths: readonly string[]): void {
  for (const path of paths.filter((one) => lstatSync(one, { throwIfNoEntry: false }))) {
    try {
      accessSync(dirname(path), constants.W_OK | constants.X_OK);
    } catch (error) {
      throw new Error(`"${path}" cannot be removed (${messageOf(error)}): nothing was removed`);
    }
  }
}

const kubeconfigIn = (networkDir: string): string => join(ownDirectory(networkDir), 'kubeconfig');

/** Files that are not whole, which a killed writer has left in the directory that is ours alone. */
function leftovers(networkDir: string): string[] {
  const directory = ownDirectory(networkDir);
  const beside = [kubeconfigIn(networkDir), recordPath(networkDir)].map(besideOf);
  return namesIn(directory)
    .map((name) => join(directory, name))
    .filter((path) => beside.includes(path));
}

interface About {
  readonly machine: CliNode;
  /** The path of the executable that goes. */
  readonly executable: string;
}

const startedBy = (unit: Uint8Array): string | undefined => /^ExecStart=(\S+)/m.exec(Buffer.from(unit).toString())?.[1];

/** Whether systemd has an agent of this executable at work. */
export function isServing({ machine, executable }: About): boolean {
  const path = join(machine.systemd.units, agentUnit);
  const isOurs = existsSync(path) && startedBy(readFileSync(path)) === executable;
  return isOurs && isSystemdThere(machine) && isActive(machine, agentUnit);
}

/** A unit, a network or a kubeconfig: removed if its contents are still those that one of us gave it. */
function removeWritten(path: string, sums: readonly string[], { machine, executable }: About): Ending {
  const there = lstatSync(path, { throwIfNoEntry: false });
  const unit = ourUnits.find((one) => path === join(machine.systemd.units, one));
  const text = there?.isFile() ? readFileSync(path) : undefined;
  if (there && !(text && isAsWritten(text, sums))) {
    const remedy = unit ? `systemctl disable --now ${unit}, and remove it` : 'remove it if nothing uses it';
    return { path, done: 'left', why: `it is not as install wrote it: ${remedy}` };
  }
  const started = unit && text ? startedBy(text) : undefined;
  if (started !== undefined && started !== executable) {
    const why = `it starts ${started}, which is another installation: userspace uninstall ${dirname(started)}`;
    return { path, done: 'left', why, isRecorded: true };
  }
  if (!unit) return removeFile(path);
  const tell = isSystemdThere(machine);
  // Where systemd does not run, a link may say that it is to be started.
  if (tell && there) systemctl(machine, 'disable', '--now', unit);
  rmSync(join(machine.systemd.units, 'multi-user.target.wants', unit), { force: true });
  const item = removeFile(path);
  if (tell) systemctl(machine, 'daemon-reload');
  return item;
}

function removeFile(path: string): Ending {
  rmSync(besideOf(path), { force: true });
  if (!lstatSync(path, { throwIfNoEntry: false })) return { path, done: 'not there' };
  unlinkSync(path);
  // A power cut must not bring a kubeconfig back.
  syncDirectory(dirname(path));
  return { path, done: 'removed' };
}

/** Removes an empty directory, and leaves one that holds something. */
function removeDirectory(path: string): Ending {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there) return { path, done: 'not there' };
  if (there.isSymbolicLink()) return { path, done: 'left', why: 'it is a symlink, which an ADD does not make' };
  const names = namesIn(path);
  if (names.length > 0) return { path, done: 'left', why: `it holds ${namesText(names)}` };
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    return { path, done: 'left', why: 'it is a mount point' };
  }
  syncDirectory(dirname(path));
  return { path, done: 'removed' };
}

/** A socket at which nothing listens any more is an agent's that was killed, and its figures are counted by no process. */
async function removeSockets(directory: string): Promise<Ending> {
  const isCounting = await isListening(join(directory, 'figures'));
  for (const name of namesIn(directory)) {
    const path = join(directory, name);
    const isSocket = name.startsWith('agent-') && !(await isListening(path));
    if (isSocket || (/^figures(\.|$)/.test(name) && !isCounting)) rmSync(path, { force: true });
  }
  return removeDirectory(directory);
}

async function isListening(socket: string): Promise<boolean> {
  try {
    (await connectUnix(socket, { data: () => undefined, closed: () => undefined })).close();
    return true;
  } catch {
    return false;
  }
}

const instanceName = 'instance';

/** Everything in a data directory that is no journal. The id is the last: by it, a second uninstall knows the directory. */
const dataFiles: readonly string[] = ['recover.again', 'recover.holder', 'recover.lock', instanceName];

/** An ADD that was killed as it made the id leaves the file empty. */
function isInstance(path: string): boolean {
  if (!existsSync(path)) return false;
  const text = readFileSync(path, 'utf8');
  return text === '' || /^[0-9a-f]{16}$/m.test(text);
}

function removeDataDir(path: string): Ending {
  const journals = namesIn(path).filter((name) => name.endsWith(journalSuffix));
  if (journals.length > 0) {
    const why = `its journals (${journals.length}) tell what has to be removed: install again, then userspace recover`;
    return { path, done: 'left', why };
  }
  // A directory that a typing error names may hold another program's file of that name.
  if (isInstance(join(path, instanceName)))
    for (const name of dataFiles) rmSync(join(path, name), { recursive: true, force: true });
  return removeDirectory(path);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const namesMost = 3;

const namesText = (names: readonly string[]): string =>
  `${names.slice(0, namesMost).join(', ')}${names.length > namesMost ? ` and ${names.length - namesMost} more` : ''}`;
