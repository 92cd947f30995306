/** The parts of an installation beside the executable, and how each is taken away. What a person has made or changed stays. */
import { accessSync, constants, existsSync, lstatSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { journalSuffix, messageOf } from '../../attachment.ts';
import { connectUnix } from '../../os/native.ts';
import type { CliNode } from '../command-line.ts';
import { besideOf, syncDirectory } from './place.ts';
import { ownDirectory, readRecord, recordPath, sumOf } from './record.ts';
import { agentUnit, isSystemdThere, systemctl } from './systemd.ts';

export interface Ending {
  readonly path: string;
  readonly done: 'removed' | 'not there' | 'left' | 'failed';
  /** For what is left or failed: the reason, and the remedy. */
  readonly why?: string;
}

export interface Part {
  readonly path: string;
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
export function partsOf(machine: CliNode, dataDirs: readonly string[]): Part[] {
  const { networkDir, systemd, agentDir, shortDir } = machine;
  const written = readRecord(networkDir);
  const units = ourUnits.map((unit) => join(systemd.units, unit)).filter((path) => !(path in written));
  const files = [...Object.keys(written), ...units.filter(existsSync)];
  return [
    ...files.map((path) => ({ path, remove: () => removeWritten(path, written[path] ?? [], machine) })),
    ...ownFiles(networkDir).map((path) => ({ path, remove: () => removeFile(path) })),
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

/** The kubeconfig and the record, with what a killed writer of either has left beside it. The record is the last. */
function ownFiles(networkDir: string): string[] {
  const directory = ownDirectory(networkDir);
  const names = namesIn(directory).filter((name) => /^\.?(kubeconfig|installed\.json)(\.|$)/.test(name));
  const record = recordPath(networkDir);
  const all = new Set([join(directory, 'kubeconfig'), ...names.map((name) => join(directory, name))]);
  return [...[...all].filter((path) => path !== record), ...(all.has(record) ? [record] : [])];
}

/** A unit or a conflist: removed if its contents are still those that install gave it. */
function removeWritten(path: string, sums: readonly string[], machine: CliNode): Ending {
  const there = lstatSync(path, { throwIfNoEntry: false });
  const unit = ourUnits.find((one) => path === join(machine.systemd.units, one));
  if (there && !(there.isFile() && sums.includes(sumOf(readFileSync(path))))) {
    const remedy = unit ? `systemctl disable --now ${unit}, and remove it` : 'remove it if nothing uses it';
    return { path, done: 'left', why: `it is not as install wrote it: ${remedy}` };
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
  rmSync(path);
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
