/**
 * ADD: open the journal, lock, look, drive, answer.
 *
 * Owns: the meaning of ADD for an attachment in any state (repeated, going, interrupted). Does not own: protocol (cni/), steps
 * (machines/), effects (host).
 */
import { code, keyText, type Trouble } from '../attachment.ts';
import { CniError, refuse } from '../cni/error.ts';
import type { AddRequest } from '../cni/request.ts';
import type { Result } from '../cni/result.ts';
import { type Moment, now, within } from '../deadlines.ts';
import { type Begin, type Entry, formatVersion, machineVersion } from '../drive/entry.ts';
import { ensureIdentity } from '../drive/identity.ts';
import { type DriveOptions, drive, start } from '../drive/loop.ts';
import { fold, type Past } from '../drive/past.ts';
import { takeAway } from '../drive/removal.ts';
import { survey } from '../drive/survey.ts';
import { beingRemoved, goingTrouble, journalTrouble } from '../drive/trouble.ts';
import type { Journal } from '../journal/journal.ts';
import type { Log } from '../log.ts';
import { addMachine } from '../machines/add.ts';
import type { Facts, Plan, PodLookup } from '../machines/protocol.ts';
import type { Attaching, Owed } from '../machines/steps.ts';
import { planOf } from '../plan/plans.ts';
import { resultOf, withPrevResult } from '../plan/result.ts';
import { isSamePlan } from '../plan/same-plan.ts';
import {
  busy,
  callerGone,
  described,
  expectCaller,
  openOwn,
  tolerate,
  unlinkJournal,
  type Work,
  warn,
} from './locked.ts';
import type { Node } from './node.ts';

/** The ADD's time, and its question to the API server: both began before this module was loaded. */
interface Started {
  readonly end: Moment;
  /** With a kubeconfig: where the pod shares its sockets, or why it cannot be attached. */
  readonly podLookup: Promise<PodLookup> | undefined;
}

export async function add(request: AddRequest, node: Node, { end, podLookup }: Started): Promise<Result> {
  const { key, config } = request;
  const { host, log } = node;
  const { dataDir } = config;
  for (const warning of config.warnings) log.warning(`${keyText(key)}: ${warning}`);
  const begun = host.moment();
  // A data directory on a disk without room is not made, and gets no id.
  const newId = () => {
    refuse(host.roomTroubles(dataDir));
    return node.random();
  };
  const instance = await ensureIdentity(node.disk, dataDir, newId, within(end, config.deadlines.lockMs));
  // The journal comes before the first wait, so that a DEL that comes now finds and marks it.
  const journal = openOwn(request, node);
  try {
    await hold(journal, request, end);
    const call = { instance, lockFd: journal.fd, dataDir, end, begun };
    const work = { journal, request, node, call };
    const plan = await preparePlan(work, podLookup);
    const facts = (await startOver(work, plan)) ?? (await attach(work, plan));
    log.info(`ADD ${keyText(key)}: attached`);
    return resultOf(request, plan, facts);
  } finally {
    journal.close();
  }
}

/** The plan of the attachment, after every check that needs no effect. @throws CniError with every fault */
async function preparePlan(work: Work<AddRequest>, podLookup: Started['podLookup']): Promise<Plan> {
  const { request, node, call } = work;
  const { host } = node;
  try {
    if (!work.journal.going) expectCaller(node);
    const ofNetns = () => host.netnsTroubles(request.netns, request.env);
    const pod = await podLookup;
    if (pod?.kind === 'refused') refuse([...ofNetns(), ...pod.troubles]);
    const plan = planOf(request, pod?.kind === 'found' ? pod.place : undefined);
    refuse([...ofNetns(), ...(await host.preflight(plan, call.dataDir, call))]);
    return plan;
  } catch (error) {
    await giveUpJournal(work);
    throw error;
  }
}

/**
 * Unlinks the blank journal of an ADD that is refused before its first effect. If a DEL marked it meanwhile, that DEL has answered
 * success or waits for the lock, so this lock holder does the removal.
 */
async function giveUpJournal({ journal, request, node, call }: Work<AddRequest>): Promise<void> {
  const { key, config, stdin, env } = request;
  const { host, disk, log } = node;
  let isBlank = false;
  journalTrouble(() => {
    isBlank = journal.blank;
  });
  if (isBlank && goingTrouble(journal) === beingRemoved) {
    const known = { key, ovsdb: config.ovsdb, request: { stdin, env } };
    const { owed, elsewhere } = await takeAway({ host, disk, journal, by: 'ADD', known, call });
    if (owed.length === 0 && !elsewhere) unlinkJournal(journal, log);
  } else tolerate(log, () => journal.discardBlank());
}

/** Waits for the lock. If the attachment is gone or stays locked, the runtime has to repeat its ADD (code 11). */
async function hold(journal: Journal<Entry>, request: AddRequest, end: Moment): Promise<void> {
  const { config, key } = request;
  const outcome = await journal.lock(within(end, config.deadlines.lockMs));
  if (outcome === 'gone') throw new CniError(code.tryAgainLater, `${keyText(key)} was removed while ADD waited for it`);
  if (outcome === 'busy') throw busy(request);
  if (journal.readOnly) throw new CniError(code.io, `"${config.dataDir}" is read-only`);
}

/**
 * Deals with an attachment that exists already: answers it again, or removes it first (ADR 0004).
 * @returns the facts to answer again with; undefined once nothing is left of the attachment.
 */
async function startOver(work: Work<AddRequest>, plan: Plan): Promise<Facts | undefined> {
  const { journal, request, node, call } = work;
  if (!journal.going && journal.records.length === 0 && !journal.damaged) return undefined;
  const past = journal.damaged ? undefined : fold(journal.records);
  if (!journal.going && !journal.damaged && !past) {
    throw new CniError(
      code.tryAgainLater,
      `the journal of ${keyText(request.key)} is of another version: DEL it first`,
    );
  }
  if (!journal.going && past && isAsBefore(past, work, plan) && (await stands(past, work))) {
    // The process that wrote the journal may have died before its last fsync.
    journal.sync();
    return past.facts;
  }
  const { host, disk, log } = node;
  // A mark is heeded in any case: the DEL that made it may have answered already.
  if (!journal.going) expectCaller(node);
  const { owed, warnings, elsewhere } = await takeAway({ host, disk, journal, by: 'ADD', known: plan, call });
  if (elsewhere) refuse([elsewhere]);
  warn(log, { verb: 'ADD', key: request.key }, warnings);
  if (owed.length > 0) {
    journal.markGoing();
    // The process that created the journal may have died before it fsynced the directory.
    journal.fsyncName();
    throw new CniError(code.tryAgainLater, `what an earlier ADD left could not be removed: ${described(owed)}`);
  }
  if (journal.going) {
    journal.unlink();
    throw new CniError(beingRemoved.code, beingRemoved.message);
  }
  journal.restart();
  return undefined;
}

/** Whether the attachment is at rest, and was made in this boot, for this sandbox and by the same plan. */
const isAsBefore = ({ state, header }: Past, { request, node: { host } }: Work<AddRequest>, plan: Plan): boolean =>
  state === 'attached' &&
  header.boot === host.bootId() &&
  JSON.stringify(header.netns) === JSON.stringify(host.readNetns(request.netns)) &&
  isSamePlan(header.plan, plan);

/** Whether the world still is as the journal says. @throws CniError 11 if that cannot be told: a living attachment must stay */
async function stands({ header, facts }: Past, { request, node, call }: Work<AddRequest>): Promise<boolean> {
  const { plan } = header;
  const asChecked = { ...plan, request: { ...plan.request, stdin: withPrevResult(request, plan, facts) } };
  const findings = await survey({ plan: asChecked, facts }, node.host.perform, call);
  const unjudged = findings.filter((finding) => finding.unjudged).map(({ message }) => message);
  if (unjudged.length > 0) {
    const what = `${keyText(request.key)} is attached; whether it still is as it was left cannot be told, and it is not touched`;
    throw new CniError(code.tryAgainLater, `${what}: ${unjudged.join('; ')}`);
  }
  return findings.length === 0;
}

async function attach(work: Work<AddRequest>, plan: Plan): Promise<Facts> {
  const { journal, request, node, call } = work;
  const { deadlines } = request.config;
  let begin: Begin;
  try {
    begin = { ...beginning(work, plan), file: journal.identity };
    expectCaller(node);
    journal.append(begin);
    journal.fsyncName();
  } catch (error) {
    // Nothing was made yet, so nothing has to be recorded.
    unlinkJournal(journal, node.log);
    throw error;
  }
  const reasonToStop = () => goingTrouble(journal) ?? (node.isCallerGone() ? callerGone : undefined);
  const { end } = call;
  const options: DriveOptions<Attaching> = {
    journal,
    perform: node.host.perform,
    call: { ...call, netns: begin.netns },
    end: { make: Math.max(now(), end - deadlines.rollbackMs), remove: end },
    reasonToStop: () => reasonToStop() ?? (now() >= end - deadlines.rollbackMs ? late : undefined),
  };
  let snapshot = await drive(addMachine, start(addMachine), { type: 'begin', plan }, options);
  if (snapshot.value === 'ready') {
    // During the work the sandbox may have gone, or a DEL may have come, so look once more before the answer.
    const trouble =
      reasonToStop() ??
      node.host.netnsTroubles(request.netns, request.env)[0] ??
      replaced(begin, node) ??
      journalTrouble(() => journal.append({ kind: 'attached' })) ??
      whyNotRemembered(journal);
    if (!trouble) {
      journal.markRest();
      return snapshot.context.facts;
    }
    // The records may read as attached already. If this process dies during the removal, they must not be believed.
    tolerate(node.log, () => journal.markGoing());
    snapshot = await drive(addMachine, snapshot, { type: 'abandon', trouble }, options);
  }
  const { failure, owed, warnings } = snapshot.context;
  if (owed.length > 0) remember(journal, node.log, owed);
  else unlinkJournal(journal, node.log);
  warn(node.log, { verb: 'ADD', key: request.key }, warnings);
  const trouble = failure ?? { code: code.internal, message: 'ADD failed' };
  const message = plan.address ? await messageWithHeld(trouble, work) : trouble.message;
  throw new CniError(trouble.code, message, trouble.details);
}

/** The message; if it says that no address is left, with the number of those that this node holds. */
async function messageWithHeld({ message }: Trouble, { request, node, call }: Work<AddRequest>): Promise<string> {
  const { withHeld } = await import('./exhausted.ts');
  return withHeld(message, { disk: node.disk, dataDir: call.dataDir, network: request.key.network });
}

/** Why the namespace is not the one in the header any more. Later calls judge the attachment by its header. */
function replaced({ netns }: Begin, { host }: Node): Trouble | undefined {
  if (JSON.stringify(host.readNetns(netns.path)) === JSON.stringify(netns)) return undefined;
  return { code: code.invalidNetns, message: `CNI_NETNS "${netns.path}" is another namespace by now` };
}

/** Why the next call would not find the records. */
function whyNotRemembered(journal: Journal<Entry>): Trouble | undefined {
  let isInPlace = false;
  const unseen = journalTrouble(() => {
    isInPlace = journal.isInPlace;
  });
  return unseen ?? (isInPlace ? undefined : notInPlace);
}

const notInPlace: Trouble = {
  code: code.tryAgainLater,
  message: 'the journal was taken away or replaced while ADD was at work: was "dataDir" moved?',
};

const late: Trouble = { code: code.tryAgainLater, message: 'the time for an ADD is up' };

function beginning({ request, node, call }: Work<AddRequest>, plan: Plan): Begin {
  const netns = node.host.readNetns(request.netns);
  const database = node.host.databaseAt(plan.ovsdb);
  if (!netns) throw new CniError(code.invalidNetns, `CNI_NETNS "${request.netns}" went away`);
  return {
    kind: 'begin',
    format: formatVersion,
    machine: machineVersion,
    instance: call.instance,
    boot: node.host.bootId(),
    netns,
    plan,
    ...(call.begun && { begun: call.begun }),
    ...(database && { database }),
  };
}

/** Marks the journal of a failed ADD that left something behind, so that DEL and recovery find it. */
function remember(journal: Journal<Entry>, log: Log, owed: readonly Owed[]): void {
  tolerate(log, () => journal.markGoing());
  log.error(`a failed ADD left something to be removed: ${described(owed)}`);
}
