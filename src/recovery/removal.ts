/**
 * Taking one attachment away under its lock, whoever wants it: a repeated ADD, DEL, recovery. All by the same machine and loop.
 */
import { join } from 'node:path';
import { type AttachmentKey, configDataName, holdFileName } from '../attachment.ts';
import { drive, type Entry, fold, start } from '../drive.ts';
import type { Journal } from '../journal/journal.ts';
import { delMachine } from '../machines/del.ts';
import type { Call, Facts, Perform, Plan } from '../machines/protocol.ts';
import type { Owed } from '../machines/steps.ts';

/** What a removal needs of a node. */
export interface RemovalHost {
  readonly perform: Perform;
  recall(plan: Plan, call: Call): Promise<{ readonly [name: string]: string } | undefined>;
}

export interface Removal {
  readonly host: RemovalHost;
  readonly journal: Pick<Journal<Entry>, 'append' | 'note' | 'records' | 'damaged'>;
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
  journal.note({ kind: 'going', by });
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

/** The header if it can be read, what the caller knows, and what the marks on the port say: the later one wins. */
async function withoutJournal(
  host: RemovalHost,
  journal: Removal['journal'],
  known: Plan,
  call: Call,
): Promise<{ plan: Plan; facts: Facts }> {
  const [header] = journal.records;
  const written = header?.kind === 'begin' && isPlan(header.plan) ? header.plan : undefined;
  const base: Plan = { ...known, ...written, key: known.key };
  const marks = await host.recall(base, call);
  return { plan: marks ? { ...base, ...planOfMarks(base.key, marks) } : base, facts: {} };
}

/** A header of another version may hold anything; its key decides nothing, the caller's does. */
const isPlan = (value: unknown): value is Plan =>
  typeof value === 'object' && value !== null && 'key' in value && 'ovsdb' in value;

function planOfMarks(key: AttachmentKey, marks: { readonly [name: string]: string }): Partial<Plan> {
  const { directory, bridge } = marks;
  return {
    ...(bridge && { bridge: { name: bridge } }),
    ...(directory && {
      socketDir: { base: join(directory, '..'), own: directory, hold: holdFileName(key) },
      publication: { directory, file: configDataName(key), data: {} },
    }),
  };
}
