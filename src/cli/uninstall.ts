/**
 * `userspace uninstall`: takes away what install put there, if nothing lives and nothing is owed. Every part is looked for, so a
 * second one finishes what an earlier one could not, or finds nothing.
 *
 * Order: what lives; the executable's name; what lives once more, because a call may have begun between the two; the other parts;
 * the executable's file, which tells a second uninstall that this one was killed.
 */
import { closeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { messageOf } from '../attachment.ts';
import type { CliNode } from './command-line.ts';
import { lockDirectory, name, openDirectory, type PluginDirectory } from './install.ts';
import { installedNetworks } from './networks.ts';
import { findLiving, type Living, type Places, type Survey } from './setup/living.ts';
import { Name } from './setup/name.ts';
import { type Ending, expectRemovable, isServing, type Part, partsOf } from './setup/parts.ts';
import { agentUnit, systemctl } from './setup/systemd.ts';

interface Wanted {
  readonly machine: CliNode;
  /** The runtime's plugin directory. */
  readonly directory: string;
  readonly places: Places;
  /** Removes even if something lives. */
  readonly force: boolean;
}

export interface Uninstalled {
  readonly done: 'removed' | 'refused' | 'failed';
  readonly living: readonly Living[];
  readonly items: readonly Ending[];
  readonly notes: readonly string[];
}

/** @throws Error before anything is touched; the name leads where it led before */
export async function uninstall(wanted: Wanted): Promise<Uninstalled> {
  const directory = resolve(wanted.directory);
  const bin = directoryIfThere(directory);
  try {
    if (bin) lockDirectory(bin);
    const first = await findLiving(wanted.machine, wanted.places);
    const executable = bin && new Name(bin);
    if (first.living.length > 0 && !wanted.force) {
      executable?.putBack();
      return refused(first);
    }
    const path = join(directory, name);
    return await removeAll(wanted, { path, executable, first });
  } finally {
    if (bin) closeSync(bin.fd);
  }
}

function directoryIfThere(path: string): PluginDirectory | undefined {
  try {
    return openDirectory(path);
  } catch (error) {
    if ((error as { cause?: NodeJS.ErrnoException }).cause?.code === 'ENOENT') return undefined;
    throw error;
  }
}

const refused = ({ living, notes }: Survey): Uninstalled => ({ done: 'refused', living, items: [], notes });

interface Found {
  /** The executable's path. */
  readonly path: string;
  /** Undefined if there is no plugin directory. */
  readonly executable: Name | undefined;
  readonly first: Survey;
}

async function removeAll(wanted: Wanted, { path, executable, first }: Found): Promise<Uninstalled> {
  const { machine, force } = wanted;
  const parts = partsOf(machine, first.dataDirs, path);
  const stranger = executable?.stranger();
  expectRemovable([path, ...parts.map((part) => part.path)]);
  const wasActive = isServing({ machine, executable: path });
  const taken = stranger === undefined ? executable : undefined;
  const isNamed = taken?.isThere() === true;
  const again = async () => {
    taken?.putBack();
    if (wasActive) systemctl(machine, 'start', agentUnit);
  };
  let last: Survey;
  try {
    if (wasActive) systemctl(machine, 'stop', agentUnit);
    taken?.takeAway();
    const running = (await taken?.ended()) ?? [];
    const after = await findLiving(machine, wanted.places);
    last = { ...after, living: [...running, ...after.living] };
  } catch (error) {
    await again();
    throw error;
  }
  if (last.living.length > 0 && !force) {
    await again();
    return refused(last);
  }
  const items: Ending[] = [];
  const failed = () => items.some((item) => item.done === 'failed');
  const isNeeded = () => failed() || items.some((item) => item.isRecorded);
  for (const part of parts)
    items.push(part.isRecord && isNeeded() ? { path: part.path, done: 'left', why: neededAgain } : await removed(part));
  items.push(
    stranger
      ? { path, done: 'left', why: `${stranger}: remove it by hand` }
      : await removed(executablePart(path, taken, isNamed)),
  );
  const done = failed() ? 'failed' : 'removed';
  return { done, living: last.living, items, notes: [...last.notes, ...lonely(machine)] };
}

const neededAgain = 'a later uninstall knows by it what is left now';

/** Networks of a person's that lead to the executable. */
const lonely = ({ networkDir }: CliNode): string[] =>
  [...new Set(installedNetworks(networkDir).networks.map(({ file }) => file))].map(
    (file) => `${file} stays, and names the plugin that is gone: a runtime that uses it fails`,
  );

function executablePart(path: string, executable: Name | undefined, isNamed: boolean): Part {
  return {
    path,
    remove: () => {
      executable?.remove();
      return { path, done: isNamed ? 'removed' : 'not there' };
    },
  };
}

/** One part that cannot be removed does not keep the others. */
async function removed(part: Part): Promise<Ending> {
  try {
    return await part.remove();
  } catch (error) {
    return { path: part.path, done: 'failed', why: `${messageOf(error)}: mend that, and run uninstall once more` };
  }
}

export function uninstallText({ done, living, items, notes }: Uninstalled): string {
  const lives = living.map(
    ({ name: one, state, pod, network, at, remedy }) =>
      `  ${one}: ${[state, ...(pod ? [`pod ${pod}`] : []), ...(network ? [`network ${network}`] : []), at].join(', ')}\n    -> ${remedy}\n`,
  );
  const head =
    done === 'refused' ? 'nothing was removed: what lives, or is owed, needs the executable for its end' : forcedText;
  return [
    ...items.map(({ path, done: what, why }) => `${path}: ${what}${why ? `: ${why}` : ''}\n`),
    ...(living.length > 0 ? [`${head}\n`, ...lives] : []),
    ...notes.map((note) => `note: ${note}\n`),
  ].join('');
}

const forcedText = 'this will not be cleaned: only the plugin, installed again, ends it';
