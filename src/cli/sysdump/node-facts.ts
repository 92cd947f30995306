/** The parts of a dump that tell about the machine: versions, settings, processes. */
import { readlink } from 'node:fs/promises';
import { arch } from 'node:os';
import { basename, join } from 'node:path';
import { messageOf } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import { sinceBootMs } from '../../os/bare.ts';
import { hugepages } from '../../os/hugepages.ts';
import { fieldsOfStat, tickMs } from '../../os/processes.ts';
import { identityText, readIdentity } from '../install.ts';
import type { Bag } from './bag.ts';
import { kernelText, lineOf, namesIn } from './files.ts';
import { knownParameters } from './known-names.ts';
import { runtimeVersions } from './logs.ts';
import type { Sources } from './sources.ts';

export async function collectVersions(bag: Bag, sources: Sources, end: Moment): Promise<string> {
  const { call, databases } = sources;
  const identity = identityText(readIdentity(call.version));
  const executable = await readlink('/proc/self/exe').catch(() => 'cannot be told');
  const [kernel, release] = await Promise.all([
    kernelText('/proc/sys/kernel/osrelease'),
    kernelText('/etc/os-release'),
  ]);
  const switches = await Promise.all(databases.map((ovsdb) => switchVersions(sources, ovsdb, end)));
  const os = (release ?? '').split('\n').filter((line) => /^(PRETTY_NAME|ID|VERSION_ID)=/.test(line));
  bag.lines('versions.txt', [
    `userspace: ${identity}`,
    `executable: ${await lineOf(executable, end)}`,
    ...(await agentLines(call.machine.agentDir, end)),
    ...switches.flat(),
    `kernel: ${kernel ?? 'cannot be told'} (${arch()})`,
    ...os,
    ...(await runtimeVersions(call, end)),
  ]);
  return `userspace ${call.version}, kernel ${kernel}`;
}

async function switchVersions({ rows }: Sources, ovsdb: string, end: Moment): Promise<string[]> {
  try {
    const [root] = (await rows(ovsdb, end)).Open_vSwitch ?? [];
    return [`Open vSwitch at ${ovsdb}: ${root?.ovs_version ?? ''}`, `DPDK at ${ovsdb}: ${root?.dpdk_version ?? ''}`];
  } catch {
    // The item of the rows says why.
    return [`Open vSwitch at ${ovsdb}: cannot be asked`];
  }
}

async function agentLines(directory: string | undefined, end: Moment): Promise<string[]> {
  if (directory === undefined) return ['agent: none is asked (USERSPACE_CNI_AGENT=off)'];
  const names = await namesIn(directory, end).catch(() => []);
  const paths = [directory, ...names.map((name) => join(directory, name))];
  return await Promise.all(paths.map(async (path) => `agent: ${await lineOf(path, end)}`));
}

const settings = [
  ...[
    'vm/max_map_count',
    'vm/nr_hugepages',
    'vm/nr_overcommit_hugepages',
    'vm/overcommit_memory',
    'vm/hugetlb_shm_group',
  ],
  ...[
    'fs/inotify/max_user_instances',
    'fs/inotify/max_user_watches',
    'fs/inotify/max_queued_events',
    'fs/file-nr',
    'fs/nr_open',
  ],
  ...[
    'kernel/pid_max',
    'kernel/threads-max',
    'kernel/yama/ptrace_scope',
    'kernel/unprivileged_bpf_disabled',
    'net/core/somaxconn',
  ],
].map((name) => `/proc/sys/${name}`);

const securityFiles = [
  ...[
    '/sys/kernel/security/lsm',
    '/sys/fs/selinux/enforce',
    '/sys/module/apparmor/parameters/enabled',
    '/proc/self/attr/current',
  ],
  ...['/proc/self/cgroup', '/sys/fs/cgroup/cgroup.controllers', '/sys/kernel/mm/transparent_hugepage/enabled'],
];

export async function collectSettings(bag: Bag, { call }: Sources): Promise<string> {
  const texts = await Promise.all(
    [...settings, ...securityFiles].map(async (path) => `${path}: ${(await kernelText(path)) ?? 'not there'}`),
  );
  const [memory = '', limits = '', commandLine = '', controllers] = await Promise.all(
    ['/proc/meminfo', '/proc/self/limits', '/proc/cmdline', '/sys/fs/cgroup/cgroup.controllers'].map(kernelText),
  );
  bag.lines('settings.txt', [
    `hugepages: ${hugepagesText(call.machine.hugepagesDir, bag)}`,
    ...memory.split('\n').filter((line) => /^(Mem(Total|Free|Available)|Huge|Direct|Shmem|Locked|Swap)/.test(line)),
    `kernel command line, as far as it is about memory and processors: ${shownParameters(commandLine)}`,
    `cgroup version: ${controllers === undefined ? 1 : 2}`,
    ...texts,
    'limits of this process:',
    ...limits.split('\n').map((line) => `  ${line.trimEnd()}`),
  ]);
  return `${texts.length} files of the kernel`;
}

/** Other parameters may hold a password, as those of an installer do. */
const shownParameters = (commandLine: string): string =>
  commandLine
    .split(/\s+/)
    .filter((one) => knownParameters.has(one.split('=')[0]?.toLowerCase() ?? ''))
    .join(' ');

function hugepagesText(directory: string, bag: Bag): string {
  try {
    return hugepages(directory)
      .map(({ kiB, total, free }) => `${total} of ${kiB} KiB, ${free} free`)
      .join('; ');
  } catch (error) {
    bag.lacks(`hugepages: ${messageOf(error)}`);
    return 'cannot be told';
  }
}

/** Ours, and the daemons of the switch. */
const isMeant = (executable: string): boolean => /^(userspace|ovs-vswitchd|ovsdb-server)/.test(basename(executable));

/** The words of a command line that may be shown: the rest may hold anything. */
const shownWords = ['agent', '--worker', 'recover', 'list', 'show', 'status', 'install', 'sysdump'];

export async function collectProcesses(bag: Bag, { call }: Sources, end: Moment): Promise<string> {
  const own = await readlink('/proc/self/exe').catch(() => undefined);
  const pids = (await namesIn('/proc', end)).filter((name) => /^\d+$/.test(name));
  const bootedMs = call.machine.clock().getTime() - sinceBootMs();
  const lines = await Promise.all(
    pids.map(async (pid) => {
      const executable = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
      if (executable === undefined || !(executable === own || isMeant(executable))) return [];
      return [await processLine(pid, executable, bootedMs)];
    }),
  );
  bag.lines('processes.txt', ['pid parent state uid threads start wchan executable words', ...lines.flat()]);
  return `${lines.flat().length} of this plugin and of the switch`;
}

async function processLine(pid: string, executable: string, bootedMs: number): Promise<string> {
  const of = (name: string) => kernelText(`/proc/${pid}/${name}`);
  const [stat = '', wchan = '', status = '', words = ''] = await Promise.all(
    ['stat', 'wchan', 'status', 'cmdline'].map(of),
  );
  const fields = fieldsOfStat(stat);
  const start = new Date(bootedMs + Number(fields[19]) * tickMs);
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? '?';
  const shown = words.split('\0').filter((word) => shownWords.includes(word));
  const began = Number.isNaN(start.getTime()) ? '?' : start.toISOString();
  return [pid, fields[1], fields[0], uid, fields[17], began, wchan || '0', executable, ...shown].join(' ');
}
