/**
 * Putting back the port of an attachment at rest whose sandbox lives: the switch's database was wiped, or the switch restarted and its
 * server-mode socket with it. Nothing but the port is ever taken back here: the address is a living pod's.
 */
import type { Trouble } from '../attachment.ts';
import { drive, type Entry, type Past, recorded, start, whyGoing } from '../drive.ts';
import type { Journal } from '../journal/journal.ts';
import type { Call, Perform, Plan } from '../machines/protocol.ts';
import { restoreMachine } from '../machines/restore.ts';

/** @returns why it could not be put back; it is tried again by the next recovery. */
export async function putBack(
  journal: Journal<Entry>,
  { header, facts }: Past,
  perform: Perform,
  asChecked: (plan: Plan, facts: Past['facts']) => Plan,
  call: Call,
): Promise<Trouble | undefined> {
  const { bridge, ...rest } = header.plan;
  if (header.plan.address) {
    const told = asChecked(header.plan, facts);
    const address = await perform({ step: 'address', verb: 'find', plan: told, facts }, call);
    if (address.kind !== 'ok') return address.trouble;
  }
  const refused = recorded(() => journal.append({ kind: 'restoring' }));
  if (refused) return refused;
  // An administrator's bridge is his to make.
  const plan: Plan = { ...rest, ...(bridge && (facts.bridge?.ours ?? facts.bridge?.created) && { bridge }) };
  const end = await drive(
    restoreMachine,
    start(restoreMachine),
    { type: 'begin', plan },
    { journal, perform, call, end: { make: call.end, remove: call.end }, stop: () => whyGoing(journal) },
  );
  const { failure } = end.context;
  // A DEL that came meanwhile has answered: whoever holds the lock removes.
  return failure ?? whyGoing(journal) ?? recorded(() => journal.append({ kind: 'attached' }));
}
