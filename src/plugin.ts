/**
 * The handlers of ADD, CHECK and DEL: lock, open the journal, drive, answer.
 *
 * Owns: what a verb means for an attachment in any state (repeated, going, interrupted). Does not own: protocol (cni/), steps
 * (machines/), effects (host), the verbs that mean no single attachment (gc.ts, status.ts).
 */
import { join } from 'node:path';
import { contradictions, resultOf, withPrevResult } from './answer.ts';
import { type AttachmentKey, code, journalName, journalSuffix, keyText, type Trouble } from './attachment.ts';
import { CniError, refuse } from './cni/error.ts';
import type { AddRequest, DelRequest } from './cni/request.ts';
import type { Result } from './cni/result.ts';
import { type Moment, now, within } from './deadlines.ts';
import {
  type Begin,
  drive,
  type Entry,
  fold,
  formatVersion,
  going,
  machineVersion,
  type Past,
  planOfHeader,
  recorded,
  start,
  survey,
  type Ways,
  whyGoing,
} from './drive.ts';
import type { Disk } from './journal/disk.ts';
import { whoHolds } from './journal/holder.ts';
import { Journal, JournalError } from './journal/journal.ts';
import { ensureInstance, listGoing, readInstance } from './journal/store.ts';
import type { Log } from './log.ts';
import { addMachine } from './machines/add.ts';
import type { Call, Facts, Plan, PodPlace } from './machines/protocol.ts';
import type { Owed } from './machines/steps.ts';
import type { Node } from './node.ts';
import { planOf, removalPlan } from './plan.ts';
import type { Recovered } from './recovery/recover.ts';
import { takeAway } from './recovery/removal.ts';

// ---- ADD

/** What an ADD has begun already: when it has to end, and with a kubeconfig the question where its pod shares its sockets. */
interface Ahead {
  readonly end: Moment;
  readonly looked: Promise<PodPlace | Trouble[]> | undefined;
}

export async function add(request: AddRequest, node: Node, { end, looked }: Ahead): Promise<Result> {
  const { key, config, netns, env } = request;
  const { host, disk, log } = node;
  for (const warning of config.warnings) log.warning(`${keyText(key)}: ${warning}`);
  const begun = node.host.moment();
  const plan = planOf(
    request,
    placeOf(await looked, () => host.netnsTroubles(netns, env)),
  );
  const known = readInstance(disk, config.dataDir) ?? '';
  refuse([
    ...host.netnsTroubles(netns, env),
    ...(await host.preflight(plan, config.dataDir, { instance: known, end })),
  ]);
  const instance = await ensureInstance(disk, config.dataDir, node.random, within(end, config.deadlines.lockMs));
  const journal = openJournal(request, node);
  try {
    await hold(journal, request, end);
    const call = { instance, lockFd: journal.fd, dataDir: config.dataDir, end, begun };
    const repeated = await startOver(journal, request, plan, node, call);
    const facts = repeated ?? (await attach(journal, request, plan, node, call));
    log.info(`ADD ${keyText(key)}: attached`);
    return resultOf(request, plan, facts);
  } finally {
    journal.close();
  }
}

/** @throws CniError with every fault that is known by then. */
function placeOf(looked: PodPlace | Trouble[] | undefined, others: () => Trouble[]): PodPlace | undefined {
  if (!Array.isArray(looked)) return looked;
  refuse([...others(), ...looked]);
  return undefined;
}

/** Waits for the lock; an ADD that finds the attachment gone or locked has to come again (code 11). */
async function hold(journal: Journal<Entry>, { config, key }: AddRequest, end: Moment): Promise<void> {
  const outcome = await journal.lock(within(end, config.deadlines.lockMs));
  if (outcome === 'gone') throw new CniError(code.tryAgainLater, `${keyText(key)} was removed while ADD waited for it`);
  if (outcome === 'busy') throw busy(key, config.dataDir);
  if (journal.readOnly) throw new CniError(code.io, `"${config.dataDir}" is read-only`);
}

const pathOf = (dataDir: string, key: AttachmentKey): string => join(dataDir, journalName(key));

function busy(key: AttachmentKey, dataDir: string): CniError {
  const holder = whoHolds(pathOf(dataDir, key));
  const by = holder ? ` by process ${holder.pid} (${holder.command})` : '';
  return new CniError(code.tryAgainLater, `another call works on ${keyText(key)}: its journal is locked${by}`);
}

/**
 * What to do about an attachment that is there already (ADR 0004).
 * @returns the facts to answer again with; undefined once nothing is left of it.
 */
async function startOver(journal: Journal<Entry>, request: AddRequest, plan: Plan, node: Node, call: Call) {
  if (!journal.going && journal.records.length === 0 && !journal.damaged) return undefined;
  const past = journal.damaged ? undefined : fold(journal.records);
  if (!journal.going && !journal.damaged && !past) {
    throw new CniError(
      code.tryAgainLater,
      `the journal of ${keyText(request.key)} is of another version: DEL it first`,
    );
  }
  if (!journal.going && past && (await standsAsAsked(past, request, plan, node, call))) {
    // Whoever wrote it may have died before its last fsync.
    journal.sync();
    return past.facts;
  }
  const owed = await takeAway({ host: node.host, journal, by: 'ADD', known: plan, call });
  if (owed.length > 0) {
    journal.markGoing();
    // Whoever created it may have died before he synced its name.
    journal.fsyncName();
    throw new CniError(code.tryAgainLater, `what an earlier ADD left could not be removed: ${described(owed)}`);
  }
  if (journal.going) {
    journal.unlink();
    throw new CniError(going.code, going.message);
  }
  journal.restart();
  return undefined;
}

/** Same boot, same sandbox, same request, and the world agrees. */
async function standsAsAsked(past: Past, request: AddRequest, plan: Plan, node: Node, call: Call): Promise<boolean> {
  const { header, state, facts } = past;
  const same =
    state === 'attached' &&
    header.boot === node.host.bootId() &&
    JSON.stringify(header.netns) === JSON.stringify(node.host.readNetns(request.netns)) &&
    JSON.stringify(header.plan) === JSON.stringify(plan);
  if (!same) return false;
  const asChecked = { ...plan, request: { ...plan.request, stdin: withPrevResult(request, plan, facts) } };
  return (await survey(asChecked, facts, node.host.perform, call)).length === 0;
}

async function attach(
  journal: Journal<Entry>,
  request: AddRequest,
  plan: Plan,
  node: Node,
  call: Call,
): Promise<Facts> {
  const { deadlines } = request.config;
  let begin: Begin;
  try {
    begin = beginning(request, plan, node, call);
    journal.append(begin);
    journal.fsyncName();
  } catch (error) {
    // Nothing was made yet: nothing needs to be remembered.
    forget(journal, node.log);
    throw error;
  }
  const stop = () => whyGoing(journal);
  const { end } = call;
  const ways: Ways = {
    journal,
    perform: node.host.perform,
    call,
    end: { make: Math.max(now(), end - deadlines.rollbackMs), remove: end },
    stop: () => stop() ?? (now() >= end - deadlines.rollbackMs ? late : undefined),
  };
  let snapshot = await drive(addMachine, start(addMachine), { type: 'begin', plan }, ways);
  if (snapshot.matches('ready')) {
    // The sandbox may have gone, or a DEL come, while we worked: look once more before the answer.
    const trouble =
      stop() ??
      node.host.netnsTroubles(request.netns, request.env)[0] ??
      replaced(begin, node) ??
      recorded(() => journal.append({ kind: 'attached' }));
    if (!trouble) return snapshot.context.facts;
    // What the journal tells by now reads as attached: a death in what follows must not leave it so.
    tolerate(node.log, () => journal.markGoing());
    snapshot = await drive(addMachine, snapshot, { type: 'abandon', trouble }, ways);
  }
  const { failure, owed } = snapshot.context;
  if (owed.length > 0) remember(journal, node.log, owed);
  else forget(journal, node.log);
  throw new CniError(failure?.code ?? code.internal, failure?.message ?? 'ADD failed', failure?.details);
}

/** By what its header says of the namespace an attachment is judged ever after. */
function replaced({ netns }: Begin, { host }: Node): Trouble | undefined {
  if (JSON.stringify(host.readNetns(netns.path)) === JSON.stringify(netns)) return undefined;
  return { code: code.invalidNetns, message: `CNI_NETNS "${netns.path}" is another namespace by now` };
}

const late: Trouble = { code: code.tryAgainLater, message: 'the time for an ADD is up' };

function beginning(request: AddRequest, plan: Plan, node: Node, call: Call): Begin {
  const netns = node.host.readNetns(request.netns);
  if (!netns) throw new CniError(code.invalidNetns, `CNI_NETNS "${request.netns}" went away`);
  return {
    kind: 'begin',
    format: formatVersion,
    machine: machineVersion,
    instance: call.instance,
    boot: node.host.bootId(),
    netns,
    plan,
  };
}

/** A failed ADD that left something behind: DEL and recovery will find it. */
function remember(journal: Journal<Entry>, log: Log, owed: readonly Owed[]): void {
  log.error(`a failed ADD left something to be removed: ${described(owed)}`);
  tolerate(log, () => journal.markGoing());
}

/** The end of a removal. A journal that stays is found by recovery, and removed with nothing to do. */
function forget(journal: Journal<Entry>, log: Log): boolean {
  return tolerate(log, () => journal.unlink());
}

function tolerate(log: Log, action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    log.error(error.message);
    return false;
  }
}

const described = (owed: readonly Owed[]): string => owed.map(({ trouble }) => trouble.message).join('; ');

function openJournal({ key, config }: AddRequest | DelRequest, node: Node): Journal<Entry> {
  const options = { create: true, clock: node.clock };
  const journal = Journal.open<Entry>(node.disk, pathOf(config.dataDir, key), options);
  if (!journal) throw new JournalError('ENOENT', `there is no journal for ${keyText(key)}, and none can be created`);
  return journal;
}

// ---- CHECK

export async function check(request: AddRequest, node: Node): Promise<void> {
  const { key, config, netns, env } = request;
  const end = now() + config.deadlines.delMs;
  const absent = new CniError(code.drift, `${keyText(key)} is not attached`);
  const instance = readInstance(node.disk, config.dataDir);
  const journal = Journal.open<Entry>(node.disk, pathOf(config.dataDir, key), { create: false, clock: node.clock });
  if (!journal || !instance) throw absent;
  try {
    const outcome = await journal.lock(within(end, config.deadlines.lockMs));
    if (outcome === 'busy') throw busy(key, config.dataDir);
    const past = fold(journal.records);
    if (outcome === 'gone' || journal.going || past?.state !== 'attached') throw absent;
    const plan: Plan = { ...past.header.plan, request: { stdin: request.stdin, env } };
    refuse([
      ...node.host.netnsTroubles(netns, env),
      ...contradictions(request, past.facts),
      ...(await survey(plan, past.facts, node.host.perform, { instance, lockFd: journal.fd, end })),
    ]);
  } finally {
    journal.close();
  }
}

// ---- DEL

export async function del(request: DelRequest, node: Node): Promise<void> {
  const { key, config } = request;
  const end = now() + config.deadlines.delMs;
  let instance: string;
  let journal: Journal<Entry>;
  try {
    instance = await ensureInstance(node.disk, config.dataDir, node.random, within(end, config.deadlines.lockMs));
    journal = openJournal(request, node);
  } catch (error) {
    if (!(error instanceof JournalError) || mayExist(node.disk, pathOf(config.dataDir, key))) throw error;
    node.log.error(`DEL ${keyText(key)} without a journal: ${error.message}`);
    return await delWithoutJournal(request, node, end);
  }
  let owing = true;
  try {
    owing = await delUnderLock(journal, request, node, { instance, lockFd: journal.fd, end });
  } finally {
    journal.close();
  }
  // Who could not remove his own has no better luck with others'.
  if (!owing) await payForOthers(request, node, instance);
}

/** Somebody may hold it, and it would stay: what cannot be opened is not gone. */
function mayExist(disk: Disk, path: string): boolean {
  try {
    return disk.lookup(path) !== undefined;
  } catch {
    return true;
  }
}

async function payForOthers({ config }: DelRequest, node: Node, instance: string): Promise<void> {
  const { dataDir, ovsdb } = config;
  const { host, log } = node;
  host.close();
  try {
    const names = listGoing(node.disk, dataDir, journalSuffix);
    if (names.length === 0) return;
    const progress = ({ key, result }: Recovered) => log.info(`DEL: owed by an earlier one: ${key}: ${result}`);
    const { payOwed } = await import('./recovery/recover.ts');
    await payOwed({ ...node, dataDir, ovsdb, progress }, instance, names);
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    log.error(error.message);
  }
}

/** @returns whether something is owed. */
async function delUnderLock(journal: Journal<Entry>, request: DelRequest, node: Node, call: Call): Promise<boolean> {
  const { key, config } = request;
  // Before the lock is waited for: its holder sees the mark before its next step and takes itself back.
  const marked = tolerate(node.log, () => journal.markGoing());
  const outcome = await journal.lock(within(call.end, config.deadlines.lockMs));
  if (outcome === 'gone') return false;
  if (outcome === 'busy') {
    if (!marked || !tolerate(node.log, () => journal.fsyncName())) throw busy(key, config.dataDir);
    node.log.warning(`DEL ${keyText(key)}: ${busy(key, config.dataDir).message}; it is marked and will go`);
    return true;
  }
  const known = removalPlan(request);
  const owed = await takeAway({ host: node.host, journal, by: 'DEL', known, call });
  if (owed.length === 0) {
    const unlinked = forget(journal, node.log);
    node.log.info(`DEL ${keyText(key)}: removed`);
    if (!unlinked && !marked) node.log.error(`the journal of ${keyText(key)} stays, and nothing it speaks of`);
    return false;
  }
  journal.touch();
  node.log.error(`DEL ${keyText(key)}: owed: ${described(owed)}`);
  // Who comes later must learn from the journal whose address it was.
  const isTold = !known.address || planOfHeader(journal.records) !== undefined;
  if (marked && isTold && tolerate(node.log, () => journal.fsyncName())) return true;
  const [first] = owed;
  throw new CniError(first?.trouble.code ?? code.internal, `${described(owed)}; and it can not be recorded`);
}

const ignored = () => undefined;

/** The disk takes no journal, so there is no ADD that could be at work: remove by marks, and say what fails. */
async function delWithoutJournal(request: DelRequest, node: Node, end: Moment): Promise<void> {
  const instance = readInstance(node.disk, request.config.dataDir) ?? '';
  const journal = { records: [], damaged: false, append: ignored, stage: ignored, note: ignored };
  const owed = await takeAway({
    host: node.host,
    journal,
    by: 'DEL',
    known: removalPlan(request),
    call: { instance, end },
  });
  const [first] = owed;
  if (first) throw new CniError(first.trouble.code, described(owed));
}
