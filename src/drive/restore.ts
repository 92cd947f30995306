/**
 * Putting back the port of an attachment at rest whose sandbox lives. It was lost when the switch's database was wiped, or its
 * server-mode socket when the switch restarted. A try that fails takes back only its own work: the rest is a living pod's.
 */
import type { Trouble } from '../attachment.ts';
import type { Journal } from '../journal/journal.ts';
import type { Call, Perform, Plan, Request } from '../machines/protocol.ts';
import { restoreMachine } from '../machines/restore.ts';
import type { Entry } from './entry.ts';
import { drive, start } from './loop.ts';
import type { Past } from './past.ts';
import { goingTrouble, journalTrouble } from './trouble.ts';

interface RestoreHost {
  readonly perform: Perform;
  restoreTrouble(sought: Pick<Request, 'plan' | 'facts'>, call: Call): Promise<Trouble | undefined>;
}

export interface PutBack {
  readonly journal: Journal<Entry>;
  readonly past: Past;
  readonly host: RestoreHost;
  /** The plan with which an IPAM program's CHECK is called for an attachment at rest. */
  readonly asChecked: (plan: Plan, facts: Past['facts']) => Plan;
  readonly call: Call;
}

/** @returns why the port could not be put back; the next recovery tries again. */
export async function putBack({ journal, past, host, asChecked, call: given }: PutBack): Promise<Trouble | undefined> {
  const { header, facts } = past;
  const { instance, netns, begun } = header;
  const call = { ...given, instance, netns, ...(begun && { begun }) };
  const { database } = past.undo;
  const written: Plan = { ...header.plan, ...(database && { database }) };
  const { bridge, ...rest } = written;
  const refused = await host.restoreTrouble({ plan: written, facts }, call);
  if (refused) return refused;
  if (written.address) {
    const checked = asChecked(written, facts);
    const address = await host.perform({ step: 'address', verb: 'find', plan: checked, facts }, call);
    if (address.kind !== 'ok') return address.trouble;
  }
  const unrecorded = journalTrouble(() => {
    journal.cutBack(recordsOfSuccess(journal.records));
    journal.append({ kind: 'restoring' });
  });
  if (unrecorded) return unrecorded;
  // A bridge that an administrator made is not made again here.
  const plan: Plan = { ...rest, ...(bridge && (facts.bridge?.ours ?? facts.bridge?.created) && { bridge }) };
  const options = {
    journal,
    perform: host.perform,
    call,
    end: { make: call.end, remove: call.end },
    reasonToStop: () => goingTrouble(journal),
  };
  const { failure } = (await drive(restoreMachine, start(restoreMachine), { type: 'begin', plan }, options)).context;
  // A DEL that came meanwhile has answered already, so this lock holder has to do the removal.
  return failure ?? goingTrouble(journal) ?? journalTrouble(() => journal.append({ kind: 'attached' }));
}

/** The number of records without those of failed tries. They tell nothing that counts, and would fill the disk try by try. */
function recordsOfSuccess(records: readonly Entry[]): number {
  const lastSuccess = records.findLastIndex(({ kind }) => kind === 'attached');
  const failed = records.findIndex(({ kind }, index) => kind === 'restoring' && index > lastSuccess);
  return failed < 0 ? records.length : failed;
}
