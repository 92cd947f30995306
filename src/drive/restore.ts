/**
 * Putting back the port of an attachment at rest whose sandbox lives: the switch's database was wiped, or the switch restarted and its
 * server-mode socket with it. Nothing but what a failed try made itself is ever taken back here: the rest is a living pod's.
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
  /** What an IPAM program's CHECK is told of an attachment at rest. */
  readonly asChecked: (plan: Plan, facts: Past['facts']) => Plan;
  readonly call: Call;
}

/** @returns why it could not be put back; it is tried again by the next recovery. */
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
    const told = asChecked(written, facts);
    const address = await host.perform({ step: 'address', verb: 'find', plan: told, facts }, call);
    if (address.kind !== 'ok') return address.trouble;
  }
  const unrecorded = journalTrouble(() => {
    journal.cutBack(recordsOfSuccess(journal.records));
    journal.append({ kind: 'restoring' });
  });
  if (unrecorded) return unrecorded;
  // An administrator's bridge is the administrator's to make.
  const plan: Plan = { ...rest, ...(bridge && (facts.bridge?.ours ?? facts.bridge?.created) && { bridge }) };
  const options = {
    journal,
    perform: host.perform,
    call,
    end: { make: call.end, remove: call.end },
    reasonToStop: () => goingTrouble(journal),
  };
  const { failure } = (await drive(restoreMachine, start(restoreMachine), { type: 'begin', plan }, options)).context;
  // A DEL that came meanwhile has answered: the lock holder removes.
  return failure ?? goingTrouble(journal) ?? journalTrouble(() => journal.append({ kind: 'attached' }));
}

/** The records of earlier tries that failed tell nothing that counts, and would fill the disk, one try after the other. */
function recordsOfSuccess(records: readonly Entry[]): number {
  const lastSuccess = records.findLastIndex(({ kind }) => kind === 'attached');
  const failed = records.findIndex(({ kind }, index) => kind === 'restoring' && index > lastSuccess);
  return failed < 0 ? records.length : failed;
}
