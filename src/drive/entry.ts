/**
 * The words of a journal: its entries, their versions, and what can be read of a header of any version.
 */
import type { Trouble } from '../attachment.ts';
import type { Facts, Outcome, Plan, Step, Verb } from '../machines/protocol.ts';

/**
 * Version of the records, written into each header. Raise it when an older release could misread them: a record of a new kind that
 * it would pass over, a member with another meaning. A new optional member that an older release may ignore needs no raise.
 */
export const formatVersion = 1;

/**
 * Version of the add machine, written into each header. Raise it whenever a journal of an earlier release would fold to another
 * state: a new step that every plan has, a renamed event, another order. Without that, `recover` takes living pods for interrupted
 * ADDs and removes their networks (test/fault/golden-journals.test.ts shows it). A journal of another version is left alone until
 * its DEL.
 */
export const machineVersion = 1;

/** The first record of every journal. */
export interface Begin {
  readonly kind: 'begin';
  readonly format: number;
  readonly machine: number;
  readonly instance: string;
  readonly boot: string;
  readonly netns: { readonly path: string; readonly file: string; readonly directory: string };
  readonly plan: Plan;
  /** When the ADD began (Call.begun); a port that is put back bears it too. Absent in journals of earlier releases. */
  readonly begun?: string;
  /** The database's id (Plan.database), also where the ADD made no port. Absent in journals of earlier releases. */
  readonly database?: string;
  /** The file that it was written to (Journal.identity). Absent in journals of earlier releases. */
  readonly file?: string;
}

/** The entries that the loop writes, for steps of any family. */
export type StepEntry<S extends string, Fact> =
  | { readonly kind: 'intent'; readonly step: S }
  | {
      readonly kind: 'outcome';
      readonly step: S;
      readonly verb: Verb;
      readonly outcome: Outcome<Fact>;
      readonly ms: number;
    }
  | { readonly kind: 'abandon'; readonly trouble: Trouble };

export type Entry =
  | Begin
  | StepEntry<Step, Facts[keyof Facts]>
  /** At rest: nothing left to do until DEL. */
  | { readonly kind: 'attached' }
  /** A removal begins. The plan says what there is to remove, where no header does. */
  | { readonly kind: 'going'; readonly by: string; readonly plan?: Plan }
  /** A lost part of an attachment at rest is put back. The records from here to `attached` say nothing of its ADD. */
  | { readonly kind: 'restoring' };

/** The plan of a journal's header, if there is a readable one: another version may have written anything. */
export function planOfHeader(entries: readonly Entry[]): Plan | undefined {
  const header = entries.find((entry) => entry.kind === 'begin' || (entry.kind === 'going' && entry.plan));
  const plan: unknown = header && 'plan' in header ? header.plan : undefined;
  const whole = typeof plan === 'object' && plan !== null && 'key' in plan && 'ovsdb' in plan && 'request' in plan;
  return whole ? (plan as Plan) : undefined;
}

/** The header of a journal of any version: it tells through which data directory the attachment was made. */
export function headerOf([first]: readonly Entry[]): Begin | undefined {
  return first?.kind === 'begin' && typeof first.instance === 'string' ? first : undefined;
}

/** Whether another release wrote the journal, in whole records that this one cannot understand. */
export const isOfAnotherVersion = ([header]: readonly Entry[]): boolean =>
  header?.kind === 'begin' && (header.format !== formatVersion || header.machine !== machineVersion);
