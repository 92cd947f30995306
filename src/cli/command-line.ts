/** The surroundings and the options of the commands for people. */
import { parseArgs } from 'node:util';
import type { Host } from '../effects/host.ts';
import type { RecoveryReport } from '../figures/report.ts';
import type { Disk } from '../journal/disk.ts';
import type { Elsewhere } from '../machines/protocol.ts';
import { type OptionWords, options } from './commands.ts';
import type { Charset } from './text.ts';

export interface Terminal {
  readonly args: readonly string[];
  /** Neither fails nor waits, like stderr: a recovery holds its lease and locks meanwhile. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether colours are wanted: a terminal without NO_COLOR. */
  readonly interactive: boolean;
  /** The width of the terminal, if there is one. */
  readonly columns?: number;
  /** The characters that it has, by its locale. */
  readonly charset: Charset;
  /** Waits for a reader that does not read, for a command that stays. @returns false if the reader has gone */
  readonly written?: () => Promise<boolean>;
  /** Resolves when a person ends a command that stays (Ctrl-C). Asked for by such a command only. */
  readonly ended?: () => Promise<void>;
  readonly version: string;
}

export interface CliNode {
  readonly disk: Disk;
  /** @param elsewhere other places for things that are no longer where a journal says */
  readonly host: (elsewhere?: Elsewhere) => Host;
  /** The directories of IPAM programs from the environment (CNI_PATH, split). */
  readonly path: readonly string[];
  readonly clock: () => Date;
  readonly pid: number;
  /** The effective uid. */
  readonly uid: number;
  /** The directory of the runtime's networks; the next one is the kernel's for counts of hugepages. */
  readonly networkDir: string;
  readonly hugepagesDir: string;
  /** Where an agent listens; undefined if none is asked. */
  readonly agentDir?: string | undefined;
  /** Tells an agent's meter of a recovery. Neither fails nor waits. */
  readonly report?: (recovery: RecoveryReport) => void;
  /** Where the system's own programs are. */
  readonly programDirs: readonly string[];
  /** The directory of the administrator's units, and the one that is there while systemd runs. */
  readonly systemd: { readonly units: string; readonly runs: string };
  /** The root of the directories for manual pages and completions. */
  readonly systemRoot: string;
  /** Where an ADD without another name puts its short links. */
  readonly shortDir: string;
}

type Parsed<Option> = (Option extends { argument: string } ? { type: 'string' } : { type: 'boolean'; default: false }) &
  (Option extends { isRepeatable: true } ? { multiple: true } : unknown) &
  (Option extends { short: string } ? { short: string } : unknown) &
  (Option extends { default: string } ? { default: string } : unknown);

/** An option as node:util parses it. */
const parsed = ({ argument, short, isRepeatable, default: usual }: OptionWords) => ({
  ...(argument ? { type: 'string' as const } : { type: 'boolean' as const, default: false }),
  ...(short !== undefined && { short }),
  ...(isRepeatable && { multiple: true }),
  ...(usual !== undefined && { default: usual }),
});

const flags = Object.fromEntries(Object.entries(options).map(([name, option]) => [name, parsed(option)])) as {
  readonly [name in keyof typeof options]: Parsed<(typeof options)[name]>;
};

/** Options that name a file, a directory or a socket. */
export const places: readonly string[] = Object.entries(options).flatMap(([name, option]) =>
  'isPlace' in option ? [name] : [],
);

/** @throws TypeError for an option that no command has */
export const parseWords = (args: readonly string[]) =>
  parseArgs({ args: [...args], options: flags, allowPositionals: true, tokens: true });

export type Words = ReturnType<typeof parseWords>;

/** One call of a command. */
export interface CommandCall {
  readonly words: Words;
  readonly terminal: Terminal;
  readonly machine: CliNode;
}

export const exit = { done: 0, failed: 1, usage: 2, owed: 3 } as const;

export function answer({ stdout }: Terminal, text: string): number {
  stdout(text);
  return exit.done;
}

export function refuseWords({ stderr }: Terminal, message: string): number {
  stderr(`userspace: ${message}; see userspace --help\n`);
  return exit.usage;
}

export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const unitMs: { readonly [unit: string]: number } = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A moment (ISO 8601), or how long ago it is, as `90m`. @returns undefined for any other text */
export function momentOf(text: string, now: Date): Date | undefined {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  const moment = count && unit ? new Date(now.getTime() - Number(count) * (unitMs[unit] ?? 0)) : new Date(text);
  return /^\d/.test(text) && !Number.isNaN(moment.getTime()) ? moment : undefined;
}
