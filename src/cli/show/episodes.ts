/**
 * A journal's records as episodes: the work of one process in one go, each on a time axis of its own. Pure.
 *
 * Years can lie between an ADD and its DEL, and seconds of waiting in a removal would flatten an ADD of milliseconds. So each episode
 * has its own scale, and the pause before it is a number.
 *
 * A record's time is the wall clock's, which can be set meanwhile. How long an effect took (`ms`) was measured by another clock, so it
 * counts more: where the two contradict each other, the episode says so, and its axis goes on by `ms`.
 *
 * Invariants
 *  EP1 Each record is in exactly one place of one episode: its opening, or one of its rows.
 *  EP2 Each row lies between 0 and the episode's span.
 *  EP3 No records make it throw: another release can have written anything.
 */
import { type Entry, planOfHeader } from '../../drive/entry.ts';
import type { Stamped } from '../../journal/record.ts';
import { isAnnotation, isMaking, type Plan, type Step, steps, type Verb } from '../../machines/protocol.ts';
import type { endingWords } from '../words.ts';

export type TimedRecord = Entry & Stamped;

/** A stretch of an episode's axis, in milliseconds from its first record. */
export interface Stretch {
  /** The intent's record; for an effect without one, its beginning. From here to `from`, the record was made durable. */
  readonly asked: number;
  readonly from: number;
  readonly to: number;
}

/**
 * `died`: its process ended before it wrote an outcome. `open`: no outcome is recorded, and no later record says why. `unrecorded`: the
 * outcome could not be written, and the process went on.
 */
export type EffectResult = 'ok' | 'failed' | 'displaced' | 'died' | 'open' | 'unrecorded';

interface InOrder {
  /** The numbers of the records that it shows. */
  readonly records: readonly number[];
  readonly message?: string;
}

export type EpisodeRow =
  | (InOrder &
      Stretch & {
        readonly kind: 'effect';
        readonly verb: Verb;
        readonly step: Step;
        /** The server, program or file system that had to answer. */
        readonly waitedFor: string;
        readonly ms?: number;
        readonly result: EffectResult;
      })
  /** A record that tells of a moment. */
  | (InOrder & Stretch & { readonly kind: 'moment'; readonly name: string; readonly isGood: boolean })
  /** The clock of the records contradicts itself here. */
  | (InOrder & { readonly kind: 'clock'; readonly message: string });

export type EpisodeEnding = keyof typeof endingWords;

export interface Episode {
  readonly what: 'ADD' | 'removal' | 'put-back' | 'records';
  /** For a removal: its caller, and its number among the tries. */
  readonly by?: string;
  readonly tryNumber?: number;
  /** The time of its first record, as it was written. */
  readonly at: string;
  /** Milliseconds since the last record of the episode before; negative if the clock was set back. */
  readonly pauseMs?: number;
  readonly spanMs: number;
  readonly ending: EpisodeEnding;
  /** The record that opens it, unless that is a row. */
  readonly opening?: number;
  readonly rows: readonly EpisodeRow[];
}

const openings: readonly string[] = ['begin', 'going', 'restoring'];

export function episodesOf(records: readonly TimedRecord[]): Episode[] {
  const plan = planOfHeader(records);
  const groups: TimedRecord[][] = [];
  for (const record of records) {
    if (groups.length === 0 || openings.includes(record.kind)) groups.push([]);
    groups.at(-1)?.push(record);
  }
  let tries = 0;
  return groups.map((group, index) => {
    const isRemoval = group[0]?.kind === 'going';
    // The rollback of a failed ADD is its first try.
    if (isRemoval || (tries === 0 && group.some(takesBack))) tries++;
    const before = groups[index - 1]?.at(-1);
    const episode = episodeOf(group, { plan, isLast: index === groups.length - 1, before });
    return isRemoval ? { ...episode, tryNumber: tries } : episode;
  });
}

const takesBack = (entry: Entry): boolean =>
  entry.kind === 'abandon' || (entry.kind === 'outcome' && entry.verb === 'remove');

interface Surroundings {
  readonly plan: Plan | undefined;
  readonly isLast: boolean;
  /** The last record of the episode before. */
  readonly before: TimedRecord | undefined;
}

const whatOf = { begin: 'ADD', going: 'removal', restoring: 'put-back' } as const;

function episodeOf(group: readonly TimedRecord[], { plan, isLast, before }: Surroundings): Episode {
  const [first] = group as readonly [TimedRecord];
  const isOpened = openings.includes(first.kind);
  const axis = new Axis(first);
  const isPutBack = first.kind === 'restoring';
  const placed = placeAll(isOpened ? group.slice(1) : group, axis, { plan, isPutBack });
  const rows = placed.map((row) => (isOpen(row) ? { ...row, result: fateOf(row, group, isLast) } : row));
  const what = isOpened ? whatOf[first.kind as keyof typeof whatOf] : 'records';
  const pause = before && timeOf(first) - timeOf(before);
  return {
    what,
    ...(first.kind === 'going' && { by: String(first.by) }),
    at: String(first.at),
    ...(pause !== undefined && !Number.isNaN(pause) && { pauseMs: pause }),
    spanMs: axis.span,
    ending: endingOf(what, rows, { isLast, plan }),
    ...(isOpened && { opening: first.seq }),
    rows,
  };
}

const timeOf = ({ at }: Stamped): number => Date.parse(at);

const isOpen = (row: EpisodeRow): row is Extract<EpisodeRow, { kind: 'effect' }> =>
  row.kind === 'effect' && row.result === 'open';

function fateOf({ records }: EpisodeRow, group: readonly TimedRecord[], isLast: boolean): EffectResult {
  const isFollowed = (group.at(-1)?.seq ?? 0) > Math.max(...records);
  return isFollowed ? 'unrecorded' : isLast ? 'open' : 'died';
}

function endingOf(
  what: Episode['what'],
  rows: readonly EpisodeRow[],
  { isLast, plan }: Omit<Surroundings, 'before'>,
): EpisodeEnding {
  const results = rows.flatMap((row) => (row.kind === 'effect' ? [row.result] : []));
  const isCutOff = isLast ? 'unfinished' : 'died';
  if (what === 'removal') return results.includes('failed') ? 'owed' : isCutOff;
  if (rows.some((row) => row.kind === 'moment' && row.isGood)) return what === 'put-back' ? 'put back' : 'attached';
  if (results.includes('died') || results.includes('open')) return isCutOff;
  if (results.includes('failed') || rows.some((row) => row.kind === 'moment')) return 'failed';
  return what === 'ADD' && isWhole(rows, plan) ? 'attached' : isCutOff;
}

/** Whether every step is made: an ADD that ended before its record `attached` is at rest all the same. */
const isWhole = (rows: readonly EpisodeRow[], plan: Plan | undefined): boolean =>
  plan !== undefined &&
  steps.filter((step) => plan[step] !== undefined).every((step) => rows.some((row) => isMade(row, step)));

const isMade = (row: EpisodeRow, step: Step): boolean =>
  row.kind === 'effect' && row.verb === 'ensure' && row.step === step && row.result === 'ok';

// ---- the rows of an episode

interface Scene {
  readonly plan: Plan | undefined;
  readonly isPutBack: boolean;
}

function placeAll(records: readonly TimedRecord[], axis: Axis, scene: Scene): EpisodeRow[] {
  const rows: EpisodeRow[] = [];
  for (const record of records) {
    const intent = record.kind === 'outcome' ? findIntent(rows, record) : undefined;
    const [row, jump] = rowOf(record, axis, { ...scene, intent });
    if (intent) rows[rows.indexOf(intent)] = row;
    else rows.push(row);
    if (jump) rows.push({ kind: 'clock', records: [], message: jump });
  }
  return rows;
}

type OpenRow = Extract<EpisodeRow, { kind: 'effect' }>;

/** The intent of the same step whose outcome has not come yet. Removals have none. */
const findIntent = (
  rows: readonly EpisodeRow[],
  { step, verb }: TimedRecord & { kind: 'outcome' },
): OpenRow | undefined => (isMaking(verb) ? rows.filter(isOpen).findLast((row) => row.step === step) : undefined);

interface Meaning extends Scene {
  readonly intent: OpenRow | undefined;
}

function rowOf(
  record: TimedRecord,
  axis: Axis,
  { plan, isPutBack, intent }: Meaning,
): [EpisodeRow, string | undefined] {
  const ms = record.kind === 'outcome' ? msOf(record.ms) : 0;
  const { stretch, jump } = axis.place(record, ms, intent?.asked);
  const common = { records: [...(intent?.records ?? []), record.seq], ...stretch };
  switch (record.kind) {
    case 'intent': {
      const { step } = record;
      // An intent does not say its verb: a put-back restores the port, and ensures the rest.
      const verb = isPutBack && step === 'port' ? 'restore' : 'ensure';
      return [{ kind: 'effect', verb, step, waitedFor: waitedForBy(step, plan), result: 'open', ...common }, jump];
    }
    case 'outcome': {
      const { outcome, verb, step } = record;
      const result = resultOf(outcome?.kind);
      const message = outcome?.kind === 'ok' ? outcome.warning : outcome?.trouble?.message;
      const said = message === undefined ? {} : { message: String(message) };
      const waitedFor = waitedForBy(step, plan);
      return [{ kind: 'effect', verb, step, waitedFor, result, ms, ...said, ...common }, jump];
    }
    case 'abandon':
      return [
        { kind: 'moment', name: 'abandon', isGood: false, message: String(record.trouble?.message), ...common },
        jump,
      ];
    default:
      return [{ kind: 'moment', name: String(record.kind), isGood: record.kind === 'attached', ...common }, jump];
  }
}

const dayMs = 86_400_000;

/** Any other number was not written by us. */
const msOf = (said: number): number => (Number.isFinite(said) ? Math.min(Math.max(0, said), dayMs) : 0);

const resultOf = (said: unknown): EffectResult => (said === 'ok' || said === 'displaced' ? said : 'failed');

/** The party that had to answer, by the step and its plan. */
function waitedForBy(step: Step, plan: Plan | undefined): string {
  switch (step) {
    case 'address':
      return plan?.address?.program ?? 'IPAM';
    case 'bridge':
    case 'port':
      return 'switch';
    case 'publication':
      return plan?.publication === undefined ? '-' : isAnnotation(plan.publication) ? 'API server' : 'files';
    default:
      return 'files';
  }
}

// ---- the axis

/** Between two records of one call there is its effect, and at most a slow disk's fsync, which ends well within this. */
const unexplainedMsMax = 60_000;

class Axis {
  /** The position of the latest record, which never goes back. */
  #position = 0;
  #wall: number;

  constructor(first: Stamped) {
    this.#wall = timeOf(first);
  }

  get span(): number {
    return this.#position;
  }

  /**
   * Places a record and the effect that ended with it.
   * @param asked the position of the effect's intent
   * @returns the stretch, and in words how the clock contradicts itself there
   */
  place(record: Stamped, ms: number, asked?: number): { readonly stretch: Stretch; readonly jump: string | undefined } {
    const passed = timeOf(record) - this.#wall;
    if (!Number.isNaN(passed)) this.#wall += passed;
    const jump = jumpText(passed, ms);
    this.#position += jump || Number.isNaN(passed) ? ms : passed;
    const from = Math.max(asked ?? 0, this.#position - ms);
    const to = from + ms;
    this.#position = Math.max(this.#position, to);
    return { stretch: { asked: asked ?? from, from, to }, jump };
  }
}

function jumpText(passed: number, ms: number): string | undefined {
  if (passed < 0) return `the clock was set back by ${-passed} ms before this record`;
  const more = Math.round(passed - ms);
  return more > unexplainedMsMax
    ? `${more} ms before this record are unexplained: the clock was set, or the machine slept; the axis leaves them out`
    : undefined;
}
