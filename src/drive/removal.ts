/**
 * Taking one attachment away under its lock, for a repeated ADD, a DEL or a recovery. All by the same machine and loop.
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

/** What a removal needs of a node. */
export interface RemovalHost {
  readonly perform: Perform;
  /** What there is to remove of an attachment that no journal tells of: what is known of it, corrected by the world. */
  recall(known: Plan, call: Call): Promise<Recalled>;
  bootId(): string;
}

export interface Removal {
  readonly host: RemovalHost;
  readonly disk: Disk;
  readonly journal: Pick<Journal<Entry>, 'append' | 'stage' | 'note' | 'records' | 'damaged'>;
  /** Who removes, for the journal's readers. */
  readonly by: string;
  /** What is known beside the journal: the key, the switch, and what a DEL's own configuration says. */
  readonly known: Plan;
  readonly call: Call & { readonly dataDir: string };
}

export interface Removed {
  /** What could not be taken away, and why. */
  readonly owed: readonly Owed[];
  /** What was not done, and no retry could mend. */
  readonly warnings: readonly string[];
  /** It is another data directory's: nothing was touched. */
  readonly elsewhere?: Trouble;
}

/** What the machine is begun with. */
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
  // Who comes next may know less than this DEL's configuration said; recovery itself knows nothing that is worth telling.
  const isNews = known.request.stdin !== '' && planOfHeader(journal.records) === undefined;
  if (isNews) journalTrouble(() => journal.append({ kind: 'going', by, plan }));
  else journal.note({ kind: 'going', by });
  if (found.kind === 'unsettled') {
    // Without the switch it cannot be told whose it is: nothing goes, and its address is held.
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

/** The journal if it can be read: its plan was made to be removed by. Else what the caller knows and the world tells. */
async function findRemains(removal: Removal, call: Call): Promise<Remains> {
  const { host, journal } = removal;
  const told = planOfHeader(journal.records)?.key;
  // A journal that was copied under another's name tells nothing of this attachment, and is no reason to touch that one.
  if (told && keyText(told) !== keyText(removal.known.key)) return await byWorld(removal, [], call);
  const past = fold(journal.records);
  if (past && !journal.damaged) return { kind: 'known', ...remaining(past, host.bootId()) };
  const header = headerOf(journal.records);
  return header ? await byHeader(removal, header, past, call) : await byWorld(removal, journal.records, call);
}

/** What is shared, and goes with the last thing in it: each try looks again. */
const shared: readonly Step[] = ['bridge', 'socketDir'];

/**
 * What an earlier try has taken away is not taken away again: what bears its name by now is another's. After a power cut nothing is
 * known to have lasted.
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

/** Its records are damaged or of another version, its header is not: whose it is, is told by that. */
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

/** A socket whose name a user gave may be another's, as long as no record says that its step was begun. */
function withProvedPort(plan: Plan | undefined, records: readonly Entry[]): Plan | undefined {
  if (!plan?.port || plan.port.file === portName(plan.key)) return plan;
  if (records.some((entry) => entry.kind === 'intent' && entry.step === 'port')) return plan;
  const { port: _, ...others } = plan;
  return others;
}

const unprovedSteps: readonly Step[] = steps.filter((step) => step !== 'port');

/**
 * Without a header nothing says that there ever was an attachment, unless the world does: then what cannot be removed is no debt. An
 * annotation is looked for only where a record or a port's marks tell of one: a server that is away must not hold up a DEL.
 */
async function byWorld({ host, journal, known }: Removal, records: readonly Entry[], call: Call): Promise<Remains> {
  const written = planOfHeader(records);
  const { publication, ...others } = { ...known, ...written, key: known.key };
  // An earlier try wrote down what there was to look for.
  const isTold = journal.damaged || (written ? written.publication !== undefined : records.length > 0);
  const isLikely = publication && (isTold || !isAnnotation(publication));
  const recalled = await host.recall({ ...others, ...(isLikely && { publication }) }, call);
  if (recalled.kind !== 'known') return recalled;
  const { plan, instance } = recalled;
  const isProved = recalled.isProved || journal.damaged;
  return { kind: 'known', plan, facts: {}, doubtful: isProved ? [] : unprovedSteps, instance };
}

/**
 * Whether another attachment that is not going names this socket in its journal. The switch's rows can be lost while its application
 * listens. A directory that bears this container's name holds no other's; of shared ones only journals that could name it are read,
 * since a DEL must not read them all. @throws JournalError where that cannot be told
 */
function isAnothers({ disk, call: { dataDir }, known: { key } }: Removal, socket: string): boolean {
  if (basename(dirname(socket)) === shortId(key)) return false;
  const isGiven = basename(socket) !== portName(key);
  const others = listJournals(disk, dataDir, journalSuffix).filter((name) => name !== journalName(key));
  const likely = others.filter((name) => isGiven || couldShare(name, key));
  return likely.some((name) => isNamedBy(disk, join(dataDir, name), socket));
}

/** One that spells out another container's beginning cannot have our default name; a hashed one may. */
const couldShare = (name: string, key: AttachmentKey): boolean =>
  name.includes(`:${shortId(key)}`) || name.includes('::');

function isNamedBy(disk: Disk, path: string, socket: string): boolean {
  const journal = peekJournal(disk, path);
  const port = journal && planOfHeader(journal.records)?.port;
  if (!journal || !port || journal.going || tells(journal.records) === 'removal') return false;
  return join(port.directory, port.file) === socket;
}
