/**
 * `userspace recover`: under the node's lease, with a line for each attachment as soon as its fate is known.
 */
import { resolve } from 'node:path';
import { defaultDeadlines, now, sleep } from '../deadlines.ts';
import type { Host } from '../effects/host.ts';
import type { RecoveryReport } from '../figures/report.ts';
import { findJournalHolder } from '../journal/holder.ts';
import type { KnownPort } from '../machines/protocol.ts';
import { asChecked } from '../plan/result.ts';
import { withLease } from '../recovery/lease.ts';
import { isOwed, type Recovered, type UnreachableSwitch } from '../recovery/options.ts';
import { recover } from '../recovery/recover.ts';
import type { Fate } from '../recovery/words.ts';
import { holderAt, nothingIn, readAttachments } from './attachments.ts';
import { answer, type CliNode, type CommandCall, exit, json, type Words } from './command-line.ts';
import type { EventsTold, Journals, Telling } from './events.ts';
import { coloursOf, plain, recoveredLine, summary } from './print.ts';

const bootMs = 60_000;
const bootPauseMs = 500;

/** Recovers, and reports to the node's meter what came of it. */
export async function recoverAlone(call: CommandCall): Promise<number> {
  const found: Found = { rounds: 0, attachments: new Map(), others: new Map(), unreachable: new Map(), tellings: [] };
  try {
    const exitCode = await recoverUnderLease(call, found);
    reportToMeter(call, found, exitCode === exit.owed ? 'owed' : 'done');
    return exitCode;
  } catch (error) {
    reportToMeter(call, found, 'failed');
    throw error;
  }
}

/** A recovery that left its work to another one is not reported: the other one reports it. */
function reportToMeter({ words, machine }: CommandCall, found: Found, result: RecoveryReport['result']): void {
  if (words.values['dry-run'] || (found.rounds === 0 && result !== 'failed')) return;
  const attachments = [...found.attachments.values()];
  const { removed, restored, owed, kept } = countsOf(attachments);
  const interrupted = attachments.filter((one) => one.found === 'interrupted').length;
  const counts = { removed, restored, owed, kept, interrupted, unreachable: found.unreachable.size };
  machine.report?.({ kind: 'recovery', result, ms: now(), ...counts });
}

/** Recovers under the node's lease, if there is a directory to hold it in. */
async function recoverUnderLease(call: CommandCall, found: Found): Promise<number> {
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
  if (leased.kind === 'done') return reportRecovery(call, found, await tellPods(call, found));
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
  /** The news for pods, to be told when all rounds are done. */
  tellings: readonly Telling[];
}

const hostFor = ({ words: { values }, machine }: CommandCall): Host =>
  machine.host({
    ovsdb: values.ovsdb,
    path: machine.path,
    ...(values.kubeconfig && { kubeconfig: resolve(values.kubeconfig) }),
  });

async function recoverRound(call: CommandCall, found: Found): Promise<void> {
  found.rounds++;
  const { words, terminal, machine } = call;
  const { values } = words;
  const host = hostFor(call);
  const colours = coloursOf(terminal);
  // A debt of an earlier round that this round does not see was paid meanwhile.
  for (const [key, one] of found.attachments) if (isOwed(one)) found.attachments.delete(key);
  found.others.clear();
  found.unreachable.clear();
  const read = () => (values.events ? readAttachments(machine.disk, values['data-dir'], machine.clock()) : []);
  const before = read();
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
    if (values.events) await gatherNews(found, attachments, { before, after: read(), now: machine.clock() });
  } finally {
    host.close();
  }
}

/** A warning of an earlier round that this one does not repeat is over. */
async function gatherNews(found: Found, attachments: readonly Recovered[], journals: Journals): Promise<void> {
  const { tellingsOf } = await import('./events.ts');
  const past = found.tellings.filter(({ event }) => event.type === 'Normal');
  found.tellings = [...past, ...tellingsOf(attachments, journals)];
}

/** Needs no lease, so another recovery may work meanwhile. */
async function tellPods(call: CommandCall, { tellings }: Found): Promise<EventsTold | undefined> {
  if (!call.words.values.events) return undefined;
  const { eventsMs, tellAll } = await import('./events.ts');
  const host = hostFor(call);
  try {
    return await tellAll(tellings, host, now() + eventsMs);
  } finally {
    host.close();
  }
}

function toldLines({ sent, known, notSent }: EventsTold): string {
  const done = sent + known > 0 ? [`events: ${sent} sent, ${known} sent before\n`] : [];
  return [...done, ...notSent.map(({ count, message }) => `events: ${count} not sent: ${plain(message)}\n`)].join('');
}

function reportRecovery({ words: { values }, terminal }: CommandCall, found: Found, told?: EventsTold): number {
  const [attachments, others, unreachable] = [found.attachments, found.others, found.unreachable].map((all) => [
    ...all.values(),
  ]) as [Recovered[], KnownPort[], UnreachableSwitch[]];
  const counts = countsOf(attachments);
  const dryRun = values['dry-run'];
  const total = { others, unreachable, dryRun };
  const events = told && { events: told };
  if (values.json) terminal.stdout(json({ attachments, ...total, ...counts, ...events }));
  else terminal.stdout(summary({ ...total, counts }) + (told ? toldLines(told) : ''));
  const isLeft = (one: Recovered) => isOwed(one) || (dryRun && (one.result === 'removed' || one.result === 'restored'));
  // A switch that could not be asked may have ports without a journal.
  return unreachable.length > 0 || attachments.some(isLeft) ? exit.owed : exit.done;
}

function countsOf(attachments: readonly Recovered[]) {
  const count = (result: Fate) => attachments.filter((one) => one.result === result).length;
  const counts = { removed: count('removed'), restored: count('restored'), owed: count('owed') };
  return { ...counts, kept: count('kept'), held: count('held'), notLookedAt: count('not looked at') };
}
