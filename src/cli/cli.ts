/**
 * The commands for people: list, show, recover, status, install, uninstall, sysdump. A table or a timeline on a terminal, one JSON document with
 * --json.
 *
 * Exit codes: 0 done and nothing left to do, 1 the command failed (status: the node is sick), 2 wrong arguments, 3 something is
 * owed (dry run: something is to be done; uninstall: something lives; sysdump: something could not be had).
 */
import { resolve } from 'node:path';
import { messageOf } from '../attachment.ts';
import { defaultDeadlines, now, sleep } from '../deadlines.ts';
import { leadsNowhere } from '../effects/files/room.ts';
import type { RecoveryReport } from '../figures/report.ts';
import type { Disk } from '../journal/disk.ts';
import { findJournalHolder } from '../journal/holder.ts';
import type { KnownPort } from '../machines/protocol.ts';
import { asChecked } from '../plan/result.ts';
import { forgetDebt } from '../recovery/forget.ts';
import { withLease } from '../recovery/lease.ts';
import { isOwed, type Recovered, type UnreachableSwitch } from '../recovery/options.ts';
import { recover } from '../recovery/recover.ts';
import type { Fate } from '../recovery/words.ts';
import { type Attachment, findMatching, findOne, holderAt, isOwing, readAttachments } from './attachments.ts';
import { type CliNode, momentOf, parseWords, places, type Terminal } from './command-line.ts';
import { findingsTable, type HealthFinding } from './findings.ts';
import { help } from './help.ts';
import { askSwitches, liveMs } from './live.ts';
import {
  coloured,
  type Page,
  type Paint,
  recoveredLine,
  summary,
  table,
  timeline,
  uncoloured,
  unreachableLine,
} from './print.ts';

const bootMs = 60_000;
const bootPauseMs = 500;

const exit = { done: 0, failed: 1, usage: 2, owed: 3 } as const;

interface Command {
  /** The most words, itself included. */
  readonly words: number;
  /** Its options beside those that all commands take. */
  readonly options: readonly string[];
  /** @returns the exit code */
  readonly run: (call: Call) => number | Promise<number>;
}

const commands: { readonly [command: string]: Command } = {
  list: { words: 1, options: ['no-live'], run: listAttachments },
  show: { words: 3, options: [], run: showAttachment },
  recover: { words: 1, options: ['boot', 'forget', 'dry-run', 'ovsdb', 'kubeconfig'], run: recoverOrForget },
  status: { words: 1, options: ['config', 'ovsdb'], run: reportStatus },
  install: { words: 2, options: ['units', 'conflist', 'conf-dir', 'kubeconfig'], run: (call) => installHere(call) },
  uninstall: { words: 2, options: ['force', 'ovsdb'], run: (call) => uninstallHere(call) },
  sysdump: { words: 1, options: ['output', 'conf-dir', 'config', 'log', 'since', 'ovsdb'], run: dumpSystem },
};

const common: readonly string[] = ['json', 'data-dir'];

type Words = ReturnType<typeof parseWords>;

/** One call of a command. */
interface Call {
  readonly words: Words;
  readonly terminal: Terminal;
  readonly machine: CliNode;
}

/** @returns the exit code. */
export async function runCli(terminal: Terminal, machine: CliNode): Promise<number> {
  let words: Words;
  try {
    words = parseWords(terminal.args);
  } catch (error) {
    // The rest of parseArgs' message is advice for programmers.
    return refuseWords(terminal, messageOf(error).split('. ')[0] ?? '');
  }
  const [command] = words.positionals;
  if (words.values.version) return await tellVersion(words, terminal);
  if (words.values.help || command === undefined || command === 'help')
    return answer(terminal, help(terminal.version, command));
  const known = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (!known) return refuseWords(terminal, `there is no command "${command}"`);
  const misuse = misuseOf(command, known, words);
  if (misuse) return refuseWords(terminal, misuse);
  words.values['data-dir'] = resolve(words.values['data-dir']);
  try {
    return await known.run({ words, terminal, machine });
  } catch (error) {
    terminal.stderr(`userspace ${command}: ${messageOf(error)}\n`);
    return exit.failed;
  }
}

/** An option that a command ignores is refused, because its user would rely on it. */
function misuseOf(command: string, known: Command, { positionals, tokens }: Words): string | undefined {
  if (positionals.length > known.words) return `"${command}" takes no word "${positionals[known.words]}"`;
  if (command === 'show' && !positionals[1]) return 'show needs a container id';
  const given = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []));
  const taken = [...(command === 'install' ? ['json'] : common), ...known.options];
  const strange = given.find((name) => !taken.includes(name));
  if (strange) return `"${command}" takes no --${strange}`;
  const empty = tokens.find((token) => token.kind === 'option' && places.includes(token.name) && token.value === '');
  if (empty?.kind === 'option') return `--${empty.name} is empty: name one, or leave it out`;
  if (command === 'install' && given.includes('conf-dir') && !given.includes('conflist'))
    return '--conf-dir is where --conflist goes: say both';
  return given.includes('forget') && given.includes('boot') ? '--forget takes no --boot' : undefined;
}

async function recoverOrForget(call: Call): Promise<number> {
  const { forget } = call.words.values;
  if (forget !== undefined) return await forgetOne(forget, call);
  const found: Found = { rounds: 0, attachments: new Map(), others: new Map(), unreachable: new Map() };
  try {
    const exitCode = await recoverAlone(call, found);
    reportToMeter(call, found, exitCode === exit.owed ? 'owed' : 'done');
    return exitCode;
  } catch (error) {
    reportToMeter(call, found, 'failed');
    throw error;
  }
}

/** A recovery that left its work to another one is that one's. */
function reportToMeter({ words, machine }: Call, found: Found, result: RecoveryReport['result']): void {
  if (words.values['dry-run'] || (found.rounds === 0 && result !== 'failed')) return;
  const attachments = [...found.attachments.values()];
  const { removed, restored, owed, kept } = countsOf(attachments);
  const interrupted = attachments.filter((one) => one.found === 'interrupted').length;
  const counts = { removed, restored, owed, kept, interrupted, unreachable: found.unreachable.size };
  machine.report?.({ kind: 'recovery', result, ms: now(), ...counts });
}

function answer({ stdout }: Terminal, text: string): number {
  stdout(text);
  return exit.done;
}

function refuseWords({ stderr }: Terminal, message: string): number {
  stderr(`userspace: ${message}; see userspace --help\n`);
  return exit.usage;
}

async function tellVersion({ values }: Words, terminal: Terminal): Promise<number> {
  const { readIdentity, identityText } = await import('./install.ts');
  const identity = readIdentity(terminal.version);
  return answer(terminal, values.json ? json(identity) : `${identityText(identity)}\n`);
}

const installHere = async (call: Call) => (await import('./setup/commands.ts')).runInstall(call);
const uninstallHere = async (call: Call) => (await import('./setup/commands.ts')).runUninstall(call);

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const coloursOf = ({ interactive }: Terminal): Paint => (interactive ? coloured : uncoloured);

const pageOf = (terminal: Terminal, { clock }: CliNode): Page => ({
  colours: coloursOf(terminal),
  now: clock(),
  columns: terminal.columns,
});

async function listAttachments({ words: { values }, terminal, machine }: Call): Promise<number> {
  const dataDir = values['data-dir'];
  const asksLive = !values['no-live'];
  const readings = readAttachments(machine.disk, dataDir, machine.clock());
  const { live, unreachable } = asksLive ? await askAll(readings, machine, dataDir) : nothingAsked;
  const attachments = readings.map(({ attachment, path }): Attachment => {
    const said = live.get(path);
    return said ? { ...attachment, live: said } : attachment;
  });
  const exitCode = attachments.some(isOwing) ? exit.owed : exit.done;
  if (values.json) terminal.stdout(json({ attachments, ...(asksLive && { unreachable }) }));
  else if (attachments.length === 0) terminal.stdout(nothingIn(dataDir, machine.disk));
  else {
    const unknown = unreachable.map((one) => unreachableLine(one, 'could not be asked whether its ports are there'));
    terminal.stdout(table(attachments, { ...pageOf(terminal, machine), asksLive }) + unknown.join(''));
  }
  return exitCode;
}

const nothingAsked: Awaited<ReturnType<typeof askSwitches>> = { live: new Map(), unreachable: [] };

async function askAll(readings: Parameters<typeof askSwitches>[0], machine: CliNode, dataDir: string) {
  const host = machine.host();
  try {
    return await askSwitches(readings, host, dataDir, now() + liveMs);
  } finally {
    host.close();
  }
}

/** Says whether the directory is there at all, because a mistyped name has no attachments either. */
function nothingIn(dataDir: string, disk: Disk): string {
  const isThere = disk.lookup(dataDir) !== undefined;
  const why = leadsNowhere(dataDir) ? ', which is a symlink that leads nowhere' : ', which is not there';
  return `no attachments in ${dataDir}${isThere ? '' : why}\n`;
}

const isSaid = (name: string, tokens: Words['tokens']): boolean =>
  tokens.some((token) => token.kind === 'option' && token.name === name);

/** Imports its code here, because no other command needs it. */
async function reportStatus({ words: { values, tokens }, terminal, machine }: Call): Promise<number> {
  const { lookAtNode } = await import('./health.ts');
  const findings = await lookAtNode(machine, {
    files: values.config?.map((file) => resolve(file)),
    ovsdb: { place: values.ovsdb, isSaid: isSaid('ovsdb', tokens) },
    dataDir: { place: values['data-dir'], isSaid: isSaid('data-dir', tokens) },
  });
  const has = (health: HealthFinding['health']) => findings.some((one) => one.health === health);
  const exitCode = has('sick') ? exit.failed : has('owed') ? exit.owed : exit.done;
  const healthy = exitCode === exit.done;
  terminal.stdout(values.json ? json({ healthy, findings }) : findingsTable(findings, coloursOf(terminal)));
  return exitCode;
}

/** Other commands are a part of it: each is run as a person would, and prints into the archive. */
async function dumpSystem({ words: { values, tokens }, terminal, machine }: Call): Promise<number> {
  const since = values.since === undefined ? undefined : momentOf(values.since, machine.clock());
  if (values.since !== undefined && !since)
    return refuseWords(
      terminal,
      `--since "${values.since}" is neither a time such as 2026-01-31T12:00:00Z nor an age such as 90m`,
    );
  const { sysdump, dumpText } = await import('./sysdump/sysdump.ts');
  const networkDir = resolve(values['conf-dir'] ?? machine.networkDir);
  const command = async (...args: string[]) => {
    const [out, err]: [string[], string[]] = [[], []];
    const said = { stdout: (text: string) => void out.push(text), stderr: (text: string) => void err.push(text) };
    const exitCode = await runCli({ ...terminal, ...said, args, interactive: false }, { ...machine, networkDir });
    return { exitCode, out: out.join(''), err: err.join('') };
  };
  const dumped = await sysdump({
    machine,
    version: terminal.version,
    place: { dataDir: values['data-dir'], ovsdb: values.ovsdb },
    said: { dataDir: isSaid('data-dir', tokens), ovsdb: isSaid('ovsdb', tokens) },
    networkDir,
    configs: values.config?.map((file) => resolve(file)),
    logs: (values.log ?? []).map((file) => resolve(file)),
    since,
    output: values.output,
    command,
  });
  terminal.stdout(values.json ? json(dumped) : dumpText(dumped));
  return dumped.missing.length > 0 ? exit.owed : exit.done;
}

function showAttachment({ words: { values, positionals }, terminal, machine }: Call): number {
  const [, id = '', ifName] = positionals;
  const found = findMatching(readAttachments(machine.disk, values['data-dir'], machine.clock()), id, ifName);
  if (found.length === 0) {
    terminal.stderr(`userspace show: no attachment of "${id}${ifName ? ` ${ifName}` : ''}" in ${values['data-dir']}\n`);
    return exit.failed;
  }
  if (values.json) {
    const documents = found.map(({ attachment, records }) => ({ ...attachment, records }));
    return answer(terminal, json(documents.length === 1 ? documents[0] : documents));
  }
  return answer(terminal, found.map((reading) => timeline(reading, pageOf(terminal, machine))).join('\n'));
}

async function forgetOne(id: string, { words: { values }, terminal, machine }: Call): Promise<number> {
  const { disk, clock } = machine;
  const dryRun = values['dry-run'];
  const dataDir = values['data-dir'];
  const { path, attachment } = findOne(readAttachments(disk, dataDir, clock()), id, dataDir);
  const { key } = attachment;
  const left = await forgetDebt(path, key, { disk, clock, dryRun });
  if (values.json) return answer(terminal, json({ forgotten: key, dryRun, left }));
  const done = dryRun
    ? 'would be forgotten; if it is still there, it would stay'
    : 'forgotten; if it is still there, it stays';
  return answer(terminal, `${key}: ${done}: ${left.join(', ') || 'nothing'}\n`);
}

/** Recovers under the node's lease, if there is a directory to hold it in. */
async function recoverAlone(call: Call, found: Found): Promise<number> {
  const { words, terminal, machine } = call;
  const dataDir = words.values['data-dir'];
  const isThere = machine.disk.lookup(dataDir) !== undefined;
  if (!isThere && !words.values.json) terminal.stdout(nothingIn(dataDir, machine.disk));
  if (words.values.boot && isThere) await awaitSwitch(words, machine);
  const round = () => recoverRound(call, found);
  if (words.values['dry-run'] || !isThere) {
    await round();
    return reportRecovery(call, found);
  }
  const me = {
    pid: machine.pid,
    since: machine.clock().toISOString(),
    command: `userspace ${terminal.args.join(' ')}`,
  };
  const leased = await withLease(dataDir, me, round);
  if (leased.kind === 'done') return reportRecovery(call, found);
  const message = `${leased.to}; it makes another round for this one`;
  return answer(terminal, words.values.json ? json({ left: message, attachments: [] }) : `${message}\n`);
}

/** Waits up to a minute for a switch that starts with the machine, or that is a pod itself. */
async function awaitSwitch({ values }: Words, machine: CliNode): Promise<void> {
  const end = now() + bootMs;
  while (now() < end) {
    const host = machine.host();
    try {
      await host.listPorts({ ovsdb: values.ovsdb }, end);
      return;
    } catch {
      await sleep(bootPauseMs);
    } finally {
      host.close();
    }
  }
}

/** The findings of all rounds: a later round replaces what it sees again. */
interface Found {
  rounds: number;
  readonly attachments: Map<string, Recovered>;
  readonly others: Map<string, KnownPort>;
  readonly unreachable: Map<string, UnreachableSwitch>;
}

async function recoverRound({ words: { values }, terminal, machine }: Call, found: Found): Promise<void> {
  found.rounds++;
  const { ovsdb, kubeconfig } = values;
  const host = machine.host({ ovsdb, path: machine.path, ...(kubeconfig && { kubeconfig: resolve(kubeconfig) }) });
  const colours = coloursOf(terminal);
  // A debt of an earlier round that this round does not see was paid meanwhile.
  for (const [key, one] of found.attachments) if (isOwed(one)) found.attachments.delete(key);
  found.others.clear();
  found.unreachable.clear();
  try {
    const attachments = await recover({
      ...machine,
      host,
      dataDir: values['data-dir'],
      ovsdb: values.ovsdb,
      removeMs: defaultDeadlines.delMs,
      asChecked,
      dryRun: values['dry-run'],
      ...(values.boot && !values['dry-run'] && { patienceMs: bootMs }),
      others: (port) => found.others.set(`${port.name} ${port.instance}`, port),
      unreachable: (one) => found.unreachable.set(one.ovsdb, one),
      holderOf: (path) => {
        const process = findJournalHolder(path);
        return process && holderAt(process, machine.clock());
      },
      progress: (one) => !values.json && terminal.stdout(recoveredLine(one, { dryRun: values['dry-run'], colours })),
    });
    for (const one of attachments) found.attachments.set(one.key, one);
  } finally {
    host.close();
  }
}

function reportRecovery({ words: { values }, terminal }: Call, found: Found): number {
  const [attachments, others, unreachable] = [found.attachments, found.others, found.unreachable].map((all) => [
    ...all.values(),
  ]) as [Recovered[], KnownPort[], UnreachableSwitch[]];
  const counts = countsOf(attachments);
  const dryRun = values['dry-run'];
  const total = { others, unreachable, dryRun };
  terminal.stdout(values.json ? json({ attachments, ...total, ...counts }) : summary({ ...total, counts }));
  const isLeft = (one: Recovered) => isOwed(one) || (dryRun && (one.result === 'removed' || one.result === 'restored'));
  // A switch that could not be asked may have ports without a journal.
  return unreachable.length > 0 || attachments.some(isLeft) ? exit.owed : exit.done;
}

function countsOf(attachments: readonly Recovered[]) {
  const count = (result: Fate) => attachments.filter((one) => one.result === result).length;
  const counts = { removed: count('removed'), restored: count('restored'), owed: count('owed') };
  return { ...counts, kept: count('kept'), held: count('held'), notLookedAt: count('not looked at') };
}
