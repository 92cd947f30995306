/**
 * Taking one attachment away under its lock, whoever wants it: a repeated ADD, DEL, recovery. All by the same machine and loop.
 */
import { portName } from '../attachment.ts';
import { drive, type Entry, fold, planOfHeader, recorded, start } from '../drive.ts';
import type { Journal } from '../journal/journal.ts';
import { delMachine } from '../machines/del.ts';
import type { Call, Facts, Perform, Plan } from '../machines/protocol.ts';
import type { Owed } from '../machines/steps.ts';

/** What a removal needs of a node. */
export interface RemovalHost {
  readonly perform: Perform;
  /** What there is to remove of an attachment that no journal tells of: what is known of it, corrected by the world. */
  recall(known: Plan, call: Call): Promise<Plan>;
}

export interface Removal {
  readonly host: RemovalHost;
  readonly journal: Pick<Journal<Entry>, 'append' | 'stage' | 'note' | 'records' | 'damaged'>;
  /** Who removes, for the journal's readers. */
  readonly by: string;
  /** What is known beside the journal: the key, the switch, and what a DEL's own configuration says. */
  readonly known: Plan;
  readonly call: Call;
}

/** @returns what could not be taken away, and why. */
export async function takeAway({ host, journal, by, known, call }: Removal): Promise<readonly Owed[]> {
  const past = journal.damaged ? undefined : fold(journal.records);
  const { plan, facts } = past
    ? { plan: past.undo, facts: past.facts }
    : await withoutJournal(host, journal, known, call);
  // Who comes next may know less than this DEL's configuration said; recovery itself knows nothing that is worth telling.
  const isNews = known.request.stdin !== '' && past === undefined && planOfHeader(journal.records) === undefined;
  if (isNews) recorded(() => journal.append({ kind: 'going', by, plan }));
  else journal.note({ kind: 'going', by });
  const end = await drive(
    delMachine,
    start(delMachine),
    { type: 'begin', plan, facts },
    {
      journal,
      perform: host.perform,
      call,
      end: { make: call.end, remove: call.end },
      stop: () => undefined,
    },
  );
  return end.context.owed;
}

/** A socket whose name a user gave may be somebody else's, as long as no record says that its step was begun. */
function nameable(plan: Plan | undefined, records: readonly Entry[]): Plan | undefined {
  if (!plan?.port || plan.port.file === portName(plan.key)) return plan;
  if (records.some((entry) => entry.kind === 'intent' && entry.step === 'port')) return plan;
  const { port: _, ...others } = plan;
  return others;
}

/**
 * The header's plan if it can be read: it was made to be removed by. Else what the caller knows and the world tells. That there was
 * an annotation, a record or a port's marks must say: where nothing was ever begun, a server that is away must not hold up a DEL.
 */
async function withoutJournal(
  host: RemovalHost,
  journal: Removal['journal'],
  known: Plan,
  call: Call,
): Promise<{ plan: Plan; facts: Facts }> {
  const written = nameable(planOfHeader(journal.records), journal.records);
  const { publication, ...others } = known;
  const isFresh = journal.records.length === 0 && !journal.damaged;
  const likely = isFresh && publication && 'pod' in publication ? others : known;
  const recalled = await host.recall({ ...likely, ...written, key: known.key }, call);
  return { plan: { ...recalled, ...(written?.address && { address: written.address }) }, facts: {} };
}
