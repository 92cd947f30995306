/**
 * The state of an attachment by its locked journal and its node. Decides nothing, changes nothing.
 */
import { type AttachmentKey, keyOfJournalName } from '../attachment.ts';
import { type Begin, type Entry, isOfAnotherVersion, planOfHeader } from '../drive/entry.ts';
import { fold, type Past } from '../drive/past.ts';
import type { Journal } from '../journal/journal.ts';
import type { Call, Request } from '../machines/protocol.ts';
import type { Found } from './words.ts';

/** The parts of a node that judging uses. */
export interface Witness {
  bootId(): string;
  judgeNetns(netns: Begin['netns']): 'alive' | 'gone' | 'unknown';
  isPortLost(sought: Pick<Request, 'plan' | 'facts'>, call: Call): Promise<boolean>;
}

export interface Judgement {
  readonly found: Found;
  /** For an attachment at rest. */
  readonly past?: Past;
  /** The switch could not be asked whether it has lost the port, so the port is taken to be there. */
  readonly isUnasked?: true;
}

export async function judge(journal: Journal<Entry>, witness: Witness, call: Call): Promise<Judgement> {
  if (journal.going) return { found: 'going' };
  const [header] = journal.records;
  // The header tells its boot even in another version, or before damage by a power cut. No sandbox of an earlier boot lives.
  if (header?.kind === 'begin' && typeof header.boot === 'string' && header.boot !== witness.bootId()) {
    return { found: 'rebooted' };
  }
  // The header of a damaged journal still tells its namespace.
  if (journal.damaged) return { found: isAbandoned(header, witness) ? 'abandoned' : 'damaged' };
  if (!header) return { found: 'empty' };
  const past = fold(journal.records);
  // A journal of another version is kept, because an upgrade must not remove a living pod's network.
  if (!past) return { found: isOfAnotherVersion(journal.records) ? 'newer' : 'damaged' };
  if (past.state === 'going') return { found: 'going' };
  if (past.state === 'adding') {
    const isHeld = isCopy(past.header, journal) && !isAbandoned(header, witness);
    return { found: isHeld ? 'damaged' : 'interrupted' };
  }
  return await judgeAtRest(past, witness, call);
}

/** Whether its ADD wrote another file: a backup may be older than the answer that a living pod got. */
const isCopy = ({ file }: Begin, journal: Journal<Entry>): boolean => file !== undefined && file !== journal.identity;

async function judgeAtRest(past: Past, witness: Witness, call: Call): Promise<Judgement> {
  const netns = witness.judgeNetns(past.header.netns);
  if (netns !== 'alive') return { found: netns === 'gone' ? 'abandoned' : 'unjudged', past };
  const { undo, facts } = past;
  const { plan: written, instance } = past.header;
  const plan = { ...written, ...(undo.database && { database: undo.database }) };
  try {
    const isLost = await witness.isPortLost({ plan, facts }, { ...call, instance });
    return { found: isLost ? 'lost' : 'attached', past };
  } catch {
    return { found: 'attached', past, isUnasked: true };
  }
}

function isAbandoned(header: Entry | undefined, witness: Witness): boolean {
  if (header?.kind !== 'begin' || typeof header.netns?.path !== 'string') return false;
  return witness.judgeNetns(header.netns) === 'gone';
}

export function keyOf(name: string, journal: Pick<Journal<Entry>, 'records'>): AttachmentKey | undefined {
  return planOfHeader(journal.records)?.key ?? keyOfJournalName(name);
}
