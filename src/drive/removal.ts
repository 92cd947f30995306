/**
 * The removal of one attachment under its lock, for a repeated ADD, a DEL or a recovery: one machine and one loop for all three.
 */
import { basename, dirname, join } from 'node:path';
import {
  type AttachmentKey,
  journalName,
  journalSuffix,
  keyText,
  portName,
  shortId,
  type Trouble,
} from '../attachment.ts';
import type { Disk } from '../journal/disk.ts';
import type { Journal } from '../journal/journal.ts';
import { listJournals } from '../journal/store.ts';
import { delMachine } from '../machines/del.ts';
import {
  type Call,
  type Facts,
  isAnnotation,
  isGonePort,
  type Perform,
  type Plan,
  type Recalled,
  type Step,
  steps,
} from '../machines/protocol.ts';
import type { Owed } from '../machines/steps.ts';
import { type Begin, type Entry, headerOf, planOfHeader } from './entry.ts';
import { drive, start } from './loop.ts';
import { fold, type Past, peekJournal, tells } from './past.ts';
import { journalTrouble } from './trouble.ts';

/** The parts of a node that a removal uses. */
export interface RemovalHost {
  readonly perform: Perform;
  /** Completes the knowledge of an attachment without a journal by looking at the world. */
  recall(known: Plan, call: Call): Promise<Recalled>;
  bootId(): string;
}

export interface Removal {
  readonly host: RemovalHost;
  readonly disk: Disk;
  readonly journal: Pick<Journal<Entry>, 'append' | 'stage' | 'note' | 'records' | 'damaged'>;
  /** The verb that removes, for the journal's readers. */
  readonly by: string;
  /** The caller's own knowledge: the key, the switch, and the DEL's configuration. */
  readonly known: Plan;
  readonly call: Call & { readonly dataDir: string };
}

export interface Removed {
  /** The steps that could not be taken away, and why. */
  readonly owed: readonly Owed[];
  /** Faults that no retry could mend. */
  readonly warnings: readonly string[];
  /** The attachment is another data directory's, and nothing was touched. */
  readonly elsewhere?: Trouble;
}

/** The input of the machine. */
interface Known {
  readonly plan: Plan;
  readonly facts: Facts;
  readonly doubtful: readonly Step[];
  readonly instance: string;
}

export async function takeAway(removal: Removal): Promise<Removed> {
  const { host, journal, by, known } = removal;
  const call: Call = { ...removal.call, isAnothersSocket: (socket) => isAnothers(removal, socket) };
  const found = await findRemains(removal, call);
  if (found.kind === 'elsewhere') return { owed: [], warnings: [], elsewhere: found.trouble };
  const plan = found.kind === 'known' ? found.plan : known;
  // A later removal may know less than this DEL's configuration says, so that is written down. A recovery knows nothing to add.
  const isNews = known.request.stdin !== '' && planOfHeader(journal.records) === undefined;
  if (isNews) journalTrouble(() => journal.append({ kind: 'going', by, plan }));
  else journal.note({ kind: 'going', by });
  if (found.kind === 'unsettled') {
    // Only the switch could tell whose the attachment is, so nothing is removed, and its address is held.
    const outcome = { kind: 'failed', trouble: found.trouble } as const;
    journal.note({ kind: 'outcome', step: 'port', verb: 'remove', outcome, ms: 0 });
    return { owed: [{ step: 'port', trouble: found.trouble }], warnings: [] };
  }
  const { facts, doubtful, instance } = found;
  const end = { make: call.end, remove: call.end };
  const options = { journal, perform: host.perform, call: { ...call, instance }, end, reasonToStop: () => undefined };
  const { context } = await drive(delMachine, start(delMachine), { type: 'begin', plan, facts, doubtful }, options);
  return { owed: context.owed, warnings: context.warnings };
}

type Remains = ({ readonly kind: 'known' } & Known) | Exclude<Recalled, { kind: 'known' }>;

/** The remains by the journal's plan, if it can be read; else by the caller's knowledge and a look at the world. */
async function findRemains(removal: Removal, call: Call): Promise<Remains> {
  const { host, journal } = removal;
  const written = planOfHeader(journal.records)?.key;
  // A journal copied under another's name tells nothing of this attachment, and the other one must not be touched because of it.
  if (written && keyText(written) !== keyText(removal.known.key)) return await byWorld(removal, [], call);
  const past = fold(journal.records);
  if (past && !journal.damaged) return { kind: 'known', ...remaining(past, host.bootId()) };
  const header = headerOf(journal.records);
  return header ? await byHeader(removal, header, past, call) : await byWorld(removal, journal.records, call);
}

/** Things that several attachments share, removed with the last thing in them: each try looks again. */
const shared: readonly Step[] = ['bridge', 'socketDir'];

/**
 * The plan without the parts that an earlier try removed, because a thing under such a name may be another's since. After a power
 * cut no earlier removal is known to have lasted, so everything is removed again.
 */
function remaining({ header, undo, facts, doubtful, removed }: Past, boot: string): Known {
  const { instance } = header;
  if (header.boot !== boot) return { plan: undo, facts: withoutGone(facts), doubtful, instance };
  const isDone = (name: Step): boolean => removed.includes(name) && !shared.includes(name);
  const plan = Object.fromEntries(Object.entries(undo).filter(([name]) => !isDone(name as Step)));
  const isGone = isDone('port') && !isGonePort(facts.port);
  return {
    plan: plan as unknown as Plan,
    facts: { ...facts, ...(isGone && { port: { goneAt: 0 } }) },
    doubtful,
    instance,
  };
}

const withoutGone = ({ port, ...facts }: Facts): Facts => (port && !isGonePort(port) ? { ...facts, port } : facts);

/** For a journal whose records are damaged or of another version: its header still says whose the attachment is. */
async function byHeader(removal: Removal, header: Begin, past: Past | undefined, call: Call): Promise<Remains> {
  const { instance, database } = header;
  const { host, journal, known } = removal;
  const written = withProvedPort(planOfHeader(journal.records), journal.records);
  const sought: Plan = { ...known, ...written, key: known.key, ...(database && { database }) };
  const recalled = await host.recall(sought, { ...call, instance });
  const plan = recalled.kind === 'known' ? recalled.plan : sought;
  const whole = { ...plan, ...(written?.address && { address: written.address }) };
  return { kind: 'known', plan: whole, facts: past ? withoutGone(past.facts) : {}, doubtful: [], instance };
}

/** The plan without a port whose socket's name a user gave, unless its step was begun: such a socket may be another's. */
function withProvedPort(plan: Plan | undefined, records: readonly Entry[]): Plan | undefined {
  if (!plan?.port || plan.port.file === portName(plan.key)) return plan;
  if (records.some((entry) => entry.kind === 'intent' && entry.step === 'port')) return plan;
  const { port: _, ...others } = plan;
  return others;
}

const unprovedSteps: readonly Step[] = steps.filter((step) => step !== 'port');

/**
 * Without a header only the world can prove that there ever was an attachment. If it does not, a part that cannot be removed is
 * not a debt. An annotation is looked for only if a record or a port's marks tell of one: a server that is away must not delay a
 * DEL.
 */
async function byWorld({ host, journal, known }: Removal, records: readonly Entry[], call: Call): Promise<Remains> {
  const written = planOfHeader(records);
  const { publication, ...others } = { ...known, ...written, key: known.key };
  // An earlier try wrote down the plan to look for.
  const isTold = journal.damaged || (written ? written.publication !== undefined : records.length > 0);
  const isLikely = publication && (isTold || !isAnnotation(publication));
  const recalled = await host.recall({ ...others, ...(isLikely && { publication }) }, call);
  if (recalled.kind !== 'known') return recalled;
  const { plan, instance } = recalled;
  const isProved = recalled.isProved || journal.damaged;
  return { kind: 'known', plan, facts: {}, doubtful: isProved ? [] : unprovedSteps, instance };
}

/**
 * Whether another attachment that is not going names this socket in its journal. The journals are asked because the switch's rows
 * can be lost while the application still listens. A directory with this container's name holds no other's sockets. For a shared
 * directory only the journals that could name the socket are read, because a DEL must not read all. @throws JournalError if that
 * cannot be told
 */
function isAnothers({ disk, call: { dataDir }, known: { key } }: Removal, socket: string): boolean {
  if (basename(dirname(socket)) === shortId(key)) return false;
  const isGiven = basename(socket) !== portName(key);
  const others = listJournals(disk, dataDir, journalSuffix).filter((name) => name !== journalName(key));
  const likely = others.filter((name) => isGiven || couldShare(name, key));
  return likely.some((name) => isNamedBy(disk, join(dataDir, name), socket));
}

/** A journal named after a container with another beginning cannot have our default socket name; one with a hashed name may. */
const couldShare = (name: string, key: AttachmentKey): boolean =>
  name.includes(`:${shortId(key)}`) || name.includes('::');

function isNamedBy(disk: Disk, path: string, socket: string): boolean {
  const journal = peekJournal(disk, path);
  const port = journal && planOfHeader(journal.records)?.port;
  if (!journal || !port || journal.going || tells(journal.records) === 'removal') return false;
  return join(port.directory, port.file) === socket;
}
