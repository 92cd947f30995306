/** The parts of a dump that tell what was logged: log files, and the system's journal of our units. */
import { messageOf } from '../../attachment.ts';
import { type Moment, within } from '../../deadlines.ts';
import { codeOf } from '../../effects/outcome.ts';
import { type Finished, run } from '../../os/subprocess.ts';
import type { Bag } from './bag.ts';
import { fileNameOf, kernelText, tailOf } from './files.ts';
import type { DumpCall, Sources } from './sources.ts';

const logBytesMax = 2 * 1024 * 1024;
const programMs = 10_000;

/** @returns undefined if it is in none of the directories of programs */
async function ask(
  call: DumpCall,
  [name = '', ...args]: readonly string[],
  end: Moment,
): Promise<Finished | undefined> {
  const env = { PATH: call.machine.programDirs.join(':'), LC_ALL: 'C' };
  for (const directory of call.machine.programDirs) {
    const file = `${directory}/${name}`;
    const program = { file, args, env, stdin: '', locks: [], end: within(end, programMs), purpose: 'sysdump' };
    const finished = await run(program);
    if (finished.spawnError !== 'ENOENT' && finished.spawnError !== 'ENOTDIR') return finished;
  }
  return undefined;
}

export async function collectLogs(bag: Bag, { call, logFiles }: Sources, end: Moment): Promise<string> {
  const paths = [...new Set([...call.logs, ...logFiles])];
  let count = 0;
  for (const [index, path] of paths.entries()) {
    try {
      // A log that a network names may be any file: its author need not be root, and we read it as root.
      const isOurs = !call.logs.includes(path);
      const { text, isCut } = await tailOf(path, logBytesMax, end, { isOurs });
      const [timed, isTimed] = since(text.split('\n'), call.since);
      if (!isTimed) bag.lacks(`the times of "${path}" are of an unknown form: all of its lines are here`);
      const lines = isOurs ? ownLines(timed) : timed;
      bag.file(`logs/${index + 1}-${fileNameOf(path)}`, bag.redactor.text(lines.join('\n')));
      if (isCut) bag.lacks(`the beginning of "${path}": only its last ${logBytesMax} bytes are here`);
      count++;
    } catch (error) {
      // A log that a configuration names is made by the first line.
      if (codeOf(error) !== 'ENOENT' || call.logs.includes(path)) bag.lacks(`log "${path}": ${messageOf(error)}`);
    }
  }
  return `${count} files${await collectUnits(bag, call, end)}`;
}

/** The lines that this plugin writes (src/log.ts); others are counted. */
function ownLines(lines: readonly string[]): readonly string[] {
  const isOwn = (line: string): boolean => /^\S+ \[(error|warning|info)\] userspace: /.test(line);
  const own = lines.filter(isOwn);
  const others = lines.filter((line) => line !== '' && !isOwn(line)).length;
  const told = others === 0 ? [] : [`[${others} lines that this plugin did not write: --log FILE takes them too]`];
  return [...told, ...own, ''];
}

/**
 * Lines from the first one on that is not older; lines without a time belong to the one before.
 * @returns whether there is a line whose time could be read, too
 */
function since(lines: readonly string[], moment: Date | undefined): [lines: readonly string[], isTimed: boolean] {
  if (!moment) return [lines, true];
  const timeOf = (line: string): number =>
    Date.parse(/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:?\d\d)?/.exec(line)?.[0] ?? '');
  if (lines.every((line) => Number.isNaN(timeOf(line)))) return [lines, lines.every((line) => line === '')];
  const first = lines.findIndex((line) => timeOf(line) >= moment.getTime());
  return [first < 0 ? [] : lines.slice(first), true];
}

/** Those of deploy/systemd, each by its name: a pattern that fits no unit makes journalctl fail. */
const units = ['agent.service', 'recover.service', 'recover-boot.service', 'recover-switch.path', 'recover.timer'].map(
  (name) => `userspace-${name}`,
);

/** The newest lines first, because the rest of a long output is not read. */
async function collectUnits(bag: Bag, call: DumpCall, end: Moment): Promise<string> {
  const from = call.since ? [`--since=@${Math.floor(call.since.getTime() / 1000)}`] : [];
  const shape = ['--no-pager', '--quiet', '--output=short-iso', '--reverse', '--lines=20000'];
  const told = await ask(call, ['journalctl', ...shape, ...from, ...units.map((unit) => `--unit=${unit}`)], end);
  if (!told) return ', and no journalctl';
  if (told.exitCode !== 0) {
    bag.lacks(
      `journalctl: ${told.timedOut ? 'did not end in time' : told.stderr.trim() || told.spawnError || `exit code ${told.exitCode}`}`,
    );
    return '';
  }
  const lines = told.stdout
    .split('\n')
    .filter((line) => line !== '')
    .reverse();
  bag.file('logs/units.txt', bag.redactor.text(lines.map((line) => `${line}\n`).join('')));
  return `, and ${lines.length} lines of our units`;
}

/** The programs beside us whose version decides about what they ask for. */
const runtimes = ['containerd', 'crio', 'kubelet', 'podman'];

export async function runtimeVersions(call: DumpCall, end: Moment): Promise<string[]> {
  const told = await Promise.all(
    runtimes.map(async (name) => ({ name, answer: await ask(call, [name, '--version'], end) })),
  );
  return told.flatMap(({ name, answer }) => {
    if (!answer) return [];
    const [first = ''] = answer.stdout.trim().split('\n');
    return [`${name}: ${answer.exitCode === 0 ? first : 'does not tell its version'}`];
  });
}

export const hostName = async (): Promise<string> =>
  ((await kernelText('/proc/sys/kernel/hostname')) ?? 'node').replace(/[^\w.-]/g, '_').slice(0, 64) || 'node';
