/**
 * The files that install writes beside the executable: a kubeconfig, a network to start from, the agent's unit. All are looked at
 * before any is touched. None that a person has made or changed is ever overwritten.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import agentUnitText from '../../../deploy/systemd/userspace-agent.service' with { type: 'text' };
import { defaultShortDir } from '../../cni/config/defaults.ts';
import { now } from '../../deadlines.ts';
import type { CliNode } from '../command-line.ts';
import { manualFiles, missingDirectories } from './manual.ts';
import { expectPlaceable, type PlacedFile, placeFile } from './place.ts';
import { directoryMark, isAsWritten, ownDirectory, readRecord, recordPath, sumOf } from './record.ts';
import { agentUnit, isSystemdThere, systemctl, systemctlIn } from './systemd.ts';

export interface Extras {
  readonly units: boolean;
  readonly conflist: boolean;
  /** The directory for the network, if not the runtime's usual one. */
  readonly confDir: string | undefined;
  /** A person's file, which is copied. */
  readonly kubeconfig: string | undefined;
  /** Whether manual pages and completions are written too. */
  readonly manual: boolean;
}

/** The executable that is installed. */
export interface Installing {
  readonly path: string;
  readonly version: string;
}

export interface Placed {
  readonly path: string;
  readonly done: ReturnType<typeof placeFile>;
}

type Machine = Pick<CliNode, 'networkDir' | 'systemd' | 'programDirs' | 'systemRoot'>;

interface PlannedExtras {
  /** In the order in which they are written: the network last, because a runtime uses it from then on. */
  readonly files: readonly PlacedFile[];
  /** Those that have to be made for manual pages and completions. */
  readonly directories: readonly string[];
  readonly units: boolean;
}

export const networkFile = '50-userspace.conflist';

/** Reads and checks everything, and changes nothing. @throws Error */
export async function planExtras(machine: Machine, executable: Installing, extras: Extras): Promise<PlannedExtras> {
  const { networkDir, systemd, systemRoot } = machine;
  const manual = extras.manual ? manualFiles(systemRoot, executable.version) : [];
  const files = [...manual];
  const kubeconfig = join(ownDirectory(networkDir), 'kubeconfig');
  if (extras.kubeconfig !== undefined)
    files.push({ path: kubeconfig, contents: await checkedKubeconfig(resolve(extras.kubeconfig)), mode: 0o600 });
  if (extras.units)
    files.push({ path: join(systemd.units, agentUnit), contents: unitFor(executable.path), mode: 0o644 });
  if (extras.conflist) {
    const directory = resolve(extras.confDir ?? networkDir);
    if (extras.confDir !== undefined && !existsSync(directory))
      throw new Error(`there is no directory "${directory}": name the runtime's, or make this one (mkdir -p)`);
    const named = extras.kubeconfig !== undefined || existsSync(kubeconfig) ? kubeconfig : undefined;
    files.push({ path: join(directory, networkFile), contents: networkText(named), mode: 0o644 });
  }
  const record = files.length > 0 ? [recordPath(networkDir)] : [];
  for (const path of [...files.map((file) => file.path), ...record]) expectPlaceable(path);
  const written = readRecord(networkDir);
  for (const file of files) expectOurs(file, written[file.path] ?? []);
  if (extras.units && isSystemdThere(machine)) systemctlIn(machine);
  return { files, directories: missingDirectories(manual), units: extras.units };
}

function expectOurs({ path, contents }: PlacedFile, sums: readonly string[]): void {
  if (!existsSync(path)) return;
  const there = readFileSync(path);
  if (there.toString() === contents || isAsWritten(there, sums)) return;
  throw new Error(
    `"${path}" is there, and is not as install wrote it: nothing was touched; leave out its option, or take the file away`,
  );
}

/** Writes what was planned. A second call finishes what a first one could not. @throws Error naming what failed */
export function placeExtras(machine: Machine, { files, directories, units }: PlannedExtras): Placed[] {
  if (files.length > 0) recordSums(machine.networkDir, files, directories);
  const placed = files.map((file): Placed => ({ path: file.path, done: placeFile(file) }));
  if (units && isSystemdThere(machine)) {
    systemctl(machine, 'daemon-reload');
    systemctl(machine, 'enable', '--now', agentUnit);
  }
  return placed;
}

/** Notes the sums before the files are written: at no moment is a file of ours taken for a person's. */
function recordSums(networkDir: string, files: readonly PlacedFile[], directories: readonly string[]): void {
  const written = readRecord(networkDir);
  const sums = files.map(({ path, contents }) => {
    const fresh = sumOf(contents);
    const old = existsSync(path) ? [sumOf(readFileSync(path))].filter((sum) => written[path]?.includes(sum)) : [];
    return [path, [...new Set([fresh, ...old])]] as const;
  });
  const made = directories.map((path) => [path, [directoryMark]] as const);
  const contents = `${JSON.stringify({ ...written, ...Object.fromEntries([...sums, ...made]) }, null, 2)}\n`;
  placeFile({ path: recordPath(networkDir), contents, mode: 0o644 });
}

/** The words to type where systemd is to take the unit up later, as in an image. */
export const enableWords = `systemctl daemon-reload && systemctl enable --now ${agentUnit}`;

/** Characters that mean nothing else to systemd.service(5). */
const plainPath = /^[\w./+:@-]+$/;

function unitFor(executable: string): string {
  if (!plainPath.test(executable)) throw new Error(`"${executable}" cannot be named in a unit: nothing was touched`);
  return agentUnitText.replace(/^ExecStart=\S+/m, `ExecStart=${executable}`);
}

/** A network like README's, with the defaults of everything else. */
function networkText(kubeconfig: string | undefined): string {
  const vhost = (mode: string) => ({ engine: 'ovs-dpdk', iftype: 'vhostuser', vhost: { mode } });
  const plugin = {
    type: 'userspace',
    ...(kubeconfig && { kubeconfig }),
    sharedDir: defaultShortDir,
    host: { ...vhost('client'), netType: 'bridge', bridge: { bridgeName: 'br-dpdk' } },
    container: { ...vhost('server'), netType: 'interface' },
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.56.0.0/16' }]] },
  };
  return `${JSON.stringify({ cniVersion: '1.0.0', name: 'dpdk-net', plugins: [plugin] }, null, 2)}\n`;
}

/** A program that gives credentials may need this long. */
const credentialsMs = 10_000;

/** A path that is relative to the kubeconfig means another file beside the copy. */
const relativeFile =
  /(?<![\w-])(certificate-authority|client-certificate|client-key|tokenFile)["']?[ \t]*:[ \t]*(?!["']?\/)\S/;

/** The text of a kubeconfig that a call could use from another place. @throws Error */
async function checkedKubeconfig(path: string): Promise<string> {
  const { readKubeconfig } = await import('../../effects/kubernetes/kubeconfig.ts');
  await readKubeconfig(path, now() + credentialsMs);
  const text = readFileSync(path, 'utf8');
  const [, key] = relativeFile.exec(text) ?? [];
  if (key === undefined) return text;
  throw new Error(
    `"${path}" names a file beside itself (${key}): take one that holds all (kubectl config view --raw --minify --flatten); nothing was touched`,
  );
}
